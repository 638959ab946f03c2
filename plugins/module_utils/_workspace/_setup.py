# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Setup commands: one by one, by a login shell of the user in the workspace; what ended well is not run again."""

from __future__ import annotations

import hashlib
import time
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Sequence

from .._inside import FIELD, Inside, last_lines, line
from .._progress import Progress

#: Of one command's output, this much is passed on; its end is kept in any case.
_OUTPUT_LIMIT = 1024 * 1024
#: Output is passed on in pieces, each at most this old (seconds) and about this long (bytes).
_BATCH_SECONDS, _BATCH_BYTES = 0.25, 8192
_LOCKED = 75

#: The command runs in a process group of its own that ends when stdin does: it never outlives who waits for it.
_RUN = (
    FIELD
    + r"""
path=$(field) folder=$(field) key=$(field) command=$(field)
begun=$(date +%s%3N)
HOME=$(getent passwd "$(id -u)" | cut -d: -f6) USER=$(id -un) LOGNAME=$(id -un) SHELL=/bin/bash
export HOME USER LOGNAME SHELL
cd "$path" || exit 1
exec 9<.git
flock -w 30 9 || { echo "another setup is still running here"; exit 75; }
if [ -r "$HOME/.ssh/environment" ]; then
  # What sshd gives a login, read as sshd reads it.
  while IFS= read -r pair || [ -n "$pair" ]; do
    name=${pair%%=*}
    case $pair in '#'*) continue ;; *=*) ;; *) continue ;; esac
    case $name in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
    export "$pair"
  done < "$HOME/.ssh/environment"
fi
git_folder=$PWD/.git/fuel-code
cd "./$folder" 2>/dev/null || { echo "the repository has no folder $folder"; exit 1; }
exec 3<&0
setsid bash -lc "$command" </dev/null 2>&1 3<&- 9<&- &
child=$!
( cat <&3 >/dev/null; kill -TERM "-$child"; sleep 3; kill -KILL "-$child" ) >/dev/null 2>&1 9<&- &
watcher=$!
exec 3<&-
wait "$child"
code=$?
kill "$watcher" 2>/dev/null
if [ "$code" = 0 ]; then
  took=$(($(date +%s%3N) - begun))
  printf '{"key": "%s", "rc": 0, "milliseconds": %s}\n' "$key" "$took" >> "$git_folder/setup.done"
fi
exit "$code"
"""
)


def keys(commit: str, tree: str, commands: Sequence[str]) -> List[str]:
    """One key per command: it stands for the source and for all commands up to it."""
    digest = hashlib.sha256(f"{commit}\0{tree}".encode("utf-8"))
    found = []
    for command in commands:
        digest.update(b"\0" + command.encode("utf-8", "surrogateescape"))
        found.append(digest.hexdigest())
    return found


def run_setup(
    container: Inside,
    path: str,
    folder: str,
    commands: Sequence[str],
    *,
    identity: Sequence[str],
    done: Mapping[str, Mapping[str, Any]],
    progress: Progress,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
) -> List[Dict[str, Any]]:
    """Run what is not done yet and stop at the first that fails: [{command, rc, seconds, tail, reused}].

    :param folder: where in the workspace they run, empty for its top.
    :param identity: `keys` of these commands.
    """
    results: List[Dict[str, Any]] = []
    for key, command in zip(identity, commands):
        name = _title(command)
        record = done.get(key)
        if record is not None:
            with progress.step(name) as step:
                step.reuse("already done")
            results.append({"command": command, "rc": 0, "seconds": 0.0, "tail": [], "reused": True})
            continue
        result = _run_one(container, path, folder, key, command, progress=progress, timeout=timeout, clock=clock)
        results.append(result)
        if result["rc"]:
            break
    return results


class _CommandFailedError(Exception):
    """Marks the step as failed; the module goes on."""


def _run_one(
    container: Inside,
    path: str,
    folder: str,
    key: str,
    command: str,
    *,
    progress: Progress,
    timeout: float,
    clock: Callable[[], float],
) -> Dict[str, Any]:
    def feed(pipe: IO[bytes]) -> None:
        pipe.write(line(path) + line(folder) + line(key) + line(command))
        pipe.flush()

    name = _title(command)
    begun = clock()
    batch = Batch(lambda text: progress.output(name, text), clock)
    result: Dict[str, Any] = {"command": command, "reused": False}
    try:
        with progress.step(name):
            ended = container.stream(_RUN, feed, on_output=batch.add, timeout=timeout, hold=True)
            batch.flush()
            tail = last_lines(ended.output)
            if ended.returncode == 124 and clock() - begun >= timeout:
                tail.append(f"(ended: it took longer than {timeout:.0f} s)")
            result.update(rc=ended.returncode, seconds=round(clock() - begun, 3), tail=tail)
            if ended.returncode:
                raise _CommandFailedError(f"exit code {ended.returncode}")
    except _CommandFailedError:
        pass
    return result


class Batch:
    """Collects output into whole lines and passes them on now and then, up to a limit."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._held = b""
        self._since: Optional[float] = None
        self._sent = 0

    def add(self, chunk: bytes) -> None:
        """Take a chunk as it came."""
        self._held += chunk
        now = self._clock()
        self._since = now if self._since is None else self._since
        if len(self._held) >= _BATCH_BYTES or now - self._since >= _BATCH_SECONDS:
            cut = self._held.rfind(b"\n") + 1
            if cut == 0 and len(self._held) < _BATCH_BYTES:
                return
            cut = cut or len(self._held)
            ready, self._held = self._held[:cut], self._held[cut:]
            self._pass(ready)
            self._since = None

    def flush(self) -> None:
        """Pass on what is left."""
        if self._held:
            self._pass(self._held)
        self._held = b""

    def _pass(self, data: bytes) -> None:
        if self._sent >= _OUTPUT_LIMIT:
            return
        self._sent += len(data)
        self._write(data.decode("utf-8", "replace"))
        if self._sent >= _OUTPUT_LIMIT:
            self._write("\n(more output than is shown)\n")


def _title(command: str) -> str:
    """A step's name from a command: its first line, short."""
    first = command.strip().splitlines()[0].strip() if command.strip() else command
    return first if len(first) <= 60 else first[:57] + "..."


def degraded(results: Sequence[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """The command that failed, if one did: {command, rc, tail}."""
    for result in results:
        if result["rc"]:
            return {"command": result["command"], "rc": result["rc"], "tail": result["tail"]}
    return None
