# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The module rescue: in Ansible's own process where the host is the controller; elsewhere its archive is fetched.

What arrives from a machine is held to its size and time on the way, and verified here, before it takes its place.
"""

from __future__ import annotations

import os
import shlex
from typing import Any, ClassVar, Dict, List, Mapping, Optional

from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._rescue._folder import settle, unpack
from ansible_collections.fuel_code.remote.plugins.module_utils._rescue._stream import Deadline, stream_out
from ansible_collections.fuel_code.remote.plugins.module_utils._rescue._task import ARGUMENTS, RULES, rescue
from ansible_collections.fuel_code.remote.plugins.module_utils._rescue._verify import verify
from ansible_collections.fuel_code.remote.plugins.module_utils._scratch import RESCUE, scratch
from ansible_collections.fuel_code.remote.plugins.plugin_utils.elsewhere import run_there
from ansible_collections.fuel_code.remote.plugins.plugin_utils.in_process import InProcess

#: A tar's headers and padding, beside what is in it.
_OVERHEAD = 4 * 1024 * 1024


class ActionModule(InProcess):
    """Ansible's entry point."""

    arguments: ClassVar[Dict[str, Any]] = ARGUMENTS
    rules: ClassVar[Dict[str, Any]] = RULES

    def work(self, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
        """As the module does it."""
        return rescue(params, check=check)

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Ansible's entry point."""
        if self._here() or self._connection.transport in ("local", "ansible.builtin.local"):
            return super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=self.arguments, **self.rules)
        deadline = Deadline(float(params["timeout"]))
        there: str = self._make_tmp_path()
        self._task.args = {**self._task.args, "dest": f"{there}/rescue.tar", "archive": True}
        try:
            result: Dict[str, Any] = run_there(self, task_vars, {})
            if result.get("rescue"):
                self._fetch(f"{there}/rescue.tar", str(params["dest"]), int(params["total_bytes"]), deadline)
                result["rescue"]["path"] = str(params["dest"])
        except FuelError as error:
            result = error.as_result()
        except OSError as error:
            result = FuelError(
                f"cannot write it: {error.strerror}", where=str(error.filename), code="rescue_failed"
            ).as_result()
        finally:
            self._remove_tmp_path(there, force=True)
        return result

    def _fetch(self, there: str, dest: str, most: int, deadline: Deadline) -> None:
        parent = os.path.dirname(dest)
        os.makedirs(parent, mode=0o700, exist_ok=True)
        with scratch(RESCUE, parent) as folder:
            packed = os.path.join(folder, "packed")
            command = self._command(there)
            if command:
                stream_out(command, b"", packed, most + _OVERHEAD, deadline)
            else:
                self._connection.fetch_file(there, packed)
            draft = os.path.join(folder, "draft")
            os.mkdir(draft, 0o700)
            with open(packed, "rb") as stream:
                unpack(stream, draft, most + _OVERHEAD)
            os.unlink(packed)
            verify(draft, deadline)
            settle(draft, dest)

    def _command(self, there: str) -> List[str]:
        """What gives the file out, over the connection that is open; nothing where there is no such way."""
        build = getattr(self._connection, "_build_command", None)
        if build is None:
            return []
        become = ["sudo", "-n"] if self._play_context.become else []
        command = " ".join([*become, "cat", "--", shlex.quote(there)])
        host = self._connection.get_option("host") or self._play_context.remote_addr
        words: List[bytes] = build(self._connection.get_option("ssh_executable"), "ssh", host, command)
        return [os.fsdecode(word) for word in words]
