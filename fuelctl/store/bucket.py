# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in an S3 bucket: encrypted there, private, and only in a bucket that refuses to make anything public.

Whatever S3 refuses, loses or is slow about leaves as a FuelError, within about two minutes.
"""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from fuelctl._shared._ec2._api import Api, ApiError, read_error
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl._shared._ssh_keys_s3 import Place, check_closed, explain, put_private

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Seconds for all of one upload, for a connection, and for an answer.
_UPLOAD_SECONDS = 100.0
_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 15
_TRIES = 3
_BLOCK = 1 << 20
_NAME = re.compile(r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[A-Za-z0-9_.=+-]+)*)/?")


class Named(Protocol):
    """The settings that name one."""

    @property
    def rescue_bucket(self) -> str:
        """`bucket`, or `bucket/prefix`; empty for none."""

    @property
    def rescue_region(self) -> str:
        """The bucket's; empty for what AWS's own settings say."""

    @property
    def rescue_kms_key(self) -> str:
        """Of KMS; empty for S3's own."""


class BucketError(FuelError):
    """S3 refuses, or does not answer."""


class Bucket:
    """`name` is a bucket, or `bucket/prefix`; credentials are found where AWS's tools find them."""

    def __init__(self, name: str, *, region: str = "", kms_key: str = "") -> None:
        found = _NAME.fullmatch(name)
        if found is None:
            raise UsageError(
                f"control_plane.rescue_bucket {name[:100]!r} is no bucket",
                hint="like team-rescues, or team-rescues/prefix",
                code="bad_settings",
            )
        self._prefix = found["prefix"].strip("/")
        self._where = Place(found["bucket"], self._at(""), kms_key)
        self._region = region
        self._lock = threading.Lock()
        self._made: Api | None = None

    def __str__(self) -> str:
        return f"s3://{self._where.bucket}"

    def put(self, key: str, stream: BinaryIO) -> int:
        """Store all of it, which can be rewound, under `key`; its size in bytes."""
        api = self._api()
        try:
            check_closed(api, self._where, "rescue")
        except FuelError as error:
            raise _as_ours(error) from error
        begin = stream.tell()
        size = stream.seek(0, io.SEEK_END) - begin
        stream.seek(begin)
        try:
            put_private(api, self._where, self._at(key), _Timed(stream), ContentLength=size)
        except ApiError as error:
            raise self._told(error) from error
        return size

    def open(self, key: str) -> BinaryIO:
        """A stream of the content; FileNotFoundError when there is none. What breaks off is an OSError."""
        try:
            found = self._api().call("get_object", Bucket=self._where.bucket, Key=self._at(key))
        except ApiError as error:
            if error.code == "NoSuchKey":
                raise FileNotFoundError(f"there is no {self._where.url(self._at(key))}") from error
            raise self._told(error) from error
        return io.BufferedReader(_Body(found["Body"]), _BLOCK)

    def size(self, key: str) -> int | None:
        """In bytes; None when there is no such key."""
        try:
            found = self._api().call("head_object", Bucket=self._where.bucket, Key=self._at(key))
        except ApiError as error:
            if error.code in ("NoSuchKey", "404", "NotFound"):
                return None
            raise self._told(error) from error
        return int(found["ContentLength"])

    def delete(self, prefix: str) -> None:
        """Forget this key, and all below it, in every version."""
        for key, version in list(self._versions(prefix)):
            self._call("delete_object", Bucket=self._where.bucket, Key=self._at(key), VersionId=version)

    def list(self, prefix: str) -> set[str]:
        """This key, when there is one, and all keys below it."""
        return {key for key, _version in self._versions(prefix)}

    def _versions(self, prefix: str) -> Iterator[tuple[str, str]]:
        page: dict[str, str] = {}
        skip = len(self._at(""))
        while True:
            answer = self._call("list_object_versions", Bucket=self._where.bucket, Prefix=self._at(prefix), **page)
            for each in [*(answer.get("Versions") or []), *(answer.get("DeleteMarkers") or [])]:
                key = str(each["Key"])[skip:]
                if key == prefix or key.startswith(f"{prefix}/"):
                    yield key, str(each["VersionId"])
            if not answer.get("IsTruncated"):
                return
            page = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}

    def _at(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        try:
            return self._api().call(method, **parameters)
        except ApiError as error:
            raise self._told(error) from error

    def _told(self, error: ApiError) -> BucketError:
        return _as_ours(explain(error, self._where))

    def _api(self) -> Api:
        with self._lock:
            if self._made is None:
                try:
                    import boto3
                    from botocore.config import Config
                    from botocore.exceptions import BotoCoreError
                except ImportError as error:
                    raise BucketError(
                        "boto3 is not installed, which rescues in S3 need",
                        hint="pip install 'fuelctl[ec2]'",
                        code="boto3_missing",
                    ) from error
                # It repeats by itself, since it alone can rewind what is sent.
                tries = {"mode": "standard", "total_max_attempts": _TRIES}
                config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_ANSWER_SECONDS, retries=tries)
                try:
                    client = boto3.client("s3", region_name=self._region or None, config=config)
                except (BotoCoreError, ValueError) as error:
                    raise BucketError(
                        f"AWS's settings are wrong: {' '.join(str(error).split())}",
                        hint="see control_plane.rescue_region, AWS_PROFILE and ~/.aws/config of this process",
                        code="s3_settings",
                    ) from error
                self._made = Api(client, patience=0)
            return self._made


def rescues_in(settings: Named) -> Bucket | None:
    """Where rescues are put, other than among the control plane's own files; UsageError for what names no bucket."""
    name = settings.rescue_bucket
    return Bucket(name, region=settings.rescue_region, kms_key=settings.rescue_kms_key) if name else None


def _as_ours(error: FuelError) -> BucketError:
    facts = error.as_dict()
    return BucketError(facts.pop("message"), **facts)


class _Timed(io.RawIOBase):
    """What is sent, from where it begins, for no longer than an upload may take."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._begin = stream.tell()
        self._until = time.monotonic() + _UPLOAD_SECONDS

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset + self._begin if whence == io.SEEK_SET else offset, whence) - self._begin

    def tell(self) -> int:
        return self._stream.tell() - self._begin

    def readinto(self, buffer: WriteableBuffer) -> int:
        if time.monotonic() > self._until:
            raise TimeoutError(f"S3 did not take it within {_UPLOAD_SECONDS:.0f} s")
        view = memoryview(buffer).cast("B")
        found = self._stream.read(len(view))
        view[: len(found)] = found
        return len(found)


class _Body(io.RawIOBase):
    """What S3 sends; its failures are those of a file."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            found: bytes = self._body.read(len(view))
        except Exception as error:
            known = read_error("GetObject", error, 1)
            if known is None:
                raise
            raise OSError(f"S3 broke off: {known.message}") from error
        view[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._body.close()
        super().close()
