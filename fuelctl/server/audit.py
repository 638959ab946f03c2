# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/audit: what providers show against what the database knows, and a row again for what it has lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl._reserved import check_keys
from fuelctl._shared._errors import FuelError
from fuelctl.environments import registry
from fuelctl.environments.adopt import adopt
from fuelctl.environments.audit import Entry, Found, Place, Standing, judge
from fuelctl.environments.clock import rfc3339
from fuelctl.environments.core import MachineError
from fuelctl.environments.registry import ConflictError, NotFoundError
from fuelctl.environments.views import environment_view
from fuelctl.server.parts import Parts, parts
from fuelctl.server.types import AdoptIn, AdoptOut, AuditIn, AuditOut, ProblemOut
from fuelctl.store import environments
from fuelctl.store.models import EnvironmentRow

api = APIBlueprint("audit", __name__, url_prefix="/api/audit", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})
_MOST_CANDIDATES = 20


@api.post("", responses={200: AuditOut}, summary="See what carries our label")
def audit(body: AuditIn) -> Response:
    """Asks every provider while the caller waits. `complete` is false when a place could not be asked."""
    picture = _look(parts(), body)
    return jsonify(
        checked_at=rfc3339(parts().core.clock().wall),
        complete=not picture.problems,
        providers=picture.asked,
        problems=picture.problems,
        environments=[thing.entry for thing in picture.things],
    )


@api.post("/adopt", responses={200: AdoptOut}, summary="Take back what the database has lost")
def take_back(body: AdoptIn) -> Response:
    """Gives every environment that is named, and that a provider shows, a row, so that it can be ended like any other.

    One that the database knows to live is answered as it is, and no provider is asked for it.
    """
    given = parts()
    known = {ref: _live(given, ref) for ref in body.refs}
    lost = [ref for ref, row in known.items() if row is None]
    picture = _look(given, body) if lost else _Picture()
    # All are found before one is taken back: who asked for several gets all or none.
    meant = {ref: _meant(picture, ref, skip_missing=body.skip_missing) for ref in lost}
    rows = [row for row in known.values() if row is not None]
    rows += [
        adopt(given.core, found, place.options, given.engine, body.lease_seconds)
        for found, place in filter(None, meant.values())
    ]
    now = given.core.clock().wall
    shown = {row.id: environment_view(row, now) for row in rows}
    missing = [ref for ref, one in meant.items() if one is None]
    return jsonify(environments=list(shown.values()), missing=missing, complete=not picture.problems)


@dataclass(frozen=True)
class _Thing:
    """What was found, where, and how it stands to the database."""

    found: Found
    place: Place
    entry: Entry


@dataclass
class _Picture:
    """What was asked, what was shown, and what could not be asked."""

    asked: list[str] = field(default_factory=list)
    things: list[_Thing] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)


def _look(given: Parts, body: AuditIn) -> _Picture:
    for options in body.options.values():
        check_keys(options, "options")
    with given.core.database.read() as session:
        live = environments.live(session)
    names = body.providers or given.auditable({row.provider["name"] for row in live})
    picture = _Picture(asked=list(dict.fromkeys(names)))
    found: list[tuple[Found, Place]] = []
    for name in picture.asked:
        for place in _places(name, body, [row.provider for row in live if row.provider["name"] == name]):
            try:
                seen = given.audit(place)
            except MachineError as error:
                told = {"message": error.message, "hint": error.hint, "code": error.code}
                picture.problems.append({"provider": name, "region": None, **told})
            else:
                found += [(one, place) for one in seen.found]
                picture.problems += [{"provider": name, **problem} for problem in seen.problems]
    now = given.core.clock().wall
    with given.core.database.read() as session:
        # Read after the providers were asked: what was begun meanwhile has its row first.
        rows = environments.by_id(session, (one.environment_id for one, _place in found))
        owners = {(row.provider["name"], row.owner) for row in environments.live(session)}
    picture.things = [_Thing(one, place, judge(one, rows.get(one.environment_id), owners, now)) for one, place in found]
    return picture


def _places(name: str, body: AuditIn, theirs: list[dict[str, Any]]) -> list[Place]:
    """Where to ask: in all regions, or in the one that is named besides those in which environments are known to be.

    Of a provider without regions, wherever its environments are known to be, as each was made.
    """
    options = dict(body.options.get(name, {}))
    regions = sorted({str(options.get("region") or ""), *(str(one.get("region") or "") for one in theirs)} - {""})
    if regions or name == "local" or options or not theirs:
        return [Place(name, options, tuple(regions), body.all_regions or (not regions and name != "local"))]
    each = {json.dumps(one.get("options") or {}, sort_keys=True) for one in theirs}
    return [Place(name, json.loads(text)) for text in sorted(each)]


def _live(given: Parts, ref: str) -> EnvironmentRow | None:
    """The row that has not ended; None where the database knows none."""
    with given.core.database.read() as session:
        try:
            row = registry.resolve(session, ref)
        except NotFoundError:
            return None
    return row if row.ended_at is None else None


def _meant(picture: _Picture, ref: str, *, skip_missing: bool) -> tuple[Found, Place] | None:
    """What `ref`, an id, a unique prefix of one, or a name, means among what providers show, and where it was seen."""
    known = [
        (thing.found, thing.place)
        for thing in picture.things
        if thing.found.environment_id and thing.entry.state == Standing.UNOWNED
    ]
    exact = [one for one in known if one[0].environment_id == ref.upper()]
    named = exact or [one for one in known if one[0].name == ref]
    meant = named or [one for one in known if one[0].environment_id.startswith(ref.upper())]
    if not meant:
        if skip_missing:
            return None
        raise _nobody(picture, ref)
    if len(meant) > 1:
        candidates = [{"id": one.environment_id, "name": one.name, "region": one.region} for one, _place in meant]
        raise ConflictError(
            f"{ref[:64]!r} may mean {len(meant)} environments",
            hint="use more of the id",
            code="ambiguous",
            details={"candidates": candidates[:_MOST_CANDIDATES]},
        )
    return meant[0]


def _nobody(picture: _Picture, ref: str) -> FuelError:
    if picture.problems:
        first = picture.problems[0]
        where = " ".join(str(first[key]) for key in ("provider", "region") if first.get(key))
        return MachineError(
            f"{ref[:64]!r} was not found, and not every place could be asked: {where}: {first['message']}",
            hint=first.get("hint"),
            code=first.get("code") or "failed",
        )
    return NotFoundError(
        f"no provider shows an environment {ref[:64]!r}",
        hint=f"asked: {', '.join(picture.asked) or 'none'}; see fuelctl audit --all-regions",
        code="not_found",
    )
