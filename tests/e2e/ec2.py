# SPDX-License-Identifier: GPL-3.0-or-later
"""A person whose environments are on the EC2 lab, and what the lab still holds of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3

from tests.lab.ec2.amis import PREPARED
from tests.lab.ec2.client import Ec2Lab
from tests.lab.ec2.server import CALLER

from .harness import Fuelctl

REGION = "us-east-1"


def person(lab: Ec2Lab, home: Path, **options: Any) -> Fuelctl:
    """A user with the lab's credentials in the environment, and its options in the settings."""
    made = Fuelctl(home, environment=lab.environment(REGION))
    settings = lab.options(**{"image": PREPARED, **options})
    folder = Path(made.base["FUELCTL_HOME"]) / "config"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (folder / "config.toml").write_text("\n".join(["[providers.ec2]", *lines]) + "\n")
    return made


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
