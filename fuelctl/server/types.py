# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's types: requests checked strictly, answers made of the domain's own dataclasses."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, StringConstraints

from fuelctl.environments.audit import Entry
from fuelctl.environments.views import Detail, Environment, Event
from fuelctl.server.asked import Asked

_Line = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Owner = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
_SecretName = Annotated[str, StringConstraints(max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_SecretValue = Annotated[str, StringConstraints(max_length=65536, pattern=r"^[^\x00]*$")]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Ulid = Annotated[str, StringConstraints(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
_EventType = Annotated[str, StringConstraints(max_length=64, pattern=r"^(session|tool|agent)\.[a-z0-9_.-]+$")]
#: More seconds than anybody waits for; and than a database's column takes.
_MOST_SECONDS = 2**31 - 1


def _brief(data: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(data, default=str)) > _LARGEST_DATA:
        raise ValueError(f"must be at most {_LARGEST_DATA} bytes as JSON")
    return data


#: A spool's line is no longer.
_LARGEST_DATA = 4096
Data = Annotated[dict[str, Any], AfterValidator(_brief)]
_Observe = Annotated[
    bool, Field(description="Have the machines asked soon, so that the next answer is fresh; this one does not wait.")
]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_=-]+$")]
#: The same for every path with a reference in it: an id, a unique prefix, or a name.
Ref = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]


_ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class RefPath(BaseModel):
    """Which environment."""

    ref: Ref = Field(description="An id, a unique prefix of one, or a name.")


class ProviderIn(_Strict):
    """Where the machine comes from."""

    name: _ProviderName
    options: dict[str, Any] = Field(default_factory=dict)


class RepositoryIn(_Strict):
    """What is to be worked on, as the caller sees it."""

    name: _Line | None = None
    url: _Line | None = None
    branch: _Line | None = None
    commit: _Line | None = None
    dirty: bool = False
    folder: _Line | None = Field(default=None, description="Where in it work begins; all of it without.")


class SourceIn(_Strict):
    """What will be uploaded."""

    sha256: _Sha256
    size: int = Field(ge=0)


class CreateIn(_Strict):
    """A new environment."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")] | None = None
    owner: _Owner | None = None
    provider: ProviderIn
    blueprint: dict[str, Any]
    repository: RepositoryIn
    ttl_seconds: int | None = Field(
        default=None, ge=1, le=_MOST_SECONDS, description="The server's `default_ttl_seconds` without."
    )
    idle_seconds: int | None = Field(default=None, ge=1, le=_MOST_SECONDS)
    idle_discard: bool = Field(default=False, description="Whether its end by silence may lose work.")
    rescue: bool = Field(
        default=True, description="Whether its work is saved before it ends by itself; so says its blueprint too."
    )
    from_rescue: Ref | None = Field(default=None, description="Put this rescue back into it; it needs no source then.")
    secrets: dict[_SecretName, _SecretValue] = Field(default_factory=dict, repr=False, max_length=256)
    agent_home: _Line | None = None
    keep_on_error: bool = False
    max_price_hour: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Refused when its machine may cost more, in USD per hour."
    )
    source: SourceIn | None = None


class CreateHeader(Asked):
    """How a request says that it is a repeat."""

    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, alias="Idempotency-Key"
    )


class EnvironmentOut(RootModel[Detail]):
    """One environment, with its device and its timeline."""


class ReaperOut(BaseModel):
    """What the reaper last did. `late`: it should have gone round long ago, and nothing is ended in time."""

    last_cycle_at: str | None
    age_seconds: float | None = None
    period_seconds: float | None = None
    late: bool | None = None
    checked: int | None = None
    ended: int | None = None
    failed: int | None = None


class ListOut(BaseModel):
    """A page of environments, newest first; `cursor` is the next one's, null after the last.

    `workers`: how many take work; null where the server is its own.
    """

    environments: list[Environment]
    reaper: ReaperOut
    workers: int | None
    cursor: str | None


class ListQuery(Asked):
    """Which environments."""

    model_config = ConfigDict(extra="forbid")

    include_terminated: bool = False
    status: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, description="One status, or several with commas between."
    )
    owner: _Owner | None = None
    workspace: (
        Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")] | None
    ) = Field(default=None, description="A workspace's id, its name, or its repository's address.")
    limit: int = Field(default=50, ge=1, le=1000)
    cursor: Cursor | None = None
    observe: _Observe = False


class ShowQuery(Asked):
    """How to show it."""

    observe: _Observe = False


class TerminateIn(_Strict):
    """How to end it."""

    discard: bool = False
    rescue: bool = Field(default=False, description="Save its work first, whether or not it was made to.")


class ExtendIn(_Strict):
    """At least this long from now."""

    ttl_seconds: int = Field(ge=1, le=_MOST_SECONDS)


class PowerIn(_Strict):
    """How its machine is to be."""

    state: Literal["started", "stopped"]


class AuthorizeIn(_Strict):
    """Who is to be let in."""

    address: Annotated[str, StringConstraints(min_length=7, max_length=15)] = Field(
        description="One IPv4 address: that of whoever wants to enter, as others see it."
    )


class AuthorizeKeyIn(_Strict):
    """Whose key is to be let in."""

    public_key: Annotated[str, StringConstraints(min_length=1, max_length=8192)] = Field(
        description="The one line of an `id_*.pub` file, without options: Ed25519, ECDSA, or RSA of 3072 bits at least."
    )


class AuditIn(_Strict):
    """Where to look."""

    providers: list[_ProviderName] = Field(
        default_factory=list, max_length=32, description="Every one that is set up, when none is named."
    )
    options: dict[_ProviderName, dict[str, Any]] = Field(
        default_factory=dict, description="By provider: what it is asked with, its `region` among it."
    )
    all_regions: bool = False


class AdoptIn(AuditIn):
    """What to take back, and where to look for it."""

    refs: list[Ref] = Field(min_length=1, max_length=1000)
    lease_seconds: int | None = Field(
        default=None, ge=1, description="Whoever asked may die: the server ends them after so long, at the latest."
    )
    skip_missing: bool = Field(default=False, description="What is gone meanwhile is no fault.")


class PlaceProblemOut(BaseModel):
    """A place that could not be asked."""

    provider: str
    region: str | None
    message: str
    hint: str | None
    code: str


class AuditOut(BaseModel):
    """What carries our label, wherever it was looked for."""

    checked_at: str
    complete: bool
    providers: list[str]
    problems: list[PlaceProblemOut]
    environments: list[Entry]


class AdoptOut(BaseModel):
    """What was taken back. `missing` is gone only if it is `complete`: otherwise a place could not be asked."""

    environments: list[Environment]
    missing: list[str]
    complete: bool


class SourceQuery(Asked):
    """Where the bytes belong."""

    offset: int = Field(default=0, ge=0, le=2**53)


class SourceOut(BaseModel):
    """How much has arrived."""

    received: int
    size: int
    complete: bool


class EventsQuery(Asked):
    """From where, and how long to wait for something new."""

    after: int = Field(default=0, ge=0, le=2**53)
    wait: float = Field(default=0.0, ge=0, le=30)


class StreamQuery(Asked):
    """Which events: of some environments, of everything of some workspaces, or all; from a cursor on."""

    environment: list[Ref] = Field(default_factory=list, max_length=100, description="As often as wanted.")
    workspace: list[_Line] = Field(
        default_factory=list, max_length=100, description="Ids, names or addresses of workspaces, as often as wanted."
    )
    after: int | None = Field(default=None, ge=0, le=2**53, description="Without it, what comes from now on.")


class EventsOut(BaseModel):
    """Events beyond the cursor, in order."""

    events: list[Event]
    cursor: int


class EventIn(_Strict):
    """One event of an environment's own."""

    id: _Ulid
    at: float | None = None
    type: _EventType
    data: Data = Field(default_factory=dict)


class EventsIn(_Strict):
    """A batch; what is known already is passed over."""

    events: list[EventIn] = Field(max_length=1000)


class NoticeIn(_Strict):
    """What the cloud says it will do with the machine."""

    action: Annotated[str, StringConstraints(pattern=r"^[a-z-]{1,20}$")]
    time: Annotated[str, StringConstraints(pattern=r"^[0-9TZ:.+-]{1,40}$")]


class HeartbeatIn(_Strict):
    """What a machine tells by itself, every 30 s."""

    sample: Annotated[str, StringConstraints(max_length=16384)] | None = Field(
        default=None, description="Counters as read in the container, lines of words; `|` may stand for the line's end."
    )
    at: float | None = Field(default=None, description="The machine's clock; it is not compared with any other.")
    boot: Annotated[str, StringConstraints(max_length=64)] | None = None
    notice: NoticeIn | None = None


class AcceptedOut(BaseModel):
    """How many were new."""

    accepted: int


class ReportIn(_Strict):
    """What an environment says about itself."""

    message: _Line | None = None
    data: Data = Field(default_factory=dict)


class KeyHeader(Asked):
    """Which request it is, so that a lost answer can be asked for again: long and random."""

    idempotency_key: Annotated[str, StringConstraints(min_length=16, max_length=255)] | None = Field(
        default=None, alias="Idempotency-Key"
    )


class KeyReceivedOut(BaseModel):
    """Whether there was still something to forget."""

    forgotten: bool


class KeyOut(BaseModel):
    """The environment's key pair; handed out once."""

    private_key: str
    public_key: str


class StopIn(_Strict):
    """How long to wait for work under way before it is parked (it goes on when the server starts again)."""

    wait_seconds: float = Field(default=600.0, ge=0, le=3600)


class StopOut(BaseModel):
    """What is still under way."""

    stopping: bool
    waiting_for: list[str]


class HealthOut(BaseModel):
    """The server lives."""

    status: str
    version: str
    pid: int
    instance: str
    stopping: bool
    operations: int


class ReadyOut(BaseModel):
    """The server can work, or what of it cannot."""

    status: str
    database: bool
    migrated: bool
    disk: bool
    workers: bool
    reaper: ReaperOut


class ServerOut(BaseModel):
    """What there is to know of a server."""

    version: str
    database: str
    live: int
    operations: int
    workers: int | None
    reaper: ReaperOut


class ProblemOut(BaseModel):
    """RFC 9457, with what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    hint: str | None
    code: str
    details: dict[str, Any]
