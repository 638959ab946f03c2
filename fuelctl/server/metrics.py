# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures for Prometheus: what this server's processes count, and what the database says at the moment it is asked.

Labels are routes, methods, status codes, and an environment's status and operation: none of them grows with users or
environments. With several processes the counts are kept in files that all of them share (PROMETHEUS_MULTIPROC_DIR).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from flask import Flask, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from fuelctl.environments import reaping
from fuelctl.environments.core import Core
from fuelctl.store import figures

if TYPE_CHECKING:
    from fuelctl.server.parts import Parts

#: The library's own name for where the files are.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
#: The database is asked no more often, however many ask us.
_FRESH = 5.0
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)

_registry = CollectorRegistry()
_REQUESTS = Counter("fuelctl_http_requests", "Requests answered.", ("method", "route", "status"), registry=_registry)
_SECONDS = Histogram(
    "fuelctl_http_request_seconds", "Until a request was answered.", ("route",), registry=_registry, buckets=_BUCKETS
)
_FOLLOWERS = Gauge("fuelctl_followers", "Who follows by WebSocket.", registry=_registry, multiprocess_mode="livesum")

_WAITING = Gauge(
    "fuelctl_waiting_requests", "Requests held until there is news.", registry=_registry, multiprocess_mode="livesum"
)


def request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one."""
    _REQUESTS.labels(method if method in _KNOWN_METHODS else "other", route, str(status)).inc()
    _SECONDS.labels(route).observe(seconds)


def followers(count: int) -> None:
    """So many follow in this process now."""
    _FOLLOWERS.set(count)


def waiting(change: int) -> None:
    """So many more requests are held until there is news."""
    _WAITING.inc(change)


def forget(pid: int) -> None:
    """That process has ended: what it is doing, it does no more; what it counted stays."""
    if os.environ.get(SHARED):
        mark_process_dead(pid)  # type: ignore[no-untyped-call] # the library has types but here


def init_app(app: Flask, given: Parts) -> None:
    """Register the route."""
    registry = CollectorRegistry()
    if os.environ.get(SHARED):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library has types but here
    else:
        registry.register(_Own())
    registry.register(_Stored(given.core, given.settings.reaper_seconds))

    def scrape() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    # It is no JSON, and no part of the contract.
    app.add_url_rule("/metrics", "metrics.scrape", scrape)


class _Own(Collector):
    """What this process counted."""

    def collect(self) -> Iterable[Metric]:
        return _registry.collect()


class _Stored(Collector):
    """What the database says."""

    def __init__(self, core: Core, period: float) -> None:
        self._core = core
        self._period = period
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._found: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing: to say what there is, the database would have to be asked at start."""
        return []

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH:
                self._found = list(self._read())
                self._read_at = time.monotonic()
            return self._found

    def _read(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("fuelctl_database_up", "Whether the database answers.")
        try:
            with self._core.database.read() as session:
                found = figures.read(session)
            last = reaping.last(self._core)
        except SQLAlchemyError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        now = self._core.clock().wall
        yield from _environments(found, now)
        yield from _reaper(reaping.shown(last, now, self._period), last)
        workers = GaugeMetricFamily("fuelctl_workers", "Workers that take work; on SQLite the server is its own.")
        if found.workers is not None:
            workers.add_metric([], found.workers)
        yield workers


def _environments(found: figures.Figures, now: float) -> Iterator[Metric]:
    statuses = GaugeMetricFamily("fuelctl_environments", "Environments that have not ended.", labels=["status"])
    for status, count in found.statuses.items():
        statuses.add_metric([status], count)
    yield statuses
    operations = GaugeMetricFamily("fuelctl_operations", "Operations waiting or under way.", labels=["operation"])
    for operation, count in found.operations.items():
        operations.add_metric([operation], count)
    yield operations
    oldest = GaugeMetricFamily("fuelctl_oldest_operation_age_seconds", "Age of the oldest of them; 0 without any.")
    oldest.add_metric([], max(0.0, now - found.oldest_operation) if found.oldest_operation is not None else 0.0)
    yield oldest
    retried = GaugeMetricFamily("fuelctl_endings_retried", "Endings that failed and are tried again.")
    retried.add_metric([], found.retried)
    yield retried
    events = CounterMetricFamily("fuelctl_events_taken_in", "Events logged since the database was made.")
    events.add_metric([], found.events)
    yield events


def _reaper(shown: dict[str, object], last: dict[str, object]) -> Iterator[Metric]:
    age = GaugeMetricFamily("fuelctl_reaper_cycle_age_seconds", "Since the reaper last went round.")
    if isinstance(shown["age_seconds"], float):
        age.add_metric([], shown["age_seconds"])
    yield age
    late = GaugeMetricFamily("fuelctl_reaper_late", "1 when it should have gone round long ago.")
    late.add_metric([], 1 if shown["late"] else 0)
    yield late
    seconds = GaugeMetricFamily("fuelctl_reaper_cycle_seconds", "How long the last round took.")
    if isinstance(last.get("seconds"), float):
        seconds.add_metric([], float(str(last["seconds"])))
    yield seconds
    totals = last.get("totals")
    for name, words in (
        ("cycles", "Rounds of the reaper."),
        ("checked", "Environments that it decided about."),
        ("ended", "Ends that it began."),
        ("failed", "Environments that it could not decide about, or not act on."),
    ):
        total = CounterMetricFamily(f"fuelctl_reaper_{name}", words)
        total.add_metric([], int(totals.get(name, 0)) if isinstance(totals, dict) else 0)
        yield total
