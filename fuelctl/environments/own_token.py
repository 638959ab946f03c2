# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's own token: good for what it says of itself, dead at its end. Only its SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import select
from sqlalchemy.orm import Session

from fuelctl.store import environments
from fuelctl.store.models import EnvironmentRow


def authenticate(session: Session, environment_id: str, token: str) -> bool:
    """Whether `token` is this environment's own; false once it has ended."""
    # One column: the whole row would be most of what a heartbeat costs.
    its = select(EnvironmentRow.token_sha256).where(EnvironmentRow.id == environment_id.upper())
    expected = session.execute(its.where(EnvironmentRow.ended_at.is_(None))).scalar_one_or_none()
    given = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
    return hmac.compare_digest(given, expected or "0" * 64) and expected is not None


def of_token(session: Session, token: str) -> EnvironmentRow | None:
    """The environment whose own token this is; None once it has ended."""
    given = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
    row = environments.of_token(session, given)
    # Found by its digest, which tells nothing of the token; compared all the same, as everywhere.
    return row if row is not None and hmac.compare_digest(given, row.token_sha256 or "") else None
