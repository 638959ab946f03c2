# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices: an environment registers itself when it is ready, a laptop when somebody logs in from it."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.orm import Session

from fuelctl._shared._errors import UsageError
from fuelctl.environments.core import Core
from fuelctl.store import devices
from fuelctl.store.models import DeviceRow, EnvironmentRow
from fuelctl.store.ulids import new_ulid

_LONGEST = 100
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def of_environment(core: Core, session: Session, row: EnvironmentRow, facts: dict[str, Any] | None = None) -> DeviceRow:
    """The environment is a device from now on, in the transaction that makes it ready. Twice is harmless."""
    now = core.clock().wall
    known = devices.of_environment(session, row.id)
    if known is None:
        known = DeviceRow(
            id=new_ulid(now),
            kind=devices.ENVIRONMENT,
            owner=row.owner,
            name=row.name,
            environment_id=row.id,
            facts={},
            status=devices.ACTIVE,
            registered_at=now,
            seen_at=now,
        )
        session.add(known)
    known.status, known.terminated_at, known.seen_at = devices.ACTIVE, None, max(known.seen_at, now)
    known.facts = known.facts | _facts(facts or {})
    session.flush()
    return known


def of_person(core: Core, session: Session, owner: str, device_id: str, told: dict[str, Any]) -> DeviceRow:
    """A laptop of `owner`'s, by the id that it gave itself; UsageError when that is another's device.

    :param told: `{name, platform, version}`, as far as it says so.
    """
    now = core.clock().wall
    if not _ULID.fullmatch(device_id):
        raise UsageError(
            "this is no id of a device", hint="make one: it is a ULID", where=device_id[:64], code="invalid_id"
        )
    known = devices.get(session, device_id)
    if known is not None and (known.kind != devices.LAPTOP or known.owner != owner):
        raise UsageError(
            "this id is another device's", hint="make a new one: it is a ULID", where=device_id, code="device_taken"
        )
    if known is None:
        known = DeviceRow(
            id=device_id,
            kind=devices.LAPTOP,
            owner=owner,
            name="",
            facts={},
            status=devices.ACTIVE,
            registered_at=now,
            seen_at=now,
        )
        session.add(known)
        core.audit(session, "device.register", device_id, after={"owner": owner, "name": _name(told)})
    known.name, known.seen_at = _name(told) or known.name or "laptop", max(known.seen_at, now)
    known.facts = known.facts | _facts(told)
    session.flush()
    return known


def _name(told: dict[str, Any]) -> str:
    return _word(told.get("name"))


def _facts(told: dict[str, Any]) -> dict[str, str]:
    return {key: _word(told[key]) for key in ("platform", "version") if _word(told.get(key))}


def _word(value: Any) -> str:
    """What a machine says of itself: one printable line, and short."""
    text = value if isinstance(value, str) else ""
    return "".join(character for character in text if character.isprintable())[:_LONGEST]
