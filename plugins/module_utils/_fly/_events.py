# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a machine's events say of how it ended."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ._refusals import one_line


def last_exit(machine: Mapping[str, Any]) -> "Tuple[str, int]":
    """The newest event by which its main process ended, and with which code; an empty name where there is none."""
    for event in machine.get("events") or []:
        exit_event = (event.get("request") or {}).get("exit_event") or {}
        if "exit_code" in exit_event:
            return str(event.get("id") or event.get("timestamp") or "?"), int(exit_event["exit_code"] or 0)
    return "", 0


def restarts(machine: Mapping[str, Any], code: int) -> bool:
    """Whether Fly.io by itself starts a machine again that ended with this code."""
    policy = ((machine.get("config") or {}).get("restart") or {}).get("policy") or "on-failure"
    return policy == "always" or (policy == "on-failure" and code != 0)


def said(machine: Mapping[str, Any]) -> str:
    """Why it ended, or did not begin."""
    for event in machine.get("events") or []:
        request = event.get("request") or {}
        exit_event = request.get("exit_event") or {}
        if "exit_code" in exit_event:
            return f"its main process exited with {exit_event['exit_code']}"
        if request.get("error"):
            return one_line(str(request["error"]))
    return ""
