# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The module dev_container_info without a process of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Mapping

from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._info import ARGUMENTS, info
from ansible_collections.fuel_code.remote.plugins.plugin_utils.in_process import InProcess


class ActionModule(InProcess):
    """Ansible's entry point."""

    arguments: ClassVar[Dict[str, Any]] = ARGUMENTS

    def work(self, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
        """As the module does it."""
        return info(params, check=check)
