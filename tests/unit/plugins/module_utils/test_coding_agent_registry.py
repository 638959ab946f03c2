# SPDX-License-Identifier: GPL-3.0-or-later
"""The npm registry, on a real HTTP server that can break off, lie and be slow to say so."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible.module_utils.urls import open_url
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent import _registry
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._registry import (
    Registry,
    check_version,
    download,
    package_of,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError

BINARY = os.urandom(3000000)
PACKAGE = "@anthropic-ai/claude-code-linux-x64"


def package(content=BINARY, name="package/claude"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, data in (("package/package.json", b"{}"), (name, content), ("package/README.md", b"x")):
            info = tarfile.TarInfo(member)
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Npm:
    """One package in one version; `break_at` ends a download early, once."""

    def __init__(self):
        self.tgz = package()
        self.integrity = "sha512-" + base64.b64encode(hashlib.sha512(self.tgz).digest()).decode()
        self.break_at = None
        self.ranges = True
        self.requests = []
        self.metadata = None
        self.url = ""

    def document(self):
        if self.metadata is not None:
            return self.metadata
        return {"version": "2.1.330", "dist": {"tarball": f"{self.url}/x.tgz", "integrity": self.integrity}}


@pytest.fixture
def npm():
    state = Npm()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            state.requests.append((self.path, asked))
            if self.path.endswith("/x.tgz"):
                self.package(int(asked[6:-1]) if asked and state.ranges else 0, asked)
            elif self.path in (f"/{PACKAGE.replace('/', '%2F')}/2.1.330", f"/{PACKAGE.replace('/', '%2F')}/latest"):
                self.answer(200, json.dumps(state.document()).encode())
            else:
                self.answer(404, b"{}")

        def package(self, start, asked):
            if asked and start >= len(state.tgz):
                self.answer(416, b"")
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(state.tgz) - start))
            self.end_headers()
            end, state.break_at = state.break_at or len(state.tgz), None
            self.wfile.write(state.tgz[start:end])

        def answer(self, code, content):
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(_registry.time, "sleep", lambda _seconds: None)


def fetch(npm, tmp_path, told=None):
    registry = Registry(open_url, npm.url)
    release = registry.release(PACKAGE, "latest")
    download(registry, release, "package/claude", str(tmp_path / "claude"), told or (lambda *_numbers: None))
    return (tmp_path / "claude").read_bytes()


def test_a_package_is_unpacked_and_verified(npm, tmp_path):
    told = []
    assert fetch(npm, tmp_path, lambda *numbers: told.append(numbers)) == BINARY
    assert os.access(tmp_path / "claude", os.X_OK)
    assert not (tmp_path / "claude.part").exists()
    assert told[-1] == (len(npm.tgz), len(npm.tgz))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(npm, tmp_path, ranges):
    npm.break_at, npm.ranges = 1500000, ranges
    assert fetch(npm, tmp_path) == BINARY
    ranges_asked = [asked for path, asked in npm.requests if path == "/x.tgz"]
    assert ranges_asked == [None, "bytes=1500000-"]


def test_what_an_earlier_run_kept_is_not_fetched_again(npm, tmp_path):
    (tmp_path / "claude.part").write_bytes(npm.tgz[:2000000])
    assert fetch(npm, tmp_path) == BINARY
    assert npm.requests[-1] == ("/x.tgz", "bytes=2000000-")
    (tmp_path / "claude.part").write_bytes(npm.tgz)
    assert fetch(npm, tmp_path) == BINARY


def test_a_damaged_rest_of_an_earlier_run_is_thrown_away(npm, tmp_path):
    (tmp_path / "claude.part").write_bytes(b"x" * 1000)
    assert fetch(npm, tmp_path) == BINARY


def test_another_content_than_the_checksum_is_refused(npm, tmp_path):
    npm.tgz = package(b"evil")
    with pytest.raises(FuelError, match="checksum") as caught:
        fetch(npm, tmp_path)
    assert caught.value.code == "package_damaged"
    assert not (tmp_path / "claude").exists()
    assert not (tmp_path / "claude.part").exists()


def test_a_package_without_the_binary_is_refused(npm, tmp_path):
    npm.tgz = package(name="package/other")
    npm.integrity = "sha512-" + base64.b64encode(hashlib.sha512(npm.tgz).digest()).decode()
    with pytest.raises(FuelError):
        fetch(npm, tmp_path)
    assert not (tmp_path / "claude").exists()


def test_a_version_that_is_none(npm):
    with pytest.raises(FuelError, match="has no version 9") as caught:
        Registry(open_url, npm.url).release(PACKAGE, "9.9.9")
    assert caught.value.code == "no_such_version"


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        {},
        {"version": "2.1.330", "dist": {"tarball": "file:///etc/passwd", "integrity": "sha512-x"}},
        {"version": "2.1.330", "dist": {"tarball": "http://127.0.0.1/x", "integrity": "sha1-x"}},
        {"version": "../../x", "dist": {"tarball": "http://127.0.0.1/x", "integrity": "sha512-x"}},
        {"version": "latest", "dist": {"tarball": "http://127.0.0.1/x", "integrity": "sha512-x"}},
    ],
)
def test_an_answer_that_is_not_what_it_should_be(npm, metadata):
    npm.metadata = metadata
    with pytest.raises((FuelError, UsageError)):
        Registry(open_url, npm.url).release(PACKAGE, "latest")


def test_nobody_there():
    with pytest.raises(FuelError, match="cannot be reached") as caught:
        Registry(open_url, "http://127.0.0.1:9").release(PACKAGE, "latest")
    assert caught.value.code == "registry_unreachable"


def test_which_registry(monkeypatch):
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    monkeypatch.delenv("npm_config_registry", raising=False)
    assert Registry(open_url).url == "https://registry.npmjs.org"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://npm.example.com/")
    assert Registry(open_url).url == "https://npm.example.com"
    assert Registry(open_url, "http://127.0.0.1:1").url == "http://127.0.0.1:1"
    for bad in ("file:///x", "npm.example.com", "https://a b/", "https:///x"):
        with pytest.raises(UsageError):
            Registry(open_url, bad)


def test_platforms_names_and_versions():
    agent = package_of("claude-code")
    assert agent.for_platform("amd64") == PACKAGE
    assert agent.for_platform("arm64") == "@anthropic-ai/claude-code-linux-arm64"
    with pytest.raises(FuelError, match="no binary for riscv64"):
        agent.for_platform("riscv64")
    with pytest.raises(UsageError):
        package_of("other")
    for good in ("latest", "2.1.330", "2.1.330-beta.1"):
        assert check_version(good) == good
    for bad in ("", "2", "../x", "2.1.330/x", "next", "2.1.330 x"):
        with pytest.raises(UsageError):
            check_version(bad)
