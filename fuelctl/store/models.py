# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables. Times are epoch seconds in UTC; documents (blueprint, receipt ...) are JSON."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, LargeBinary, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_Document = dict[str, Any]
#: Absent is SQL NULL, not the JSON word.
_Json = JSON(none_as_null=True)
#: SQLite counts up by itself only on a column that is exactly INTEGER PRIMARY KEY.
_Sequence = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """All tables of the control plane."""


class EnvironmentRow(Base):
    """One environment. `ended_at` is null for as long as it may own something."""

    __tablename__ = "environments"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(16))
    #: What it goes back to when a termination is refused.
    resting_status: Mapped[str | None] = mapped_column(String(16))
    #: What the termination under way leads to: `terminated` or `error`.
    ends_as: Mapped[str | None] = mapped_column(String(16))
    ended_by: Mapped[str | None] = mapped_column(String(64))

    attempt: Mapped[int] = mapped_column(Integer, default=1)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    version: Mapped[int] = mapped_column(BigInteger, default=0)
    #: The workflow that may write: null when nothing is to be done.
    operation_id: Mapped[str | None] = mapped_column(String(26))
    operation: Mapped[str | None] = mapped_column(String(16))
    operation_options: Mapped[_Document] = mapped_column(_Json, default=dict)
    retries: Mapped[int] = mapped_column(Integer, default=0)

    provider: Mapped[_Document] = mapped_column(_Json)
    blueprint: Mapped[_Document] = mapped_column(_Json)
    blueprint_sha256: Mapped[str] = mapped_column(String(64))
    repository: Mapped[_Document] = mapped_column(_Json)
    #: Null where its repository has no address that others could have too.
    workspace_id: Mapped[str | None] = mapped_column(String(26))
    source: Mapped[_Document | None] = mapped_column(_Json)
    agent_home: Mapped[str | None] = mapped_column(Text)
    keep_on_error: Mapped[bool] = mapped_column(Boolean, default=False)

    ttl_seconds: Mapped[int] = mapped_column(Integer)
    idle_seconds: Mapped[int | None] = mapped_column(Integer)
    #: Whether its end by silence may lose work.
    idle_discard: Mapped[bool] = mapped_column(Boolean, default=False)
    #: Whether silence stops its machine, instead of ending it.
    idle_stops: Mapped[bool] = mapped_column(Boolean, default=False)
    #: Whether its work is saved before it ends by itself.
    rescue: Mapped[bool] = mapped_column(Boolean, default=False)
    #: How its last rescue went, as `environments.rescues` tells it.
    rescued: Mapped[_Document | None] = mapped_column(_Json)
    expires_at: Mapped[float] = mapped_column(Float)
    #: The same deadline on the clock that nobody can set: which boot, and seconds since it.
    lease_boot_id: Mapped[str] = mapped_column(String(64))
    lease_boottime: Mapped[float] = mapped_column(Float)

    created_at: Mapped[float] = mapped_column(Float)
    ready_at: Mapped[float | None] = mapped_column(Float)
    terminated_at: Mapped[float | None] = mapped_column(Float)
    ended_at: Mapped[float | None] = mapped_column(Float)
    last_event_at: Mapped[float | None] = mapped_column(Float)

    #: What was seen of the work in it, as `environments.idleness` keeps it.
    activity: Mapped[_Document | None] = mapped_column(_Json)
    #: Up to where its agent's events have been read.
    spool_cursor: Mapped[str] = mapped_column(String(200), default="")
    conditions: Mapped[list[_Document]] = mapped_column(_Json, default=list)
    stages: Mapped[list[_Document]] = mapped_column(_Json, default=list)
    connection: Mapped[_Document | None] = mapped_column(_Json)
    agent: Mapped[_Document | None] = mapped_column(_Json)
    error: Mapped[_Document | None] = mapped_column(_Json)
    receipt: Mapped[_Document | None] = mapped_column(_Json)

    token_sha256: Mapped[str | None] = mapped_column(String(64))
    key_served_at: Mapped[float | None] = mapped_column(Float)

    __table_args__ = (
        Index(
            "environments_live_name",
            "owner",
            "name",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("environments_name", "name"),
        # Pages of the list, the newest first: of all, of what lives, and of one owner, status or workspace.
        Index("environments_created_at", "created_at", "id"),
        Index(
            "environments_live",
            "created_at",
            "id",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("environments_owner", "owner", "created_at", "id"),
        Index("environments_owner_status", "owner", "status", "created_at", "id"),
        Index("environments_status", "status", "created_at", "id"),
        Index("environments_workspace", "workspace_id", "created_at", "id"),
        # Whose token it is that comes without saying so.
        Index("environments_token", "token_sha256"),
    )


class CheckRow(Base):
    """When an environment is decided about, and what was decided last: one row of each, made with it, kept with it."""

    __tablename__ = "checks"

    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"), primary_key=True)
    #: Never later than the next moment at which something has to be decided; null once it has ended.
    check_at: Mapped[float | None] = mapped_column(Float)
    #: The last keep-or-end decision with the inputs it was made from, and the last one that was to end it or stop it.
    decision: Mapped[_Document | None] = mapped_column(_Json)
    ending: Mapped[_Document | None] = mapped_column(_Json)
    #: Why the last one came out so, again: every round compares it with why the next one does.
    reason: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index(
            "checks_check_at",
            "check_at",
            sqlite_where=text("check_at IS NOT NULL"),
            postgresql_where=text("check_at IS NOT NULL"),
        ),
    )


class WorkspaceRow(Base):
    """What environments belong to: a repository, by its normalised address, and the folder in it that is worked in."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    #: `host/path`, however it was written (`_workspaces.normal`).
    url: Mapped[str] = mapped_column(String(500))
    folder: Mapped[str] = mapped_column(String(500), default="")
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float)

    __table_args__ = (Index("workspaces_place", "url", "folder", unique=True), Index("workspaces_name", "name"))


class DeviceRow(Base):
    """A machine that is known: an environment, from ready to its end; or a laptop that somebody logged in from."""

    __tablename__ = "devices"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    #: `environment` or `laptop`.
    kind: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(100))
    environment_id: Mapped[str | None] = mapped_column(ForeignKey("environments.id"), unique=True)
    #: What it says of itself: `{platform, version}`.
    facts: Mapped[_Document] = mapped_column(_Json, default=dict)
    #: `active` or `terminated`.
    status: Mapped[str] = mapped_column(String(16))
    registered_at: Mapped[float] = mapped_column(Float)
    seen_at: Mapped[float] = mapped_column(Float)
    terminated_at: Mapped[float | None] = mapped_column(Float)

    __table_args__ = (Index("devices_owner", "owner", "id"), Index("devices_status", "status", "id"))


class ResourceRow(Base):
    """The journal of what an environment owns, written before any of it exists."""

    __tablename__ = "resources"

    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    #: `intended`, `created` or `gone`.
    state: Mapped[str] = mapped_column(String(16))
    changed_at: Mapped[float] = mapped_column(Float)


class EventRow(Base):
    """The log: `seq` is the cursor that readers follow, `id` (a ULID) makes delivery idempotent."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(_Sequence, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(26))
    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"))
    at: Mapped[float] = mapped_column(Float)
    type: Mapped[str] = mapped_column(String(64))
    data: Mapped[_Document] = mapped_column(_Json)

    __table_args__ = (
        Index("events_environment", "environment_id", "seq"),
        # What a timeline is made of, among everything that an agent does.
        Index(
            "events_timeline",
            "environment_id",
            "seq",
            sqlite_where=text("type IN ('remote.stage', 'remote.update')"),
            postgresql_where=text("type IN ('remote.stage', 'remote.update')"),
        ),
        # Per environment: nobody can take the id of another's event away.
        Index("events_id", "environment_id", "id", unique=True),
        # AUTOINCREMENT: a cursor must never meet a number twice, also after rows were removed.
        {"sqlite_autoincrement": True},
    )


class RescueRow(Base):
    """The work of one environment, saved: its content is in the files, under `rescues/<id>`."""

    __tablename__ = "rescues"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"))
    owner: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[float] = mapped_column(Float)
    #: Of the one tar file that it is.
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    #: Whether no work had to be left out.
    complete: Mapped[bool] = mapped_column(Boolean)
    manifest: Mapped[_Document] = mapped_column(_Json)

    __table_args__ = (
        Index("rescues_environment", "environment_id"),
        Index("rescues_owner", "owner", "created_at"),
    )


class IdempotencyRow(Base):
    """What was answered to a request that carried an Idempotency-Key."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    #: The server process that works on it, so that a dead one's claim can be taken over.
    instance: Mapped[str] = mapped_column(String(26))
    environment_id: Mapped[str | None] = mapped_column(String(26))
    created_at: Mapped[float] = mapped_column(Float)

    __table_args__ = (Index("idempotency_keys_created_at", "created_at"),)


class SecretRow(Base):
    """One encrypted value of a run in flight; gone when the run has ended."""

    __tablename__ = "secrets"

    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)


class FilePartRow(Base):
    """A part of a file that every process of the control plane can reach; on SQLite files are in the state folder."""

    __tablename__ = "files"

    #: In the order of its bytes: only so is what is below a prefix found by the index, whatever the database's locale.
    key: Mapped[str] = mapped_column(String(255).with_variant(String(255, "C"), "postgresql"), primary_key=True)
    #: Where in the file it begins, in bytes; `size` is of what it holds before it is encrypted.
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    size: Mapped[int] = mapped_column(Integer)
    private: Mapped[bool] = mapped_column(Boolean)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class TurnRow(Base):
    """When the next run may begin at a place that has limits of its own (provider, region, account)."""

    __tablename__ = "turns"

    place: Mapped[str] = mapped_column(String(255), primary_key=True)
    next_at: Mapped[float] = mapped_column(Float)


class WorkerRow(Base):
    """A process that plays playbooks for a team. It lives as long as its session holds the lock of its number."""

    __tablename__ = "workers"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(26), unique=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(64))
    #: The newest version of workflows that it knows; it knows the older ones too.
    workflows: Mapped[int] = mapped_column(Integer)
    #: It takes nothing more.
    draining: Mapped[bool] = mapped_column(Boolean, default=False)
    #: How many playbooks it plays at a time.
    concurrency: Mapped[int] = mapped_column(Integer)
    #: Epoch seconds by the database's clock.
    since: Mapped[float] = mapped_column(Float)
    last_seen: Mapped[float] = mapped_column(Float)


class SettingRow(Base):
    """Facts about the control plane itself, for example the reaper's last cycle."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[_Document] = mapped_column(_Json)


class UserRow(Base):
    """Somebody who may use a server that is reached over TCP. Never removed: the audit log names them."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    #: `admin`, `member` or `viewer`.
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[float] = mapped_column(Float)
    disabled_at: Mapped[float | None] = mapped_column(Float)


class TokenRow(Base):
    """A personal token, by its public part; of the whole there is a digest only."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(100))
    sha256: Mapped[str] = mapped_column(String(64))
    #: `read`, `environments` or `all`.
    scope: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[float] = mapped_column(Float)
    #: The token that it was made with; null for the server's own.
    made_with: Mapped[str | None] = mapped_column(String(16))
    expires_at: Mapped[float] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)
    last_used_at: Mapped[float | None] = mapped_column(Float)

    __table_args__ = (Index("tokens_user", "user_id"),)


class AuditRow(Base):
    """Who did what, or was refused it. The database itself refuses to change or remove a row (see the migration)."""

    __tablename__ = "audit_log"

    seq: Mapped[int] = mapped_column(_Sequence, primary_key=True, autoincrement=True)
    at: Mapped[float] = mapped_column(Float)
    actor: Mapped[str] = mapped_column(String(200))
    token_id: Mapped[str | None] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(200))
    #: `environment.create`, `token.revoke` ...
    action: Mapped[str] = mapped_column(String(64))
    #: What it was done to: an id, a user's name, or a path.
    object: Mapped[str] = mapped_column(String(200))
    #: `done` or `refused`.
    outcome: Mapped[str] = mapped_column(String(16))
    before: Mapped[_Document | None] = mapped_column(_Json)
    after: Mapped[_Document | None] = mapped_column(_Json)

    __table_args__ = (
        Index("audit_log_actor", "actor", "seq"),
        Index("audit_log_object", "object", "seq"),
        {"sqlite_autoincrement": True},
    )


class OutboxRow(Base):
    """Something that is to be sent to a webhook's receiver: written before it is sent, removed when it has arrived."""

    __tablename__ = "webhook_outbox"

    #: In the order in which things happened.
    seq: Mapped[int] = mapped_column(_Sequence, primary_key=True, autoincrement=True)
    #: The delivery's id: the same whenever it is tried.
    id: Mapped[str] = mapped_column(String(26), unique=True)
    receiver: Mapped[str] = mapped_column(String(64))
    type: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[float] = mapped_column(Float)
    problem: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("webhook_outbox_due", "receiver", "next_at"), {"sqlite_autoincrement": True})
