# SPDX-License-Identifier: GPL-3.0-or-later
"""MCP servers of a blueprint: shapes that the agent takes, and secrets by their names alone."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _blueprint
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.document import parse

KEY = "sk-" + "a" * 24


def found(server, secrets=("API_KEY",), name="one"):
    data = {"secrets": list(secrets), "agent": {"mcp_servers": {name: server}}}
    return [problem.path.replace("agent.mcp_servers.one", "", 1) for problem in _blueprint.validate(data)]


@pytest.mark.parametrize(
    "server",
    [
        {"command": "node", "args": ["server.mjs", "--port", "1"]},
        {"command": "it's $(id)", "args": ["; rm -rf /", "a\nb"], "env": {"GREETING": "${HOME:-none}"}},
        {"command": "mcp", "env": {"TOKEN": "${API_KEY}", "AUTHOR": "me", "API_KEY": "${API_KEY:-}"}},
        {"type": "http", "url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer ${API_KEY}"}},
        {"command": "mcp", "timeout": 5, "of_tomorrow": {"a": [1]}},
    ],
    ids=str,
)
def test_good(server):
    assert found(server) == []


@pytest.mark.parametrize(
    ("path", "server"),
    [
        ("", ["node"]),
        ("", None),
        ("", {}),
        ("", {"command": "a", "url": "https://a"}),
        (".command", {"command": ""}),
        (".command", {"command": "a\nb"}),
        (".command", {"command": 5}),
        (".url", {"url": "file:///etc/passwd"}),
        (".url", {"url": "https://a b"}),
        (".args", {"command": "a", "args": "b"}),
        (".args", {"command": "a", "args": [1]}),
        (".args", {"command": "a", "args": ["\0"]}),
        (".env", {"command": "a", "env": ["A=b"]}),
        (".env", {"command": "a", "env": {"A": 1}}),
        (".env", {"command": "a", "env": {"A=B": "1"}}),
        (".headers", {"url": "https://a", "headers": {"A": None}}),
        (".env.TOKEN", {"command": "a", "env": {"TOKEN": "hunter2"}}),
        (".env.X", {"command": "a", "env": {"X": KEY}}),
        (".headers.X-Api-Key", {"url": "https://a", "headers": {"X-Api-Key": "hunter2"}}),
        (".headers.authorization", {"url": "https://a", "headers": {"authorization": "hunter2"}}),
        (".args[1]", {"command": "a", "args": ["--key", KEY]}),
        (".args[0]", {"command": "a", "args": ["--key=${API_KEY}"]}),
        (".args[0]", {"command": "a", "args": ["--key=${API_KEY:-none}"]}),
        (".command", {"command": "run-${API_KEY}"}),
        (".url", {"url": "https://a/?key=${API_KEY}"}),
        (".url", {"url": "https://me:secret@example.com/"}),
    ],
    ids=str,
)
def test_bad(path, server):
    assert found(server) == [path]


@pytest.mark.parametrize("name", ["", "-x", "a b", "ä", "a" * 65, "../up", "a\n"])
def test_names(name):
    assert len(found({"command": "a"}, name=name)) == 1


def test_a_problem_has_its_line():
    text = b"agent:\n  mcp_servers:\n    one:\n      command: a\n      args:\n        - --key=${K}\nsecrets: [K]\n"
    document = parse(text, "env.yaml")
    [problem] = _blueprint.validate(document.data, document)
    assert (problem.path, problem.line) == ("agent.mcp_servers.one.args[0]", 6)
