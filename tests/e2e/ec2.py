# SPDX-License-Identifier: GPL-3.0-or-later
"""A person whose environments are on the EC2 lab, and what the lab still holds of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.lab.ec2.amis import PREPARED
from tests.lab.ec2.client import Ec2Lab
from tests.lab.ec2.server import CALLER

from .harness import BASE_IMAGE, Completed, Fuelctl, make_repository, write_blueprint

REGION = "us-east-1"
#: Nothing is behind the instances of a lab without machines, so that every up ends here.
END_OF_UP = "nothing answers as SSH"


def person(lab: Ec2Lab, home: Path, **options: Any) -> Fuelctl:
    """A user with the lab's credentials in the environment, and its options in the settings."""
    made = Fuelctl(home, environment=lab.environment(REGION))
    settings = lab.options(**{"image": PREPARED, **options})
    folder = Path(made.base["FUELCTL_HOME"]) / "config"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (folder / "config.toml").write_text("\n".join(["[providers.ec2]", *lines]) + "\n")
    return made


@contextlib.contextmanager
def present(lab: Ec2Lab, home: Path, **options: Any) -> Iterator[Fuelctl]:
    """Such a person, whose server and processes end with the block."""
    made = person(lab, home, **options)
    try:
        yield made
    finally:
        made.run("server", "stop", ok=None)
        made.kill_everything()


@contextlib.contextmanager
def guest(lab: Ec2Lab, home: Path, **options: Any) -> Iterator[Fuelctl]:
    """The same on machines: after the block nothing of theirs is there, and what is there all the same is ended."""
    with present(lab, home, **options) as made:
        try:
            yield made
            lab.heal()
            found = left(lab, made)
        finally:
            made.run("down", "--all", "--yes", "--discard", ok=None)
    assert found == []


def sample(folders: pytest.TempPathFactory, *, blueprint: str = "") -> Path:
    """A small repository with a blueprint: the base image, and what `blueprint` says besides."""
    path = make_repository(folders.mktemp("source") / "sample")
    write_blueprint(path, f"version: 1\nimage: {BASE_IMAGE}\n{blueprint}")
    return path


def trouble_at_every_call(lab: Ec2Lab, service: str = "*") -> None:
    """Every call is throttled once, broken once, and its answer lost twice: before and after it took effect."""
    lab.fault("*", "error", service=service, each=True, code="RequestLimitExceeded" if service != "s3" else "SlowDown")
    lab.fault("*", "error", service=service, each=True, code="InternalError")
    lab.fault("*", "reset", service=service, each=True)
    lab.fault("*", "lost-reset", service=service, each=True)


def up(user: Fuelctl, repository: Path, name: str, *options: str) -> Completed:
    """An `up` that has to fail."""
    command = ("up", str(repository), "--provider=ec2", f"--name={name}", "--yes", *options)
    return user.run(*command, ok=False, timeout=900)


def told(done: Completed) -> str:
    """The one line that says what is wrong."""
    [line] = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1, str(done)
    return line


def client(lab: Ec2Lab, service: str = "ec2", region: str = REGION) -> Any:
    """AWS's own client for the lab."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=lab.endpoint,
        aws_access_key_id="AKIALABLABLABLABLAB2",
        aws_secret_access_key="lab",
    )


def groups(lab: Ec2Lab) -> list[dict[str, Any]]:
    """Our security groups."""
    found = client(lab).describe_security_groups()["SecurityGroups"]
    return [group for group in found if group["GroupName"].startswith("fuel-code-remote-")]


def ingress(group: dict[str, Any]) -> list[tuple[Any, ...]]:
    """(protocol, from, to, networks) of every rule."""
    return [
        (each["IpProtocol"], each["FromPort"], each["ToPort"], [one["CidrIp"] for one in each["IpRanges"]])
        for each in group["IpPermissions"]
    ]


#: What a group may let in: port 22 from the caller's one address.
ONLY_THE_CALLER = [("tcp", 22, 22, [f"{CALLER}/32"])]


def left(lab: Ec2Lab, home: Fuelctl) -> list[str]:
    """What still exists: instances, volumes, interfaces, groups and rules, key pairs, and keys on this machine."""
    found = [f"instance {each['id']}" for each in lab.alive()]
    found += [f"{kind} {name}" for kind, names in lab.ask("GET", "leftovers").items() for name in names]
    found += [f"group {group['GroupId']}" for group in groups(lab)]
    found += [f"key pair {each['KeyName']}" for each in client(lab).describe_key_pairs()["KeyPairs"]]
    state = Path(home.base["FUELCTL_HOME"])
    found += [str(path) for path in (state / "state" / "keys").rglob("*") if path.is_file()]
    found += [str(path) for path in (state / "data" / "ssh" / "keys").rglob("*") if path.is_file()]
    return found
