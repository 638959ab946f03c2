# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that playbooks left in a bucket: seen by the audit, swept when their environment is nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuelctl._shared._identity import environment_id_for, labels
from tests.lab.ec2.client import Ec2Lab

from . import ec2
from .harness import Fuelctl

AMI = "ami-12c6146b"
BUCKET = "our-private-keys"
FAR = "eu-north-1"
RUNS, GONE = environment_id_for("ada", "runs"), environment_id_for("ada", "gone")


@pytest.fixture
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(machines=False, boot_delay=0.1, shutdown_delay=0.1) as started:
        yield started


@pytest.fixture
def bucket(lab: Ec2Lab) -> Any:
    """Keys of a machine that runs in another region, of one that is nowhere, and what is none of ours."""
    made = ec2.client(lab, "s3")
    made.create_bucket(Bucket=BUCKET)
    made.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for name in (RUNS, GONE):
        for half in ("id_ed25519", "id_ed25519.pub"):
            made.put_object(Bucket=BUCKET, Key=f"ssh-keys/{name}/{half}", Body=b"old")
            made.put_object(Bucket=BUCKET, Key=f"ssh-keys/{name}/{half}", Body=b"new")
    for foreign in (f"ssh-keys/{GONE}/notes.txt", f"other/{GONE}/id_ed25519", "ssh-keys/prod/id_ed25519"):
        made.put_object(Bucket=BUCKET, Key=foreign, Body=b"not ours")
    return made


@pytest.fixture
def user(lab: Ec2Lab, tmp_path: Path) -> Iterator[Fuelctl]:
    person = ec2.person(lab, tmp_path / "home", keys_bucket=BUCKET)
    try:
        yield person
    finally:
        person.run("server", "stop", ok=None)
        person.kill_everything()


def keys(document: dict[str, Any]) -> dict[str, list[str]]:
    """Environment id -> names of its objects."""
    return {
        each["id"]: [line["name"] for line in each["resources"] if line["kind"] == "key_object"]
        for each in document["environments"]
    }


def test_keys_in_s3_are_seen_and_swept(lab: Ec2Lab, bucket: Any, user: Fuelctl) -> None:
    given = {**labels(RUNS, "ada"), "Name": "fuel-code-runs"}
    tags = [{"Key": name, "Value": value} for name, value in given.items()]
    ec2.client(lab, region=FAR).run_instances(
        ImageId=AMI, MinCount=1, MaxCount=1, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}]
    )
    near = user.run("audit", "--provider", "ec2", "--json", ok=None).json
    assert keys(near) == {}, "its machine may be in a region that was not asked"

    seen = user.run("audit", "--provider", "ec2", "--all-regions", "--json", ok=False).json
    halves = ("id_ed25519", "id_ed25519.pub")
    assert keys(seen) == {one: [f"s3://{BUCKET}/ssh-keys/{one}/{half}" for half in halves] for one in (RUNS, GONE)}

    sweep = ["audit", "--provider", "ec2", "--all-regions", "--sweep", "--yes", "--all-owners", "--json"]
    young = user.run(*sweep, ok=False)
    assert young.json["swept"] == [], "what is younger may be in the making"
    swept = user.run(*sweep, "--grace", "0s", timeout=300).json["swept"]
    receipts = {each["id"]: each["receipt"] for each in swept}
    assert receipts[GONE]["complete"] is True
    proven = {(line["kind"], line["state"]) for line in receipts[GONE]["resources"]}
    assert ("key_object", "gone") in proven
    left = bucket.list_object_versions(Bucket=BUCKET)
    assert sorted({each["Key"] for each in left["Versions"]}) == sorted(
        [f"ssh-keys/{GONE}/notes.txt", f"other/{GONE}/id_ed25519", "ssh-keys/prod/id_ed25519"]
    )
    assert not left.get("DeleteMarkers"), "every version is gone, not hidden"


def test_a_bucket_that_cannot_be_asked_is_told(lab: Ec2Lab, user: Fuelctl) -> None:
    done = user.run("audit", "--provider", "ec2", "--json", ok=False)
    [problem] = done.json["problems"]
    assert (problem["region"], problem["code"]) == (f"s3://{BUCKET}", "s3_bucket"), json.dumps(problem)
