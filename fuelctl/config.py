# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a control plane: table `[control_plane]` of config.toml, then `FUELCTL_<NAME>` of the environment."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from math import inf, isnan
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl._shared._errors import UsageError

_TABLE = "control_plane"
_KINDS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Settings:
    """What can be set, with its default.

    database: URL; empty for SQLite in the state folder. callback_url: this server's address as environments reach it;
    empty when they cannot. reaper_seconds: between two cycles. observe_seconds: between asking the
    machines twice. max_source_bytes, max_body_bytes: upload limits.
    max_ttl_seconds: nothing lives longer. threads: requests served at a time, followers included.
    month_limit_usd: what one owner's machines may cost in a calendar month, live leases counted to their ends.
    max_environments_per_owner: that live at a time. trusted_proxies: addresses (networks, or `unix`) of reverse proxies
    whose X-Forwarded-For is believed.
    keep_days: for how long the records of an environment that has ended are kept; its row and receipt always are.
    max_log_bytes: of server.log, before it is rotated; three older ones are kept.
    secret_key_file: the key under which secrets and key pairs are kept in the database, one for all servers and workers
    of a team; empty for `secret.key` in the state folder.
    """

    database: str = ""
    callback_url: str = ""
    reaper_seconds: float = 60.0
    observe_seconds: float = 60.0
    max_source_bytes: int = 4 * 1024**3
    max_body_bytes: int = 8 * 1024**2
    max_ttl_seconds: int = 30 * 24 * 3600
    threads: int = 64
    month_limit_usd: float = inf
    max_environments_per_owner: float = inf
    trusted_proxies: str = ""
    keep_days: float = 30.0
    max_log_bytes: int = 8 * 1024**2
    secret_key_file: str = ""

    def key_file(self) -> Path:
        """The key's file (0600)."""
        return Path(self.secret_key_file).expanduser() if self.secret_key_file else paths.secret_key_file()


def load(file: Path | None = None) -> Settings:
    """The settings of this user; UsageError that names the line at fault."""
    file = file or paths.config_file()
    given: dict[str, Any] = {}
    if file.exists():
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8")).get(_TABLE, {})
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(
                f"Cannot read the settings: {error}",
                where=str(file),
                hint="correct that line, or move the file away",
                code="bad_settings",
            ) from error
        if not isinstance(table, dict):
            raise UsageError(
                f"{_TABLE} must be a table", where=str(file), hint=f"write [{_TABLE}]", code="bad_settings"
            )
        given |= table
    known = {setting.name: setting for setting in fields(Settings)}
    for name in known:
        if (value := os.environ.get(f"FUELCTL_{name.upper()}")) is not None:
            given[name] = value
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(
                f"{_TABLE}.{name} is not a setting",
                where=str(file),
                hint=f"known: {', '.join(known)}",
                code="bad_settings",
            )
        values[name] = _typed(name, value, type(getattr(Settings, name)))
    return Settings(**values)


def _typed(name: str, value: Any, kind: type) -> Any:
    try:
        converted = kind(value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{_TABLE}.{name} must be {_KINDS.get(kind, 'text')}",
            hint=f"correct it in {paths.config_file()}, or in FUELCTL_{name.upper()}",
            code="bad_settings",
        ) from error
    if kind in (int, float) and (isnan(converted) or converted <= 0):
        raise UsageError(
            f"{_TABLE}.{name} must be more than 0",
            hint=f"correct it in {paths.config_file()}, or in FUELCTL_{name.upper()}",
            code="bad_settings",
        )
    return converted
