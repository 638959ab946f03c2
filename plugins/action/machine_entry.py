# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The action machine_entry: it has no module, because what it asks for is whether one could run."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.fuel_code.remote.plugins.module_utils import _entry
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError


class ActionModule(ActionBase):
    """Ansible's entry point."""

    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """A machine that cannot be entered has failed, with a reason: it is not left out as unreachable."""
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _checked, params = self.validate_argument_spec(argument_spec=_entry.ARGUMENTS)
        try:
            result.update(self._enter({name: params[name] for name in _entry.ARGUMENTS}))
        except FuelError as error:
            result.update(error.as_result())
        return result

    def _enter(self, params: Dict[str, Any]) -> Dict[str, Any]:
        params["name"], params["python"] = str(params["name"]), str(params["python"])
        try:
            answer = self._low_level_execute_command(_entry.probe(params["python"]), sudoable=False)
        except AnsibleConnectionFailure as error:
            raise _entry.refusal(params["name"], str(error)) from error
        return _entry.entered(params, int(answer.get("rc") or 0), str(answer.get("stdout") or ""))
