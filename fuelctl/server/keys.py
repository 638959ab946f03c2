# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of an environment: its private one, handed out once and then gone, and those of others who are let in.

An answer can be lost on its way, and with it the only key. So whoever asks with an Idempotency-Key may ask again with
the same one, until it says that the key has arrived or the time for that is over; to everybody else it is gone at once.
"""

from __future__ import annotations

import logging

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from fuelctl import _crashpoints
from fuelctl.environments import about
from fuelctl.environments.admission import admit_key
from fuelctl.environments.key_pair import ASK_AGAIN, KeyPair
from fuelctl.server.parts import parts
from fuelctl.server.problems import Problem
from fuelctl.server.remote import find, shown
from fuelctl.server.types import AuthorizeKeyIn, EnvironmentOut, KeyHeader, KeyOut, KeyReceivedOut, ProblemOut, RefPath
from fuelctl.store import events
from fuelctl.store.audit_log import DONE, REFUSED
from fuelctl.store.models import EnvironmentRow

_logger = logging.getLogger(__name__)

api = APIBlueprint("keys", __name__, url_prefix="/api/remote", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut})


@api.get("/<ref>/ssh-key", responses={200: KeyOut}, summary="Take the key, once")
def take(path: RefPath, header: KeyHeader) -> Response:
    """200 for the first who asks, 410 for everybody after; both are in the event log.

    With an Idempotency-Key, the same request gets the same answer for ten minutes, or until the key is said to have
    arrived.
    """
    core = parts().core
    row = find(path.ref)
    mine = KeyPair(parts().core.files, row.id)
    content: dict[str, str] | None = None
    with core.write() as session:
        # The row is locked while we look, so that of any number of parallel requests one wins.
        current = session.get_one(EnvironmentRow, row.id, with_for_update=True)
        now = core.clock().wall
        late = now - (current.key_served_at or now) > ASK_AGAIN
        outcome = "refused"
        if current.key_served_at is None:
            if not mine.exists():
                raise Problem(
                    409, f"{row.name} has no key yet; it is {row.status}", hint="wait until it is ready", code="no_key"
                )
            content = mine.read(row.name)
            mine.give_to(header.idempotency_key)
            current.key_served_at = now
            outcome = "served"
        elif not late and mine.is_for(header.idempotency_key):
            content = mine.read(row.name)
            outcome = "repeated"
        events.append(session, row.id, [core.event("remote.key", {"outcome": outcome})])
        granted = DONE if content is not None else REFUSED
        # Whoever asks for what somebody has already may be somebody else.
        told = {"outcome": outcome} | ({} if content is not None else {"alarm": True})
        core.audit(session, "environment.key", row.id, after=told, outcome=granted)
    _crashpoints.reach("key.marked")
    if late or (content is not None and header.idempotency_key is None):
        mine.forget()
    if content is None:
        actor = core.actor
        _logger.warning(
            "alarm: %s (%s) asked for the key of %s, which was handed out already",
            actor.name, actor.address or "here", row.id, extra=about.of(row),
        )  # fmt: skip
        raise Problem(
            410,
            f"the key of {row.name} was handed out already",
            hint="if that was not you, end the environment: fuelctl down",
            code="key_gone",
        )
    response = jsonify(content)
    response.headers["Cache-Control"] = "no-store"
    return response


@api.delete("/<ref>/ssh-key", responses={200: KeyReceivedOut}, summary="Say that the key has arrived")
def received(path: RefPath, header: KeyHeader) -> Response:
    """From here on it is nowhere but with whoever took it. Harmless when it is repeated."""
    row = find(path.ref)
    mine = KeyPair(parts().core.files, row.id)
    known = mine.is_for(header.idempotency_key)
    if known:
        mine.forget()
        core = parts().core
        with core.write() as session:
            core.audit(session, "environment.key", row.id, after={"outcome": "received"})
    elif mine.exists():
        raise Problem(
            409,
            f"the key of {row.name} was not handed out to this request",
            hint="send the Idempotency-Key with which it was taken",
            code="not_the_receiver",
        )
    return jsonify(forgotten=known)


@api.post("/<ref>/authorize-key", responses={200: EnvironmentOut}, summary="Let a key in")
def authorize(path: RefPath, body: AuthorizeKeyIn) -> Response:
    """Opens the environment to this public key besides its own; answers when it does. Harmless when it is repeated.

    409 where nobody can enter, 422 for what is no good key, 503 when its machine could not be told.
    """
    given = parts()
    return shown(admit_key(given.core, find(path.ref), body.public_key, given.admit))
