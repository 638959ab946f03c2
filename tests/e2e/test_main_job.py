# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job end to end: up, enter, work, be refused, bring it home, end it, and look that nothing is left."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .harness import BASE_IMAGE, Fuelctl, docker, files_below, leftovers, make_repository, write_blueprint

pytestmark = pytest.mark.docker

BLUEPRINT = f"""\
version: 1
image: {BASE_IMAGE}
setup:
  - echo prepared > prepared.txt
ports: [8123]
env:
  GREETING: hello from the blueprint
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a space in its path, a commit, and one change that is not committed."""
    path = make_repository(tmp_path_factory.mktemp("with space") / "sample", __gitignore="prepared.txt\n")
    write_blueprint(path, BLUEPRINT)
    subprocess.run(["git", "add", "-A"], cwd=path, check=True)
    subprocess.run(
        ["git", "-c", "user.name=E", "-c", "user.email=e@example.invalid", "commit", "-qm", "Add a blueprint"],
        cwd=path,
        check=True,
    )
    (path / "README.md").write_text("# sample, changed at home\n")
    return path


@pytest.fixture(scope="module")
def up(user: Fuelctl, repository: Path) -> dict[str, Any]:
    """The environment as `up --json` describes it."""
    document: dict[str, Any] = user.run("up", str(repository), "--name", "main-job", "--yes", "--json").json
    return document


def test_up_ends_ready_and_says_what_it_made(up: dict[str, Any]) -> None:
    assert up["status"] == "ready"
    assert up["name"] == "main-job"
    assert up["conditions"] == []
    assert up["agent"]["name"] == "claude-code"
    assert up["connection"]["workspace"] == "/workspaces/sample"
    assert docker("inspect", "-f", "{{.State.Running}}", up["connection"]["container"]) == "true"


def test_ssh_lands_in_the_workspace_as_a_plain_user(user: Fuelctl, up: dict[str, Any]) -> None:
    lines = user.run("exec", up["name"], "--", "sh", "-c", "pwd; id -u; sudo id -u").stdout.split()
    assert lines[0] == "/workspaces/sample"
    assert lines[1] != "0"
    assert lines[2] == "0"


def test_exit_code_and_standard_input_pass_through(user: Fuelctl, up: dict[str, Any]) -> None:
    assert user.run("exec", up["name"], "--", "sh", "-c", "exit 37", ok=False).returncode == 37
    assert user.run("exec", up["name"], "--", "cat", stdin="through and through").stdout == "through and through"
    odd = 'it\'s $(id) `id` "quoted" \\ *'
    assert user.run("exec", up["name"], "--", "printf", "%s", odd).stdout == odd


def test_source_arrived_with_the_uncommitted_change(user: Fuelctl, up: dict[str, Any], repository: Path) -> None:
    assert user.run("exec", up["name"], "--", "cat", "README.md").stdout == "# sample, changed at home\n"
    here = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)
    assert user.run("exec", up["name"], "--", "git", "rev-parse", "HEAD").stdout == here.stdout


def test_setup_ran_and_environment_variables_arrive(user: Fuelctl, up: dict[str, Any]) -> None:
    assert user.run("exec", up["name"], "--", "cat", "prepared.txt").stdout == "prepared\n"
    assert user.run("exec", up["name"], "--", "printenv", "GREETING").stdout == "hello from the blueprint\n"


def test_the_real_agent_answers(user: Fuelctl, up: dict[str, Any]) -> None:
    assert "Claude Code" in user.run("exec", up["name"], "--", "claude", "--version").stdout


def test_no_skill_comes_without_its_platform(user: Fuelctl, up: dict[str, Any]) -> None:
    assert user.run(
        "exec", up["name"], "--", "sh", "-c", "ls ~/.claude; ls ~/.claude/skills 2>/dev/null; :"
    ).stdout == ("settings.json\n")


def test_plain_ssh_scp_and_forwarding_work(user: Fuelctl, up: dict[str, Any], tmp_path: Path) -> None:
    host = f"fuel-{up['name']}"
    config = Path(user.base["HOME"]) / ".ssh" / "config"
    assert config.is_file(), "up adds its Include file to the user's ssh config"
    ssh = ["ssh", "-F", str(config)]
    assert subprocess.run([*ssh, host, "hostname"], capture_output=True, text=True, check=True).stdout.strip()
    sent = tmp_path / "sent"
    sent.write_text("over scp")
    subprocess.run(["scp", "-q", "-F", str(config), str(sent), f"{host}:/tmp/got"], check=True)
    got = subprocess.run([*ssh, host, "cat /tmp/got"], capture_output=True, text=True, check=True)
    assert got.stdout == "over scp"


def test_private_key_is_private_and_handed_out_once(user: Fuelctl, up: dict[str, Any]) -> None:
    keys = [path for path, _content in files_below(Path(user.base["FUELCTL_HOME"])) if up["id"] in str(path)]
    private = [path for path in keys if "PRIVATE KEY" in path.read_text(errors="replace")]
    assert len(private) == 1, private
    assert stat.S_IMODE(private[0].stat().st_mode) == 0o600


def test_ls_and_status_agree_with_each_other(user: Fuelctl, up: dict[str, Any]) -> None:
    listed = user.run("ls", "--json").json["environments"]
    assert [environment["id"] for environment in listed] == [up["id"]]
    for reference in (up["id"], up["id"].lower()[:20], up["name"]):
        assert user.run("status", reference, "--json").json["id"] == up["id"]


def test_a_taken_name_is_one_clear_line(user: Fuelctl, up: dict[str, Any], repository: Path) -> None:
    refused = user.run("up", str(repository), "--name", up["name"], "--yes", ok=False)
    assert "main-job" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) <= 2


def test_down_refuses_to_lose_work_until_it_is_home(user: Fuelctl, up: dict[str, Any], repository: Path) -> None:
    name = up["name"]
    user.run("exec", name, "--", "git", "checkout", "-q", "-b", "agent/work")
    user.run("exec", name, "--", "sh", "-c", "echo new > new.txt && git add new.txt README.md")
    user.run("exec", name, "--", "git", "-c", "user.name=A", "-c", "user.email=a@x.invalid", "commit", "-qm", "Work")
    user.run("exec", name, "--", "sh", "-c", "echo draft > draft.txt")

    refused = user.run("down", name, "--yes", ok=False)
    assert refused.returncode == 1
    assert "agent/work" in refused.text
    assert "draft.txt" in refused.text
    assert "--discard" in refused.text
    assert user.show(name)["status"] in {"ready", "active", "idle"}

    user.run("exec", name, "--", "rm", "draft.txt")
    user.run("pull", name, cwd=repository)
    subject = subprocess.run(
        ["git", "log", "-1", "--format=%s", f"refs/fuel/{name}/agent/work"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert subject.stdout == "Work\n"

    user.run("exec", name, "--", "sh", "-c", "echo draft > draft.txt")
    assert "draft.txt" in user.run("down", name, "--yes", ok=False).text


def test_down_discard_leaves_nothing_and_proves_it(user: Fuelctl, up: dict[str, Any]) -> None:
    done = user.run("down", up["name"], "--yes", "--discard", "--json").json
    ended = done["environments"][0]
    assert ended["status"] == "terminated"
    receipt = ended["receipt"]
    assert receipt["complete"] is True
    assert {"container", "volume", "network", "image_tag"} <= {resource["kind"] for resource in receipt["resources"]}
    assert {resource["state"] for resource in receipt["resources"]} == {"gone"}
    assert leftovers(up["id"]) == []
    home = Path(user.base["FUELCTL_HOME"])
    assert not [path for path, content in files_below(home) if b"PRIVATE KEY" in content]
    included = Path(user.base["FUELCTL_HOME"]) / "data" / "ssh" / "config"
    assert not included.exists() or "fuel-main-job" not in included.read_text()


def test_down_twice_is_harmless_and_ls_is_empty(user: Fuelctl, up: dict[str, Any]) -> None:
    user.run("down", up["id"], "--yes")
    assert user.run("ls").stdout.strip() == "No active environments."
    assert user.run("ls", "--all", "--json").json["environments"][0]["status"] == "terminated"
    gone = user.run("ssh", up["id"], ok=False)
    assert "terminated" in gone.stderr or "ended" in gone.stderr
