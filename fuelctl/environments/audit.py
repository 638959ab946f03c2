# SPDX-License-Identifier: GPL-3.0-or-later
"""What providers show that carries our label, held against what the database knows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fuelctl.environments.clock import rfc3339
from fuelctl.store.models import EnvironmentRow

#: An ending takes its time: so long after its lease, an environment that is still there is worth a word.
_SLACK = 600.0


class Standing(StrEnum):
    """How a thing stands to the database."""

    OWNED = "owned"
    #: Owned, and still there although its lease is over.
    EXPIRED = "expired"
    UNOWNED = "unowned"


@dataclass(frozen=True)
class Found:
    """What carries one environment's label at one provider; times are epoch seconds.

    `shared`: what an owner's environments have in common and none of them needs any more.
    """

    provider: str
    environment_id: str
    owner: str
    name: str
    region: str
    account: str
    shared: bool
    since: float | None
    expires_at: float | None
    machines: list[dict[str, Any]]
    resources: list[dict[str, str]]


@dataclass(frozen=True)
class Seen:
    """A provider's answer. `problems`: places that could not be asked, `{region, message, hint, code}`."""

    found: list[Found]
    problems: list[dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """Where to look: a provider, with its options; in `regions`, or in all."""

    provider: str
    options: dict[str, Any]
    regions: tuple[str, ...] = ()
    all_regions: bool = False


#: MachineError when the provider could not be asked at all.
Look = Callable[[Place], Seen]


@dataclass(frozen=True)
class Resource:
    """One thing."""

    kind: str
    name: str
    state: str


@dataclass(frozen=True)
class Entry:
    """What carries one environment's label, as the API shows it. `id` is empty where the label holds none."""

    id: str
    state: Standing
    provider: str
    region: str | None
    owner: str
    name: str
    shared: bool
    status: str | None
    since: str | None
    age_seconds: float | None
    expires_at: str | None
    resources: list[Resource]


def read(provider: str, document: Mapping[str, Any]) -> Found:
    """From an entry of a module's `environments`: dev_container_info's and ec2_audit_info's are of one shape."""
    return Found(
        provider=provider,
        environment_id=str(document.get("environment_id") or ""),
        owner=str(document.get("owner") or ""),
        name=str(document.get("name") or ""),
        region=str(document.get("region") or ""),
        account=str(document.get("account") or ""),
        shared=bool(document.get("shared")),
        since=document.get("since"),
        expires_at=document.get("expires_at"),
        machines=[each for each in document.get("machines") or [] if isinstance(each, dict)],
        resources=[{key: str(value) for key, value in each.items()} for each in document.get("resources") or []],
    )


def judge(found: Found, row: EnvironmentRow | None, owners: Collection[tuple[str, str]], now: float) -> Entry:
    """The entry of what was found.

    :param row: the database's row of that id, if there is one.
    :param owners: (provider, owner) of every environment that has not ended.
    """
    standing = Standing.UNOWNED
    if row is not None and row.ended_at is None:
        standing = Standing.EXPIRED if row.expires_at + _SLACK < now else Standing.OWNED
    elif found.shared and (found.provider, found.owner) in owners:
        standing = Standing.OWNED
    return Entry(
        id=found.environment_id,
        state=standing,
        provider=found.provider,
        region=found.region or None,
        owner=found.owner or (row.owner if row is not None else ""),
        name=row.name if row is not None else found.name,
        shared=found.shared,
        status=row.status if row is not None else None,
        since=rfc3339(found.since),
        age_seconds=None if found.since is None else max(0.0, now - found.since),
        expires_at=rfc3339(row.expires_at if row is not None and row.ended_at is None else found.expires_at),
        resources=[Resource(each["kind"], each["name"], each["state"]) for each in found.resources],
    )
