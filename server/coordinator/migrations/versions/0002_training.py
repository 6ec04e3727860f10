"""Training jobs, their rounds, prompt versions, and which of them went live."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the four tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("base_model", sa.String(64), nullable=False),
        sa.Column("layout", sa.String(64), nullable=False),
        sa.Column("embedder", sa.String(128), nullable=False),
        sa.Column("error", sa.String(300), nullable=False),
        sa.Column("roster", sa.Text, nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
    )
    op.create_table(
        "rounds",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("round_num", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state_sha256", sa.String(64), nullable=False),
        sa.Column("contributors", sa.Text, nullable=False),
        sa.Column("remarks", sa.Text, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("bytes_out", sa.Integer, nullable=False),
        sa.Column("bytes_in", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "prompts",
        sa.Column("version", sa.String(80), primary_key=True),
        sa.Column("parent", sa.String(80), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("place", sa.String(16), nullable=False),
        sa.Column("base_model", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("num_bytes", sa.Integer, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
    )
    op.create_table(
        "promotions",
        sa.Column("promotion_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("version", sa.String(80), nullable=False),
        sa.Column("at", moment, server_default=sa.func.now(), nullable=False),
    )


def downgrade() -> None:
    """Drops them."""
    for table in ("promotions", "prompts", "rounds", "jobs"):
        op.drop_table(table)
