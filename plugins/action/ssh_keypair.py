# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The module ssh_keypair without a process of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Mapping

from ansible_collections.fuel_code.remote.plugins.module_utils._ssh_keys import ARGUMENTS, RULES, keypair, together
from ansible_collections.fuel_code.remote.plugins.plugin_utils.in_process import InProcess


class ActionModule(InProcess):
    """Ansible's entry point."""

    arguments: ClassVar[Dict[str, Any]] = ARGUMENTS
    rules: ClassVar[Dict[str, Any]] = RULES

    def _here(self) -> bool:
        """What talks to AWS is a process of its own: boto3 is no part of Ansible's."""
        return super()._here() and self._task.args.get("backend", "file") == "file"

    def work(self, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
        """As the module does it."""
        return together(lambda each: keypair(each, check=check), params)
