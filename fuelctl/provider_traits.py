# SPDX-License-Identifier: GPL-3.0-or-later
"""What a provider's role says of itself, as far as the control plane works differently for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fuelctl import _shared

_NAME = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Traits:
    """`ends_several`: several environments in one run. `has_regions`: an API in regions, with limits of its own.

    `key_names`: key pairs that it makes beside the environment's own. `stops`: its machines can be stopped, and started
    again with what they had. `has_volume`: their disk outlives them, and can be extended and snapshotted.
    """

    ends_several: bool = False
    has_regions: bool = False
    key_names: tuple[str, ...] = ()
    stops: bool = False
    has_volume: bool = False


@cache
def of(provider: str) -> Traits:
    """Read from `roles/provider_<name>`; without a role of that name, nothing is special."""
    folder = Path(next(iter(_shared.__path__))).parent.parent / "roles" / f"provider_{provider}"
    if not _NAME.fullmatch(provider) or not folder.is_dir():
        return Traits()
    specs = _read(folder / "meta" / "argument_specs.yml").get("argument_specs") or {}

    def options(entry: str) -> dict[str, Any]:
        return (specs.get(entry) or {}).get("options") or {}

    names = _read(folder / "vars" / "main.yml").get(f"provider_{provider}__key_names") or ()
    return Traits(
        ends_several="remote_environment_ids" in options("destroy"),
        has_regions=f"provider_{provider}_region" in options("launch"),
        key_names=tuple(str(name) for name in names),
        stops=all((folder / "tasks" / f"{entry}.yml").is_file() for entry in ("start", "stop")),
        has_volume=(folder / "tasks" / "volume.yml").is_file(),
    )


def _read(file: Path) -> dict[str, Any]:
    # The commands know this module too, and most of them never need it.
    import yaml

    found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    return found if isinstance(found, dict) else {}
