# SPDX-License-Identifier: GPL-3.0-or-later
"""Personal tokens: made, recognised, revoked.

`fctl_<id>_<secret>`: the id is public, finds the row and names the token in lists and logs; the secret has 256 random
bits. Only the SHA-256 of the whole is stored. A slow, salted hash guards passwords, which people choose and attackers
guess; nobody guesses 256 bits, so it would buy nothing and cost every request its time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from fuelctl._shared._errors import UsageError
from fuelctl.accounts.roles import Identity, Role, Scope
from fuelctl.environments.core import Core
from fuelctl.environments.registry import ConflictError, NotFoundError
from fuelctl.store import users
from fuelctl.store.models import TokenRow, UserRow

DAY = 86400.0
USUAL_DAYS = 90
LONGEST_DAYS = 366
#: What all of them begin with, and no environment's own.
PREFIX = "fctl_"
_SHAPE = re.compile(r"fctl_([a-z2-7]{10})_[a-z2-7]{52}", re.ASCII)
_NOBODYS = "0" * 64


@dataclass(frozen=True)
class Issued:
    """A new token: the only time that `text` is known."""

    row: TokenRow
    user: UserRow
    text: str = field(repr=False)


def digest(text: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def authenticate(core: Core, offered: str) -> Identity | None:
    """Whose token this is; None for one that is unknown, forged, cut off, expired or revoked, without saying which."""
    shape = _SHAPE.fullmatch(offered)
    found = None
    if shape is not None:
        with core.database.read() as session:
            found = users.token(session, shape[1])
    # Compared also where there is nothing to compare with, so that the time taken tells nothing.
    same = hmac.compare_digest(digest(offered), found[0].sha256 if found else _NOBODYS)
    now = core.clock().wall
    if found is None or not same or not is_good(*found, now):
        return None
    _note_use(core, found[0], now)
    return _identity(*found)


def is_good(row: TokenRow, user: UserRow, now: float) -> bool:
    """Neither expired nor revoked, and of a user who is not disabled."""
    return row.revoked_at is None and now < row.expires_at and user.disabled_at is None


def still_good(core: Core, token_id: str) -> bool:
    """Whether a connection that began with this token may go on."""
    with core.database.read() as session:
        found = users.token(session, token_id)
    return found is not None and is_good(*found, core.clock().wall)


def issue(
    core: Core,
    session: Session,
    user: UserRow,
    *,
    name: str,
    scope: Scope,
    days: float = USUAL_DAYS,
    by: Identity | None = None,
) -> Issued:
    """A new token of this user. One that is made with another token (`by`) does not outlive it, unless by an admin."""
    now = core.clock().wall
    if not 0 < days <= LONGEST_DAYS:
        raise UsageError(
            f"a token is good for at most {LONGEST_DAYS} days", hint="ask for fewer", code="token_lives_too_long"
        )
    if user.disabled_at is not None:
        raise ConflictError(
            f"{user.name} is disabled", hint=f"first: fuelctl user enable {user.name}", code="user_disabled"
        )
    expires_at = now + days * DAY
    maker = by.token_id if by is not None else None
    if by is not None and by.role is not Role.ADMIN and by.token_expires_at is not None:
        # Whoever stole a token for a week would have made one for a year. (An admin's makes other admins anyhow.)
        expires_at = min(expires_at, by.token_expires_at)
    token_id = _text(secrets.token_bytes(7))[:10]
    text = f"fctl_{token_id}_{_text(secrets.token_bytes(32))}"
    row = TokenRow(
        id=token_id,
        user_id=user.id,
        name=name,
        sha256=digest(text),
        scope=scope,
        created_at=now,
        made_with=maker,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    core.audit(session, "token.create", token_id, after=facts(row, user))
    return Issued(row, user, text)


def revoke(core: Core, session: Session, token_id: str, *, of: str | None = None) -> tuple[TokenRow, UserRow]:
    """From now on it opens nothing; twice is harmless. `of`: only a token of this user's is found."""
    found = users.token(session, token_id)
    if found is None or of not in (None, found[1].name):
        raise NotFoundError(
            f"there is no token {token_id[:32]!r} of yours", hint="fuelctl token ls shows their ids", code="not_found"
        )
    row, user = found
    if row.revoked_at is None:
        row.revoked_at = core.clock().wall
        session.flush()
        core.audit(
            session, "token.revoke", row.id, before={"revoked": False}, after={"revoked": True, "user": user.name}
        )
    return row, user


def facts(row: TokenRow, user: UserRow) -> dict[str, object]:
    """What the audit log says of a token."""
    told = {"user": user.name, "name": row.name, "scope": str(row.scope), "expires_at": row.expires_at}
    return {**told, "made_with": row.made_with}


def _identity(row: TokenRow, user: UserRow) -> Identity | None:
    try:
        role, scope = Role(user.role), Scope(row.scope)
    except ValueError:
        # Of a newer version: what we do not know we do not give.
        return None
    return Identity(user.name, role, scope, user.id, row.id, row.expires_at)


def _note_use(core: Core, row: TokenRow, now: float) -> None:
    if row.last_used_at is not None and now - row.last_used_at < users.USE_EVERY:
        return
    # A full disk keeps nobody from reading.
    with suppress(SQLAlchemyError), core.database.write(durable=False) as session:
        users.used(session, row.id, now)


def _text(content: bytes) -> str:
    return base64.b32encode(content).decode("ascii").rstrip("=").lower()
