# SPDX-License-Identifier: GPL-3.0-or-later
"""What an `up` is going to do, before anything is done: repository, blueprint and where each value came from, lease."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuelctl import prices, provider_traits
from fuelctl._shared import _blueprint
from fuelctl._shared._errors import UsageError
from fuelctl._shared._prices._offer import Offer, check_ceiling, money
from fuelctl.cli import _prices, _provider, _settings
from fuelctl.cli._durations import seconds
from fuelctl.cli._output import clean, duration, fit, paint, table

if TYPE_CHECKING:
    from fuelctl.cli._from_rescue import Saved
    from fuelctl.source import Repository

#: Fields that are not worth a line when nothing in the repository states them.
#: What silence may do.
WHEN_IDLE = ("stop", "end")
_PLAIN_DEFAULTS = ("version", "name", "provider", "agent", "user", "resources", "ttl", "idle", "when_idle", "rescue")


@dataclass
class Plan:
    """Everything that is shown and sent. `name` may move on from `base_name` unless a person chose it (`named`)."""

    name: str
    base_name: str
    named: bool
    repository: Repository | Saved
    blueprint: dict[str, Any]
    origin: str
    ttl_seconds: int
    idle_seconds: int
    offer: Offer
    max_price_hour: float | None
    secrets: dict[str, str]
    evidence: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[dict[str, Any]] = field(default_factory=list)
    idle_discard: bool = False
    rescue: bool = True
    #: The rescue that is put back into it, in the place of a source.
    from_rescue: str | None = None

    @property
    def provider(self) -> str:
        return str(self.blueprint["provider"]["name"])

    def as_dict(self) -> dict[str, Any]:
        """The plan as `up --dry-run --json` prints it; of the secrets only their names."""
        return {
            "name": self.name,
            "repository": self.repository_facts(),
            "blueprint": self.blueprint,
            "blueprint_origin": self.origin,
            "evidence": self.evidence,
            "conflicts": self.conflicts,
            "troubles": self.troubles,
            "provider": self.blueprint["provider"],
            "ttl_seconds": self.ttl_seconds,
            "idle_seconds": self.idle_seconds,
            "idle_discard": self.idle_discard,
            "rescue": self.rescue,
            "from_rescue": self.from_rescue,
            "secrets": sorted(self.secrets),
            "cost": self.offer.as_dict(),
        }

    def repository_facts(self) -> dict[str, Any]:
        """The repository as the API takes it."""
        return {
            "name": self.repository.name,
            "url": self.repository.url,
            "branch": self.repository.branch,
            "commit": self.repository.commit,
            "dirty": bool(self.repository.changed),
            "folder": self.repository.described.folder or None,
        }


def blueprint_of(folder: Path, given: Path | None) -> tuple[Any, str, dict[str, Any]]:
    """(blueprint, where it came from, what detection found): `given`, else the repository's own, else detected."""
    path = given or folder / _blueprint.BLUEPRINT_PATH
    # lexists: a link that leads nowhere is a mistake to be told of, not a reason to detect.
    if given is not None or path.exists() or path.is_symlink():
        shown = str(given) if given is not None else _blueprint.BLUEPRINT_PATH
        return _blueprint.load(path), shown, {}
    found = _blueprint.detect(folder)
    details = found.as_dict()
    return _blueprint.from_dict(found.blueprint, "detected"), "detected", details


def lease(blueprint: Any, ttl: str | None, idle: str | None) -> tuple[int, int]:
    """(TTL, idle limit) in seconds: the options, else the blueprint's."""
    ttl_seconds = seconds("--ttl", ttl) if ttl is not None else blueprint.ttl_seconds
    idle_seconds = seconds("--idle", idle) if idle is not None else blueprint.idle_seconds
    return ttl_seconds, idle_seconds


def when_idle(blueprint: dict[str, Any], wanted: str | None) -> None:
    """Have it say what silence does: the option, else what it says already."""
    if wanted is not None and wanted not in WHEN_IDLE:
        raise UsageError(
            f"{clean(wanted)} is nothing that can be done", hint=" or ".join(WHEN_IDLE), where="--when-idle"
        )
    blueprint["when_idle"] = wanted or blueprint["when_idle"]


def offer(blueprint: dict[str, Any], max_price_hour: float | None) -> Offer:
    """What its machine would cost; UsageError when that may be more than `max_price_hour`."""
    found = prices.offer(prices.load().book, str(blueprint["provider"]["name"]), blueprint)
    check_ceiling(found, max_price_hour)
    return found


def slug(name: str) -> str:
    """A repository's name as an environment's: lower case, hyphens, 40 characters at most."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "environment"


def free_name(wish: str, taken: Iterable[str]) -> str:
    """`wish`, or `wish-2`, `wish-3`, ... when it is taken."""
    occupied = set(taken)
    name, number = wish, 1
    while name in occupied:
        number += 1
        suffix = f"-{number}"
        name = wish[: 40 - len(suffix)].rstrip("-") + suffix
    return name


def plan_lines(plan: Plan) -> list[str]:
    """The plan for people."""
    blueprint, repository = plan.blueprint, plan.repository
    shown = [f"{paint(label + ':', 'bold')}{' ' * (11 - len(label))} {value}" for label, value in _facts(plan) if value]
    if plan.origin == "detected":
        shown += ["", "Detected:"] + ["  " + line for line in _evidence_lines(plan.evidence)]
    for conflict in plan.conflicts:
        winner, loser = conflict["winner"], conflict["loser"]
        shown.append(
            f"  note: {clean(conflict['field'])}: {clean(winner['value'])} ({clean(winner['source'])}) over "
            f"{clean(loser['value'])} ({clean(loser['source'])}): {clean(conflict['reason'])}"
        )
    for trouble in plan.troubles:
        line = f":{trouble['line']}" if trouble.get("line") else ""
        shown.append(f"  note: {clean(trouble['file'])}{line}: {clean(trouble['message'])}")
    shown += [f"  note: {clean(note)}" for note in repository.notes]
    if blueprint["setup"] and plan.origin != "detected":
        shown += ["", "Set-up commands:"] + [f"  {clean(command)}" for command in blueprint["setup"]]
    return shown


def _facts(plan: Plan) -> list[tuple[str, str]]:
    blueprint, repository = plan.blueprint, plan.repository
    changed = len(repository.changed)
    changes = f" + {changed} changed file{'s' * (changed != 1)}" if changed else ""
    at = " ".join(clean(word) for word in (repository.branch, repository.commit[:12]) if word)
    provider = blueprint["provider"]
    named = provider["options"].get("host") or provider.get("region") or ""
    whose = "the team's worker" if _settings.server().url else "this machine"
    where = f"{whose}'s Docker engine" if plan.provider == "local" else clean(named)
    services = ", ".join(f"{clean(service['name'])} ({clean(service['image'])})" for service in blueprint["services"])
    agent = blueprint["agent"]
    loses = " (unsaved work is lost then)" if plan.idle_discard else ""
    stops = blueprint["when_idle"] == "stop" and provider_traits.of(plan.provider).stops
    silent = f"{duration(plan.idle_seconds)} without any activity"
    after = f"ends after {duration(plan.ttl_seconds)}"
    leased = f"{after}, and is stopped after {silent}" if stops else f"{after}, or {silent}{loses}"
    return [
        ("Repository", f"{clean(repository.name)}  {at}{changes}"),
        ("Blueprint", clean(plan.origin)),
        ("Name", clean(plan.name)),
        ("Provider", f"{clean(plan.provider)}{f' ({where})' if where else ''}"),
        ("Image", clean(_provider.image(blueprint))),
        ("Services", services),
        ("Agent", f"{clean(agent['name'])} {clean(agent['version'])}"),
        ("Ports", ", ".join(map(str, blueprint["ports"]))),
        ("Secrets", ", ".join(sorted(plan.secrets))),
        ("Cost", _cost(plan)),
        ("Lease", leased),
    ]


def _cost(plan: Plan) -> str:
    """The rate, and what it comes to if nobody ends it before its time."""
    rate = _prices.words(plan.offer)
    if not plan.offer.ceiling:
        return rate
    return f"{rate}; at most {money(plan.offer.ceiling * plan.ttl_seconds / 3600)} until its lease ends"


def _evidence_lines(evidence: list[dict[str, Any]]) -> list[str]:
    rows = []
    for item in evidence:
        if item["kind"] == "default" and item["field"].split(".")[0].split("[")[0] in _PLAIN_DEFAULTS:
            continue
        why = "default" if item["kind"] == "default" else clean(item["source"])
        rows.append([clean(item["field"]), _value(item["value"]), why, clean(item.get("note", ""))])
    if not rows:
        return ["nothing: every value is a default"]
    return [fit(line, indent=2) for line in table(("FIELD", "VALUE", "FROM", "WHY"), rows)]


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, dict):
        return clean(" ".join(str(item) for item in value.values() if item not in ("", [], {}, ())))
    text = clean(value)
    return text if len(text) <= 60 else text[:57] + "..."


def check_provider(name: str) -> None:
    """UsageError unless a provider role of this name is in the collection that this fuelctl brings."""
    known = providers()
    if name not in known:
        raise UsageError(f"There is no provider {name[:40]!r}", hint=f"known: {', '.join(known)}", where="--provider")


def providers() -> list[str]:
    """Names of the provider roles: `provider_local` is `local`."""
    from fuelctl import _shared

    roles = Path(next(iter(_shared.__path__))).parent.parent / "roles"
    return sorted(path.name.removeprefix("provider_") for path in roles.glob("provider_*"))
