# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner, with real playbooks: nothing in a variable is code, nothing secret stays, nothing survives."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fuelctl import _reserved, _run_files
from fuelctl._shared._errors import UsageError
from fuelctl.runner import FileOf, RunResult, run_playbook
from tests.fuelctl.test_supervise import alive, wait_until

SECRET = "canary-runner-55120"


def play(
    tmp_path: Path, tasks: str, variables: Mapping[str, Any] | None = None, **options: Any
) -> tuple[RunResult, list[dict[str, Any]]]:
    """Run a playbook of these tasks."""
    playbook = tmp_path / "play.yml"
    playbook.write_text(f"- hosts: localhost\n  gather_facts: false\n  tasks:\n{tasks}")
    told: list[dict[str, Any]] = []
    given: dict[str, Any] = {
        "variables": variables or {},
        "secrets": {},
        "record": tmp_path / "runs" / "1",
        "locks": [tmp_path / "lock"],
        "on_events": told.extend,
        **options,
    }
    return run_playbook(str(playbook), **given), told


def payloads(pwned: Path) -> list[str]:
    """Texts that run a command when they are taken for a template."""
    call = f"lookup('pipe', 'touch {pwned}')"
    return [
        "{{ " + call + " }}",
        "{% set x = " + call + " %}{{ x }}",
        "{{ lookup('ansible.builtin.pipe', 'touch " + str(pwned) + "') | default('') }}",
        "#jinja2: variable_start_string: '[['\n[[ " + call + " ]]",
        "!unsafe {{ " + call + " }}",
        '{"__ansible_unsafe": "{{ ' + call + ' }}"}',
    ]


def test_code_in_any_variable_is_never_run(tmp_path: Path) -> None:
    pwned = tmp_path / "pwned"
    texts = payloads(pwned)
    variables = {"remote_text": texts[0], "remote_deep": {text: [{"value": text}, [text]] for text in texts}}
    tasks = f"""
    - ansible.builtin.debug: {{msg: "{{{{ remote_text }}}} {{{{ remote_deep }}}}"}}
    - ansible.builtin.copy: {{content: "{{{{ remote_deep | to_json }}}}", dest: "{tmp_path}/copy", mode: "0600"}}
    - ansible.builtin.set_fact: {{again: "{{{{ remote_text }}}}"}}
    - ansible.builtin.debug: {{msg: "{{{{ again }}}}{{{{ remote_deep.keys() | list }}}}"}}
    - ansible.builtin.command: {{argv: ["true", "{{{{ again }}}}"]}}
"""
    result, _events = play(tmp_path, tasks, variables)
    assert result.status == "ok", result.failure
    assert not pwned.exists()
    assert str(pwned) in (tmp_path / "copy").read_text()


def test_what_a_machine_returns_as_facts_becomes_no_variable(tmp_path: Path) -> None:
    """Who works in it may be root there: it must not choose what a role reads on this machine."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "forge.py").write_text(
        '#!/usr/bin/python\nprint(\'{"ansible_facts": {"of_a_role": "forged"}}\')\n'
    )
    tasks = """
    - forge:
    - ansible.builtin.assert: {that: of_a_role is not defined}
"""
    result, _events = play(tmp_path, tasks)
    assert result.status == "ok", result.failure


@pytest.mark.parametrize(
    "magic",
    [
        lambda text: {"__ansible_unsafe": text},
        lambda text: {"__ansible_vault": text},
        lambda text: [{"a": {"__ansible_type": "x", "value": text}}],
    ],
)
def test_a_key_that_ansibles_reader_knows_is_refused_and_would_not_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, magic: Callable[[str], Any]
) -> None:
    pwned = tmp_path / "pwned"
    variables = {"remote_text": magic(payloads(pwned)[0])}
    tasks = "    - ansible.builtin.debug: {msg: '{{ remote_text }}'}\n"
    with pytest.raises(UsageError, match="reserved"):
        play(tmp_path, tasks, variables)
    # Were one to get past that check, the file must fail to load and not be read as YAML, where all text is a template.
    monkeypatch.setattr(_reserved, "check_keys", lambda *_: None)
    result, _events = play(tmp_path, tasks, variables)
    assert result.status == "failed"
    assert not pwned.exists()


def _holds(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes()
    except FileNotFoundError:
        return False


def test_secrets_reach_the_playbook_in_a_private_file_and_stay_nowhere(tmp_path: Path) -> None:
    tasks = """
    - ansible.builtin.stat: {path: "{{ remote_secrets_file }}"}
      register: found
    - ansible.builtin.assert: {that: "found.stat.mode == '0600'"}
    - ansible.builtin.stat: {path: "{{ remote_callback.token_file }}"}
      register: token
    - ansible.builtin.assert: {that: "token.stat.mode == '0600'"}
    - ansible.builtin.shell: 'cat {{ remote_secrets_file }}; env; cat {{ remote_callback.token_file }}'
    - ansible.builtin.fail: {msg: "it says {{ lookup('file', remote_secrets_file) }}"}
"""
    os.environ["SOMEBODYS_PASSWORD"] = SECRET + "-env"
    try:
        result, told = play(
            tmp_path,
            tasks,
            {"remote_callback": {"url": "x", "token_file": FileOf("token")}},
            secrets={"KEY": SECRET},
            files={"token": "token-" + SECRET},
        )
    finally:
        del os.environ["SOMEBODYS_PASSWORD"]
    assert result.failure is not None
    assert SECRET not in str(result.failure)
    assert "********" in result.failure["message"]
    assert SECRET not in str(told)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == []
    # Runs of tests beside this one have folders there too, without this secret.
    assert not [path for path in Path("/dev/shm").glob("fuelctl-run-*/**/*") if path.is_file() and _holds(path, SECRET)]
    seen = [result for module in result.results.values() for result in module]
    assert "SOMEBODYS_PASSWORD" not in str(seen)


@pytest.mark.parametrize(
    ("tasks", "message", "stage"),
    [
        ("    - ansible.builtin.command: /no/such/program\n", "Error executing command", "provider"),
        ("    - no.such.module: {}\n", "couldn't resolve module", "provider"),
        ("    - ansible.builtin.fail: {msg: 'first line\nsecond'}\n", "first line", "provider"),
        ("    - ansible.builtin.debug: {msg: '{{ not_there }}'}\n", "not_there", "provider"),
        ("    - [\n", "YAML", "provider"),
    ],
)
def test_a_failure_is_one_line(tmp_path: Path, tasks: str, message: str, stage: str) -> None:
    result, _events = play(tmp_path, tasks)
    assert result.status == "failed"
    assert result.failure is not None
    assert message in result.failure["message"]
    assert "\n" not in result.failure["message"]
    assert "Traceback" not in result.failure["message"]
    assert result.failure["stage"] == stage


def test_a_host_that_is_not_reached_is_a_failure(tmp_path: Path) -> None:
    where = "{ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}"
    result, _told = play(tmp_path, f"    - ansible.builtin.ping:\n      vars: {where}\n")
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure["code"] == "unreachable"


def test_stop_ends_the_tree_within_seconds(tmp_path: Path) -> None:
    mark = f"MARK{time.monotonic_ns()}"
    begun: list[float] = []

    def should_stop() -> bool:
        if not begun and len(alive(mark)) > 0:
            begun.append(time.monotonic())
        return bool(begun)

    tasks = f"    - ansible.builtin.command: sh -c 'sleep 1000; echo {mark}'\n      async: 2000\n      poll: 1\n"
    result, _events = play(tmp_path, tasks, should_stop=should_stop)
    assert result.status == "stopped"
    assert time.monotonic() - begun[0] < 300, "it went on to its end"
    assert alive(f"sleep 1000; echo {mark}") == []


@pytest.mark.parametrize("keyword", ["", "      async: 2000\n      poll: 1\n"])
def test_a_supervisor_killed_with_9_leaves_nothing_that_works_on(tmp_path: Path, keyword: str) -> None:
    mark = f"MARK{time.monotonic_ns()}"
    tasks = f"    - ansible.builtin.command: sh -c 'sleep 1000; echo {mark}'\n{keyword}"
    with ThreadPoolExecutor(1) as other:
        run = other.submit(play, tmp_path, tasks)
        wait_until(lambda: alive(f"sleep 1000; echo {mark}"))
        (supervisor,) = alive(f"fuelctl._supervise\0--lock\0{tmp_path / 'lock'}")
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not alive(f"sleep 1000; echo {mark}"))
        result, _events = run.result(240)
    assert result.status == "failed"
    again, _events = play(tmp_path, "    - ansible.builtin.debug: {msg: the lock is free}\n")
    assert again.status == "ok"


def test_two_runs_of_one_environment_never_overlap(tmp_path: Path) -> None:
    import threading

    log = tmp_path / "log"
    tasks = f"    - ansible.builtin.shell: 'echo in >> {log}; sleep 1; echo out >> {log}'\n"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    def until_it_ran(name: str) -> None:
        # On a busy machine the other one may take longer than it is waited for.
        for turn in range(5):
            record = tmp_path / name / str(turn)
            record.mkdir()
            if play(record, tasks, locks=[tmp_path / "lock"])[0].status != "busy":
                return

    threads = [threading.Thread(target=until_it_ran, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text().split() == ["in", "out", "in", "out"]


def test_the_environment_is_an_allow_list(tmp_path: Path) -> None:
    given = {
        "HOME": "/h",
        "PATH": "/p",
        "AWS_SECRET_ACCESS_KEY": "x",
        "ANTHROPIC_API_KEY": "x",
        "DOCKER_HOST": "d",
        "HTTPS_PROXY": "p",
        "no_proxy": "n",
        "SSL_CERT_FILE": "s",
        "ANSIBLE_VAULT_PASSWORD_FILE": "v",
        "LD_PRELOAD": "l",
        "PYTHONPATH": "y",
        "ANSIBLE_CONFIG": "/evil.cfg",
    }
    made = _run_files.environment(tmp_path, given)
    foreign = {name for name in made if name in given}
    assert foreign == {"HOME", "PATH", "DOCKER_HOST", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "ANSIBLE_CONFIG"}
    assert made["ANSIBLE_CONFIG"] == str(tmp_path / "ansible.cfg")


def test_a_trivial_playbook_is_quick(tmp_path: Path) -> None:
    tasks = "    - ansible.builtin.debug: {msg: hello}\n"
    play(tmp_path, tasks)
    times = []
    for number in range(3):
        begun = time.monotonic()
        play(tmp_path, tasks, record=tmp_path / "runs" / str(number))
        times.append(time.monotonic() - begun)
    # Not a measurement: a bound that shows when a run begins to wait for something.
    assert min(times) < 15
