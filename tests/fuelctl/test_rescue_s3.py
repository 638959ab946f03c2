# SPDX-License-Identifier: GPL-3.0-or-later
"""Rescues in an S3 bucket (the lab's): closed buckets only, or in the control plane's own files; gone for good."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import pytest

from fuelctl import config, paths
from fuelctl._shared._errors import UsageError
from fuelctl.environments import rescues
from fuelctl.environments.core import Core
from fuelctl.server.app import create_app
from fuelctl.server.parts import Parts
from fuelctl.store import bucket as bucket_module
from fuelctl.store.bucket import Bucket, BucketError, rescues_in
from fuelctl.store.database import Database
from fuelctl.store.files import Files
from fuelctl.store.secrets import Safe
from tests.fuelctl import databases
from tests.fuelctl.api import SMALL
from tests.fuelctl.control import Lab
from tests.fuelctl.test_rescue import WORK, end, kept, up
from tests.lab.ec2.client import Ec2Lab

_NUMBERS = itertools.count()
_CLOSED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
KEY = rescues.key("01JD3Z5Q8W6S9X4V7T2R1P0N8M")


@pytest.fixture(scope="module")
def cloud() -> Iterator[Ec2Lab]:
    with Ec2Lab(machines=False) as started:
        yield started


class S3:
    """A bucket as its owner sees it."""

    def __init__(self, cloud: Ec2Lab) -> None:
        self.cloud = cloud
        self.name = f"rescues-{next(_NUMBERS)}"
        self.client: Any = boto3.client("s3", region_name="us-east-1", endpoint_url=cloud.endpoint)
        self.client.create_bucket(Bucket=self.name)
        self.client.put_public_access_block(Bucket=self.name, PublicAccessBlockConfiguration=_CLOSED)

    def names(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def versions(self) -> int:
        found = self.client.list_object_versions(Bucket=self.name)
        return len(found.get("Versions", [])) + len(found.get("DeleteMarkers", []))


@pytest.fixture
def s3(cloud: Ec2Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket_module, "_TRIES", 2)
    for name in ("_CONNECT_SECONDS", "_ANSWER_SECONDS"):
        monkeypatch.setattr(bucket_module, name, 120)
    yield S3(cloud)
    cloud.heal()


@pytest.fixture(params=databases.KINDS)
def files(request: pytest.FixtureRequest, s3: S3) -> Iterator[Files]:
    for database in databases.of_kind(request):
        yield Files(database, Safe(paths.secret_key_file()), bucket=Bucket(f"{s3.name}/team"))


def test_rescues_are_put_there_encrypted_and_private_and_nothing_else_is(files: Files, s3: S3) -> None:
    content = os.urandom(3_000_000)
    assert files.put(KEY, io.BytesIO(content), private=True) == len(content)
    files.put("keys/A/id", b"x", private=True)
    assert s3.names() == [f"team/{KEY}"]
    head = s3.client.head_object(Bucket=s3.name, Key=f"team/{KEY}")
    assert (head["ServerSideEncryption"], head["ContentLength"]) == ("AES256", len(content))
    grants = s3.client.get_object_acl(Bucket=s3.name, Key=f"team/{KEY}")["Grants"]
    assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"]
    assert (files.size(KEY), files.list("rescues")) == (len(content), [KEY])
    assert files.sha256(KEY) == hashlib.sha256(content).hexdigest()
    with files.open(KEY) as stream:
        assert stream.read(7) + stream.read() == content
    files.delete("rescues/01JD3Z5Q8W6S9X4V7T2R1P0N8M")
    assert (files.size(KEY), files.list("rescues"), s3.names()) == (None, [], [])
    with pytest.raises(FileNotFoundError):
        files.open(KEY)


def test_a_kms_key_is_used_where_one_is_named(s3: S3) -> None:
    Bucket(s3.name, kms_key="alias/rescues").put(KEY, io.BytesIO(b"x"))
    head = s3.client.head_object(Bucket=s3.name, Key=KEY)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/rescues")


def test_every_version_goes(s3: S3) -> None:
    s3.client.put_bucket_versioning(Bucket=s3.name, VersioningConfiguration={"Status": "Enabled"})
    bucket = Bucket(s3.name)
    for content in (b"1", b"2"):
        bucket.put(KEY, io.BytesIO(content))
    bucket.put(f"{KEY}x", io.BytesIO(b"another"))
    bucket.delete(KEY)
    bucket.delete(KEY)
    assert (s3.names(), s3.versions()) == ([f"{KEY}x"], 1)


@pytest.mark.parametrize("missing", [*_CLOSED, "all"])
def test_a_bucket_that_is_not_closed_gets_none(
    database: Database, s3: S3, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    if missing == "all":
        s3.client.delete_public_access_block(Bucket=s3.name)
    else:
        opened = {**_CLOSED, missing: False}
        s3.client.put_public_access_block(Bucket=s3.name, PublicAccessBlockConfiguration=opened)
    files = Files(database, Safe(paths.secret_key_file()), bucket=Bucket(s3.name))
    files.put(KEY, b"work", private=True)
    assert (s3.names(), files.read(KEY)) == ([], b"work")
    assert "put-public-access-block" in caplog.text


@pytest.mark.parametrize(
    ("request_name", "effect", "rule"),
    [
        ("PUT /{bucket}/team/{key}", "error", {"code": "AccessDenied", "status": 403}),
        ("PUT /{bucket}/team/{key}", "error", {"code": "SlowDown", "status": 503}),
        ("PUT /{bucket}/team/{key}", "reset", {}),
        ("GET /{bucket}", "error", {"code": "InternalError", "status": 500}),
    ],
)
def test_what_s3_does_not_take_is_kept_here(
    files: Files, s3: S3, request_name: str, effect: str, rule: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    s3.cloud.fault(request_name.format(bucket=s3.name, key=KEY), effect, service="s3", **rule)
    content = os.urandom(2_500_000)
    assert files.put(KEY, io.BytesIO(content), private=True) == len(content)
    assert f"s3://{s3.name} does not take {KEY}" in caplog.text
    s3.cloud.heal()
    assert files.sha256(KEY) == hashlib.sha256(content).hexdigest()
    assert files.list("rescues") == [KEY]
    files.delete(KEY)
    assert (files.size(KEY), files.list("rescues")) == (None, [])


def test_what_comes_there_later_takes_the_place_of_what_was_kept_here(files: Files, s3: S3) -> None:
    request = f"PUT /{s3.name}/team/{KEY}"
    s3.cloud.fault(request, "error", service="s3", code="AccessDenied", status=403)
    files.put(KEY, b"of a run that was killed", private=True)
    s3.cloud.heal()
    files.put(KEY, b"work", private=True)
    assert (files.read(KEY), s3.names()) == (b"work", [f"team/{KEY}"])
    s3.cloud.fault(request, "error", service="s3", code="AccessDenied", status=403)
    files.put(KEY, b"later work", private=True)
    assert files.read(KEY) == b"later work"


def test_settings_that_aws_does_not_know_lose_no_rescue(
    database: Database, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    files = Files(database, Safe(paths.secret_key_file()), bucket=Bucket(s3.name))
    files.put(KEY, b"work", private=True)
    assert (s3.names(), files.read(KEY)) == ([], b"work")


def test_what_else_is_in_the_bucket_is_nobodys_to_forget(database: Database, s3: S3) -> None:
    core = Core(database, Safe(paths.secret_key_file()), bucket=Bucket(s3.name))
    for name in ("rescues", "rescues/00-minutes/1.txt", KEY):
        s3.client.put_object(Bucket=s3.name, Key=name, Body=b"x")
    assert rescues.forget(core, core.clock().wall + 1) == 1
    assert s3.names() == ["rescues", "rescues/00-minutes/1.txt"]


def test_a_call_that_fails_once_is_made_again_with_all_of_it(s3: S3) -> None:
    content = os.urandom(2_500_000)
    s3.cloud.fault(f"PUT /{s3.name}/{KEY}", "error", service="s3", code="SlowDown", status=503, times=1)
    Bucket(s3.name).put(KEY, io.BytesIO(content))
    assert [call["status"] for call in s3.cloud.calls(f"PUT /{s3.name}/{KEY}")] == [503, 200]
    with Bucket(s3.name).open(KEY) as stream:
        assert stream.read() == content


def test_from_its_end_to_who_fetches_it(database: Database, s3: S3, tmp_path: Path) -> None:
    bucket = Bucket(s3.name)
    lab = Lab(Core(database, Safe(paths.secret_key_file()), bucket=bucket))
    try:
        made = up(lab, WORK)
        row = end(lab, made, "idle")
        assert (row.status, row.rescued["state"]) == ("terminated", "saved")
        (saved,) = kept(lab)
        assert s3.names() == [rescues.key(saved.id)]
        assert not (paths.state_folder() / "rescues").exists()
        http = create_app(Parts(lab.core, lambda *_: None, SMALL)).test_client()
        fetched = http.get(f"/api/rescues/{saved.id}/content")
        assert hashlib.sha256(fetched.data).hexdigest() == saved.sha256
        s3.cloud.fault(
            f"GET /{s3.name}/{rescues.key(saved.id)}", "error", service="s3", code="AccessDenied", status=403
        )
        refused = http.get(f"/api/rescues/{saved.id}/content")
        assert (refused.status_code, refused.json["code"]) == (503, "s3_permission")
        s3.cloud.heal()
        # Without that setting it is not found any more, which is said.
        without = create_app(Parts(replace(lab.core, bucket=None), lambda *_: None, SMALL)).test_client()
        assert without.get(f"/api/rescues/{saved.id}/content").json["code"] == "rescue_lost"
        assert rescues.forget(lab.core, lab.core.clock().wall + 1) == 1
        assert s3.names() == []
    finally:
        lab.engine.close()


def test_a_rescue_that_cannot_be_read_back_is_kept_here(
    database: Database, s3: S3, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 took it, and is away when it is asked what it has."""
    lab = Lab(Core(database, Safe(paths.secret_key_file()), bucket=Bucket(s3.name)))
    try:
        made = up(lab, WORK)
        opened = Bucket.open

        def goes_away(self: Bucket, key: str) -> BinaryIO:
            s3.cloud.fault(f"GET /{s3.name}/{key}", "error", service="s3", code="InternalError", status=500)
            return opened(self, key)

        monkeypatch.setattr(Bucket, "open", goes_away)
        row = end(lab, made, "idle")
        assert (row.status, row.rescued["state"]) == ("terminated", "saved")
        (saved,) = kept(lab)
        assert "cannot be read back, so it is kept here" in caplog.text
        # Also while S3 is away.
        http = create_app(Parts(lab.core, lambda *_: None, SMALL)).test_client()
        assert hashlib.sha256(http.get(f"/api/rescues/{saved.id}/content").data).hexdigest() == saved.sha256
        s3.cloud.heal()
        assert rescues.forget(lab.core, lab.core.clock().wall + 1) == 1
        assert s3.names() == []
    finally:
        lab.engine.close()


def test_what_names_no_bucket_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rescues_in(config.load()) is None
    for wrong in ("Team", "a", "s3://team", "team/../x y", "team//x"):
        monkeypatch.setenv("FUELCTL_RESCUE_BUCKET", wrong)
        with pytest.raises(UsageError, match="rescue_bucket"):
            rescues_in(config.load())
    monkeypatch.setenv("FUELCTL_RESCUE_BUCKET", "nobodys-bucket")
    named = rescues_in(config.load())
    assert str(named) == "s3://nobodys-bucket"


def test_a_bucket_that_there_is_not_is_one_line(s3: S3) -> None:
    with pytest.raises(BucketError) as caught:
        Bucket("no-such-bucket-here").put(KEY, io.BytesIO(b"x"))
    assert (caught.value.code, "\n" in str(caught.value)) == ("s3_bucket", False)
