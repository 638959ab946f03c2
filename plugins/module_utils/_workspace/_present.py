# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The workspace module's work: present (place, then set up) and surveyed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

from .._errors import FuelError, UsageError
from .._inside import Inside
from .._progress import Progress
from ._beside import put_beside
from ._place import Found, check_free, open_source, place, probe
from ._setup import degraded, keys, run_setup
from ._survey import survey


@dataclass(frozen=True)
class Wanted:
    """What is to be in the container."""

    #: Source bundle folder, its tar, or a repository folder, on this machine.
    source: str
    setup: Sequence[str] = ()
    setup_timeout: float = 3600


class Workspace:
    """One workspace in one container."""

    def __init__(self, container: Inside, path: str, progress_path: Optional[str] = None) -> None:
        self._container = container
        self._path = path
        self._placing = Progress("workspace", progress_path)
        self._setting_up = Progress("setup", progress_path)
        self._surveying = Progress("survey", progress_path)

    @property
    def steps(self) -> List[Dict[str, Any]]:
        """Everything done so far."""
        return self._placing.steps + self._setting_up.steps + self._surveying.steps

    def present(self, wanted: Wanted, *, check: bool = False) -> Dict[str, Any]:
        """Place and set up; the module's result. With `check`, only what would be done."""
        path = checked_path(self._path)
        if check and self._container.state() != "running":
            return self._result(Found("absent"), [], list(wanted.setup), changed=True)
        with self._placing.step("repository") as step:
            found = probe(self._container, path)
            check_free(found, path)
            placed = found.state == "absent"
            if not placed:
                step.reuse(found.commit[:12])
            elif not check:
                found = self._place(path, wanted.source)
                step.message = found.commit[:12]
        identity = keys(found.commit, found.tree, wanted.setup)
        pending = [command for key, command in zip(identity, wanted.setup) if key not in found.done]
        if check:
            return self._result(found, [], pending, changed=placed or bool(pending))
        results = run_setup(
            self._container,
            path,
            str(found.launch.get("folder") or ""),
            wanted.setup,
            identity=identity,
            done=found.done,
            progress=self._setting_up,
            timeout=wanted.setup_timeout,
        )
        return self._result(found, results, pending, changed=placed or bool(pending))

    def _place(self, path: str, source: str) -> Found:
        with open_source(source) as (folder, description):
            if description.get("rescue"):
                put_beside(self._container, path, folder, description)
            found = place(self._container, path, folder, description)
        if found.state != "present":
            raise FuelError("the workspace is not there after it was placed", where=path, code="place_failed")
        return found

    def _result(
        self, found: Found, results: List[Dict[str, Any]], pending: List[str], *, changed: bool
    ) -> Dict[str, Any]:
        before = [f"workspace: {found.state}"] if not results and pending else []
        return {
            "changed": changed,
            "workspace": found.as_result(self._path),
            "setup": results,
            "degraded": degraded(results),
            "steps": self.steps,
            "diff": {
                "before": "\n".join(before),
                "after": "\n".join([f"workspace: {self._path}"] + [f"setup: {command}" for command in pending])
                if changed
                else "",
            },
        }

    def survey(self) -> Dict[str, Any]:
        """What would be lost; the module's result."""
        with self._surveying.step("work") as step:
            found = survey(self._container, checked_path(self._path))
            step.message = found.reason or "nothing would be lost"
        return {
            "changed": False,
            "work": found.as_result(),
            "would_lose": found.would_lose,
            "reason": found.reason,
            "steps": self.steps,
        }


def checked_path(path: str) -> str:
    """An absolute path of plain names, at least two deep: beside it lies what is surveyed."""
    if not re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*){2,}", path):
        raise UsageError(f"{path[:80]!r} cannot be a workspace", hint="it looks like /workspaces/name", code="bad_path")
    return path
