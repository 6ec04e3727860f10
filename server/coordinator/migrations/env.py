"""Alembic entry: runs over the connection that `database` hands in."""

from alembic import context

from server.coordinator.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
