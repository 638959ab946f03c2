# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Action plugins for modules whose host is most often the controller itself.

Packing a module, starting Python and unpacking it there costs more than half a second of a processor, each time. Where
the host is this very machine and user, the same function does the same work in the process that Ansible forked for the
task; everywhere else the module runs.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Mapping, Optional

from ansible.plugins.action import ActionBase
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.plugin_utils.elsewhere import Pack, run_there


class InProcess(ActionBase):
    """Give `arguments` and `rules`, the module's argument spec, and `work`, which is what its `main` calls."""

    _supports_check_mode = True
    _supports_async = True

    arguments: ClassVar[Dict[str, Any]] = {}
    #: `required_if` and the like.
    rules: ClassVar[Dict[str, Any]] = {}
    #: Options that name something on the controller, and how it becomes one file to send to another machine.
    packs: ClassVar[Mapping[str, Pack]] = {}

    def work(self, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
        """The module's result; FuelError becomes a failed one."""
        raise NotImplementedError

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Ansible's entry point."""
        result: Dict[str, Any] = super().run(tmp, task_vars)
        if not self._here():
            try:
                result.update(run_there(self, task_vars, self.packs))
            except FuelError as error:
                result.update(error.as_result())
            return result
        _checked, params = self.validate_argument_spec(argument_spec=self.arguments, **self.rules)
        try:
            result.update(self.work(_plain(params), check=bool(self._task.check_mode)))
        except FuelError as error:
            result.update(error.as_result())
        return result

    def _here(self) -> bool:
        """Whether the task's host is this machine and its user this one, to be waited for, with nothing added."""
        local = self._connection.transport in ("local", "ansible.builtin.local")
        added = self._play_context.become or any(self._task.environment or ()) or self._task.async_val
        return bool(local and not added)


def _plain(value: Any) -> Any:
    """As a module would get it: without what Ansible notes on its strings, lists and dicts."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)
