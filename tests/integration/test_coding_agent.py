# SPDX-License-Identifier: GPL-3.0-or-later
"""The real agent in a real container: fetched once, configured, run, heard of; no secret of the caller's with it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.urls import open_url

from fuelctl._shared._coding_agent import _store
from fuelctl._shared._coding_agent._present import Agent, Wanted
from fuelctl._shared._coding_agent._registry import Registry, package_of
from fuelctl._shared._coding_agent._store import MOUNT, VOLUME, Store
from fuelctl._shared._docker import Docker
from fuelctl._shared._errors import FuelError
from fuelctl._shared._inside import InContainer
from fuelctl._shared._spool import read_spool
from tests.integration.containers import USER, Box, box, fastest, one_exec, play
from tests.lab.messages_api import SENTENCE, Api, messages_api

pytestmark = pytest.mark.docker
WORKSPACE = "/workspaces/app"
#: Put together here, so that no scanner takes this file for a leak.
KEY = "sk-" + "ant-" + "test-" + "0123456789abcdef" * 3


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agents")


@pytest.fixture(scope="module")
def shared() -> Iterator[Box]:
    # On the host's network, so that the Messages API on loopback can be reached.
    with box("--network", "host", "--volume", f"{VOLUME}:{MOUNT}:ro") as made:
        yield made


@pytest.fixture
def container(shared: Box) -> Box:
    """The module's container as it was before there was an agent in it."""
    # One that a test left on its terminal would go on writing into the home.
    shared.sh(f"pkill -KILL -u {USER} -x claude; while pgrep -u {USER} -x claude; do sleep 0.1; done", user="0")
    shared.sh(
        f"rm -rf /home/{USER}/.claude* /home/{USER}/.ssh/environment /usr/local/bin/claude /usr/local/lib/fuel-code"
        f" /var/lib/fuel-code {WORKSPACE}; install -d -o {USER} {WORKSPACE}",
        user="0",
    )
    return shared


def agent(cache: Path, version: str = "latest") -> Agent:
    return Agent(Store(Docker(), Registry(open_url), str(cache)), "claude-code", version)


def present(cache: Path, container: Box, **wanted: Any) -> dict[str, Any]:
    return agent(cache).present(InContainer(container.name, USER), Wanted(workspace=WORKSPACE, **wanted))


def claude(container: Box, api: Api, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as a login with that key would; the key comes on stdin, so that no command line shows it."""
    script = f'read -r ANTHROPIC_API_KEY; export ANTHROPIC_API_KEY; cd {WORKSPACE}; exec claude "$@" </dev/null'
    argv = ["docker", "exec", "-i", "-u", USER, "-e", f"ANTHROPIC_BASE_URL={api.url}", container.name]
    return subprocess.run(
        [*argv, "bash", "-c", script, "x", *arguments],
        input=KEY + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def test_a_headless_run_is_heard_of_from_start_to_end(cache: Path, container: Box) -> None:
    result = present(cache, container)
    assert result["agent"]["path"] == f"{MOUNT}/claude-code/{result['agent']['version']}/claude"
    with messages_api() as api:
        done = claude(container, api, "-p", "canary-prompt", "--dangerously-skip-permissions")
    assert (done.returncode, done.stdout.strip()) == (0, SENTENCE), done.stderr
    assert set(api.keys) == {KEY}
    assert container.sh(f"cat {WORKSPACE}/made-by-the-agent") == "made by the agent"
    batch = read_spool(InContainer(container.name, USER))
    kinds = [event["type"] for event in batch.events]
    assert kinds == ["session.start", "session.prompt", "tool.start", "tool.end", "session.stop", "session.end"]
    assert len({event["data"]["session"] for event in batch.events}) == 1
    assert batch.events[2]["data"]["tool"] == "Bash"
    told = json.dumps(batch.events)
    assert "canary" not in told
    assert "made-by" not in told
    # Reading again from the beginning gives the same, from the cursor nothing.
    assert read_spool(InContainer(container.name, USER)).events == batch.events
    assert read_spool(InContainer(container.name, USER), batch.cursor).events == []
    # What the agent wrote about itself meanwhile does not look like a change.
    assert present(cache, container)["changed"] is False


@pytest.mark.parametrize("options", [[], ["--dangerously-skip-permissions"]])
def test_on_a_terminal_nothing_is_asked_first(cache: Path, container: Box, options: list[str]) -> None:
    container.sh("umask 077; cat > ~/.ssh/environment", stdin=f"ANTHROPIC_API_KEY={KEY}\n")
    present(cache, container)
    with messages_api() as api:
        argv = ["docker", "exec", "-it", "-u", USER, "-w", WORKSPACE, "-e", f"ANTHROPIC_BASE_URL={api.url}"]
        login = 'export TERM=xterm-256color "$(cat ~/.ssh/environment)"; exec claude "$@"'
        shown = on_terminal([*argv, container.name, "bash", "-c", login, "x", *options], until="/effort")
    for question in ("text style", "trust", "API key", "Bypass Permissions mode", "Do you want", "Login"):
        assert question not in shown, shown
    assert "Claude Code v" in shown


def on_terminal(argv: list[str], until: str) -> str:
    """What a program shows on a terminal of 120 x 40 until a text is there, at most 90 seconds."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    subprocess.run(["stty", "rows", "40", "cols", "120"], stdin=theirs, check=True)
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    shown, deadline = "", time.monotonic() + 90
    try:
        while until not in shown and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                raw = os.read(ours, 65536).decode("utf-8", "replace")
                shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07", " ", raw)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    return re.sub(r"[ \r]+", " ", shown)


def test_module_check_run_check_run(cache: Path, container: Box, tmp_path: Path) -> None:
    arguments = {
        "container": container.name,
        "user": USER,
        "workspace": WORKSPACE,
        "cache_path": str(cache),
        "settings": {"model": "opus"},
    }
    task = {"fuel_code.remote.coding_agent": arguments, "diff": True}
    fetch = {"fuel_code.remote.coding_agent": {"state": "fetched", "cache_path": str(cache)}}
    results = play([fetch, {**task, "check_mode": True}, task, {**task, "check_mode": True}, task], tmp_path)
    assert [result["changed"] for result in results] == [False, True, True, False, False]
    assert "opus" in results[1]["diff"]["after"]
    assert results[4]["diff"] == {}
    [failed] = play(
        [{"fuel_code.remote.coding_agent": {"state": "fetched", "version": "0.0.1", "cache_path": str(cache)}}],
        tmp_path,
    )
    assert failed["error"]["code"] == "no_such_version"
    assert "\n" not in failed["msg"]


def test_a_repeat_is_quick_and_keeps_what_was_changed_inside(cache: Path, container: Box) -> None:
    present(cache, container, settings={"model": "opus"})
    container.sh("cd ~/.claude && sed -i 's/opus/sonnet/' settings.json && cp settings.json /tmp/before")
    assert present(cache, container, settings={"model": "opus"})["changed"] is False
    assert fastest(lambda: present(cache, container, settings={"model": "opus"})) < max(0.5, 8 * one_exec(container))
    assert container.sh("cmp ~/.claude/settings.json /tmp/before && echo same") == "same"
    # What was broken is repaired.
    container.sh("rm /usr/local/bin/claude", user="0")
    assert present(cache, container)["changed"] is True
    assert container.sh("claude --version").startswith(agent_version(cache))


def agent_version(cache: Path) -> str:
    return Store(Docker(), Registry(open_url), str(cache)).resolve(package_of("claude-code"), "latest")


def test_the_callers_home_goes_along_without_its_secrets(cache: Path, container: Box, tmp_path: Path) -> None:
    home = tmp_path / "home" / ".claude"
    (home / "commands").mkdir(parents=True)
    (home / "commands" / "review.md").write_text("review it")
    (home / "CLAUDE.md").write_text("be kind")
    (home / "settings.json").write_text(
        json.dumps({"env": {"GITHUB_TOKEN": "canary-1", "EDITOR": "vim"}, "apiKeyHelper": "canary-2"})
    )
    (home / ".credentials.json").write_text('{"claudeAiOauth": {"accessToken": "canary-3"}}')
    (home / "commands" / ".credentials.json").write_text("canary-4")
    servers = {"db": {"command": "db-mcp", "env": {"DB_PASSWORD": "canary-5"}}}
    (home.parent / ".claude.json").write_text(json.dumps({"mcpServers": servers, "oauthAccount": "canary-6"}))
    container.sh("umask 077; cat > ~/.ssh/environment", stdin=f"ANTHROPIC_API_KEY={KEY}\n")
    result = present(cache, container, home=str(home.parent), mcp_servers={"own": {"command": "own-mcp"}})
    files = container.sh("cd ~; find .claude .claude.json -type f | sort").splitlines()
    assert files == [".claude.json", ".claude/CLAUDE.md", ".claude/commands/review.md", ".claude/settings.json"]
    everything = container.sh(
        f"find /home/{USER}/.claude* /var/lib/fuel-code /usr/local/lib/fuel-code -type f -exec cat {{}} +",
        user="0",
    )
    assert "canary" not in everything
    assert KEY not in everything
    assert "canary" not in json.dumps(result)
    assert KEY not in json.dumps(result)
    state = json.loads(container.sh("cat ~/.claude.json"))
    assert sorted(state["mcpServers"]) == ["db", "own"]
    assert state["customApiKeyResponses"]["approved"] == [KEY[-20:]]
    assert container.sh("stat -c '%a %U' ~/.claude.json ~/.claude/settings.json | sort -u") == f"600 {USER}"
    assert (
        KEY
        not in subprocess.run(["docker", "inspect", container.name], capture_output=True, text=True, check=True).stdout
    )


def test_hooks_of_the_blueprint_run_beside_ours(cache: Path, container: Box) -> None:
    hooks = {"UserPromptSubmit": [{"hooks": [{"type": "command", "command": f"echo ran > {WORKSPACE}/hook-ran"}]}]}
    present(cache, container, hooks=hooks)
    with messages_api() as api:
        claude(container, api, "-p", "go", "--dangerously-skip-permissions")
    assert container.sh(f"cat {WORKSPACE}/hook-ran") == "ran"
    assert "session.prompt" in [event["type"] for event in read_spool(InContainer(container.name, USER)).events]


def test_two_fetches_at_once_pay_once_and_a_killed_one_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a volume of this test's own, both with and without access to where the engine keeps it."""
    volume = f"fuel-test-agents-{os.getpid()}"
    monkeypatch.setattr(_store, "VOLUME", volume)
    fetched: list[str] = []
    monkeypatch.setattr(
        _store,
        "download",
        lambda _registry, _release, _member, target, _told: (fetched.append(target), stand_in(target)),
    )
    package, version = package_of("claude-code"), agent_version(tmp_path)
    try:
        for number, here in enumerate((True, False)):
            monkeypatch.setattr(Store, "_engine_is_here", lambda _self, here=here: here)
            monkeypatch.setattr(os.path, "exists", hide(volume) if not here else os.path.exists)
            folder = tmp_path / str(number)
            subprocess.run(["docker", "volume", "rm", "--force", volume], check=True, capture_output=True)
            with ThreadPoolExecutor(2) as pool:
                stores = [Store(Docker(), Registry(open_url), str(folder)) for _turn in range(2)]
                done = list(pool.map(lambda store: store.fetch(package, version, lambda _text: None), stores))
            assert sorted(done) == [False, True]
            assert len(fetched) == number + 1
            assert Store(Docker(), Registry(open_url), str(folder)).fetch(package, version, lambda _text: None) is False
            with box("--volume", f"{volume}:{MOUNT}:ro") as other:
                path = f"{MOUNT}/claude-code/{version}/claude"
                assert other.sh(f"{path}; stat -c %a {path}") == f"{version} (stand-in)\n755"
        labels = subprocess.run(["docker", "volume", "inspect", volume], capture_output=True, check=True)
        assert json.loads(labels.stdout)[0]["Labels"] == {"fuel-code:cache": "true"}
        left = [
            "docker",
            "ps",
            "--all",
            "--quiet",
            "--filter",
            "label=fuel-code:carrier",
            "--filter",
            f"volume={volume}",
        ]
        assert subprocess.run(left, capture_output=True, check=True).stdout == b""
    finally:
        subprocess.run(["docker", "volume", "rm", "--force", volume], check=False, capture_output=True)


def stand_in(target: str) -> None:
    version = re.search(r"\d+\.\d+\.\d+", Path(target).name)
    Path(target).write_text(f"#!/bin/sh\necho '{version and version.group()} (stand-in)'\n")
    Path(target).chmod(0o755)


def hide(volume: str) -> Any:
    """os.path.exists of somebody who cannot look into the engine's folders."""
    exists = os.path.exists
    return lambda path: False if volume in str(path) else exists(path)


def test_without_the_volume_or_the_user_one_line_says_so(cache: Path) -> None:
    with box() as bare:
        with pytest.raises(FuelError, match="is not in the container"):
            present(cache, bare)
        with pytest.raises(FuelError, match="there is no user nobody-here"):
            agent(cache).present(InContainer(bare.name, "nobody-here"), Wanted(workspace=WORKSPACE))


def test_the_token_of_the_callback_is_only_in_its_file(cache: Path, container: Box, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-token-0123456789\n")
    where = {"events_url": "http://127.0.0.1:9/api/remote/X/events", "events_token_file": str(tmp_path / "token")}
    result = present(cache, container, **where)
    assert "canary-token" not in json.dumps(result)
    assert container.sh(
        "grep -rl canary-token / --include='*' -s --exclude-dir=proc --exclude-dir=sys", user="0", check=False
    ) == ("/var/lib/fuel-code/callback/header")
    assert (
        container.sh("stat -c '%a %U' /var/lib/fuel-code/callback/header /var/lib/fuel-code/callback/url | sort -u")
        == f"600 {USER}"
    )
    assert present(cache, container, **where)["changed"] is False
    assert present(cache, container)["changed"] is True
    assert container.sh("ls /var/lib/fuel-code/callback/url 2>/dev/null || true") == ""


def test_the_scripts_are_sound_shell() -> None:
    from fuelctl._shared import _spool
    from fuelctl._shared._workspace import _scripts

    checker = shutil.which("shellcheck") or str(Path(sys.executable).parent / "shellcheck")
    for script in (_spool.HOOK_SCRIPT, _spool.PUSH_SCRIPT, _scripts.LFS_CLEAN, _scripts.LFS_SMUDGE):
        done = subprocess.run(
            [checker, "--severity=warning", "-"], input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
