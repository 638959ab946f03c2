# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's configuration: what is merged, what wins, what is never taken along."""

from __future__ import annotations

import os

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._config import (
    Wishes,
    looks_secret,
    merge,
    merge_hooks,
    servers_without_secrets,
    settings_for,
    state_for,
    without_secrets,
)
from ansible_collections.fuel_code.remote.plugins.module_utils._coding_agent._home import read_home
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError

WORKSPACE = "/workspaces/app"
#: Put together here, so that no scanner takes this file for a leak.
KEY = "sk-" + "ant-" + "a1b2c3d4" * 4
MINE = {"hooks": [{"type": "command", "command": "echo mine"}]}


def wishes(**more):
    return Wishes(workspace=WORKSPACE, version="2.1.330", **more)


def test_the_blueprint_wins_over_home_and_the_container_over_both():
    wanted = wishes(home_settings={"model": "a", "theme": "dark"}, settings={"model": "b", "x": {"one": 1}})
    merged = settings_for(wanted, {"theme": "light", "x": {"two": 2}})
    assert (merged["model"], merged["theme"], merged["x"]) == ("b", "light", {"one": 1, "two": 2})


def test_our_own_settings_cannot_be_lost():
    merged = settings_for(wishes(settings={"env": {"DISABLE_AUTOUPDATER": "0", "A": "1"}}), {"hooks": {}})
    assert merged["env"]["DISABLE_AUTOUPDATER"] == "1"
    assert merged["env"]["A"] == "1"
    assert "fuel-code/hook session.start" in str(merged["hooks"]["SessionStart"])


def test_settings_are_stable():
    wanted = wishes(
        settings={"hooks": {"Stop": [MINE]}},
        hooks={"Stop": [MINE], "Extra": [MINE]},
        home_settings={"hooks": {"Stop": [MINE]}},
    )
    once = settings_for(wanted, {})
    assert settings_for(wanted, once) == once
    assert once["hooks"]["Stop"].count(MINE) == 1
    assert once["hooks"]["Extra"] == [MINE]


def test_state_answers_the_first_questions_and_is_stable():
    wanted = wishes(mcp_servers={"db": {"command": "db-mcp"}})
    state = state_for(wanted, {"userID": "x", "projects": {"/other": {"a": 1}}}, "k" * 20)
    assert state["hasCompletedOnboarding"] is True
    assert state["projects"][WORKSPACE]["hasTrustDialogAccepted"] is True
    assert state["projects"]["/other"] == {"a": 1}
    assert state["customApiKeyResponses"]["approved"] == ["k" * 20]
    assert state["mcpServers"] == {"db": {"command": "db-mcp"}}
    assert state["userID"] == "x"
    assert state_for(wanted, state, "k" * 20) == state


def test_a_key_that_was_rejected_stays_rejected():
    state = state_for(wishes(), {"customApiKeyResponses": {"rejected": ["k"]}}, "k")
    assert state["customApiKeyResponses"] == {"approved": [], "rejected": ["k"]}


def test_odd_state_in_the_container_does_no_harm():
    state = state_for(wishes(), {"projects": [], "customApiKeyResponses": 3, "mcpServers": "x"}, "k")
    assert state["projects"][WORKSPACE]["hasTrustDialogAccepted"] is True
    assert settings_for(wishes(), {"env": None, "hooks": []})["env"]["DISABLE_AUTOUPDATER"] == "1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", "x"),
        ("DB_PASSWORD", "x"),
        ("api_key", "x"),
        ("OPENAI_APIKEY", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("Authorization", "x"),
        ("X", KEY),
        ("X", "ghp_0123456789012345678901234567890123456"),
        ("X", "postgres://user:hunter2@db/x"),
        ("X", "AKIAIOSFODNN7EXAMPLE"),
        ("X", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ("X", "Bearer abcdefghijklmnop"),
    ],
)
def test_looks_secret(name, value):
    assert looks_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"), [("EDITOR", "vim"), ("NODE_OPTIONS", "--max-old-space-size=4096"), ("URL", "https://a.b/c")]
)
def test_what_does_not(name, value):
    assert not looks_secret(name, value)


def test_settings_lose_credentials_and_what_fetches_them():
    kept, dropped = without_secrets(
        {
            "model": "opus",
            "apiKeyHelper": "/usr/bin/get-key",
            "env": {"EDITOR": "vim", "GITHUB_TOKEN": "x"},
            "statusLine": {"command": "curl -H 'Authorization: Bearer abcdefghijklmnop'"},
        }
    )
    assert kept == {"model": "opus", "env": {"EDITOR": "vim"}}
    assert dropped == ["apiKeyHelper", "env.GITHUB_TOKEN", "statusLine"]


def test_servers_lose_credentials():
    kept, dropped = servers_without_secrets(
        {
            "a": {"command": "a", "env": {"A_TOKEN": "x", "MODE": "ro"}, "oauth": {"clientId": "x"}},
            "b": {"command": "b", "args": ["--key", KEY]},
            "c": {"url": "https://c", "headers": {"Authorization": "Bearer x", "X-Team": "t"}},
            "d": "nonsense",
        }
    )
    assert kept == {"a": {"command": "a", "env": {"MODE": "ro"}}, "c": {"url": "https://c", "headers": {"X-Team": "t"}}}
    assert dropped == ["a.env.A_TOKEN", "b", "c.headers.Authorization"]


def test_merge_and_merge_hooks():
    assert merge({"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [2]}) == {"a": {"b": 1, "d": 2}, "c": [2]}
    assert merge_hooks({"Stop": [1]}, None, "x", {"Stop": [1, 2], "Start": 3}) == {"Stop": [1, 2], "Start": [3]}


def write(path, content="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def caller(tmp_path):
    """A caller's home as it comes: useful things among credentials, history and traps."""
    claude = tmp_path / ".claude"
    write(
        claude / "settings.json", '{"model": "opus", "apiKeyHelper": "x", "env": {"EDITOR": "vim", "NPM_TOKEN": "t"}}'
    )
    write(claude / "CLAUDE.md", "be kind")
    write(claude / "commands" / "review.md", "review")
    write(claude / "skills" / "a" / "SKILL.md", "skill")
    write(claude / "hooks" / "check.sh", "#!/bin/sh\n")
    (claude / "hooks" / "check.sh").chmod(0o755)
    for name in (
        ".credentials.json",
        "history.jsonl",
        "projects/p/session.jsonl",
        "todos/x.json",
        "settings.local.json",
    ):
        write(claude / name, "canary")
    for name in (
        "hooks/.credentials.json",
        "hooks/my-token.txt",
        "agents/deploy.pem",
        "skills/.env",
        "commands/id_ed25519",
    ):
        write(claude / name, "canary")
    write(claude / "commands" / "key.md", f"use canary {KEY}")
    write(claude / "commands" / "large.md", "canary" * 300000)
    write(tmp_path / "outside", "canary")
    (claude / "commands" / "link.md").symlink_to(tmp_path / "outside")
    os.mkfifo(claude / "commands" / "pipe.md")
    (claude / "rules").symlink_to(tmp_path)
    write(
        tmp_path / ".claude.json",
        '{"oauthAccount": "canary", "mcpServers": {"db": {"command": "db", "env": {"DB_PASSWORD": "canary"}}}}',
    )
    return tmp_path


@pytest.mark.parametrize("inner", [False, True])
def test_of_the_callers_home_only_what_is_meant_to_goes_along(caller, inner):
    home = read_home(str(caller / ".claude" if inner else caller))
    assert home.settings == {"model": "opus", "env": {"EDITOR": "vim"}}
    assert home.mcp_servers == {"db": {"command": "db", "env": {}}}
    assert sorted(home.files) == ["CLAUDE.md", "commands/review.md", "hooks/check.sh", "skills/a/SKILL.md"]
    assert home.files["hooks/check.sh"] == (b"#!/bin/sh\n", True)
    assert "canary" not in repr((home.settings, home.mcp_servers, home.files))
    assert "commands/key.md (looks like a credential)" in home.left_out
    assert "settings.json: env.NPM_TOKEN" in home.left_out


def test_a_home_that_is_none_or_broken_is_said_so(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        read_home(str(tmp_path / "nowhere"))
    write(tmp_path / "settings.json", "{broken")
    with pytest.raises(UsageError, match="JSON"):
        read_home(str(tmp_path))
