# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who plays remote_up and remote_down on the EC2 lab by hand, with keys in S3 and no control plane."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3

from fuelctl._shared._identity import environment_id_for
from tests.lab.ec2.client import CHECKOUT, Ec2Lab

from . import ec2
from .harness import BASE_IMAGE, Completed, Fuelctl, make_repository

OWNER = "by-hand"
CLOSED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)


class Plays:
    """One environment, named after the folder; `person` has a home of their own, by which its processes are found."""

    def __init__(self, lab: Ec2Lab, folder: Path, **options: Any) -> None:
        self.lab = lab
        self.folder = folder
        self.environment = environment_id_for(OWNER, folder.name)
        link = folder / "collections" / "ansible_collections" / "fuel_code" / "remote"
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
        self.person = Fuelctl(folder / "home", environment=lab.environment(ec2.REGION))
        self.person.environment["ANSIBLE_COLLECTIONS_PATH"] = str(folder / "collections")
        self.person.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.s3 = boto3.client(
            "s3",
            region_name=ec2.REGION,
            endpoint_url=lab.endpoint,
            aws_access_key_id="AKIAOWNER",
            aws_secret_access_key="lab",
        )
        self.bucket = f"keys-of-{folder.name.replace('_', '-').lower()}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.put_public_access_block(Bucket=self.bucket, PublicAccessBlockConfiguration=CLOSED)
        self.given = {
            "remote_name": folder.name,
            "remote_owner": OWNER,
            "remote_environment_id": self.environment,
            "remote_source": str(make_repository(folder / "repository")),
            "remote_blueprint": {"image": BASE_IMAGE},
            "remote_provider": "ec2",
            "remote_provider_options": lab.options(region=ec2.REGION, **options),
            "remote_keys_path": str(folder / "home" / "fuelctl" / "state" / "keys"),
            "remote_keys_backend": "s3",
            "remote_keys_bucket": self.bucket,
            "remote_keys_region": ec2.REGION,
            "remote_discard": True,
        }

    def start(self, verb: str, **variables: Any) -> subprocess.Popen[str]:
        """Begin to play; `finish` waits for it."""
        file = self.folder / f"{verb}.json"
        file.write_text(json.dumps({**self.given, **variables}))
        return subprocess.Popen(
            ["ansible-playbook", f"fuel_code.remote.remote_{verb}", "-e", f"@{file}"],
            env=self.person.env(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], seconds: float = 240) -> Completed:
        """How it ended."""
        said, _nothing = process.communicate(timeout=seconds)
        assert "Traceback (most recent call last)" not in said, said
        return Completed([str(process.args)], process.returncode, said, "")

    def play(self, verb: str, **variables: Any) -> Completed:
        return self.finish(self.start(verb, **variables))

    def kill(self, process: subprocess.Popen[str]) -> None:
        """kill -9 of ansible-playbook and of everything that it started."""
        self.person.kill_everything()
        process.communicate(timeout=480)

    def objects(self) -> list[str]:
        """Keys in the bucket, of every version."""
        listed = self.s3.list_object_versions(Bucket=self.bucket)
        return sorted(each["Key"] for kind in ("Versions", "DeleteMarkers") for each in listed.get(kind, []))

    def left(self) -> list[str]:
        """What still exists: in the cloud, in the bucket, and private keys on this machine."""
        home = [path for path in self.folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
        return ec2.left(self.lab, self.person) + self.objects() + [str(path) for path in home]
