"""Nodes, enrollment tokens, API keys and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the four tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "nodes",
        sa.Column("node_id", sa.String(64), primary_key=True),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        sa.Column("enrolled_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("revoked_at", moment),
    )
    op.create_table(
        "enrollment_tokens",
        sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("node_id", sa.String(64), nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("used_at", moment),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("label", sa.String(100), nullable=False, unique=True),
        sa.Column("scopes", sa.String(100), nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("revoked_at", moment),
    )
    op.create_table(
        "audit_log",
        sa.Column("entry_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("entry_hash", sa.LargeBinary(32), nullable=False),
    )


def downgrade() -> None:
    """Drops them."""
    for table in ("audit_log", "api_keys", "enrollment_tokens", "nodes"):
        op.drop_table(table)
