# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version of the schema there is, and which one this code is written for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

_MIGRATIONS = Path(__file__).with_name("migrations")


def is_current(session: Session) -> bool:
    """Whether the database is of this code's version."""
    return session.execute(text("SELECT version_num FROM alembic_version")).scalar() == _head()


@cache
def _head() -> str | None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()
