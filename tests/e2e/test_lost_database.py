# SPDX-License-Identifier: GPL-3.0-or-later
"""A database is lost while environments live: somebody whose home knows nothing finds and ends them by their labels."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl._shared._dev_container._absent import absent, find_owned
from fuelctl._shared._docker import Docker
from fuelctl._shared._progress import Progress
from tests.integration.machine import ansible
from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import BASE_IMAGE, Fuelctl, make_repository, write_blueprint
from .test_audit import launch, tags

pytestmark = pytest.mark.docker


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Fuelctl]:
    """Somebody with an owner's name that no other environment on this engine has."""
    person = Fuelctl(tmp_path / "home", environment={"USER": OWNER, "LOGNAME": OWNER})
    try:
        yield person
    finally:
        person.run("server", "stop", ok=None)
        person.kill_everything()


OWNER = f"lost{secrets.token_hex(4)}"


def lose(person: Fuelctl) -> None:
    """Everything that fuelctl remembers, keys included."""
    person.run("server", "stop", ok=None)
    shutil.rmtree(person.base["FUELCTL_HOME"])


def test_local_environments_are_found_and_ended(user: Fuelctl, tmp_path: Path) -> None:
    """One with work in it is not ended by its name alone; both are ended when that is said, each with its receipt."""
    repository = make_repository(tmp_path / "repository")
    write_blueprint(repository, f"version: 1\nimage: {BASE_IMAGE}\n")
    made = {}
    try:
        for name in ("one", "two"):
            made[name] = user.run("up", str(repository), "--name", name, "--yes", "--json").json["id"]
        owned = user.run("audit", "--owner", OWNER, "--json").json["environments"]
        assert {each["id"]: (each["state"], each["name"]) for each in owned} == {
            made["one"]: ("owned", "one"),
            made["two"]: ("owned", "two"),
        }
        user.run("exec", "one", "--", "touch", "precious.txt")
        lose(user)
        assert user.run("ls", "--json").json["environments"] == []
        seen = user.run("audit", "--owner", OWNER, "--json", ok=False).json["environments"]
        assert {each["id"]: (each["state"], each["name"]) for each in seen} == {
            made["one"]: ("unowned", "one"),
            made["two"]: ("unowned", "two"),
        }
        assert all(0 < each["age_seconds"] < 3600 for each in seen)
        kept = user.run("down", "--tagged", "one", "--yes", ok=False)
        assert "precious.txt" in kept.stderr
        ended = user.run("down", "--tagged", made["one"].lower(), "--discard", "--yes", "--json").json
        [receipt] = [each["receipt"] for each in ended["environments"]]
        assert receipt["complete"]
        assert {line["kind"] for line in receipt["resources"]} >= {"container", "watchdog", "volume", "network"}
        assert find_owned(Docker(), made["one"]).lines() == []
        assert find_owned(Docker(), made["two"]).lines() != []
        user.run("audit", "--owner", OWNER, "--sweep", "--grace", "0s", "--yes")
        assert find_owned(Docker(), made["two"]).lines() == []
    finally:
        for environment_id in made.values():
            absent(Docker(), environment_id, Progress("destroy"))


def test_a_machine_whose_keys_were_lost_is_not_ended_without_a_word(tmp_path: Path) -> None:
    """On EC2, where nobody can enter without them: refused, then ended because it was said, with proof."""
    with Ec2Lab(machines=False, boot_delay=0.1, shutdown_delay=0.1) as lab:
        person = ec2.person(lab, tmp_path / "home")
        lost = "01" + secrets.token_hex(12).upper()
        try:
            [instance] = launch(lab, "eu-north-1", 1, tags(lost, name="shop"))
            refused = person.run("down", "--tagged", "shop", "--provider", "ec2", "--yes", ok=False, timeout=400)
            assert "its work cannot be looked at: the keys to its machine were lost" in refused.stderr
            assert "--discard" in refused.stderr
            assert lab.alive(lost)
            ended = person.run("down", "shop", "--discard", "--yes", "--json", timeout=400).json["environments"][0]
            assert (ended["id"], ended["status"], ended["provider"]["region"]) == (lost, "terminated", "eu-north-1")
            lines = {(line["kind"], line["name"], line["state"]) for line in ended["receipt"]["resources"]}
            assert ("instance", instance, "gone") in lines
            assert {kind for kind, _name, _state in lines} >= {"volume", "network interface"}
            assert not lab.alive(lost)
            # Its machine is counted from when it was launched, though nobody remembers its launch.
            assert ended["cost"]["total"] is not None
        finally:
            person.run("server", "stop", ok=None)
            person.kill_everything()


def test_by_ansible_alone_from_a_home_that_knows_nothing(tmp_path: Path) -> None:
    """The id is enough: one line where nobody can look into it, and an end with proof where that is said."""
    with Ec2Lab(machines=False, boot_delay=0.1, shutdown_delay=0.1) as lab:
        lost = "01" + secrets.token_hex(12).upper()
        launch(lab, ec2.REGION, 1, tags(lost))
        given = {"remote_provider": "ec2", "remote_environment_id": lost, "remote_provider_options": {"settle": 2}}

        def play(verb: str, **more: object) -> str:
            words = ["ansible-playbook", f"fuel_code.remote.remote_{verb}", "-e", json.dumps({**given, **more})]
            done = ansible(*words, collections=tmp_path / "c", home=tmp_path, **lab.environment())
            assert (done.returncode == 0) is (verb == "audit" or "remote_discard" in more), done.stdout + done.stderr
            return done.stdout

        assert lost in play("audit")
        refused = play("down")
        assert "the key of its machine is not here, and none is believed unseen" in refused
        assert "remote_discard=true" in refused
        assert lab.alive(lost)
        for _twice in range(2):
            play("down", remote_discard=True)
            assert not lab.alive(lost)
        assert lost not in play("audit")
