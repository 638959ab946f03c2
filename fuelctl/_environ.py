# SPDX-License-Identifier: GPL-3.0-or-later
"""Which environment variables of whoever calls us go on to processes that outlive the call.

A shell holds API keys and tokens; a server that inherited them would show them in its process for days. So nothing
passes that is not named here. Standard library only: the CLI's start passes here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_NAMES = frozenset({"HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "NPM_CONFIG_REGISTRY"})
#: `DOCKER_HOST` and its kin, and where certificates are.
_PREFIXES = ("DOCKER_", "SSL_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"})
#: Holds registry passwords as they are.
_NEVER = frozenset({"DOCKER_AUTH_CONFIG"})
_OF_THE_SERVER = frozenset({"PATH", "TMPDIR", "PYTHONPATH", "PYTHONWARNINGS", "COVERAGE_PROCESS_START"})
_PREFIXES_OF_THE_SERVER = ("FUELCTL_", "XDG_")


#: What the modules of a provider read besides: credentials, and where the cloud is. No other provider's runs see them.
_OF_PROVIDERS = {
    "ec2": frozenset(
        {
            "AWS_ACCESS_KEY_ID",
            "AWS_CA_BUNDLE",
            "AWS_CONFIG_FILE",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_DEFAULT_REGION",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_EC2",
            "AWS_ENDPOINT_URL_STS",
            "AWS_PROFILE",
            "AWS_REGION",
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_STS_REGIONAL_ENDPOINTS",
            "AWS_URL",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        }
    ),
    "fly": frozenset({"FLY_API_HOSTNAME", "FLY_API_TOKEN"}),
    "ssh": frozenset({"SSH_AUTH_SOCK"}),
}
_OF_ANY_PROVIDER = frozenset().union(*_OF_PROVIDERS.values())
_SECRET = frozenset(
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "FLY_API_TOKEN"}
)
#: Who works somewhere is what a server is started with. These say where, which is said anew each time, or only how.
_PLACES = frozenset(
    {
        "AWS_CA_BUNDLE",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_REGION",
        "AWS_STS_REGIONAL_ENDPOINTS",
        "SSH_AUTH_SOCK",
    }
)


def for_playbooks(source: Mapping[str, str], provider: str = "") -> dict[str, str]:
    """What a playbook run for this provider may see."""
    its = _OF_PROVIDERS.get(provider, frozenset())
    return {name: value for name, value in source.items() if _common(name) or name in its}


def secrets(source: Mapping[str, str]) -> list[str]:
    """Values among these that no record may show."""
    return [source[name] for name in sorted(_SECRET) if source.get(name)]


def has_credentials(provider: str) -> bool:
    """Whether variables say who works there."""
    return bool(_OF_PROVIDERS.get(provider, frozenset()) - _PLACES)


def identities(source: Mapping[str, str]) -> dict[str, str]:
    """Of each cloud of which something says who works there, a digest of that."""
    said = {
        provider: sorted((name, source[name]) for name in names - _PLACES if source.get(name))
        for provider, names in _OF_PROVIDERS.items()
    }
    return {who: hashlib.sha256(repr(what).encode("utf-8")).hexdigest()[:16] for who, what in said.items() if what}


def besides(theirs: Mapping[str, str], mine: Mapping[str, str]) -> dict[str, str]:
    """What of `theirs` says who works in clouds of which `mine` does not."""
    known = identities(mine)
    names = frozenset().union(*(names for who, names in _OF_PROVIDERS.items() if who not in known))
    return {name: value for name, value in theirs.items() if name in names}


def for_server(source: Mapping[str, str]) -> dict[str, str]:
    """What the embedded server may see: the same, its own settings, and where it finds its parts."""
    return {
        name: value
        for name, value in source.items()
        if _common(name)
        or name in _OF_THE_SERVER
        or name in _OF_ANY_PROVIDER
        or name.startswith(_PREFIXES_OF_THE_SERVER)
    }


def _common(name: str) -> bool:
    known = name in _NAMES or name.lower() in _PROXIES or name.startswith(_PREFIXES)
    return known and name not in _NEVER
