# SPDX-License-Identifier: GPL-3.0-or-later
"""POST /api/events: a batch of events with one token, an environment's own or a person's."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint

from fuelctl.accounts.roles import Action
from fuelctl.environments import handlers, registry
from fuelctl.environments.handlers import Teller
from fuelctl.server.callbacks import LARGEST_BODY, not_its_token, take_turn
from fuelctl.server.guard import bearer, caller, demand, identify_person, personal
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.told_types import BatchIn, ToldIn
from fuelctl.server.types import AcceptedOut, ProblemOut
from fuelctl.store.events import NewEvent

api = APIBlueprint("told", __name__, url_prefix="/api/events", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})

_DEVICE = "system.device.register"


@api.before_request
def _small() -> None:
    request.max_content_length = LARGEST_BODY


@api.post("", responses={200: AcceptedOut}, summary="Tell events")
def tell(body: BatchIn) -> Response:
    """In any order; an event that is known (by its id) is passed over.

    With an environment's own token: about itself, every type. With a person's: `session.*` and `tool.*` of an
    environment of theirs, and `system.device.register` of the laptop that they sit at.
    """
    teller_of = _person(len(body.events)) if personal() else _environment(len(body.events))
    core = parts().core
    now = core.clock().wall
    told: dict[Teller, list[NewEvent]] = {}
    for item in body.events:
        told.setdefault(teller_of(item), []).append(NewEvent(item.type, item.data, item.at or now, item.id))
    if not told:
        return jsonify(accepted=0)
    with core.write(durable=False) as session:
        # Always in one order: two batches about the same two environments must not wait for each other.
        ordered = sorted(told, key=lambda one: one.environment_id or "")
        accepted = sum(handlers.take_in(core, session, one, told[one]) for one in ordered)
    return jsonify(accepted=accepted)


def _environment(count: int) -> Callable[[ToldIn], Teller]:
    """Whose token it is says what all of it is about; 401 for a token that is none, 403 for another's events."""
    given = parts()
    own = given.own_tokens.whose(given.core.database, bearer())
    if own is None:
        raise not_its_token()
    take_turn(own, count)

    def teller(item: ToldIn) -> Teller:
        if item.environment not in (None, own):
            raise Problem(
                403,
                "an environment's token is good for its own events only",
                hint="leave `environment` out",
                code="forbidden",
            )
        return Teller(own)

    return teller


def _person(count: int) -> Callable[[ToldIn], Teller]:
    identify_person()
    take_turn(f"person {caller().name}", count)
    known: dict[str, Teller] = {}

    def teller(item: ToldIn) -> Teller:
        if item.type == _DEVICE and item.environment is None:
            demand(caller().name, Action.TOKENS)
            return Teller(person=caller().name)
        if item.environment is None:
            raise Problem(422, f"{item.type} is about an environment", hint="name it: `environment`", code="no_subject")
        if handlers.of_environments_only(item.type) or item.type == _DEVICE:
            raise Problem(
                403, f"{item.type} is for the environment itself to say", hint="use its own token", code="forbidden"
            )
        if item.environment not in known:
            with parts().core.database.read() as session:
                row = registry.resolve(session, item.environment, prefer=caller().name)
            demand(row.owner, Action.CHANGE)
            if row.ended_at is not None:
                raise Problem(409, f"{row.name} has ended", hint="nothing more happens in it", code="not_live")
            known[item.environment] = Teller(row.id, caller().name)
        return known[item.environment]

    return teller
