"""Standing jobs, and what was decided about the versions that their runs made."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the two tables, and tells jobs whose run they are and what they start from."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "standing_jobs",
        sa.Column("standing_id", sa.String(64), primary_key=True),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("seen", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("num_runs", sa.Integer, nullable=False),
        sa.Column("rested_from", sa.Float, nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("standing_id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False, unique=True),
        sa.Column("live", sa.String(80), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("at", moment, server_default=sa.func.now(), nullable=False),
    )
    op.add_column("jobs", sa.Column("standing_id", sa.String(64), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("start_version", sa.String(80), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("cause", sa.String(16), nullable=False, server_default=""))


def downgrade() -> None:
    """Drops them."""
    for column in ("cause", "start_version", "standing_id"):
        op.drop_column("jobs", column)
    for table in ("decisions", "standing_jobs"):
        op.drop_table(table)
