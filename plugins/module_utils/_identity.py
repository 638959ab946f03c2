# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Identity before existence: every name and label is computed from (environment id, attempt), never remembered.

Whoever knows the id can find, repeat or undo everything that was made for an environment, with no database.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Dict

from ._errors import UsageError

#: On everything that is made for one environment.
TAG_MANAGED = "fuel-code:managed"
TAG_ENVIRONMENT = "fuel-code:environment"
TAG_OWNER = "fuel-code:owner"
#: On what environments share and keep (derived images, agent binaries, package caches): never part of a receipt.
TAG_CACHE = "fuel-code:cache"

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def check_environment_id(value: str) -> str:
    """The id in its canonical upper-case form; UsageError when it is no ULID."""
    canonical = value.upper()
    if not _ULID.fullmatch(canonical):
        raise UsageError(f"{value[:64]!r} is not an environment id", hint="an id is a ULID of 26 characters")
    return canonical


def check_environment_name(value: str) -> str:
    """The name unchanged; UsageError unless it is 1 to 40 of a-z, 0-9 and inner hyphens (it becomes a host name)."""
    if not _NAME.fullmatch(value):
        raise UsageError(
            f"{value[:64]!r} cannot name an environment",
            hint="use 1 to 40 characters of a-z, 0-9 and hyphens, neither first nor last a hyphen",
        )
    return value


def environment_id_for(owner: str, name: str) -> str:
    """The id that a run without a control plane uses: a ULID-shaped digest of (owner, name).

    A repeat of `ansible-playbook remote_up.yml` for the same owner and name therefore resumes the same environment.
    """
    digest = int.from_bytes(hashlib.sha256(f"{owner}\0{name}".encode("utf-8")).digest()[:16], "big")
    return "".join(_CROCKFORD[(digest >> shift) & 31] for shift in range(125, -1, -5))


def labels(environment_id: str, owner: str) -> Dict[str, str]:
    """The tags that everything made for this environment carries."""
    return {TAG_MANAGED: "true", TAG_ENVIRONMENT: environment_id, TAG_OWNER: owner}


def idempotency_token(environment_id: str, attempt: int, kind: str) -> str:
    """64 hexadecimal characters for a provider's create call: a repeat of the same attempt makes no second resource."""
    return hashlib.sha256(f"{environment_id}/{attempt}/{kind}".encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class ContainerNames:
    """Names of what one environment owns on one Docker engine."""

    container: str
    network: str
    workspace_volume: str
    image_tag: str

    def service(self, name: str) -> str:
        """Container of the blueprint's service `name`."""
        return f"{self.container}-{name}"


def container_names(environment_id: str, attempt: int = 1) -> ContainerNames:
    """Every name on the engine for this (environment, attempt)."""
    stem = f"fuel-code-{check_environment_id(environment_id).lower()}-{attempt}"
    return ContainerNames(
        container=stem,
        network=stem,
        workspace_volume=f"{stem}-workspace",
        image_tag=f"fuel-code/environment:{environment_id.lower()}-{attempt}",
    )
