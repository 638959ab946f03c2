# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults and bad input: each ends in one clear line, the right exit code, and nothing left on the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .harness import BASE_IMAGE, Completed, Fuelctl, docker, leftovers, make_repository, write_blueprint

pytestmark = pytest.mark.docker


def assert_one_line(done: Completed, code: int, *words: str) -> None:
    """Exit code, the words, no traceback, and no more than an error line and a hint on standard error."""
    assert done.returncode == code, str(done)
    for word in words:
        assert word.lower() in done.text.lower(), f"{word!r} not in {done}"
    assert "Traceback" not in done.text


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = make_repository(tmp_path / "repo")
    write_blueprint(path, f"version: 1\nimage: {BASE_IMAGE}\n")
    return path


class TestRefusedBeforeAnythingIsMade:
    """Exit code 2, and no environment comes to be."""

    @pytest.mark.parametrize(
        ("argument", "word"),
        [
            ("/nowhere/at/all", "/nowhere/at/all"),
            ("ext::sh -c touch% /tmp/owned", "ext"),
            ("--upload-pack=touch /tmp/owned", "--upload-pack"),
            ("ssh://-oProxyCommand=touch/x", "proxycommand"),
            ("http://169.254.169.254/latest.git", "169.254.169.254"),
            ("https://example.invalid/a\nb.git", "line break"),
            ("https://example.invalid/" + "a" * 100_000, "4096"),
        ],
        ids=["missing", "ext", "upload-pack", "proxy-command", "link-local", "newline", "too-long"],
    )
    def test_repository(self, user: Fuelctl, argument: str, word: str) -> None:
        done = user.run("up", "--yes", "--", argument, ok=False)
        assert_one_line(done, 2, word)
        assert user.run("ls", "--all", "--json").json["environments"] == []

    def test_repository_without_a_commit(self, user: Fuelctl, tmp_path: Path) -> None:
        subprocess.run(["git", "init", "-q", str(tmp_path / "empty")], check=True)
        assert_one_line(user.run("up", str(tmp_path / "empty"), "--yes", ok=None), 2, "empty", "commit")

    def test_folder_that_is_no_repository(self, user: Fuelctl, tmp_path: Path) -> None:
        (tmp_path / "plain").mkdir()
        assert_one_line(user.run("up", str(tmp_path / "plain"), "--yes", ok=None), 2, "git")

    @pytest.mark.parametrize("branch", ["no-such-branch", "--upload-pack=x", "$(touch /tmp/owned)", "a\nb"])
    def test_branch(self, user: Fuelctl, repository: Path, branch: str) -> None:
        done = user.run("up", str(repository), f"--branch={branch}", "--yes", ok=None)
        assert_one_line(done, 2, "branch")

    @pytest.mark.parametrize("name", ["Not A Name", "-x", "a" * 41, "../up", "$(id)"])
    def test_name(self, user: Fuelctl, repository: Path, name: str) -> None:
        assert_one_line(user.run("up", str(repository), f"--name={name}", "--yes", ok=None), 2, "name")

    @pytest.mark.parametrize("ttl", ["soon", "-5m", "0", "9999999999h"])
    def test_ttl(self, user: Fuelctl, repository: Path, ttl: str) -> None:
        assert_one_line(user.run("up", str(repository), f"--ttl={ttl}", "--yes", ok=None), 2, "ttl")

    def test_secret_without_a_value(self, user: Fuelctl, repository: Path) -> None:
        done = user.run("up", str(repository), "--secret", "NOT_IN_MY_ENVIRONMENT", "--yes", ok=None)
        assert_one_line(done, 2, "NOT_IN_MY_ENVIRONMENT")

    def test_no_terminal_and_no_yes(self, user: Fuelctl, repository: Path) -> None:
        assert_one_line(user.run("up", str(repository), ok=None), 2, "--yes")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("version: 1\nimage: [not, text]\n", ["env.yaml:2", "image"]),
            ("version: 1\nports: [0]\n", ["env.yaml:2", "65535"]),
            ("version: 1\nversion: 1\n", ["env.yaml:2", "duplicate"]),
            ("version: 1\nenv: {LD_PRELOAD: /x.so}\n", ["env.yaml:2", "LD_PRELOAD"]),
            ("version: 1\nsetup: ['']\n", ["env.yaml:2", "setup"]),
            ("version: 1\nimage: '--privileged'\n", ["env.yaml:2", "image"]),
            ("!!python/object/apply:os.system ['touch /tmp/owned']\n", ["env.yaml:1"]),
            (
                "a: &a [x,x,x,x,x,x,x,x,x]\n"
                + "".join(
                    f"{c}: &{c} [*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p}]\n"
                    for p, c in zip("abcdefgh", "bcdefghi", strict=True)
                ),
                ["env.yaml"],
            ),
            ("version: 1\n#" + "x" * 10_000_000, ["env.yaml", "256"]),
        ],
        ids=["type", "port", "duplicate", "preload", "empty-command", "option", "python-tag", "bomb", "ten-megabytes"],
    )
    def test_blueprint(self, user: Fuelctl, repository: Path, text: str, words: list[str]) -> None:
        write_blueprint(repository, text)
        done = user.run("up", str(repository), "--yes", ok=False)
        assert_one_line(done, done.returncode, *words)
        assert done.returncode in (1, 2)
        assert user.run("ls", "--all", "--json").json["environments"] == []

    def test_nothing_was_executed(self) -> None:
        assert not Path("/tmp/owned").exists()


class TestEndsAsErrorWithEverythingUndone:
    """The environment came to be, failed, and was undone at once."""

    def up(self, user: Fuelctl, repository: Path, *words: str) -> None:
        done = user.run("up", str(repository), "--yes", ok=False)
        assert_one_line(done, 1, *words)
        ended = user.run("ls", "--all", "--json").json["environments"][0]
        assert ended["status"] == "error"
        assert ended["receipt"]["complete"] is True
        assert leftovers(ended["id"]) == []

    def test_image_that_does_not_exist(self, user: Fuelctl, repository: Path) -> None:
        write_blueprint(repository, "version: 1\nimage: 127.0.0.1:9/no/such-image:1\n")
        self.up(user, repository, "no/such-image:1")

    def test_base_image_that_is_not_debian_like(self, user: Fuelctl, repository: Path, tmp_path: Path) -> None:
        root = tmp_path / "root"
        (root / "bin").mkdir(parents=True)
        busybox = subprocess.run(["which", "busybox"], capture_output=True, text=True, check=False).stdout.strip()
        if busybox:
            (root / "bin" / "sh").write_bytes(Path(busybox).read_bytes())
            (root / "bin" / "sh").chmod(0o755)
        (root / "etc").mkdir()
        (root / "etc" / "os-release").write_text("ID=alpine\n")
        tar = subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True)
        subprocess.run(
            ["docker", "import", "-", "fuel-code-test/not-debian:1"], input=tar.stdout, capture_output=True, check=True
        )
        try:
            write_blueprint(repository, "version: 1\nimage: fuel-code-test/not-debian:1\n")
            self.up(user, repository, "debian")
        finally:
            docker("rmi", "-f", "fuel-code-test/not-debian:1")

    def test_another_engine_than_the_one_at_work(self, user: Fuelctl, repository: Path) -> None:
        user.run("ls")
        done = user.run("up", str(repository), "--yes", ok=False, extra_env={"DOCKER_HOST": "tcp://127.0.0.1:9"})
        assert_one_line(done, 1, "tcp://127.0.0.1:9", "server stop")

    def test_no_docker_engine(self, tmp_path: Path, repository: Path) -> None:
        user = Fuelctl(tmp_path / "home", {"DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"})
        try:
            assert_one_line(user.run("up", str(repository), "--yes", ok=False), 1, "docker", "engine")
        finally:
            user.kill_everything()


def test_failing_setup_leaves_a_degraded_environment_to_enter(user: Fuelctl, repository: Path) -> None:
    write_blueprint(
        repository, f"version: 1\nimage: {BASE_IMAGE}\nsetup:\n  - echo the reason; exit 3\n  - touch never\n"
    )
    document = user.run("up", str(repository), "--name", "broken", "--yes", "--json").json
    assert document["status"] == "ready"
    assert [condition["type"] for condition in document["conditions"]] == ["degraded"]
    assert {stage["stage"]: stage["state"] for stage in document["stages"]}["setup"] == "failed"
    shown = user.run("status", "broken").text
    assert "echo the reason; exit 3" in shown
    assert "the reason" in shown
    assert user.run("exec", "broken", "--", "ls", "never", ok=None).returncode != 0
    user.run("down", "broken", "--yes", "--discard")
    assert leftovers(document["id"]) == []


def test_state_folder_that_cannot_be_written(tmp_path: Path, repository: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    user = Fuelctl(tmp_path / "home", {"FUELCTL_HOME": str(blocked / "fuelctl")})
    assert_one_line(user.run("ls", ok=False), 1, str(blocked))


def test_two_ups_at_once_for_the_same_repository(user: Fuelctl, repository: Path) -> None:
    first, second = (user.start("up", str(repository), "--yes", "--json") for _turn in range(2))
    outputs = [process.communicate(timeout=480)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    environments = [json.loads(output) for output in outputs]
    assert len({environment["name"] for environment in environments}) == 2
    user.run("down", "--all", "--yes", "--discard")
    assert [leftovers(environment["id"]) for environment in environments] == [[], []]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without Docker rights")
def test_no_rights_on_docker(tmp_path: Path, repository: Path) -> None:
    home = tmp_path / "home"
    user = Fuelctl(home)
    subprocess.run(["chmod", "-R", "a+rwX", str(tmp_path)], check=True)
    for parent in tmp_path.parents:
        if parent.name.startswith("pytest"):
            parent.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "fuelctl", "doctor"],
        env=user.env(),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "permission" in done.stdout.lower() or "rights" in done.stdout.lower()
    assert "Traceback" not in done.stdout + done.stderr
