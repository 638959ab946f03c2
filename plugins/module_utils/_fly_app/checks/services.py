# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Services: encryption, health checks, limits, Machines that stop and start, ports that nobody should reach."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Optional

from ..project import App, strings
from ..report import Finding, finding
from ..schema_walk import shown
from ..toml_lines import Path

#: Ports of databases and the like, which answer to whoever knocks.
DATABASES = {
    1433: "SQL Server",
    2379: "etcd",
    3306: "MySQL",
    5432: "Postgres",
    5433: "Postgres",
    5984: "CouchDB",
    6379: "Redis",
    6380: "Redis",
    7474: "Neo4j",
    7687: "Neo4j",
    8086: "InfluxDB",
    8123: "ClickHouse",
    9042: "Cassandra",
    9092: "Kafka",
    9200: "Elasticsearch",
    11211: "Memcached",
    26257: "CockroachDB",
    27017: "MongoDB",
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def check(app: App) -> Iterator[Finding]:
    """Every finding about how an app is reached."""
    if not app.file:
        return
    for path, service in app.services():
        http = path[0] == "http_service"
        yield from _encryption(app, path, service, http)
        yield from _database(app, path, service)
        yield from _limits(app, path, service, http)
        yield from _stopping(app, path, service)
    yield from _health(app)


def _encryption(app: App, path: Path, service: Dict[str, Any], http: bool) -> Iterator[Finding]:
    if http:
        if service.get("force_https") is not True:
            line = app.line(*path, "force_https")
            yield finding("no-https", app.file, line, "http_service answers plain HTTP: force_https is not true")
        return
    ports = list(app.many(*path, "ports"))
    if not ports and "ports" not in service:
        yield finding("service-without-port", app.file, app.line(*path), f"{shown(path)} has no ports")
    tls = any("tls" in strings(port.get("handlers")) for _place, port in ports)
    for place, port in ports:
        handlers = strings(port.get("handlers"))
        if "http" not in handlers or "tls" in handlers:
            continue
        line = app.line(*place, "handlers")
        if not tls:
            yield finding("http-without-tls", app.file, line, f"{shown(path)} speaks only plain HTTP")
        elif port.get("force_https") is not True:
            yield finding(
                "no-https", app.file, line, f"port {port.get('port', '')} answers plain HTTP: force_https is not true"
            )


def _database(app: App, path: Path, service: Dict[str, Any]) -> Iterator[Finding]:
    stated = [("internal_port", app.line(*path, "internal_port"), service.get("internal_port"))]
    stated += [("port", app.line(*place, "port"), port.get("port")) for place, port in app.many(*path, "ports")]
    for _name, line, port in stated:
        if isinstance(port, int) and port in DATABASES:
            yield finding(
                "exposed-database",
                app.file,
                line,
                f"{shown(path)} opens port {port} ({DATABASES[port]}) to the internet",
            )
            return


def _limits(app: App, path: Path, service: Dict[str, Any], http: bool) -> Iterator[Finding]:
    limits = service.get("concurrency")
    if not isinstance(limits, dict):
        if "concurrency" not in service and service.get("protocol") != "udp":
            yield finding(
                "no-concurrency-limit",
                app.file,
                app.line(*path),
                f"{shown(path)} has no concurrency limits",
                f"add [{shown(path[:1])}.concurrency] with type, soft_limit and hard_limit",
            )
        return
    line = app.line(*path, "concurrency")
    soft, hard = limits.get("soft_limit"), limits.get("hard_limit")
    if isinstance(soft, int) and isinstance(hard, int) and soft > hard:
        yield finding(
            "concurrency-limits",
            app.file,
            app.line(*path, "concurrency", "soft_limit"),
            f"soft_limit {soft} is above hard_limit {hard}",
        )
    if "soft_limit" not in limits and "hard_limit" not in limits:
        yield finding(
            "no-concurrency-limit", app.file, line, f"{shown(path)}.concurrency has neither soft_limit nor hard_limit"
        )
    if http and limits.get("type", "connections") == "connections":
        where = app.line(*path, "concurrency", "type")
        yield finding("concurrency-connections", app.file, where, "concurrency counts connections of an HTTP service")


def _stopping(app: App, path: Path, service: Dict[str, Any]) -> Iterator[Finding]:
    stop = service.get("auto_stop_machines")
    stops = stop in ("stop", "suspend", True)
    line = app.line(*path, "auto_stop_machines")
    least = service.get("min_machines_running", 0)
    if stops and service.get("auto_start_machines") is False:
        yield finding(
            "autostop-without-autostart",
            app.file,
            app.line(*path, "auto_start_machines"),
            "Machines stop by themselves and are never started",
        )
    if not stops and isinstance(least, int) and least > 0:
        where = app.line(*path, "min_machines_running")
        yield finding(
            "min-machines-without-autostop",
            app.file,
            where,
            "min_machines_running has no effect: nothing stops Machines",
        )
    if stop == "suspend":
        reason = _not_suspended(app)
        if reason:
            yield finding("suspend-impossible", app.file, line, f"Machines cannot be suspended: {reason}")
    mounted = app.mounted(service)
    if stops and app.production and isinstance(least, int) and least < 2 and not mounted:
        where = app.line(*path, "min_machines_running") if "min_machines_running" in service else line
        yield finding(
            "single-machine",
            app.file,
            where,
            f"as few as {least} Machine{'s' if least != 1 else ''} may be running in production",
        )
    if mounted and isinstance(least, int) and least > 1:
        where = app.line(*path, "min_machines_running")
        yield finding("volume-with-machines", app.file, where, f"{least} Machines with a volume each")


def _not_suspended(app: App) -> str:
    if app.data.get("swap_size_mb"):
        return "swap_size_mb is set"
    for _path, machine in app.many("vm"):
        if machine.get("gpu_kind") or machine.get("gpus"):
            return "they have a GPU"
        memory = megabytes(machine.get("memory", machine.get("memory_mb")))
        if memory and memory > 2048:
            return f"they have {memory} MB of memory"
    return ""


def megabytes(value: Any) -> Optional[int]:
    """A size of memory in MB; None when it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.match(r"^([0-9.]+) ?([kmgt]?)i?b?$", value.lower()) if isinstance(value, str) else None
    if not match:
        return None
    return int(
        float(match.group(1))
        * {"k": 1 / 1024, "": 1 if value.isdigit() else 1 / 1048576, "m": 1, "g": 1024, "t": 1048576}[match.group(2)]
    )


def seconds(value: Any, unit: float = 1e-3) -> Optional[float]:
    """A duration in seconds; a plain number counts in `unit`."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value * unit
    if isinstance(value, str):
        if value.isdigit():
            return int(value) * unit
        parts = _DURATION.findall(value)
        if parts and "".join(number + name for number, name in parts) == value:
            return sum(float(number) * _UNITS[name] for number, name in parts)
    return None


def checks_of(app: App, path: Path) -> List["tuple[Path, Dict[str, Any]]"]:
    """Every health check of a service."""
    names = ("checks",) if path[0] == "http_service" else ("http_checks", "tcp_checks")
    return [item for name in names for item in app.many(*path, name)]


def _health(app: App) -> Iterator[Finding]:
    top = [(("checks", name), check) for name, check in app.table("checks").items() if isinstance(check, dict)]
    for path, service in app.services():
        own = checks_of(app, path)
        groups = set(strings(service.get("processes"))) or set(app.groups)
        shared = [
            check for _place, check in top if not check.get("processes") or groups & set(strings(check["processes"]))
        ]
        if not own and not shared and not list(app.many(*path, "machine_checks")) and service.get("protocol") != "udp":
            kind = "[[http_service.checks]]" if path[0] == "http_service" else "[[services.http_checks]]"
            yield finding(
                "no-health-check",
                app.file,
                app.line(*path),
                f"{shown(path)} has no health check",
                f"add {kind} with the path of a route that answers 200",
            )
        for place, check in own:
            yield from _timing(app, place, check)
    for place, check in top:
        yield from _timing(app, place, check)


def _timing(app: App, path: Path, check: Dict[str, Any]) -> Iterator[Finding]:
    name = shown(path)
    if "grace_period" not in check:
        yield finding("no-grace-period", app.file, app.line(*path), f"{name} has no grace_period")
    interval, timeout = seconds(check.get("interval")), seconds(check.get("timeout"))
    if interval is not None and timeout is not None and timeout >= interval:
        yield finding(
            "check-timing",
            app.file,
            app.line(*path, "timeout"),
            f"{name}: timeout ({check['timeout']}) is not shorter than interval ({check['interval']})",
        )
    if interval is not None and interval < 1:
        yield finding(
            "check-timing",
            app.file,
            app.line(*path, "interval"),
            f"{name}: interval {check['interval']} is less than a second (a plain number means milliseconds)",
        )
    for key in ("interval", "timeout", "grace_period"):
        value = seconds(check.get(key))
        if value is not None and value > 60:
            yield finding(
                "check-timing", app.file, app.line(*path, key), f"{name}: {key} {check[key]} is lowered to one minute"
            )
