# SPDX-License-Identifier: GPL-3.0-or-later
"""Idempotency keys: one request, one environment, however often it is sent."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.store.models import IdempotencyRow

#: A key is remembered for this long.
LIFETIME = 24 * 3600.0
#: Making a row takes moments. A claim that is older and names none was not let go of: the disk was full.
_IN_FLIGHT = 120.0


@dataclass(frozen=True)
class Claim:
    """`environment_id` is what an earlier request with this key made; None when the work is the caller's to do."""

    environment_id: str | None


class InFlightError(FuelError):
    """The same request is being worked on right now."""


def claim(session: Session, key: str, fingerprint: str, instance: str, now: float, *, let_go: bool = False) -> Claim:
    """Take the key for this request, or learn what was made with it.

    InFlightError while another thread of a living server works on it; UsageError when the body is another one. A claim
    that is old, or of a server process that is gone, is taken over: it has made nothing, or the row would name it.
    """
    forget(session, now)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    taken = session.execute(
        insert(IdempotencyRow)
        .values(key=key, fingerprint=fingerprint, instance=instance, created_at=now)
        .on_conflict_do_nothing()
        .returning(IdempotencyRow.key)
    ).scalar_one_or_none()
    if taken is not None:
        return Claim(None)
    row = session.get_one(IdempotencyRow, key)
    if row.fingerprint != fingerprint:
        raise UsageError(
            "this Idempotency-Key was used for another request",
            hint="take a new key for a new request",
            code="idempotency_mismatch",
        )
    if row.environment_id is not None:
        return Claim(row.environment_id)
    if row.instance == instance and not let_go and now - row.created_at < _IN_FLIGHT:
        raise InFlightError(
            "the same request is being worked on", hint="repeat it in a moment", code="idempotency_in_flight"
        )
    row.instance, row.created_at = instance, now
    return Claim(None)


def complete(session: Session, key: str, environment_id: str) -> None:
    """Remember what was made, in the transaction that makes it."""
    session.execute(update(IdempotencyRow).where(IdempotencyRow.key == key).values(environment_id=environment_id))


def release(session: Session, key: str) -> None:
    """Nothing was made: the key is free again."""
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.key == key, IdempotencyRow.environment_id.is_(None)))


def forget(session: Session, now: float) -> None:
    """Remove the keys that are past their lifetime."""
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < now - LIFETIME))
