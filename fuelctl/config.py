# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a control plane: table `[control_plane]` of config.toml, then `FUELCTL_<NAME>` of the environment."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from math import inf, isnan
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fuelctl import paths
from fuelctl._shared._errors import UsageError

_TABLE = "control_plane"
#: A list of tables: no variable of the environment can hold it.
_TABLES = "webhooks"
_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Webhook:
    """A receiver: where it is, which events it wants (patterns such as `environment.*`), and what signs them.

    name: in logs and in the outbox; without, the URL's host. secret_file: path of a file that others cannot read.
    """

    url: str
    secret_file: str
    name: str = ""
    events: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class Settings:
    """What can be set, with its default.

    database: URL; empty for SQLite in the state folder. callback_url: this server's address as environments reach it;
    empty when they cannot. reaper_seconds: between two cycles. observe_seconds: between asking the
    machines twice. max_source_bytes, max_body_bytes: upload limits.
    default_ttl_seconds: of a request that says nothing. max_ttl_seconds: nothing lives longer, extended or not.
    max_idle_seconds: nothing stays longer than this while nothing happens in it.
    threads: requests served at a time, followers included.
    month_limit_usd: what one owner's machines may cost in a calendar month, live leases counted to their ends.
    max_environments_per_owner: that live at a time. trusted_proxies: addresses (networks, or `unix`) of reverse proxies
    whose X-Forwarded-For is believed.
    keep_tokens_days: for how long tokens that have expired or were revoked are kept; the audit log always is.
    keep_days: for how long the records of an environment that has ended are kept; its row and receipt always are.
    rescue_grace_seconds: how long after its TTL an environment may be kept from its end by the rescue of its work.
    rescue_bucket: an S3 bucket (or bucket/prefix) for rescues; empty for the control plane's own files. rescue_region:
    the bucket's, where AWS's own settings do not say. rescue_kms_key: of KMS, instead of S3's own key.
    max_log_bytes: of server.log, before it is rotated; three older ones are kept.
    secret_key_file: the key under which secrets and key pairs are kept in the database, one for all servers and workers
    of a team; empty for `secret.key` in the state folder.
    webhooks: who is told what happens, `[[control_plane.webhooks]]`. webhook_networks: receivers in these networks may
    be sent to though they are not public.
    processes: that serve HTTP, on Postgres. max_followers: of the event log by WebSocket at a time.
    ping_seconds: between asking a follower whether it is there. follower_patience_seconds: for which it may leave
    unread what was sent, before it is let go.
    concurrency: playbooks that a worker plays at a time. drain_seconds: for which it waits for them when told to end.
    starts_per_minute: runs that all workers together begin in one region of a cloud.
    metrics_open: whether anybody may read /metrics; otherwise who has a token. log_format: `json` or `text`; empty for
    `json` where the server is reached over TCP.
    """

    database: str = ""
    callback_url: str = ""
    reaper_seconds: float = 60.0
    observe_seconds: float = 60.0
    max_source_bytes: int = 4 * 1024**3
    max_body_bytes: int = 8 * 1024**2
    default_ttl_seconds: int = 8 * 3600
    max_ttl_seconds: int = 30 * 24 * 3600
    max_idle_seconds: float = inf
    threads: int = 64
    month_limit_usd: float = inf
    max_environments_per_owner: float = inf
    trusted_proxies: str = ""
    keep_tokens_days: float = 90.0
    keep_days: float = 30.0
    rescue_grace_seconds: float = 120.0
    rescue_bucket: str = ""
    rescue_region: str = ""
    rescue_kms_key: str = ""
    max_log_bytes: int = 8 * 1024**2
    secret_key_file: str = ""
    webhooks: tuple[Webhook, ...] = ()
    webhook_networks: str = ""
    processes: int = 2
    max_followers: int = 500
    ping_seconds: float = 25.0
    follower_patience_seconds: float = 20.0
    concurrency: int = 8
    drain_seconds: float = 60.0
    starts_per_minute: float = 60.0
    metrics_open: bool = False
    log_format: str = ""

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
        if name != _TABLES and (value := os.environ.get(f"FUELCTL_{name.upper()}")) is not None:
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
        if name == _TABLES:
            values[name] = _webhooks(value, file)
        else:
            values[name] = _typed(name, value, type(getattr(Settings, name)))
    return Settings(**values)


def _typed(name: str, value: Any, kind: type) -> Any:
    try:
        converted = _WORDS[str(value).lower()] if kind is bool else kind(value)
    except (TypeError, ValueError, KeyError) as error:
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
    if name == "log_format" and converted not in ("", "json", "text"):
        raise UsageError(f"{_TABLE}.{name} must be json or text", hint="or leave it out", code="bad_settings")
    return converted


def _webhooks(tables: Any, file: Path) -> tuple[Webhook, ...]:
    """Receivers by `[[control_plane.webhooks]]`; UsageError that names the one at fault."""
    where = f"{_TABLE}.{_TABLES}"
    found: list[Webhook] = []
    for number, table in enumerate(tables if isinstance(tables, list) else [None], 1):
        at = f"{where} {number}"
        if not isinstance(table, dict):
            raise _bad(f"{where} must be a list of tables", f"write [[{where}]] in {file}")
        known = {setting.name for setting in fields(Webhook)}
        unknown = sorted(set(table) - known)
        if unknown:
            raise _bad(f"{at}: {unknown[0]} is not a setting", f"known: {', '.join(sorted(known))}")
        patterns = table.get("events", ["*"])
        texts = [table.get("url"), table.get("secret_file"), table.get("name", "")]
        if not all(isinstance(text, str) for text in texts) or not table["url"] or not table["secret_file"]:
            raise _bad(f"{at} needs a url and a secret_file", "openssl rand -base64 32 > FILE; chmod 600 FILE")
        if not isinstance(patterns, list) or not patterns or not all(isinstance(each, str) for each in patterns):
            raise _bad(f"{at}: events must be a list of patterns", 'such as ["environment.*"]')
        name = table.get("name") or urlsplit(table["url"]).netloc.rpartition("@")[2]
        found.append(Webhook(table["url"], table["secret_file"], name[:64], tuple(patterns)))
    if len({each.name for each in found}) < len(found):
        raise _bad(f"two of {where} have one name", "give each a name of its own")
    return tuple(found)


def _bad(message: str, hint: str) -> UsageError:
    return UsageError(message, where=_TABLE, hint=hint, code="bad_settings")
