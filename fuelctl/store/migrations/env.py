# SPDX-License-Identifier: GPL-3.0-or-later
"""How Alembic runs our migrations: on the connection that `Database.migrate` hands over."""

from __future__ import annotations

from alembic import context

from fuelctl.store.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
