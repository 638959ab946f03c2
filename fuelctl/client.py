# SPDX-License-Identifier: GPL-3.0-or-later
"""The CLI's only door to a control plane: each call of its API by name. How one is made is `transport`'s."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from fuelctl._shared._errors import FuelError
from fuelctl.answers import ApiError, Json, ServerUnreachableError
from fuelctl.transport import Transport

__all__ = ["ApiError", "Client", "Json", "ServerUnreachableError"]

#: The server holds a request for events no longer than this.
MAX_WAIT = 30
#: Source bytes sent in one request: a broken connection costs at most this much again.
UPLOAD_PIECE = 16 * 1024 * 1024
#: Environments in one answer.
PAGE = 500
_BLOCK = 256 * 1024


class Client(Transport):
    """Calls of the HTTP API, one method each; they return the decoded JSON object."""

    def create(self, body: Json, *, key: str) -> Json:
        """Start an environment; a repeat with the same idempotency key returns the same one."""
        return self.call("POST", "/api/remote", body=body, headers={"Idempotency-Key": key}, repeat=True)

    def environments(
        self,
        *,
        terminated: bool = False,
        status: str | None = None,
        owner: str | None = None,
        workspace: str | None = None,
        observe: bool = False,
    ) -> Json:
        """`{environments: [...], reaper: {last_cycle_at}}`; with `observe`, machines are asked for the next answer.

        All of them: page after page, each as large as the server gives one.
        """
        query = {
            "include_terminated": "true" if terminated else None,
            "status": status,
            "owner": owner,
            "workspace": workspace,
            "observe": "true" if observe else None,
            "limit": str(PAGE),
        }
        found = self.call("GET", "/api/remote", query=query, repeat=True)
        cursor = found.pop("cursor", None)
        while cursor:
            page = self.call("GET", "/api/remote", query={**query, "observe": None, "cursor": cursor}, repeat=True)
            found["environments"] += page["environments"]
            cursor = page.get("cursor")
        return found

    def environment(self, ref: str, *, observe: bool = False) -> Json:
        """One environment by id, unique prefix or name; with `observe`, its machine is asked for the next answer."""
        return self.call("GET", _at(ref), query={"observe": "true" if observe else None}, repeat=True)

    def terminate(self, ref: str, *, discard: bool, rescue: bool = False) -> Json:
        """Ask for the end of an environment; harmless when it is asked again. With `rescue` its work is saved first."""
        body: Json = {"discard": discard, **({"rescue": True} if rescue else {})}
        return self.call("POST", _at(ref, "terminate"), body=body, repeat=True)

    def rescues(self, *, everybody: bool = False) -> Json:
        """`{rescues: [...]}`: our own; an admin's view of everybody's."""
        return self.call("GET", "/api/rescues", query={"everybody": "true" if everybody else None}, repeat=True)

    def rescue(self, ref: str) -> Json:
        """One rescue, by its id, a prefix of that, or its environment's id or name."""
        return self.call("GET", f"/api/rescues/{quote(ref, safe='')}", repeat=True)

    def forget_rescue(self, rescue_id: str) -> Json:
        """It is gone for good."""
        return self.call("DELETE", f"/api/rescues/{quote(rescue_id, safe='')}")

    def rescue_content(self, rescue_id: str, target: BinaryIO) -> None:
        """Write its one tar file to `target`; whether all of it came, its digest says."""
        path = f"/api/rescues/{quote(rescue_id, safe='')}/content"
        self._exchange("GET", path, None, {"Accept": "*/*"}, self._timeout * 4, into=target)

    def extend(self, ref: str, *, ttl_seconds: int) -> Json:
        """Give an environment a new time to live."""
        body: Json = {"ttl_seconds": ttl_seconds}
        # The machine is told first, and an engine that hangs is given its time to answer.
        return self.call("POST", _at(ref, "extend"), body=body, repeat=True, timeout=self._timeout * 4)

    def power(self, ref: str, *, state: str) -> Json:
        """Have the environment's machine `started` or `stopped`; answered when it is."""
        return self.call("POST", _at(ref, "power"), body={"state": state}, repeat=True, timeout=self._timeout * 12)

    def volume(self, ref: str) -> Json:
        """The disk that outlives the environment's machine, with its snapshots, as its provider shows it now."""
        return self.call("GET", _at(ref, "volume"), repeat=True, timeout=self._timeout * 6)

    def extend_volume(self, ref: str, *, size_gb: int) -> Json:
        """Have that disk so large; answered when it is."""
        return self.call("POST", _at(ref, "volume"), body={"size_gb": size_gb}, repeat=True, timeout=self._timeout * 6)

    def snapshot_volume(self, ref: str, *, key: str) -> Json:
        """Have a snapshot of that disk; a repeat with the same idempotency key returns the same one."""
        headers = {"Idempotency-Key": key}
        return self.call(
            "POST", _at(ref, "volume", "snapshots"), headers=headers, repeat=True, timeout=self._timeout * 6
        )

    def authorize_ip(self, ref: str, *, address: str) -> Json:
        """Have the environment's machine let this address in; answered when it does."""
        # A provider is asked while we wait.
        body: Json = {"address": address}
        return self.call("POST", _at(ref, "authorize-ip"), body=body, repeat=True, timeout=self._timeout * 4)

    def authorize_key(self, ref: str, *, public_key: str) -> Json:
        """Have the environment let this key in, besides its own; answered when it does."""
        body: Json = {"public_key": public_key}
        return self.call("POST", _at(ref, "authorize-key"), body=body, repeat=True, timeout=self._timeout * 4)

    def decision(self, ref: str) -> Json:
        """Why an environment is kept or was ended: the decisions on it, made again from their inputs."""
        return self.call("GET", _at(ref, "decision"), repeat=True)

    def forecast(self) -> Json:
        """`{reaper, environments}`: who would end, and when."""
        return self.call("GET", "/api/reaper", repeat=True)

    def reap(self) -> Json:
        """`{checked, ended, failed}` of one round of the reaper."""
        return self.call("POST", "/api/reaper/cycle", repeat=True)

    def audit(self, *, providers: Sequence[str] = (), options: Json | None = None, all_regions: bool = False) -> Json:
        """`{checked_at, complete, providers, problems, environments}`: what carries our label, and who owns it."""
        body: Json = {"providers": list(providers), "options": options or {}, "all_regions": all_regions}
        # Every provider is asked while we wait, in every region.
        return self.call("POST", "/api/audit", body=body, repeat=True, timeout=self._timeout * 20)

    def adopt(self, refs: Sequence[str], **body: Any) -> Json:
        """`{environments, missing, complete}`: a row again for what a provider shows and the database has lost.

        As `audit`, and `lease_seconds` (ended by the server after so long), `skip_missing` (what is gone is no fault).
        """
        whole: Json = {"refs": list(refs), **body}
        return self.call("POST", "/api/audit/adopt", body=whole, repeat=True, timeout=self._timeout * 20)

    def events(self, ref: str, *, after: int, wait: int = 0) -> Json:
        """`{events, cursor}`; holds up to `wait` seconds (30 at most) until there is one."""
        wait = min(wait, MAX_WAIT)
        query: dict[str, str | None] = {"after": str(after), "wait": str(wait)}
        path = _at(ref, "events")
        try:
            return self.call("GET", path, query=query, repeat=True, timeout=self._timeout + wait)
        except ApiError as error:
            if not wait or error.code != "too_many_waiting":
                raise
            # As many wait there as may: come back later, and not all at once.
            time.sleep(min(error.retry_after or 1.0, wait) * (0.75 + os.urandom(1)[0] / 340))
        return self.call("GET", path, query={**query, "wait": "0"}, repeat=True)

    def ssh_key(self, environment_id: str, *, key: str) -> Json:
        """`{private_key, public_key}`: once, but for a repeat with the same idempotency key until `key_received`."""
        return self.call("GET", _at(environment_id, "ssh-key"), headers={"Idempotency-Key": key}, repeat=True)

    def key_received(self, environment_id: str, *, key: str) -> Json:
        """Have the server forget the private key, which is safe here."""
        return self.call("DELETE", _at(environment_id, "ssh-key"), headers={"Idempotency-Key": key}, repeat=True)

    def health(self) -> Json:
        """Whether the server answers at all; not repeated."""
        return self.call("GET", "/healthz", timeout=5.0)

    def ready(self) -> Json:
        """Whether the server can work (its database answers); not repeated."""
        return self.call("GET", "/readyz", timeout=5.0)

    def server(self) -> Json:
        """`{version, database, live, operations, workers, reaper}`: what there is to know of the server."""
        return self.call("GET", "/api/server", timeout=10.0)

    def stop_server(self, *, wait_seconds: float) -> Json:
        """Ask the server to end when what it is doing is done, or parked after `wait_seconds`."""
        return self.call("POST", "/api/server/stop", body={"wait_seconds": wait_seconds})

    def source(self, environment_id: str) -> Json:
        """`{received, size, complete}` of the source's upload."""
        return self.call("GET", _at(environment_id, "source"), repeat=True)

    def upload(
        self, environment_id: str, stream: BinaryIO, size: int, progress: Callable[[int], object] = lambda _: None
    ) -> None:
        """Send the source's bytes, going on where the server has them until; `progress` hears the bytes received."""
        failures = 0
        state = self.source(environment_id)
        while not state["complete"]:
            offset = int(state["received"])
            progress(offset)
            try:
                state = self._put(environment_id, stream, offset, min(UPLOAD_PIECE, size - offset), progress)
                failures = 0
            except (ServerUnreachableError, ApiError) as error:
                self._pause(error, failures)
                failures += 1
                state = self.source(environment_id)
        progress(size)

    def _put(
        self, environment_id: str, stream: BinaryIO, offset: int, length: int, progress: Callable[[int], object]
    ) -> Json:
        def blocks() -> Iterator[bytes]:
            stream.seek(offset)
            left = length
            while left > 0:
                block = stream.read(min(_BLOCK, left))
                if not block:
                    raise FuelError("The packed source shrank while it was sent", hint="run the command again")
                left -= len(block)
                yield block
                progress(offset + length - left)

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        path = f"{_at(environment_id, 'source')}?{urlencode({'offset': offset})}"
        return self._exchange("PUT", path, blocks(), headers, self._timeout * 4)

    # Who may what.

    def whoami(self) -> Json:
        """`{name, role, scope, token}`: whom the server takes us for."""
        return self.call("GET", "/api/whoami", repeat=True)

    def forget_token(self) -> Json:
        """The token that this client sends opens nothing any more."""
        return self.call("DELETE", "/api/whoami")

    def register_device(self, **body: str) -> Json:
        """Make this machine known: `id` (a ULID that it keeps), `name`, `platform`?, `version`?."""
        return self.call("POST", "/api/devices", body=dict(body), repeat=True)

    def users(self) -> Json:
        """`{users: [...]}`."""
        return self.call("GET", "/api/users", repeat=True)

    def add_user(self, **body: Any) -> Json:
        """A new user (`name`, `role`, `days`?), with a `token` that is never shown again."""
        return self.call("POST", "/api/users", body=body)

    def change_user(self, name: str, **body: Any) -> Json:
        """Another `role`, or `disabled` or not."""
        return self.call("PATCH", f"/api/users/{quote(name, safe='')}", body=body, repeat=True)

    def tokens(self, *, user: str | None = None, everybody: bool = False) -> Json:
        """`{tokens: [...]}`: our own; an admin's view of a user's, or of everybody's."""
        return self.call(
            "GET", "/api/tokens", query={"user": user, "everybody": "true" if everybody else None}, repeat=True
        )

    def create_token(self, **body: Any) -> Json:
        """A new token (`name`, `scope`?, `days`?, `user`?); its `token` is never shown again."""
        return self.call("POST", "/api/tokens", body=body)

    def revoke_token(self, token_id: str) -> Json:
        """It opens nothing any more."""
        return self.call("DELETE", f"/api/tokens/{quote(token_id, safe='')}", repeat=True)

    def webhooks(self) -> Json:
        """Who is told what happens, and what waits for each."""
        return self.call("GET", "/api/webhooks")

    def test_webhooks(self, name: str | None = None) -> Json:
        """What came of a test message to one of them, or to all."""
        return self.call("POST", "/api/webhooks/test", body={"name": name} if name is not None else {}, timeout=120.0)

    def audit_log(self, **query: str | None) -> Json:
        """`{entries, cursor}`: the newest first, or from `after` on."""
        return self.call("GET", "/api/audit-log", query=query, repeat=True)


def _at(ref: str, *rest: str) -> str:
    return "/".join(("/api/remote", quote(ref, safe=""), *rest))
