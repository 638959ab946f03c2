# SPDX-License-Identifier: GPL-3.0-or-later
"""Before any view: who sends this request, and may they. What is refused is written into the audit log."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import cast

from flask import g, request

from fuelctl.accounts import tokens
from fuelctl.accounts.roles import Action, Identity, Role, Scope, allowed
from fuelctl.environments import budget
from fuelctl.environments.budget import BudgetError
from fuelctl.server.address import client_address, subscriber
from fuelctl.server.parts import Parts, act_for, parts
from fuelctl.server.problems import Problem
from fuelctl.server.rules import RULES, Open
from fuelctl.store.audit_log import REFUSED, Actor

#: What the audit log says of who did not prove who they are.
NOBODY = "-"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def guard() -> None:
    """Let a request through whose route has a rule that allows it; Problem 401, 403 or 429 for any other."""
    rule = RULES.get(request.endpoint or "")
    given = parts()
    if rule is Open.MONITORING and not given.settings.metrics_open:
        rule = Action.READ
    if isinstance(rule, Open):
        return
    identity = identify_person()
    # An address that there is not is refused to strangers, and not found by everybody else.
    if request.endpoint is not None and (rule is None or not allowed(identity.role, identity.scope, rule, own=True)):
        raise _forbidden(rule)


def identify_person() -> Identity:
    """Who sends this request; Problem 401 for nobody who is known."""
    given = parts()
    # On its own socket there are no tokens, and one that is sent all the same is somebody else's.
    identity = _here() if given.embedded else _identify(given)
    g.caller = identity
    act_for(_actor(identity.name, identity.token_id))
    return identity


def personal() -> bool:
    """Whether a route that is for environments too is asked by a person."""
    return bearer().startswith(tokens.PREFIX) or (parts().embedded and "Authorization" not in request.headers)


def bearer() -> str:
    """The token that this request brings; empty without one."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def caller() -> Identity:
    """Who sent this request."""
    return cast("Identity", g.caller)


def demand(owner: str, action: Action | None = None) -> None:
    """Problem 403 unless the caller may do `action`, or what this route does, to something that `owner` owns."""
    identity = caller()
    rule = action or RULES.get(request.endpoint or "")
    own = owner == identity.name
    if not isinstance(rule, Action) or not allowed(identity.role, identity.scope, rule, own=own):
        raise _forbidden(rule, owner)


@contextmanager
def refusals(action: str, owner: str) -> Iterator[None]:
    """What an owner's limits do not allow is written down as refused."""
    try:
        yield
    except BudgetError as error:
        core = parts().core
        with core.write(durable=False) as session:
            told = {"owner": owner, "reason": error.code}
            budget.refused(session, owner, error, core.clock().wall)
            core.audit(session, action, request.path, after=told, outcome=REFUSED)
        raise


def count_failure(given: Parts) -> None:
    """A token was none: Problem 429 when there have been too many from that address.

    Only failures are counted, and a good token is never held up: nobody guesses 256 bits, and one broken script must
    not lock out a whole office. What is bounded is the noise.
    """
    if given.embedded:
        return
    wait = given.failures.take(subscriber(_address(given)), 1)
    if wait:
        raise Problem(
            429,
            "too many requests with a token that is none came from this address",
            hint=f"correct the token, then send it again after {wait} s",
            code="too_many_failures",
            headers={"Retry-After": str(wait)},
        )


def _identify(given: Parts) -> Identity:
    identity = tokens.authenticate(given.core, bearer())
    if identity is not None:
        return identity
    count_failure(given)
    act_for(_actor(NOBODY, None))
    _write_down("access.unauthorized")
    raise Problem(
        401,
        "this server wants a token, and this is none that is good",
        hint="ask its admin for one, then: fuelctl login URL; in scripts set FUELCTL_SERVER_TOKEN",
        code="unauthorized",
        headers=_CHALLENGE,
    )


def _forbidden(rule: Action | Open | None, owner: str | None = None) -> Problem:
    identity, action = caller(), _action(rule)
    own = owner in (None, identity.name)
    _write_down("access.forbidden")
    if owner and not own and allowed(identity.role, identity.scope, action, own=True):
        message, hint = f"that is {owner}'s, and you are {identity.name}", "ask them, or an admin"
    elif identity.scope is not Scope.ALL and allowed(identity.role, Scope.ALL, action, own=own):
        message = f"this token has scope {identity.scope}, which does not allow that"
        hint = f"use a token with a wider scope: fuelctl token create --scope {Scope.ALL}"
    else:
        article = "an" if identity.role is Role.ADMIN else "a"
        message, hint = f"you are {identity.name}, {article} {identity.role}, who may not do that", "ask an admin"
    return Problem(403, message, hint=hint, code="forbidden")


def _action(rule: Action | Open | None) -> Action:
    """What was wanted; a route without a rule is nobody's."""
    return rule if isinstance(rule, Action) else Action.ADMINISTER


def _write_down(action: str) -> None:
    core = parts().core
    where = f"{request.method} {request.path}"
    # It may be lost with the machine's power: whoever is refused cannot make us wait for the disk.
    with core.database.write(durable=False) as session:
        core.audit(session, action, where, outcome=REFUSED)


def _here() -> Identity:
    """Who can open the embedded server's socket is this machine's user, and its admin."""
    return Identity(_user(), Role.ADMIN, Scope.ALL)


@cache
def _user() -> str:
    return getpass.getuser()


def _actor(name: str, token_id: str | None) -> Actor:
    return Actor(name, token_id, _address(parts()), request.headers.get("User-Agent", ""))


def _address(given: Parts) -> str:
    if given.embedded:
        return ""
    forwarded = ",".join(request.headers.getlist("X-Forwarded-For"))
    return client_address(request.remote_addr or "", forwarded, given.settings.trusted_proxies)
