# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks as an ops team calls them: no fuelctl, no server, only a name and a repository."""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._dev_container._absent import absent, find_owned
from fuelctl._shared._docker import Docker
from fuelctl._shared._identity import container_names, environment_id_for
from fuelctl._shared._progress import Progress

from .machine import IMAGE, ansible, docker

pytestmark = pytest.mark.docker

CANARY = "sk-canary-77aa-never-printed"


@dataclass
class Team:
    """Somebody with a home, a repository, and Ansible."""

    home: Path
    repository: Path
    name: str
    mark: Path

    @property
    def id(self) -> str:
        return environment_id_for("integration", self.name)

    @property
    def container(self) -> str:
        return container_names(self.id).container

    def play(self, playbook: str, ok: bool = True, **variables: Any) -> dict[str, Any]:
        """Run a playbook with all texts as unsafe data; its results by task, and the statistics of each host."""
        given = self.home / f"variables-{secrets.token_hex(4)}.json"
        given.write_text(json.dumps(unsafe({"remote_name": self.name, **variables})))
        named = playbook if "/" in playbook else f"fuel_code.remote.{playbook}"
        words = ["ansible-playbook", named, "-e", f"@{given}"]
        done = ansible(
            *words, collections=self.home / "c", home=self.home, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json"
        )
        assert (done.returncode == 0) is ok, done.stdout[-3000:] + done.stderr[-3000:]
        assert CANARY not in done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
        results = {
            task["task"]["name"].split(" : ")[-1]: result
            for play in told["plays"]
            for task in play["tasks"]
            for result in task["hosts"].values()
        }
        return {"results": results, "stats": told["stats"], "stderr": done.stderr}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    home = tmp_path_factory.mktemp("team")
    mark = home / "executed"
    repository = home / "it's {{ 7 * 6 }} $(id)"
    folder = repository / ".fuel-code"
    folder.mkdir(parents=True)
    hostile = f"{{{{ lookup('ansible.builtin.pipe', 'touch {mark}') }}}}"
    (folder / "env.yaml").write_text(
        "version: 1\n"
        f"image: {IMAGE}\n"
        f"env:\n  HOSTILE: {json.dumps(hostile)}\n"
        f"setup:\n  - {json.dumps('echo prepared > prepared.txt # ' + hostile)}\n"
        f"services:\n  - name: db\n    image: {IMAGE}\n    ports: [5432]\n    command: [sleep, '600']\n"
        f"    env:\n      HOSTILE: {json.dumps(hostile)}\n"
        f"agent:\n  settings:\n    note: {json.dumps(hostile)}\n"
        f"  mcp_servers:\n    one:\n      command: {json.dumps(hostile)}\n"
    )
    (repository / ".gitignore").write_text("prepared.txt\n")
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Start")
    (home / "secrets.json").write_text(json.dumps({"TOKEN": CANARY, "OTHER": hostile}))
    made = Team(home, repository, f"team-{secrets.token_hex(4)}", mark)
    try:
        yield made
    finally:
        absent(Docker(), made.id, Progress("destroy"))


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=I", "-c", "user.email=i@example.invalid"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def inside(team: Team, command: str) -> str:
    return docker("exec", "--user", "dev", team.container, "fuel-code-run", "bash", "-lc", command)


def test_the_whole_life(team: Team) -> None:
    up: dict[str, Any] = {"remote_source": str(team.repository), "remote_secrets_file": str(team.home / "secrets.json")}

    # Check mode tells and makes nothing; then it is made; then everything is as it should be.
    first = team.play("remote_up", **up)
    made = first["results"]["See to the container, its network, volume and watchdog"]
    assert made["changed"]
    assert made["environment"]["workspace"] == "/workspaces/it-s-7-6-id"
    again = team.play("remote_up", **up)
    task = "See to the container, its network, volume and watchdog"
    assert not again["results"][task]["changed"]
    assert again["results"][task]["environment"] == made["environment"]
    assert not again["results"]["Place the repository and run its setup commands"]["changed"]
    assert not again["results"]["Have the agent ready in the container"]["changed"]
    assert not again["results"]["Make the key pair"]["changed"]

    # What was hostile arrived as the text that it is.
    assert not team.mark.exists()
    assert inside(team, "echo $HOSTILE").startswith("{{ lookup(")
    assert inside(team, "echo $TOKEN") == CANARY
    workspace = made["environment"]["workspace"]
    assert inside(team, f"cat {workspace}/prepared.txt") == "prepared"
    assert inside(team, "claude --version")

    # The play's last words let one in.
    said = first["results"]["Say how to enter"]["msg"]
    assert said[0] == f"{team.name} is ready."
    enter = shlex.split(next(line for line in said if line.startswith("enter: ")).removeprefix("enter: "))
    shown = subprocess.run([*enter, "pwd"], check=True, capture_output=True, text=True)
    assert shown.stdout == f"{workspace}\n"
    # And nobody who only pretends to be it.
    place = "/etc/fuel-code/ssh_host_ed25519_key"
    docker("exec", team.container, "cp", "-a", place, f"{place}.away")
    docker("exec", team.container, "sh", "-c", f"rm {place}; ssh-keygen -q -t ed25519 -N '' -f {place} < /dev/null")
    refused = subprocess.run([*enter, "pwd"], check=False, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (255, "")
    assert "Host key verification failed" in refused.stderr
    docker("exec", team.container, "mv", f"{place}.away", place)

    # It is seen.
    audit = team.play("remote_audit")["results"]["Report it"]["msg"]
    (mine,) = [one for one in audit if one["environment_id"] == team.id]
    assert len(mine["resources"]) == 6

    # Work that would be lost holds it, even when its container was killed.
    inside(team, f"echo work > {workspace}/work.txt")
    docker("kill", team.container)
    held = team.play("remote_down", ok=False)
    assert "Work would be lost: 1 uncommitted" in held["results"]["Refuse to lose work"]["msg"]
    assert len(find_owned(Docker(), team.id).lines()) == 6
    foreseen = team.play("remote_up", **up)
    assert foreseen["results"][task]["changed"] is False

    # Its end is proven, and a second end is no error.
    down = team.play("remote_down", remote_discard=True)
    receipt = down["results"]["Prove that it is gone"]["receipt"]
    assert receipt["complete"]
    kinds = sorted(line["kind"] for line in receipt["resources"])
    assert kinds == [
        "container",
        "container",
        "image_tag",
        "local_key",
        "local_key",
        "local_known_hosts",
        "network",
        "volume",
        "watchdog",
    ]
    assert find_owned(Docker(), team.id).lines() == []
    assert not (team.home / ".local/share/fuel-code/keys" / team.id).exists()
    assert team.play("remote_down")["results"]["Prove that it is gone"]["receipt"]["complete"]


def test_check_mode_makes_nothing(team: Team) -> None:
    given = team.home / "check.json"
    given.write_text(json.dumps(unsafe({"remote_name": f"{team.name}-c", "remote_source": str(team.repository)})))
    words = ["ansible-playbook", "fuel_code.remote.remote_up", "--check", "--diff", "-e", f"@{given}"]
    done = ansible(*words, collections=team.home / "c", home=team.home)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert find_owned(Docker(), environment_id_for("integration", f"{team.name}-c")).lines() == []
    assert "armed" in done.stdout


def unsafe(value: Any) -> Any:
    """As the control plane hands a blueprint over."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, dict):
        return {name: unsafe(item) for name, item in value.items()}
    if isinstance(value, list):
        return [unsafe(item) for item in value]
    return value


def hostile_blueprint(code: str) -> dict[str, Any]:
    """A blueprint in which every text is code."""
    return {
        "image": code,
        "system_packages": [code],
        "env": {"A": code, code: "x"},
        "ports": [code],
        "services": [{"name": code, "image": code, "env": {"A": code}, "command": [code]}],
        "resources": {"cpus": code, "memory_gb": code},
        "user": code,
        "setup": [code],
        "agent": {"name": code, "version": code, "settings": {"a": code}, "hooks": {code: [code]}},
    }


ROLE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: fuel_code.remote.dev_container
      vars:
        dev_container_environment_id: 01JD3Z5Q8W6S9X4V7T2R1P0N8M
        dev_container_name: "{{ name }}"
        dev_container_owner: "{{ name }}"
        dev_container_workspace: "{{ name }}"
        dev_container_blueprint: "{{ blueprint | combine({'resources': {}, 'ports': []}) }}"
"""

PAYLOADS = [
    "{{{{ lookup('ansible.builtin.pipe', 'touch {mark}') }}}}",
    "{{% for x in [1] %}}{{{{ lookup('pipe', 'touch {mark}') }}}}{{% endfor %}}",
    "{{{{ ''.__class__.__mro__[1].__subclasses__() and lookup('pipe', 'touch {mark}') }}}}",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_code_in_any_field_is_refused_and_never_run(team: Team, payload: str) -> None:
    code = payload.format(mark=team.mark)
    for changes in (
        {"remote_blueprint": hostile_blueprint(code)},
        {"remote_blueprint": {"image": IMAGE, "agent": {"name": code, "version": code}}},
        {"remote_blueprint": {"image": IMAGE}, "remote_owner": code, "remote_name": code},
        {"remote_blueprint": {"image": IMAGE}, "remote_provider": code},
    ):
        variables = {"remote_source": str(team.repository), **changes}
        team.play("remote_up", ok=False, **variables)
        assert not team.mark.exists(), changes
    # A role on its own, with what no check has seen.
    role = team.home / "role.yml"
    role.write_text(ROLE)
    team.play(str(role), ok=False, blueprint=hostile_blueprint(code), name=code)
    assert not team.mark.exists()
    assert find_owned(Docker(), team.id).lines() == []
