# SPDX-License-Identifier: GPL-3.0-or-later
"""Idempotency keys: one request, one environment, however often it is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.store.models import IdempotencyRow

#: A key is remembered for this long.
LIFETIME = 24 * 3600.0
#: Making a row takes moments. A claim that is older and names none was not let go of: the disk was full.
_IN_FLIGHT = 120.0
#: The same of another process's claim, which may have died. On SQLite there is one process: it has.
_IN_FLIGHT_ELSEWHERE = 2.0


@dataclass(frozen=True)
class Claim:
    """`environment_id` is what an earlier request with this key made; None when the work is the caller's to do.

    `instance` and `since` say which claim it is: when another one took it over, this one completes and frees nothing.
    """

    key: str
    environment_id: str | None
    instance: str
    since: float


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
    mine = Claim(key, None, instance, now)
    if taken is not None:
        return mine
    row = session.get_one(IdempotencyRow, key)
    if row.fingerprint != fingerprint:
        raise UsageError(
            "this Idempotency-Key was used for another request",
            hint="take a new key for a new request",
            code="idempotency_mismatch",
        )
    if row.environment_id is not None:
        return replace(mine, environment_id=row.environment_id)
    if not let_go and now - row.created_at < _patience(session, row.instance == instance):
        raise _in_flight()
    row.instance, row.created_at = instance, now
    return mine


def _patience(session: Session, is_own: bool) -> float:
    """Seconds for which a claim is believed to be worked on."""
    if is_own:
        return _IN_FLIGHT
    return _IN_FLIGHT_ELSEWHERE if session.get_bind().dialect.name == "postgresql" else 0.0


def _in_flight() -> InFlightError:
    return InFlightError(
        "the same request is being worked on", hint="repeat it in a moment", code="idempotency_in_flight"
    )


def complete(session: Session, claim: Claim, environment_id: str) -> None:
    """Remember what was made, in the transaction that makes it; InFlightError when another request has taken over."""
    ours = update(IdempotencyRow).where(*_is(claim)).values(environment_id=environment_id)
    if session.execute(ours.returning(IdempotencyRow.key)).scalar_one_or_none() is None:
        raise _in_flight()


def release(session: Session, claim: Claim) -> None:
    """Nothing was made: the key is free again."""
    session.execute(delete(IdempotencyRow).where(*_is(claim)))


def _is(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """Whether a row is this claim still."""
    row = IdempotencyRow
    same = (row.key == claim.key, row.instance == claim.instance, row.created_at == claim.since)
    return (*same, row.environment_id.is_(None))


def forget(session: Session, now: float) -> None:
    """Remove the keys that are past their lifetime."""
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < now - LIFETIME))
