# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may enter an environment besides whoever was given its key: keys of second laptops, let in one by one."""

from __future__ import annotations

from collections.abc import Callable

from fuelctl._shared._public_key import check_public_key
from fuelctl.environments.access import check_enterable, one_at_a_time
from fuelctl.environments.core import Core, MachineError
from fuelctl.environments.registry import ConflictError
from fuelctl.store import events, resources
from fuelctl.store.models import EnvironmentRow, ResourceRow

#: `admit(row, public_key)`: the key opens it; MachineError when its machine could not be told.
Admit = Callable[[EnvironmentRow, str], None]
KIND = "authorized_key"
_MOST = 20


def nobody_admits(row: EnvironmentRow, _public_key: str) -> None:
    """Of a server that plays no playbook and has nobody who does."""
    raise MachineError(
        f"nobody is there to let a key in to {row.name}", hint="start one: fuelctl worker run", code="no_worker"
    )


def admit_key(core: Core, row: EnvironmentRow, text: str, admit: Admit) -> EnvironmentRow:
    """Let this public key in, and journal it. Twice is harmless: what is journaled was let in.

    UsageError for what is no good key, ConflictError where nobody can enter, or too many may.
    """
    key = check_public_key(text)
    check_enterable(row)
    with one_at_a_time(row.id):
        with core.database.read() as session:
            current = session.get_one(EnvironmentRow, row.id)
            check_enterable(current)
            known = {each.name: each for each in resources.of_environment(session, row.id) if each.kind == KIND}
        if _let_in(known.get(key.fingerprint)):
            return current
        if sum(map(_let_in, known.values())) >= _MOST:
            raise ConflictError(
                f"{row.name} has let in {_MOST} keys already",
                hint="enter it with one of them; or start a new one: fuelctl up",
                code="too_many_keys",
                where=row.name,
            )
        # Written down before it opens anything: what was let in can always be told.
        with core.write() as session:
            resources.intend_one(session, row.id, (KIND, key.fingerprint), current.attempt, core.clock().wall)
        admit(current, key.line)
        with core.write() as session:
            made = [{"kind": KIND, "name": key.fingerprint}]
            resources.record(session, row.id, current.attempt, made, core.clock().wall)
            core.audit(session, "environment.authorize_key", row.id, after={"fingerprint": key.fingerprint})
            events.append(
                session, row.id, [core.event("remote.key", {"outcome": "authorized", "fingerprint": key.fingerprint})]
            )
    with core.database.read() as session:
        return session.get_one(EnvironmentRow, row.id)


def _let_in(entry: ResourceRow | None) -> bool:
    return entry is not None and entry.state == "created"
