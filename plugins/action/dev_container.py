# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The module dev_container without a process of its own."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Mapping

from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._task import (
    ARGUMENTS,
    RULES,
    dev_container,
)
from ansible_collections.fuel_code.remote.plugins.plugin_utils.elsewhere import Pack, pack_file
from ansible_collections.fuel_code.remote.plugins.plugin_utils.in_process import InProcess


class ActionModule(InProcess):
    """Ansible's entry point."""

    arguments: ClassVar[Dict[str, Any]] = ARGUMENTS
    rules: ClassVar[Dict[str, Any]] = RULES
    packs: ClassVar[Mapping[str, Pack]] = {"heartbeat_token_file": pack_file}

    def work(self, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
        """As the module does it."""
        return dev_container(params, check=check)
