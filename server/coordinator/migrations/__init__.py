"""Alembic migrations of the coordinator's state, run at start."""
