# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The module fly_app_config in Ansible's own process, where the templates are."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Mapping

from ansible_collections.fuel_code.remote.plugins.module_utils._fly_app.task import ARGUMENTS, fly_app_config
from ansible_collections.fuel_code.remote.plugins.plugin_utils.in_process import InProcess


class ActionModule(InProcess):
    """Ansible's entry point."""

    arguments: ClassVar[Dict[str, Any]] = ARGUMENTS

    def work(self, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
        """As the module does it."""
        return fly_app_config(params, check=check)
