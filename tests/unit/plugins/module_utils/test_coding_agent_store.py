# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of agents on a machine whose engine is still being installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent import _store
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._registry import Registry, package_of
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._store import Store
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError

PACKAGE, VERSION = package_of("claude-code"), "2.1.330"


class Engine:
    """A Docker engine that comes after `later` pauses; its volume is a folder."""

    def __init__(self, folder, later):
        self.volume = folder / "volume"
        self.volume.mkdir()
        self.later = later
        self.fetched = []

    def pause(self, _seconds):
        self.later -= 1

    def call(self, args, **_):
        if self.later > 0:
            raise FuelError("Docker's command line is not installed on this machine", code="docker_missing")
        answers = {"version": "amd64", "volume": f"2026-01-01\n{self.volume}", "context": "unix:///run/docker.sock"}
        return Completed(list(args), 0, answers[args[0]].encode(), b"")


@pytest.fixture
def registry(monkeypatch):
    """Releases and downloads, as they were asked for."""
    asked = []

    def download(_registry, release, _member, target, _on_bytes):
        asked.append(release)
        Path(target).write_text("#!binary")

    monkeypatch.setattr(_store, "download", download)
    monkeypatch.setattr(Registry, "release", lambda _self, package, version: (package, version))
    monkeypatch.setattr(_store, "architecture_here", lambda: "amd64")
    return asked


def store(engine, folder):
    return Store(engine, Registry(pytest.fail, "https://registry.example"), str(folder / "cache"))


@pytest.mark.parametrize("later", [0, 1, 3])
def test_the_download_does_not_wait_for_the_engine(tmp_path, registry, later):
    engine = Engine(tmp_path, later)
    at = []

    def pause(seconds):
        at.append(len(registry))
        engine.pause(seconds)

    store(engine, tmp_path).fetch_ahead(PACKAGE, VERSION, pause)
    assert at == [1] * later, "it was there before the engine was waited for"
    assert registry == [("@anthropic-ai/claude-code-linux-x64", VERSION)], "once"
    assert (engine.volume / "claude-code" / VERSION / "claude").read_text() == "#!binary"
    assert not store(engine, tmp_path).fetch(PACKAGE, VERSION, print)


def test_an_engine_that_never_comes_is_not_waited_for_without_end(tmp_path, registry):
    engine = Engine(tmp_path, 10**6)
    with pytest.raises(FuelError, match="not installed"):
        store(engine, tmp_path).fetch_ahead(PACKAGE, VERSION, engine.pause)
    engine.later = 0
    assert store(engine, tmp_path).fetch(PACKAGE, VERSION, print)
    assert len(registry) == 1, "what was downloaded is taken"
