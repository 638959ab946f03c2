# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A module on another machine: what it reads of the controller goes there first, and its progress comes back meanwhile.

Everything travels over the SSH connection that Ansible has open. Files lie in the task's own folder on the machine
(0700) and go with it; what is secret is never an argument of a command.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.fuel_code.remote.plugins.module_utils._scratch import scratch

if TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

#: Writes what stands at the first path, on the controller, into a new file at the second, to be sent.
Pack = Callable[[str, str], None]

_PROGRESS = "progress.jsonl"
#: Set for the module and all that it starts: the folder of its task.
_MARK = "FUEL_CODE_TASK"
#: Ends with its standard input, so with whoever started it, wherever the connection breaks. Then nobody waits for the
#: module any more, and it must not go on beside the one that the next run starts.
_FOLLOW = """\
tail -n +1 -F -- {file} 2>/dev/null & tail=$!
cat >/dev/null
kill $tail
for each in /proc/[0-9]*/environ; do
  if grep -qzxF -- {mark} "$each" 2>/dev/null; then
    each=${{each#/proc/}}
    kill -9 "${{each%/environ}}"
  fi
done
"""


def run_there(action: "ActionBase", task_vars: Optional[Dict[str, Any]], packs: Mapping[str, Pack]) -> Dict[str, Any]:
    """The module's result. `packs`: options that name something on the controller, and how it becomes one file."""
    arguments = dict(action._task.args)
    if action._connection.transport in ("local", "ansible.builtin.local"):
        return execute(action, arguments, task_vars)
    progress = arguments.pop("progress_path", None)
    if action._task.async_val:
        # It outlives this task, and so would its files.
        return execute(action, arguments, task_vars)
    sent = [name for name in packs if arguments.get(name)]
    if not sent and not progress:
        return execute(action, arguments, task_vars)
    folder: str = action._make_tmp_path()
    try:
        for name in sent:
            arguments[name] = _send(action, packs[name], arguments[name], f"{folder}/{name}")
        if not progress:
            return execute(action, arguments, task_vars)
        arguments["progress_path"] = f"{folder}/{_PROGRESS}"
        action._task.environment = [*(action._task.environment or ()), {_MARK: folder}]
        with _Following(action, str(progress), folder).while_it_works():
            return execute(action, arguments, task_vars)
    finally:
        action._remove_tmp_path(folder, force=True)


def execute(action: "ActionBase", arguments: Dict[str, Any], task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """The module with these arguments, over the task's own connection."""
    result: Dict[str, Any] = action._execute_module(
        module_args=arguments, task_vars=task_vars, wrap_async=bool(action._task.async_val)
    )
    return result


def _send(action: "ActionBase", pack: Pack, path: Any, target: str) -> str:
    with scratch("fuel-send-") as folder:
        packed = os.path.join(folder, "packed")
        pack(os.path.expanduser(str(path)), packed)
        action._connection.put_file(packed, target)
    return target


class _Following:
    """Appends whole lines of a file over there to a file here: as they come, and at the end what was missed."""

    def __init__(self, action: "ActionBase", here: str, folder: str) -> None:
        self._action = action
        self._here = here
        self._there = f"{folder}/{_PROGRESS}"
        self._mark = f"{_MARK}={folder}"
        self._taken = 0
        self._lock = threading.Lock()

    @contextmanager
    def while_it_works(self) -> Iterator[None]:
        """Follow from beginning to end of the block."""
        process = self._start()
        reader = threading.Thread(target=self._read, args=(process,), daemon=True) if process else None
        if reader is not None:
            reader.start()
        try:
            yield
        finally:
            if process is not None and reader is not None:
                process.kill()
                process.wait()
                reader.join(5)
            self._rest()

    def _start(self) -> "Optional[subprocess.Popen[bytes]]":
        """A second session in the connection that is open; None where the connection has no such thing."""
        connection = self._action._connection
        build = getattr(connection, "_build_command", None)
        if build is None:
            return None
        script = _FOLLOW.format(file=shlex.quote(self._there), mark=shlex.quote(self._mark))
        become = ["sudo", "-n"] if self._action._play_context.become else []
        command = " ".join([*become, "sh", "-c", shlex.quote(script)])
        host = connection.get_option("host") or self._action._play_context.remote_addr
        words: List[bytes] = build(connection.get_option("ssh_executable"), "ssh", host, command)
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        stream = process.stdout
        while stream is not None:
            line = stream.readline()
            if not line.endswith(b"\n"):
                return
            self._append(line)

    def _rest(self) -> None:
        command = f"tail -c +{self._taken + 1} -- {shlex.quote(self._there)}"
        try:
            answer = self._action._low_level_execute_command(command, sudoable=True)
        except AnsibleConnectionFailure:
            # What the module itself has to say counts, and its steps are in its result.
            return
        if answer.get("rc") == 0:
            for line in str(answer.get("stdout") or "").splitlines(keepends=True):
                self._append(line.encode("utf-8", "surrogateescape"))

    def _append(self, line: bytes) -> None:
        """With our own time: whoever reads on compares it with times of this machine."""
        with self._lock:
            self._taken += len(line)
            try:
                told = json.loads(line)
            except ValueError:
                return
            if not isinstance(told, dict):
                return
            text = json.dumps({**told, "at": round(time.time(), 3)}) + "\n"
            descriptor = os.open(self._here, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, text.encode("utf-8"))
            finally:
                os.close(descriptor)


def pack_file(path: str, target: str) -> None:
    """A file as it is."""
    with open(path, "rb") as origin, open(target, "wb") as copy:
        for block in iter(lambda: origin.read(1 << 20), b""):
            copy.write(block)
