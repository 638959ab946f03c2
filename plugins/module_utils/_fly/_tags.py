# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Our labels as a machine's metadata, whose keys take neither colons nor hyphens with every tool."""

from __future__ import annotations

import re
from typing import Dict, Mapping, Optional

from .. import _identity

MANAGED = "fuel_code_managed"
ENVIRONMENT = "fuel_code_environment"
OWNER = "fuel_code_owner"
NAME = "fuel_code_name"
EXPIRES = "fuel_code_expires_at"
#: Digest of the configuration that the machine was made from.
MADE_FROM = "fuel_code_made_from"


#: As provider_fly names an app: who knows the environment's id knows it, and the other way round.
_APP = re.compile(r"fuel-code-([0-7][0-9a-hjkmnp-tv-z]{25})")


def environment_of(app: str) -> str:
    """Id of the environment whose app has this name; empty for any other app."""
    named = _APP.fullmatch(app)
    return named.group(1).upper() if named else ""


def is_ours(machine: Mapping[str, object]) -> bool:
    """Whether a machine of an organization's list is an environment: its marks say so, and it is in the app of that id.

    Marks alone can be copied along with a configuration, into an app that is somebody's.
    """
    marks = of(machine)
    named = environment_of(str(machine.get("app_name") or ""))
    return marks.get(MANAGED) == "true" and bool(named) and marks.get(ENVIRONMENT) == named


def metadata(environment_id: str, owner: str, expires_at: Optional[int] = None) -> Dict[str, str]:
    """What marks a machine as this environment's; what is not known marks nothing."""
    marks = {MANAGED: "true", ENVIRONMENT: _identity.check_environment_id(environment_id)}
    if owner:
        marks[OWNER] = owner
    if expires_at is not None:
        marks[EXPIRES] = str(expires_at)
    return marks


def of(machine: Mapping[str, object]) -> Dict[str, str]:
    """A machine's metadata. Of one whose host does not answer, Fly.io has it in what is left of the configuration."""
    config = machine.get("config") or machine.get("incomplete_config")
    marks = config.get("metadata") if isinstance(config, Mapping) else None
    return {str(key): str(value) for key, value in marks.items()} if isinstance(marks, Mapping) else {}
