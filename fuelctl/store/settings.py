# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries on what the control plane remembers of itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from fuelctl.store.models import SettingRow


def reaper(session: Session) -> dict[str, Any]:
    """What the reaper last did, and when."""
    row = session.get(SettingRow, "reaper")
    return row.value if row else {"last_cycle_at": None}
