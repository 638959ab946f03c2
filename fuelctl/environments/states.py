# SPDX-License-Identifier: GPL-3.0-or-later
"""The state machine: `provisioning -> ready -> active <-> idle`, any live one `-> terminating -> terminated`."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What an environment is. `degraded`, `unreachable` and the like are conditions beside it."""

    PROVISIONING = "provisioning"
    READY = "ready"
    ACTIVE = "active"
    IDLE = "idle"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    ERROR = "error"


class Operation(StrEnum):
    """A workflow's verb."""

    PROVISION = "provision"
    TERMINATE = "terminate"


#: Somebody can work in it.
ENTERABLE = frozenset({Status.READY, Status.ACTIVE, Status.IDLE})
#: `ls` shows these without `--all`.
SHOWN = ENTERABLE | {Status.PROVISIONING, Status.TERMINATING}

_NEXT: dict[Status, frozenset[Status]] = {
    Status.PROVISIONING: frozenset({Status.READY, Status.TERMINATING, Status.ERROR}),
    Status.READY: frozenset({Status.ACTIVE, Status.IDLE, Status.TERMINATING}),
    Status.ACTIVE: frozenset({Status.IDLE, Status.READY, Status.TERMINATING}),
    Status.IDLE: frozenset({Status.ACTIVE, Status.READY, Status.TERMINATING}),
    # Back to where it was when the survey, late because the engine was away, finds work that would be lost.
    Status.TERMINATING: frozenset({Status.TERMINATED, Status.ERROR, *ENTERABLE}),
    # Out of `error` only while it is held for a look (`keep_on_error`).
    Status.ERROR: frozenset({Status.TERMINATING}),
    Status.TERMINATED: frozenset(),
}


def may_become(current: str, following: str) -> bool:
    """Whether the machine allows this step; staying is always allowed."""
    return current == following or Status(following) in _NEXT[Status(current)]
