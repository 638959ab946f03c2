# SPDX-License-Identifier: GPL-3.0-or-later
"""Adopt: give what a provider shows a row again, so that it can be ended like any other, with retries and a receipt."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fuelctl import prices
from fuelctl._shared._blueprint import from_dict, to_dict
from fuelctl._shared._errors import UsageError
from fuelctl._shared._identity import check_environment_id, check_environment_name
from fuelctl.environments import cost
from fuelctl.environments.audit import Found
from fuelctl.environments.core import Core
from fuelctl.environments.lease import new_lease
from fuelctl.environments.registry import lease_values
from fuelctl.environments.states import Status
from fuelctl.store import environments, events, resources
from fuelctl.store.models import EnvironmentRow

#: Where nothing says when it ends.
_USUAL_TTL = 8 * 3600
_LONGEST_NAME = 40
_NO_REPOSITORY = {"name": None, "url": None, "branch": None, "commit": None, "dirty": False}


def adopt(
    core: Core, found: Found, options: dict[str, Any], engine: str, lease_seconds: int | None = None
) -> EnvironmentRow:
    """The row of what was found: the one that there is when it has not ended, else one as its labels say it.

    :param options: what its provider is asked with.
    :param engine: which Docker engine provider `local` means here.
    :param lease_seconds: the reaper ends it after so long, at the latest; without, it keeps the time that it had.
    """
    one_id, now = check_environment_id(found.environment_id), core.clock()
    with core.write() as session:
        row = environments.get(session, one_id)
        if row is not None and row.ended_at is None:
            return row
        left = lease_seconds or max(60, int((found.expires_at or now.wall + _USUAL_TTL) - now.wall))
        named = {"version": 1, "provider": {"name": found.provider, "region": found.region}}
        blueprint = to_dict(from_dict(named, "provider"))
        values: dict[str, Any] = {
            "owner": found.owner or "unknown",
            "status": Status.READY,
            "provider": _provider(found, options, engine, prices.disk_gb(blueprint)),
            "receipt": None,
            "error": None,
            "operation": None,
            "operation_id": None,
            "operation_options": {},
            "retries": 0,
            "ended_at": None,
            "terminated_at": None,
            "ended_by": None,
            "ends_as": None,
            "conditions": [],
            "connection": None,
            # The private key, if there still is one, is not here.
            "key_served_at": now.wall,
            **lease_values(new_lease(left, None, now)),
        }
        values["name"] = _name(session, row.name if row is not None else found.name, values["owner"], one_id)
        if row is not None:
            environments.change(session, one_id, **values, check_at=values["expires_at"])
        else:
            _insert(session, one_id, blueprint, values | {"created_at": found.since or now.wall})
        core.audit(session, "environment.adopt", one_id, after={"owner": values["owner"], "name": values["name"]})
        resources.record(session, one_id, 1, found.resources, now.wall)
        events.append(session, one_id, [core.event("remote.update", {"status": Status.READY, "adopted": True})])
        session.flush()
        return session.get_one(EnvironmentRow, one_id)


def _insert(session: Session, one_id: str, blueprint: dict[str, Any], values: dict[str, Any]) -> None:
    text = json.dumps(blueprint, sort_keys=True, separators=(",", ":"), allow_nan=False)
    row = EnvironmentRow(
        id=one_id,
        attempt=1,
        fence=0,
        version=1,
        blueprint=blueprint,
        blueprint_sha256=hashlib.sha256(text.encode("utf-8")).hexdigest(),
        repository=_NO_REPOSITORY,
        keep_on_error=False,
        idle_discard=False,
        idle_stops=False,
        rescue=False,
        stages=[],
        **values,
    )
    environments.add(session, row, check_at=row.expires_at)


def _provider(found: Found, options: dict[str, Any], engine: str, disk_gb: float) -> dict[str, Any]:
    kept = {name: value for name, value in options.items() if name not in ("region", "account")}
    document: dict[str, Any] = {"name": found.provider, "options": kept}
    if found.provider == "local":
        document["engine"] = engine
    document |= {name: value for name, value in (("region", found.region), ("account", found.account)) if value}
    # What runs is billed, also when nobody remembers why.
    return cost.noted(document, found.machines, disk_gb, prices.load().book)


def _name(session: Session, wanted: str, owner: str, one_id: str) -> str:
    """The name it had, unless that is another's now; else one made of its id."""
    stem = f"lost-{one_id[-8:].lower()}"
    with suppress(UsageError):
        stem = check_environment_name(wanted)
    query = select(EnvironmentRow.name).where(
        EnvironmentRow.owner == owner, EnvironmentRow.ended_at.is_(None), EnvironmentRow.id != one_id
    )
    taken = set(session.scalars(query))
    if stem not in taken:
        return stem
    ending = f"-{one_id[-8:].lower()}"
    return stem[: _LONGEST_NAME - len(ending)].strip("-") + ending
