# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may what: a pure function of (role, scope, action, whose it is). What is not listed is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a user is."""

    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Scope(StrEnum):
    """What a token is for, within what its user's role allows."""

    READ = "read"
    ENVIRONMENTS = "environments"
    ALL = "all"


class Action(StrEnum):
    """What is asked for.

    READ: the environments of everybody, with their logs. MAKE, CHANGE: an environment (CHANGE is also entering it and
    ending it). TOKENS: personal tokens. ADMINISTER: users, the audit log, the providers and the server itself.
    """

    READ = "read"
    MAKE = "make"
    CHANGE = "change"
    TOKENS = "tokens"
    ADMINISTER = "administer"


_ROLE_GIVES: dict[Role, frozenset[Action]] = {
    Role.VIEWER: frozenset({Action.READ, Action.TOKENS}),
    Role.MEMBER: frozenset({Action.READ, Action.MAKE, Action.CHANGE, Action.TOKENS}),
    Role.ADMIN: frozenset(Action),
}
_SCOPE_GIVES: dict[Scope, frozenset[Action]] = {
    Scope.READ: frozenset({Action.READ}),
    Scope.ENVIRONMENTS: frozenset({Action.READ, Action.MAKE, Action.CHANGE}),
    Scope.ALL: frozenset(Action),
}
#: Everybody sees everything; what is done is done to one's own.
_ANYBODYS = frozenset({Action.READ})


@dataclass(frozen=True)
class Identity:
    """Who sends a request. Without a `token_id`: this machine's user, over the embedded server's own socket."""

    name: str
    role: Role
    scope: Scope
    user_id: str | None = None
    token_id: str | None = None
    token_expires_at: float | None = None


def allowed(role: Role, scope: Scope, action: Action, *, own: bool) -> bool:
    """Whether it may be done; `own`: to what belongs to whoever asks."""
    given = action in _ROLE_GIVES[role] and action in _SCOPE_GIVES[scope]
    return given and (own or action in _ANYBODYS or role is Role.ADMIN)
