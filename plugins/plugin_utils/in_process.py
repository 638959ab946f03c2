# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Action plugins for modules whose work is a few milliseconds on the controller.

Packing a module, starting Python and unpacking it there costs half a second of a processor. Where the host is this very
machine and user, the same function does the same work in Ansible's own process; everywhere else the module runs.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Mapping, Optional

from ansible.plugins.action import ActionBase
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError


class InProcess(ActionBase):
    """Give `arguments`, the module's argument spec, and `work`, which is what its `main` calls."""

    _supports_check_mode = True
    _supports_async = False

    arguments: ClassVar[Dict[str, Any]] = {}

    def work(self, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
        """The module's result; FuelError becomes a failed one."""
        raise NotImplementedError

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Ansible's entry point."""
        result: Dict[str, Any] = super().run(tmp, task_vars)
        if not self._here():
            result.update(self._execute_module(task_vars=task_vars))
            return result
        _checked, params = self.validate_argument_spec(argument_spec=self.arguments)
        try:
            result.update(self.work(params, check=bool(self._task.check_mode)))
        except FuelError as error:
            result.update(failed=True, msg=str(error), error=error.as_dict())
        return result

    def _here(self) -> bool:
        """Whether the task's host is this machine and its user this one, with nothing added to the environment."""
        plain = not self._play_context.become and not any(self._task.environment or ())
        return bool(plain and self._connection.transport in ("local", "ansible.builtin.local"))
