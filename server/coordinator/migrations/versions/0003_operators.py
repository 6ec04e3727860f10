"""Who runs a node, so that one operator with many nodes counts once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the operator to nodes and to the tokens that bring them."""
    for table in ("nodes", "enrollment_tokens"):
        op.add_column(table, sa.Column("operator", sa.String(64), nullable=False, server_default=""))
