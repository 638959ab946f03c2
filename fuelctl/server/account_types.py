# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's types for users, tokens and the audit log."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fuelctl.accounts.roles import Role, Scope
from fuelctl.accounts.tokens import LONGEST_DAYS, USUAL_DAYS
from fuelctl.server.asked import Asked

UserName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]
_Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
_Days = Annotated[float, Field(gt=0, le=LONGEST_DAYS, allow_inf_nan=False, description="Good for so many days.")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserPath(BaseModel):
    """Which user."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class UserIn(_Request):
    """A new user."""

    name: UserName
    role: Role
    days: _Days = USUAL_DAYS


class UserChangeIn(_Request):
    """What is to be another."""

    role: Role | None = None
    disabled: bool | None = None


class UserOut(BaseModel):
    """One user."""

    name: str
    role: str
    created_at: str
    disabled_at: str | None


class UsersOut(BaseModel):
    """Everybody."""

    users: list[UserOut]


class TokenPath(BaseModel):
    """Which token: its public part."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[^\x00-\x1f\x7f]+$")]


class TokensQuery(Asked):
    """Whose tokens."""

    model_config = ConfigDict(extra="forbid")

    user: UserName | None = None
    everybody: bool = False


class TokenIn(_Request):
    """A new token."""

    name: _Label
    scope: Scope = Scope.ENVIRONMENTS
    days: _Days = USUAL_DAYS
    user: UserName | None = Field(default=None, description="For whom; only an admin makes one for somebody else.")


class TokenOut(BaseModel):
    """One token, without its secret. `id` is its public part: it begins with `fctl_ID_`."""

    id: str
    user: str
    name: str
    scope: str
    created_at: str
    made_with: str | None
    expires_at: str
    revoked_at: str | None
    last_used_at: str | None
    good: bool


class TokensOut(BaseModel):
    """Tokens, the newest first."""

    tokens: list[TokenOut]


class NewTokenOut(TokenOut):
    """A new token; its secret is shown in this answer and never again."""

    token: str


class NewUserOut(UserOut):
    """A new user with their first token."""

    token: NewTokenOut


class WhoamiOut(BaseModel):
    """Who sent this request; without `token`, this machine's user on the embedded server."""

    name: str
    role: str
    scope: str
    token: TokenOut | None


class AuditQuery(Asked):
    """Which entries: the newest first, older than `before`; or from `after` on, the oldest first."""

    model_config = ConfigDict(extra="forbid")

    before: int | None = Field(default=None, ge=1, le=2**53)
    after: int | None = Field(default=None, ge=0, le=2**53)
    limit: int = Field(default=100, ge=1, le=1000)
    actor: _Word | None = None
    action: _Word | None = None
    object: _Word | None = None
    outcome: Annotated[str, StringConstraints(pattern=r"^(done|refused)$")] | None = None


class AuditEntryOut(BaseModel):
    """Who did what, or was refused it."""

    seq: int
    at: str
    actor: str
    token_id: str | None
    address: str
    user_agent: str
    action: str
    object: str
    outcome: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditLogOut(BaseModel):
    """One page; `cursor` is the next one's `before` (or `after`), null when there is none."""

    entries: list[AuditEntryOut]
    cursor: int | None
