"""Alembic environment: runs the migrations on the connection that `store` hands over."""

from alembic import context

from cvalues.study.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
