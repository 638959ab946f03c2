# SPDX-License-Identifier: GPL-3.0-or-later
"""What `up` asks of AWS is refused, or must not be asked: one clear line, and nothing left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import BASE_IMAGE, Completed, Fuelctl, make_repository, write_blueprint

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    """The API alone: what fails here fails before a machine is entered."""
    with Ec2Lab(machines=False, boot_delay=0, shutdown_delay=0) as started:
        yield started


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ec2.sample(tmp_path_factory)


@pytest.fixture(scope="module")
def somebody(lab: Ec2Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuelctl]:
    with ec2.present(lab, tmp_path_factory.mktemp("home")) as person:
        yield person


@pytest.fixture
def user(lab: Ec2Lab, somebody: Fuelctl) -> Iterator[Fuelctl]:
    yield somebody
    lab.heal()
    assert ec2.left(lab, somebody) == []


def up(user: Fuelctl, repository: Path, *options: str, **keywords: Any) -> Completed:
    return user.run("up", str(repository), "--provider", "ec2", "--yes", *options, ok=False, **keywords)


def error_of(done: Completed) -> str:
    """The one line that says what is wrong, with its hint."""
    lines = [line for line in done.text.splitlines() if line.strip()]
    at = next(number for number, line in enumerate(lines) if "provider failed" in line or line.startswith("error:"))
    return " ".join(lines[at : at + 4])


@pytest.mark.parametrize(
    ("action", "code", "expected"),
    [
        ("RunInstances", "InsufficientInstanceCapacity", "AWS has no capacity for this instance type here"),
        ("CreateSecurityGroup", "UnauthorizedOperation", "add ec2:CreateSecurityGroup to its IAM policy"),
        # What the module says of each code is held by tests/integration/test_ec2_launch.py; its way to a person is one.
        *(
            pytest.param(*refusal, marks=pytest.mark.soak)
            for refusal in (
                ("RunInstances", "VcpuLimitExceeded", "vCPU quota for this kind of instance is used up"),
                ("RunInstances", "UnauthorizedOperation", "AWS does not allow this identity to call RunInstances"),
                ("DescribeVpcs", "AuthFailure", "AWS does not accept the credentials"),
            )
        ),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(
    lab: Ec2Lab, user: Fuelctl, repository: Path, action: str, code: str, expected: str
) -> None:
    lab.fault(action, code=code)
    refused = up(user, repository)
    assert refused.returncode == 1
    assert expected in error_of(refused), str(refused)
    assert not lab.alive()


@pytest.mark.soak
def test_what_aws_has_elsewhere_is_taken(lab: Ec2Lab, user: Fuelctl, repository: Path) -> None:
    """No capacity for the first type, and throttled besides; nothing answers at the machine, as there is none."""
    lab.fault("RunInstances", code="InsufficientInstanceCapacity", when={"type": "m7i.large"})
    lab.fault("RunInstances", code="RequestLimitExceeded", when={"type": "m6i.large"}, times=2)
    types = ["--instance-type", "m7i.large", "--instance-type", "m6i.large", "--option", "wait_timeout=1"]
    refused = up(user, repository, *types)
    assert ec2.END_OF_UP in error_of(refused), str(refused)
    assert {each["type"] for each in lab.instances()} >= {"m6i.large"}
    assert "m7i.large" not in {each["type"] for each in lab.instances()}


def test_nobody_is_let_in_when_the_address_is_not_known(lab: Ec2Lab, user: Fuelctl, repository: Path) -> None:
    before = len(lab.calls("RunInstances"))
    refused = up(user, repository, "--option", "address_services=http://127.0.0.1:9/")
    assert "your own address is not known, so nobody is let in" in error_of(refused), str(refused)
    assert len(lab.calls("RunInstances")) == before
    assert not ec2.groups(lab)


def test_no_credentials_and_no_region(lab: Ec2Lab, repository: Path, tmp_path: Path) -> None:
    with ec2.present(lab, tmp_path / "home") as person:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del person.environment[name]
            person.base.pop(name, None)
        assert "no AWS credentials were found" in error_of(up(person, repository))
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            del person.environment[name]
            person.base.pop(name, None)
        refused = up(person, repository)
        assert refused.returncode == 2
        assert "No region is named" in refused.stderr


def test_a_repository_may_not_ask_for_rights(lab: Ec2Lab, user: Fuelctl, tmp_path: Path) -> None:
    path = make_repository(tmp_path / "greedy")
    asked = "provider: {name: ec2, region: us-east-1, options: {instance_profile: admin}}"
    write_blueprint(path, f"version: 1\nimage: {BASE_IMAGE}\n{asked}\n")
    refused = up(user, path)
    assert refused.returncode == 2
    assert "not a repository's to decide" in refused.stderr
