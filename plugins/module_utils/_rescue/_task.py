# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What the module rescue takes and does, wherever it runs: as a module, or in Ansible's own process."""

from __future__ import annotations

import os
import shutil
from typing import Any, Dict, Mapping, Optional

from .._errors import FuelError, UsageError
from .._inside import ARGUMENTS as INSIDE
from .._inside import inside
from .._progress import Progress
from .._workspace._present import checked_path
from .._workspace._survey import survey
from ._choose import Limits, limits_of
from ._collect import Collector
from ._folder import pack, settle
from ._stream import Deadline
from ._verify import verify

_MIB = 1024 * 1024
ARGUMENTS: Dict[str, Any] = {
    "container": {"type": "str"},
    "user": {"type": "str", "required": True},
    "path": {"type": "str", "required": True},
    "dest": {"type": "path", "required": True},
    "file_bytes": {"type": "int", "default": Limits.file_bytes},
    "files_bytes": {"type": "int", "default": Limits.files_bytes},
    "transcript_bytes": {"type": "int", "default": Limits.transcript_bytes},
    "total_bytes": {"type": "int", "default": Limits.total_bytes},
    "timeout": {"type": "int", "default": 600},
    "archive": {"type": "bool", "default": False},
    "progress_path": {"type": "path"},
    **INSIDE,
}
RULES: Dict[str, Any] = {"required_if": [("environment_is", "container", ["container"])]}


def rescue(params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The module's result: `{changed, rescue, steps}`."""
    progress = Progress("rescue", params["progress_path"])
    limits = limits_of(params)
    deadline = Deadline(limits.seconds)
    try:
        path = checked_path(params["path"])
        dest = str(params["dest"])
        if not os.path.isabs(dest) or os.path.basename(dest) in ("", ".", ".."):
            raise UsageError("dest must be an absolute path", where=dest, code="bad_path")
        container = inside(params)
        with progress.step("work") as step:
            found = survey(container, path, timeout=deadline.left())
            step.message = found.reason or "no work that is only here"
            state = container.state()
        if state != "running":
            raise FuelError(
                f"the container is {state}: nothing can be read out of it", where=container.name, code="not_running"
            )
        collector = Collector(container, path, limits, deadline)
        something = found.would_lose or collector.has_sessions()
        if check or not something:
            return _result(None, found.as_result(), progress, changed=something)
        draft = f"{dest}.part"
        shutil.rmtree(draft, ignore_errors=True)
        os.makedirs(draft, mode=0o700)
        try:
            with progress.step("collect") as step:
                manifest = collector.collect(draft)
                step.message = told(manifest)
            if params["archive"]:
                # Verified where it arrives.
                with open(dest + ".new", "wb") as stream:
                    pack(draft, stream)
                os.replace(dest + ".new", dest)
            else:
                with progress.step("verify"):
                    verify(draft, deadline)
                settle(draft, dest)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return _result({**manifest, "path": dest}, found.as_result(), progress, changed=True)
    except OSError as error:
        failed = FuelError(
            f"cannot write it: {error.strerror or error}", where=str(error.filename or ""), code="rescue_failed"
        )
        return failed.as_result(steps=progress.steps)
    except FuelError as error:
        return error.as_result(steps=progress.steps)


def told(manifest: Mapping[str, Any]) -> str:
    """What is in it, in one line."""
    size = sum(int(part["size"]) for part in manifest["parts"])
    words = [f"{count} {kind}" for kind, count in manifest["counts"].items() if count]
    missing = "" if manifest["complete"] else "; not all of the work fits"
    return f"{', '.join(words)} in {max(1, size >> 10)} KiB{missing}"


def _result(
    manifest: Optional[Dict[str, Any]], work: Dict[str, Any], progress: Progress, *, changed: bool
) -> Dict[str, Any]:
    return {"changed": changed, "rescue": manifest, "work": work, "steps": progress.steps}
