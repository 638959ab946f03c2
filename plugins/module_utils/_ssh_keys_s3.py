# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Key pairs of environments in an S3 bucket: the private half passes through pipes and memory, and no file.

The private half is put first, and only where none is; whoever has it can make the other one again. So of any number of
runs, killed wherever, one pair comes out, and the first one stays.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
from dataclasses import dataclass
from math import inf
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from ._docker import Run, run_command
from ._ec2 import _refusals
from ._ec2._api import Api, ApiError, read_error
from ._errors import FuelError, UsageError
from ._identity import check_environment_id
from ._receipt import GONE, PRESENT, entry
from ._scratch import scratch

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
#: Somebody else was faster, or is about to be.
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")
_TRIES = 10
#: What follows an environment's id.
_NAMES = (["id_ed25519"], ["id_ed25519.pub"])
#: No key is larger; what is, is none.
_LARGEST = 16384
#: The calls that S3 allows under another name than their own.
_ACTIONS = {
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "ListObjectVersions": "ListBucketVersions",
    "DeleteObject": "DeleteObject and s3:DeleteObjectVersion",
    "GetObject": "GetObject and s3:ListBucket",
    "PutObject": "PutObject and s3:PutObjectAcl",
}


@dataclass(frozen=True)
class Place:
    """`key` names the object of the private half; the public one's has `.pub` added. `kms_key`: empty for S3's own."""

    bucket: str
    key: str
    kms_key: str = ""

    @property
    def halves(self) -> Tuple[str, str]:
        """Names of both objects, the private one first."""
        return self.key, f"{self.key}.pub"

    def url(self, key: str) -> str:
        """As people and receipts name it."""
        return f"s3://{self.bucket}/{key}"


def place(bucket: Optional[str], path: str, kms_key: str = "") -> Place:
    """UsageError for what cannot name a bucket or an object."""
    if not bucket or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise UsageError(f"{str(bucket)[:64]!r} is no bucket", where="bucket", hint="3 to 63 of a-z, 0-9, . and -")
    key = path.lstrip("/")
    if not key or len(key.encode("utf-8")) > 1000 or re.search(r"[\x00-\x1f\x7f]", key):
        raise UsageError(
            f"{path[:64]!r} names no object", where="path", hint="like ssh-keys/<environment id>/id_ed25519"
        )
    return Place(bucket, key, kms_key)


class PipedKeygen:
    """OpenSSH's own program, which writes the private half into a pipe and reads it from one."""

    def __init__(self, run: Run = run_command) -> None:
        self._run = run

    def generate(self, comment: str) -> bytes:
        """A new private half."""
        with scratch("fuel-key-") as folder:
            path = os.path.join(folder, "key")
            os.mkfifo(path, 0o600)
            # Open before the program writes, which is less than a pipe takes: nobody waits for anybody.
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                args = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path]
                # It asks before it writes to what is there.
                done = self._call(args, b"y\n")
                made = os.read(reader, _LARGEST) if done.returncode == 0 else b""
            finally:
                os.close(reader)
        if not made or self.public(made) is None:
            raise FuelError(f"Failed to make a key pair: {done.error_text[:200]}", code="ssh_keygen")
        return made

    def public(self, private: bytes) -> Optional[str]:
        """`type base64` of a private half; None for what is none that can be used without a passphrase."""
        done = self._call(["ssh-keygen", "-y", "-P", "", "-f", "/dev/stdin"], private)
        return " ".join(done.text.split()[:2]) if done.returncode == 0 else None

    def _call(self, args: List[str], content: bytes) -> Any:
        try:
            return self._run(args, content, 60)
        except FileNotFoundError as error:
            raise FuelError(
                "Failed to make a key pair: ssh-keygen is not installed",
                hint="install openssh-client (Debian, Ubuntu)",
                code="ssh_keygen_missing",
            ) from error


def fingerprint(line: str) -> str:
    """SHA256:... of a public half, as ssh-keygen shows it."""
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def present(
    api: Api,
    where: Place,
    comment: str,
    maker: PipedKeygen,
    *,
    check: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Tuple[bool, str]:
    """(changed, line of the public half). The line is empty only with `check` when there is no private half."""
    if re.search(r"[\x00-\x1f\x7f]", comment):
        raise UsageError("A comment holds a control character", where="comment", hint="use one plain line")
    check_closed(api, where, "private key")
    private, public = where.halves
    kept = _read(api, where, private)
    known = "" if kept is None else _known(maker, kept, where)
    line = (_read(api, where, public) or b"").decode("utf-8", "replace").strip()
    if known and " ".join(line.split()[:2]) == known:
        return False, line
    made = f"{known} {comment}".strip() if known else ""
    if check:
        return True, made
    if kept is None:
        kept = _put_first(api, where, maker.generate(comment), sleep)
        made = f"{_known(maker, kept, where)} {comment}".strip()
    _put(api, where, public, f"{made}\n".encode("utf-8"))
    return True, made


def absent(api: Api, where: Place, *, check: bool = False) -> Tuple[bool, List[str], List[Dict[str, str]]]:
    """(changed, URLs of what was there, receipt lines). Every version goes: an older one is as good a key."""
    there = list(_versions(api, where))
    found = sorted({where.url(key) for key, _version in there})
    if there and not check:
        for key, version in there:
            _call(api, where, "delete_object", Bucket=where.bucket, Key=key, VersionId=version)
        there = list(_versions(api, where))
    left = {key for key, _version in there}
    lines = [entry("key_object", where.url(key), PRESENT if key in left else GONE) for key in where.halves]
    return bool(found), found, lines


def stored(api: Api, bucket: str, prefix: str) -> Dict[str, Dict[str, float]]:
    """Everything below `<prefix>/<environment id>/`: environment id -> URL -> when its oldest version was put.

    Every version counts, for an older one is as good a key; what is below no environment's id is none of ours.
    """
    where = place(bucket, prefix.strip("/"))
    found: Dict[str, Dict[str, float]] = {}
    page: Dict[str, str] = {}
    while True:
        answer = _call(api, where, "list_object_versions", Bucket=where.bucket, Prefix=f"{where.key}/", **page)
        for each in answer.get("Versions") or []:
            name = str(each["Key"])[len(where.key) + 1 :].split("/")
            try:
                environment_id = check_environment_id(name[0]) if name[1:] in _NAMES else ""
            except UsageError:
                environment_id = ""
            if environment_id and environment_id == name[0]:
                theirs, url = found.setdefault(environment_id, {}), where.url(each["Key"])
                theirs[url] = min(theirs.get(url, inf), each["LastModified"].timestamp())
        if not answer.get("IsTruncated"):
            return found
        page = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}


def keypair(api: Api, params: Mapping[str, Any], *, check: bool) -> Dict[str, Any]:
    """The work and the result of the module `ssh_keypair` with backend `s3`."""
    where = place(params["bucket"], params["path"], params["kms_key"])
    url = where.url(where.key)
    if params["state"] == "absent":
        changed, found, lines = absent(api, where, check=check)
        before = "".join(f"{name}\n" for name in found)
        diff = {"before": before, "after": before if check and not changed else "", "before_header": url}
        return {"changed": changed, "path": url, "resources": lines, "diff": diff}
    changed, line = present(api, where, params["comment"], PipedKeygen(), check=check)
    after = line or "a new key pair"
    return {
        "changed": changed,
        "path": url,
        "public_key": line,
        "fingerprint": fingerprint(line) if line else "",
        "diff": {"before": "" if changed else f"{after}\n", "after": f"{after}\n", "after_header": url},
    }


def check_closed(api: Api, where: Place, what: str) -> None:
    """FuelError unless the bucket itself refuses whatever would make an object, `what`, public."""
    try:
        found = api.call("get_public_access_block", Bucket=where.bucket).get("PublicAccessBlockConfiguration") or {}
    except ApiError as error:
        if error.code != "NoSuchPublicAccessBlockConfiguration":
            raise explain(error, where) from error
        found = {}
    missing = [name for name in _BLOCKS if found.get(name) is not True]
    if missing:
        wanted = ",".join(f"{name}=true" for name in _BLOCKS)
        command = f"aws s3api put-public-access-block --bucket {where.bucket}"
        raise FuelError(
            f"the bucket does not block public access ({', '.join(missing)}), so no {what} is put there",
            hint=f"{command} --public-access-block-configuration {wanted}",
            where=f"s3://{where.bucket}",
            code="bucket_open",
        )


def _known(maker: PipedKeygen, private: bytes, where: Place) -> str:
    known = maker.public(private)
    if known is None:
        raise FuelError(
            "There is an object that is no usable private key",
            hint="move it away, or name another path",
            where=where.url(where.key),
            code="not_a_key",
        )
    return known


def _read(api: Api, where: Place, key: str) -> Optional[bytes]:
    try:
        answer = api.call("get_object", Bucket=where.bucket, Key=key)
    except ApiError as error:
        if error.code == "NoSuchKey":
            return None
        raise explain(error, where) from error
    try:
        with answer["Body"] as body:
            content: bytes = body.read(_LARGEST)
    except Exception as error:
        lost = read_error("GetObject", error, 1)
        if lost is None:
            raise
        raise explain(lost, where) from error
    return content


def _put_first(api: Api, where: Place, made: bytes, sleep: Callable[[float], None]) -> bytes:
    """The private half that is there afterwards: ours, or that of whoever was faster."""
    for _try in range(_TRIES):
        try:
            put_private(api, where, where.key, made, IfNoneMatch="*")
            return made
        except ApiError as error:
            if error.code not in _TAKEN:
                raise explain(error, where) from error
        kept = _read(api, where, where.key)
        if kept is not None:
            return kept
        sleep(0.2)
    raise FuelError("others keep writing this key pair", where=where.url(where.key), hint="run again", code="s3_busy")


def _put(api: Api, where: Place, key: str, content: bytes) -> None:
    try:
        put_private(api, where, key, content)
    except ApiError as error:
        raise explain(error, where) from error


def put_private(api: Api, where: Place, key: str, content: Any, **more: Any) -> None:
    """Put `content` (bytes, or a stream that can be rewound), encrypted and its owner's alone; ApiError."""
    encryption = {"ServerSideEncryption": "AES256"}
    if where.kms_key:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": where.kms_key}
    parameters = {"Bucket": where.bucket, "Key": key, "Body": content, **encryption, **more}
    try:
        api.call("put_object", ACL="private", **parameters)
    except ApiError as error:
        # A bucket that knows no ACLs gives its objects to its owner alone.
        if error.code != "AccessControlListNotSupported":
            raise
        api.call("put_object", **parameters)


def _versions(api: Api, where: Place) -> Iterator[Tuple[str, str]]:
    """(key, version) of everything that there is of both objects, markers of deletion included."""
    page: Dict[str, str] = {}
    while True:
        answer = _call(api, where, "list_object_versions", Bucket=where.bucket, Prefix=where.key, **page)
        for each in (answer.get("Versions") or []) + (answer.get("DeleteMarkers") or []):
            if each["Key"] in where.halves:
                yield each["Key"], each["VersionId"]
        if not answer.get("IsTruncated"):
            return
        page = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}


def _call(api: Api, where: Place, method: str, **parameters: Any) -> Dict[str, Any]:
    try:
        return api.call(method, **parameters)
    except ApiError as error:
        raise explain(error, where) from error


def explain(error: ApiError, where: Place) -> FuelError:
    """S3's refusal as one line."""
    bucket, said = f"s3://{where.bucket}", _refusals.one_line(error.message)
    details = {"operation": error.operation, "aws_code": error.code, "aws_message": said, "tries": error.tries}
    known = {
        "NoSuchBucket": ("s3_bucket", "there is no such bucket", "make it, or name another"),
        "ParamValidationError": ("s3_library", "boto3 is too old for keys in S3", "pip install 'boto3>=1.35.3'"),
        "PermanentRedirect": ("s3_region", "the bucket is in another region", "name the bucket's own region"),
        "KMS.DisabledException": ("s3_kms", "the KMS key is disabled", "enable it, or name another"),
        "KMS.NotFoundException": ("s3_kms", "there is no such KMS key", "name one of the bucket's region"),
    }
    if error.code in ("AccessDenied", "AllAccessDisabled"):
        action = _ACTIONS.get(error.operation, error.operation)
        hint = f"add s3:{action} to its IAM policy, and see the bucket's policy"
        message = f"AWS does not allow this identity to call {error.operation}"
        return FuelError(message, hint=hint, where=bucket, code="s3_permission", details=details)
    if error.code in known:
        code, message, hint = known[error.code]
        return FuelError(message, hint=hint, where=bucket, code=code, details=details)
    plain = _refusals.explain(error, bucket)
    plain.code = plain.code.replace("ec2_", "s3_", 1)
    plain.hint = "see AWS's error codes for S3" if plain.code == "s3_refused" else plain.hint
    return plain
