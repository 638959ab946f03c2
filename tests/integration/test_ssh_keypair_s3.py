# SPDX-License-Identifier: GPL-3.0-or-later
"""Key pairs in S3 (the lab's): one pair whoever races or dies, closed buckets only, every version gone at the end."""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from fuelctl._shared import _ssh_keys_s3
from fuelctl._shared._ec2._api import Api
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._identity import container_names, environment_id_for
from tests.lab.ec2.client import Ec2Lab

from .machine import CHECKOUT, IMAGE, ansible, docker

BUCKET = "keys-of-the-team"
PRIVATE = "ssh-keys/01JD3Z5Q8W6S9X4V7T2R1P0N8M/id_ed25519"
_NUMBERS = itertools.count()
CLOSED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)


@pytest.fixture(scope="module")
def lab() -> Iterator[Ec2Lab]:
    with Ec2Lab(machines=False) as started:
        yield started


class Bucket:
    """The bucket as its owner sees it."""

    def __init__(self, lab: Ec2Lab, name: str) -> None:
        self.lab, self.name = lab, name
        config = Config(retries={"total_max_attempts": 1}, read_timeout=3)
        given = {"region_name": "us-east-1", "endpoint_url": lab.endpoint, "config": config}
        self.s3 = boto3.client("s3", aws_access_key_id="AKIAOWNER", aws_secret_access_key="x", **given)
        self.api = Api(self.s3, patience=2)
        self.s3.create_bucket(Bucket=name)
        self.s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=CLOSED)

    def call(self, *, check: bool = False, **changes: Any) -> dict[str, Any]:
        given = {"bucket": self.name, "path": PRIVATE, "comment": "fuel-code-x", "kms_key": "", "state": "present"}
        return _ssh_keys_s3.keypair(self.api, {**given, **changes}, check=check)

    def names(self) -> list[str]:
        return sorted(each["Key"] for each in self.s3.list_objects_v2(Bucket=self.name).get("Contents", []))

    def text(self, key: str) -> str:
        return str(self.s3.get_object(Bucket=self.name, Key=key)["Body"].read().decode())

    def fault(self, request: str, effect: str = "error", **rule: Any) -> None:
        self.lab.fault(request, effect, service="s3", **rule)


@pytest.fixture
def bucket(lab: Ec2Lab) -> Iterator[Bucket]:
    made = Bucket(lab, f"{BUCKET}-{next(_NUMBERS)}")
    yield made
    lab.heal()


def test_made_once_encrypted_private_and_then_kept(bucket: Bucket) -> None:
    results = [bucket.call(check=check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert results[0]["diff"]["after"] == "a new key pair\n"
    assert bucket.names() == [PRIVATE, f"{PRIVATE}.pub"]
    assert results[1]["public_key"] == results[3]["public_key"] == bucket.text(f"{PRIVATE}.pub").strip()
    assert results[1]["public_key"].endswith(" fuel-code-x")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", "/dev/stdin"],
        input=results[1]["public_key"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split()[1] == results[1]["fingerprint"]
    belongs = ["ssh-keygen", "-y", "-f", "/dev/stdin"]
    made = subprocess.run(belongs, input=bucket.text(PRIVATE), capture_output=True, text=True, check=True)
    assert made.stdout.split()[:2] == results[1]["public_key"].split()[:2]
    for key in bucket.names():
        assert bucket.s3.head_object(Bucket=bucket.name, Key=key)["ServerSideEncryption"] == "AES256"
        grants = bucket.s3.get_object_acl(Bucket=bucket.name, Key=key)["Grants"]
        assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"]
    assert "PRIVATE KEY" not in json.dumps(results)


def test_a_kms_key_is_used_where_one_is_named(bucket: Bucket) -> None:
    bucket.call(kms_key="alias/keys")
    found = bucket.s3.head_object(Bucket=bucket.name, Key=PRIVATE)
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "alias/keys")


@pytest.mark.parametrize("missing", [*CLOSED, "all"])
def test_no_key_is_put_into_a_bucket_that_is_not_closed(bucket: Bucket, missing: str) -> None:
    if missing == "all":
        bucket.s3.delete_public_access_block(Bucket=bucket.name)
    else:
        opened = {**CLOSED, missing: False}
        bucket.s3.put_public_access_block(Bucket=bucket.name, PublicAccessBlockConfiguration=opened)
    for check in (True, False):
        with pytest.raises(FuelError) as caught:
            bucket.call(check=check)
        assert caught.value.code == "bucket_open"
        assert "put-public-access-block" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert bucket.names() == []


def test_the_public_half_is_made_from_the_private_one(bucket: Bucket) -> None:
    before = bucket.call()
    for spoil in ("", "x y z", None):
        if spoil is None:
            bucket.s3.delete_object(Bucket=bucket.name, Key=f"{PRIVATE}.pub")
        else:
            bucket.s3.put_object(Bucket=bucket.name, Key=f"{PRIVATE}.pub", Body=spoil.encode())
        again = bucket.call()
        assert (again["changed"], again["public_key"]) == (True, before["public_key"])


def test_what_is_no_key_is_not_overwritten(bucket: Bucket) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key=PRIVATE, Body=b"notes\n")
    with pytest.raises(FuelError) as caught:
        bucket.call()
    assert caught.value.code == "not_a_key"
    assert bucket.text(PRIVATE) == "notes\n"


def test_many_at_once_make_one(bucket: Bucket) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(bucket.call()["public_key"])) for _each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
    assert bucket.text(f"{PRIVATE}.pub").strip() == made[0]


@pytest.mark.parametrize("effect", ["lost-reset", "lost-error"])
@pytest.mark.parametrize("half", ["", ".pub"])
def test_a_lost_answer_makes_no_second_key(bucket: Bucket, effect: str, half: str) -> None:
    bucket.fault(f"PUT /{bucket.name}/{PRIVATE}{half}", effect, times=1)
    made = bucket.call()
    assert bucket.call() == {**made, "changed": False, "diff": {**made["diff"], "before": made["diff"]["after"]}}
    assert len(bucket.s3.list_object_versions(Bucket=bucket.name)["Versions"]) == 2


@pytest.mark.parametrize("effect", ["hold", "hold-after"])
@pytest.mark.parametrize("half", ["", ".pub"])
def test_killed_around_each_put(bucket: Bucket, effect: str, half: str, tmp_path: Path) -> None:
    """kill -9 right before and right after each half is put: a repeat completes the pair, and keeps what was made."""
    bucket.fault(f"PUT /{bucket.name}/{PRIVATE}{half}", effect, times=1)
    program = (
        "import boto3, sys\n"
        "from fuelctl._shared import _ssh_keys_s3\n"
        "from fuelctl._shared._ec2._api import Api\n"
        "params = dict(bucket=sys.argv[2], path=sys.argv[3], comment='c', kms_key='', state='present')\n"
        "client = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1',\n"
        "    aws_access_key_id='AKIAKILLED', aws_secret_access_key='x')\n"
        "_ssh_keys_s3.keypair(Api(client), params, check=False)\n"
    )
    words = [sys.executable, "-c", program, bucket.lab.endpoint, bucket.name, PRIVATE]
    victim = subprocess.Popen(words, cwd=CHECKOUT, env={**os.environ, "TMPDIR": str(tmp_path)})
    bucket.lab.wait_for(lambda: bucket.lab.ask("GET", "held"))
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    # What has arrived takes its effect when it goes on, whether its sender lives or not.
    there = bucket.names()
    kept = bucket.text(PRIVATE) if PRIVATE in there else None
    assert PRIVATE in there or (effect, half) == ("hold", "")
    bucket.lab.ask("POST", "release", {})
    bucket.lab.heal()
    bucket.call()
    made = bucket.text(PRIVATE)
    assert kept in (None, made)
    assert bucket.call()["changed"] is False
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "PRIVATE" in path.read_text()]


def test_absent_takes_every_version_and_asks_again(bucket: Bucket) -> None:
    versioning = {"Status": "Enabled"}
    bucket.s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration=versioning)
    bucket.call()
    bucket.s3.delete_object(Bucket=bucket.name, Key=PRIVATE)
    bucket.call()
    others = [f"{PRIVATE}-of-another", f"{PRIVATE}.public"]
    for other in others:
        bucket.s3.put_object(Bucket=bucket.name, Key=other, Body=b"x")
    results = [bucket.call(state="absent", check=check) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert [line["state"] for line in results[0]["resources"]] == ["present", "present"]
    gone = [("key_object", f"s3://{bucket.name}/{PRIVATE}{half}", "gone") for half in ("", ".pub")]
    assert [(line["kind"], line["name"], line["state"]) for line in results[1]["resources"]] == gone
    left = bucket.s3.list_object_versions(Bucket=bucket.name)
    assert {each["Key"] for each in left["Versions"]} == set(others)
    assert "DeleteMarkers" not in left


def test_what_could_not_be_removed_is_told(bucket: Bucket) -> None:
    bucket.call()
    bucket.fault(f"DELETE /{bucket.name}/{PRIVATE}", code="AccessDenied", status=403)
    with pytest.raises(FuelError) as caught:
        bucket.call(state="absent")
    assert caught.value.code == "s3_permission"
    bucket.lab.heal()
    assert bucket.call(state="absent")["changed"]
    assert bucket.names() == []


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"effect": "reset"}, "s3_"),
        ({"code": "InternalError"}, "s3_busy"),
        ({"code": "SlowDown"}, "s3_busy"),
        ({"code": "AccessDenied", "status": 403}, "s3_permission"),
        ({"code": "InvalidAccessKeyId", "status": 403}, "s3_credentials"),
        ({"code": "NoSuchBucket", "status": 404}, "s3_bucket"),
    ],
)
def test_s3_down_or_denied_is_one_line(bucket: Bucket, state: str, rule: dict[str, Any], code: str) -> None:
    bucket.fault("*", **rule)
    with pytest.raises(FuelError) as caught:
        bucket.call(state=state)
    assert caught.value.code.startswith(code), str(caught.value)
    assert bucket.name in str(caught.value)
    assert "\n" not in str(caught.value)
    bucket.lab.heal()
    assert bucket.names() == []


def test_moments_of_trouble_are_waited_out(bucket: Bucket) -> None:
    bucket.api = Api(bucket.s3)
    bucket.fault("*", code="InternalError", times=2)
    assert bucket.call()["changed"]
    bucket.fault("*", code="SlowDown", times=2)
    assert bucket.call(state="absent")["changed"]


def test_nobody_there_is_one_line() -> None:
    client = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:9", region_name="x", aws_access_key_id="a", aws_secret_access_key="b"
    )
    params = {"bucket": BUCKET, "path": PRIVATE, "comment": "c", "kms_key": "", "state": "present"}
    with pytest.raises(FuelError) as caught:
        _ssh_keys_s3.keypair(Api(client, patience=0.5), params, check=False)
    assert caught.value.code == "s3_unreachable"


@pytest.mark.parametrize(
    ("bucket_name", "path"),
    [(None, "k"), ("", "k"), ("Upper", "k"), ("a/b", "k"), ("abc", "/"), ("abc", "a\nb"), ("abc", "k" * 1001)],
)
def test_what_names_nothing_is_refused(bucket_name: str | None, path: str) -> None:
    with pytest.raises(UsageError):
        _ssh_keys_s3.place(bucket_name, path)


def call(home: Path, lab: Ec2Lab | None, *flags: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The module as Ansible calls it: its result, and all that was printed."""
    words = ["ansible", "localhost", "-vvv", "-m", "fuel_code.remote.ssh_keypair", "-a", json.dumps(arguments), *flags]
    plain = {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    plain |= lab.environment() if lab else {}
    plain["ANSIBLE_PYTHON_INTERPRETER"] = sys.executable
    done = ansible(*words, collections=home / "c", home=home, **plain)
    told = json.loads(done.stdout[done.stdout.index("\n{") :])
    result: dict[str, Any] = told["plays"][0]["tasks"][0]["hosts"]["localhost"]
    return result, done.stdout + done.stderr


def test_as_ansible_calls_it(bucket: Bucket, tmp_path: Path) -> None:
    wanted = {"backend": "s3", "bucket": bucket.name, "path": PRIVATE}
    foreseen, _said = call(tmp_path, bucket.lab, "-C", "-D", **wanted)
    assert (foreseen["changed"], bucket.names()) == (True, [])
    made, said = call(tmp_path, bucket.lab, "-D", **wanted)
    assert made["diff"]["after"] == made["public_key"] + "\n"
    assert "".join(bucket.text(PRIVATE).splitlines()[1:3])[:60] not in said.replace("\\n", "").replace("\n", "")
    again, _said = call(tmp_path, bucket.lab, **wanted)
    assert (again["changed"], again["public_key"]) == (False, made["public_key"])
    ended, _said = call(tmp_path, bucket.lab, state="absent", **wanted)
    assert [line["state"] for line in ended["resources"]] == ["gone", "gone"]
    left = [path for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert left == []


@pytest.mark.parametrize("backend", ["file", "s3"])
def test_only_s3_needs_boto3(bucket: Bucket, tmp_path: Path, backend: str) -> None:
    """The module itself, by a Python that has neither boto3 nor amazon.aws."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    path = str(tmp_path / "keys" / "id_ed25519") if backend == "file" else PRIVATE
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        # With an environment of its own a task is never done in Ansible's process.
        "environment": {"SOME": "thing"},
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": str(bare / "bin" / "python")},
        "tasks": [{"fuel_code.remote.ssh_keypair": {"backend": backend, "path": path, "bucket": bucket.name}}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    plain = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", **bucket.lab.environment()}
    done = ansible("ansible-playbook", "play.yml", collections=tmp_path / "c", home=tmp_path, **plain)
    told = json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"][0]["hosts"]["localhost"]
    if backend == "file":
        assert told["changed"], told
    else:
        assert told["error"]["code"] == "missing_library", told
        assert "pip install" in told["msg"]


def test_the_bucket_has_to_be_named(tmp_path: Path) -> None:
    failed, _said = call(tmp_path, None, backend="s3", path=PRIVATE)
    assert failed["failed"]
    assert "bucket" in failed["msg"]


@pytest.mark.docker
def test_an_environment_whose_key_is_in_s3(bucket: Bucket, tmp_path: Path) -> None:
    """By the playbooks alone: its key is in the bucket and in no folder, and the receipt says that it is gone."""
    name = f"keyed-{secrets.token_hex(4)}"
    environment = environment_id_for("integration", name)
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "README").write_text("hello\n")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *command], cwd=tmp_path / "repository", check=True)
    given = {
        "remote_name": name,
        "remote_owner": "integration",
        "remote_source": str(tmp_path / "repository"),
        "remote_blueprint": {"image": IMAGE},
        "remote_keys_backend": "s3",
        "remote_keys_bucket": bucket.name,
        "remote_keys_region": "us-east-1",
    }
    private = f"ssh-keys/{environment}/id_ed25519"

    def play(verb: str, **more: Any) -> str:
        words = ["ansible-playbook", f"fuel_code.remote.remote_{verb}", "-e", json.dumps({**given, **more})]
        done = ansible(*words, collections=tmp_path / "c", home=tmp_path, **bucket.lab.environment())
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        assert "PRIVATE KEY" not in done.stdout + done.stderr
        return done.stdout

    try:
        said = play("up")
        assert f"aws s3 cp s3://{bucket.name}/{private} {name}.key" in said
        assert bucket.names() == [private, f"{private}.pub"]
        container = container_names(environment).container
        trusted = docker("exec", container, "cat", "/etc/fuel-code/authorized_keys")
        assert bucket.text(f"{private}.pub").strip() in trusted
        left = [path for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
        assert left == []
        # Elsewhere: with the key from there and the host key as it was printed, and with no other.
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / f"{name}.key").write_text(bucket.text(private))
        (elsewhere / f"{name}.key").chmod(0o600)
        lines = [json.loads(line) for line in re.findall(r'^\s*("(?:host key|enter): .*"),$', said, re.MULTILINE)]
        for line, code in ((lines[0].replace(" ssh-ed25519 AAAA", " ssh-ed25519 AAAB"), 255), (lines[0], 0)):
            pin = line.removeprefix("host key: ")
            enter = lines[1].removeprefix("enter: ") + " id -un"
            done = subprocess.run(
                f"{pin} && {enter}", shell=True, cwd=elsewhere, capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout) == (code, "" if code else "dev\n"), done.stderr
    finally:
        said = play("down", remote_discard=True)
    assert bucket.names() == []
