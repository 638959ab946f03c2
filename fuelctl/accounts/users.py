# SPDX-License-Identifier: GPL-3.0-or-later
"""Users: added, changed, disabled, and the first one, whom nobody else could let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fuelctl import paths
from fuelctl.accounts import tokens
from fuelctl.accounts.roles import Identity, Role, Scope
from fuelctl.environments.core import Core
from fuelctl.environments.registry import ConflictError, NotFoundError
from fuelctl.store import users
from fuelctl.store.models import UserRow
from fuelctl.store.ulids import new_ulid

FIRST = "admin"
_FIRST_DAYS = 30


def add(core: Core, name: str, role: Role, *, days: float, by: Identity | None = None) -> tokens.Issued:
    """A new user and the first token, in one transaction; ConflictError when the name is taken."""
    try:
        with core.write() as session:
            return _add(core, session, name, role, days=days, by=by)
    except IntegrityError as error:
        raise ConflictError(
            f"there is a user {name} already",
            hint=f"choose another name; or give them a new token: fuelctl token create --user {name}",
            code="user_exists",
        ) from error


def change(core: Core, name: str, *, role: Role | None = None, disabled: bool | None = None) -> UserRow:
    """Another role, or disabled, or enabled again. At once: the next request with a token of theirs is told so."""
    with core.write() as session:
        # Locked before they are looked at: two admins who disable each other at once are told no, one of them.
        admins = users.lock_admins(session, Role.ADMIN)
        user = existing(session, name)
        before = _facts(user)
        loses = disabled or (role is not None and role is not Role.ADMIN)
        if loses and [admin.id for admin in admins] == [user.id]:
            raise ConflictError(
                f"{name} is the last admin", hint="make somebody else an admin first", code="last_admin", where=name
            )
        if role is not None:
            user.role = role
        if disabled is not None and disabled != (user.disabled_at is not None):
            user.disabled_at = core.clock().wall if disabled else None
        if _facts(user) != before:
            session.flush()
            core.audit(session, "user.change", name, before=before, after=_facts(user))
        return user


def existing(session: Session, name: str) -> UserRow:
    """The user of this name; NotFoundError when there is none."""
    user = users.by_name(session, name)
    if user is None:
        raise NotFoundError(f"there is no user {name[:64]!r}", hint="see fuelctl user ls", code="not_found")
    return user


def let_somebody_in(core: Core, file: Path) -> bool:
    """Put a token into `file` (0600) when there is no admin who could come in; whether that was so.

    It is what begins a server, and what opens one again whose admins let all their tokens expire: whoever can read the
    server's own files could write to its database as well. Of several servers that begin on one empty database, one
    makes the token.
    """
    try:
        return _let_in(core, file)
    except IntegrityError:
        return False


def _let_in(core: Core, file: Path) -> bool:
    with core.write() as session:
        admins = {admin.id for admin in users.lock_admins(session, Role.ADMIN)}
        now = core.clock().wall
        for row, user in users.tokens(session):
            if user.id in admins and row.scope == Scope.ALL and tokens.is_good(row, user, now):
                return False
        first = users.by_name(session, FIRST)
        if first is None:
            issued = _add(core, session, FIRST, Role.ADMIN, days=_FIRST_DAYS, by=None)
        else:
            before = _facts(first)
            first.role, first.disabled_at = Role.ADMIN, None
            session.flush()
            if _facts(first) != before:
                core.audit(session, "user.change", FIRST, before=before, after=_facts(first))
            issued = tokens.issue(core, session, first, name="first", scope=Scope.ALL, days=_FIRST_DAYS)
        # Before it is committed: a crash leaves a file that opens nothing, and not a token that nobody has.
        paths.private_file(file, issued.text.encode("ascii") + b"\n")
    return True


def _add(core: Core, session: Session, name: str, role: Role, *, days: float, by: Identity | None) -> tokens.Issued:
    user = UserRow(id=new_ulid(core.clock().wall), name=name, role=role, created_at=core.clock().wall)
    session.add(user)
    session.flush()
    core.audit(session, "user.create", name, after=_facts(user))
    return tokens.issue(core, session, user, name="first", scope=Scope.ALL, days=days, by=by)


def _facts(user: UserRow) -> dict[str, Any]:
    return {"role": str(user.role), "disabled": user.disabled_at is not None}
