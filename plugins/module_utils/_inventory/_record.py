# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One live environment, whoever told of it. It is data from outside: held against patterns, never trusted."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Mapping, Optional

from .._errors import FuelError, UsageError
from .._identity import check_environment_id, check_environment_name

_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Machine:
    """How a machine that is not this one is reached."""

    address: str
    port: int = 22
    user: str = ""


@dataclass(frozen=True)
class Record:
    """An environment.

    :param status: as the control plane says it; `running` or `stopped` where only the engine or the cloud was asked.
    :param container: name of its container, empty when there is none yet or it is not known.
    :param user: login in it; `workspace`: path of the repository in it.
    :param machine: None for this machine.
    :param is_machine: it is that machine, and no container on it.
    :param facts: what else is known, for variables.
    """

    id: str
    name: str
    owner: str = ""
    status: str = ""
    provider: str = ""
    container: str = ""
    user: str = ""
    workspace: str = ""
    machine: Optional[Machine] = None
    is_machine: bool = False
    facts: Dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> Dict[str, Any]:
        """As a cache keeps it; `from_dict` reads it again."""
        return asdict(self)


def from_dict(document: Mapping[str, Any]) -> Record:
    """A record from `as_dict`, from whoever's hands; UsageError when it is none."""
    try:
        machine = document.get("machine")
        return checked(
            Record(**{**document, "machine": Machine(**machine) if machine else None, "facts": dict(document["facts"])})
        )
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(f"this is no environment: {error}", code="bad_environment") from error


def checked(record: Record) -> Record:
    """The record itself; UsageError when something in it must not get into a command line."""
    check_environment_id(record.id)
    check_environment_name(record.name)
    _check(_CONTAINER, record.container, "container")
    _check(_USER, record.user, "user")
    if not isinstance(record.is_machine, bool) or (record.is_machine and record.machine is None):
        raise UsageError("an environment that is a machine has none", code="bad_environment")
    if record.machine is not None:
        if not record.machine.address:
            raise UsageError("a machine has no address", code="bad_environment")
        _check(_ADDRESS, record.machine.address, "address")
        _check(_USER, record.machine.user, "user")
        if isinstance(record.machine.port, bool) or not isinstance(record.machine.port, int):
            raise UsageError("a machine's port is no number", code="bad_environment")
    return record


def checked_all(records: List[Record]) -> List[Record]:
    """Those that can be believed, by name and id; the others are left out."""
    good = [record for record in records if _is_good(record)]
    return sorted(good, key=lambda each: (each.name, each.id))


def _is_good(record: Record) -> bool:
    try:
        checked(record)
    except FuelError:
        return False
    return True


def _check(pattern: "re.Pattern[str]", value: Any, what: str) -> None:
    if not isinstance(value, str) or (value and not pattern.fullmatch(value)):
        raise UsageError(f"{str(value)[:80]!r} is no {what}", code="bad_environment")
