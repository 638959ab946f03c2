# SPDX-License-Identifier: GPL-3.0-or-later
"""Which environment variables of whoever calls us go on to processes that outlive the call.

A shell holds API keys and tokens; a server that inherited them would show them in its process for days. So nothing
passes that is not named here. Standard library only: the CLI's start passes here.
"""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = frozenset({"HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "NPM_CONFIG_REGISTRY"})
#: `DOCKER_HOST` and its kin, and where certificates are.
_PREFIXES = ("DOCKER_", "SSL_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"})
#: Holds registry passwords as they are.
_NEVER = frozenset({"DOCKER_AUTH_CONFIG"})
_OF_THE_SERVER = frozenset({"PATH", "TMPDIR", "PYTHONPATH", "PYTHONWARNINGS", "COVERAGE_PROCESS_START"})
_PREFIXES_OF_THE_SERVER = ("FUELCTL_", "XDG_")


def for_playbooks(source: Mapping[str, str]) -> dict[str, str]:
    """What a playbook run may see."""
    return {name: value for name, value in source.items() if _common(name)}


def for_server(source: Mapping[str, str]) -> dict[str, str]:
    """What the embedded server may see: the same, its own settings, and where it finds its parts."""
    return {
        name: value
        for name, value in source.items()
        if _common(name) or name in _OF_THE_SERVER or name.startswith(_PREFIXES_OF_THE_SERVER)
    }


def _common(name: str) -> bool:
    known = name in _NAMES or name.lower() in _PROXIES or name.startswith(_PREFIXES)
    return known and name not in _NEVER
