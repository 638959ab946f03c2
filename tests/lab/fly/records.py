# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab keeps of apps, machines and volumes, and how the API shows it. No I/O."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: What each state allows, as https://fly.io/docs/machines/machine-states/ names them.
STARTABLE = frozenset({"created", "stopped", "suspended", "failed"})
RUNNING = frozenset({"starting", "started", "restarting"})
ENDED = frozenset({"destroying", "destroyed"})
_OLDER = {"off": False, "stop": True}


class RefusedError(Exception):
    """The API says no: status, its words, and for some refusals a code."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


def stamp(at: float | None = None) -> str:
    return datetime.fromtimestamp(time.time() if at is None else at, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ulid() -> str:
    head = int(time.time() * 1000)
    stem = "".join(_CROCKFORD[(head >> shift) & 31] for shift in range(45, -1, -5))
    return stem + "".join(secrets.choice(_CROCKFORD) for _each in range(16))


@dataclass
class Lease:
    nonce: str
    expires_at: float
    owner: str
    description: str

    def shown(self, version: str) -> dict[str, Any]:
        """As flyctl's client reads it; the published description has what is under `data` without that envelope."""
        data = {
            "nonce": self.nonce,
            "expires_at": int(self.expires_at),
            "owner": self.owner,
            "description": self.description,
            "version": version,
        }
        return {"status": "success", "data": data}


@dataclass
class Machine:
    id: str
    name: str
    app: str
    region: str
    config: dict[str, Any]
    state: str = "created"
    instance_id: str = field(default_factory=ulid)
    created_at: float = field(default_factory=time.time)
    updated_at: float = field(default_factory=time.time)
    private_ip: str = ""
    digest: str = ""
    lease: Lease | None = None
    cordoned: bool = False
    destroyed_at: float | None = None
    restarts: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    #: Last byte through the proxy, for autostop.
    last_used: float = field(default_factory=time.monotonic)
    #: Whoever makes or removes its container holds this: the engine does one thing at a time to it.
    work: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def move(self, state: str, kind: str, source: str = "flyd", **request: Any) -> None:
        """Enter a state, and note the event, newest first as the API lists them."""
        self.state = state
        self.updated_at = time.time()
        event = {
            "id": ulid(),
            "type": kind,
            "status": state,
            "source": source,
            "timestamp": int(time.time() * 1000),
            "request": request,
        }
        self.events.insert(0, event)
        del self.events[50:]

    def shown(self) -> dict[str, Any]:
        registry, _slash, path = self.config.get("image", "").rpartition("/")
        repository, _colon, tag = path.partition(":")
        # Whatever was sent: for older clients, off and stop are told as false and true.
        services = [
            {**each, **({"autostop": _OLDER[each["autostop"]]} if each.get("autostop") in _OLDER else {})}
            for each in self.config.get("services") or []
        ]
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "region": self.region,
            "instance_id": self.instance_id,
            "version": self.instance_id,
            "private_ip": self.private_ip,
            "config": {**self.config, **({"services": services} if services else {})},
            "image_ref": {
                "registry": registry or "registry-1.docker.io",
                "repository": repository,
                "tag": tag or "latest",
                "digest": self.digest,
                "labels": {},
            },
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
            "events": self.events[:20],
            "checks": [],
            "host_status": "ok",
            "cordoned": self.cordoned,
        }

    def overview(self, *, config: bool = True) -> dict[str, Any]:
        """As the list of a whole organization has it, which says less of each."""
        kept = {name: self.config[name] for name in ("image", "guest", "metadata") if name in self.config}
        return {
            "app_name": self.app,
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "region": self.region,
            "version": self.instance_id,
            "private_ip": self.private_ip,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
            **({"config": kept} if config else {}),
        }

    def services(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.config.get("services") or []
        return [] if self.cordoned else found


@dataclass
class Volume:
    id: str
    name: str
    app: str
    region: str
    size_gb: int
    encrypted: bool = True
    snapshot_retention: int = 5
    auto_backup_enabled: bool = True
    state: str = "created"
    created_at: float = field(default_factory=time.time)
    machine_id: str | None = None
    snapshots: list[dict[str, Any]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "size_gb": self.size_gb,
            "region": self.region,
            "zone": "lab1",
            "encrypted": self.encrypted,
            "attached_machine_id": self.machine_id,
            "attached_alloc_id": None,
            "created_at": stamp(self.created_at),
            "blocks": self.size_gb * 262144,
            "block_size": 4096,
            "blocks_free": self.size_gb * 262144,
            "blocks_avail": self.size_gb * 262144,
            "fstype": "ext4",
            "snapshot_retention": self.snapshot_retention,
            "auto_backup_enabled": self.auto_backup_enabled,
            "host_status": "ok",
        }


@dataclass
class Secret:
    name: str
    value: str
    created_at: float = field(default_factory=time.time)

    def shown(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.value.encode()).hexdigest()[:16]
        return {
            "name": self.name,
            "digest": digest,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.created_at),
        }


@dataclass
class App:
    name: str
    org: str
    network: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    machines: dict[str, Machine] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    secrets_version: int = 0
    #: By which a create that is made again is known.
    created_with: str = ""
    addresses: list[dict[str, Any]] = field(default_factory=list)
    created_at: float = field(default_factory=time.time)
    #: Address -> when it was assigned.
    assigned: dict[str, float] = field(default_factory=dict)

    def living(self) -> list[Machine]:
        return [each for each in self.machines.values() if each.state != "destroyed"]

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "network": self.network,
            "status": "deployed" if self.machines else "pending",
            "organization": {"name": self.org, "slug": self.org},
            "machine_count": len(self.living()),
            "volume_count": len(self.volumes),
        }
