# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as one HTTP server: the Machines API with recording and faults, and `/_lab/` to steer it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from tests.lab.ec2.faults import Faults

from .cloud import Cloud
from .conformance import Judge
from .contract import OPERATIONS, Operation
from .faults import FlyFault
from .records import RefusedError
from .replies import Call, reply

StartResponse = Callable[..., Any]
Environ = dict[str, Any]
#: Tokens begin like this, as Fly.io's do; `FlyV1 lab` and `FlyV1 lab-ANYTHING` are known here, and see everything;
#: `FlyV1 lab@ORG` sees that organization alone.
KNOWN_TOKEN = "FlyV1 lab"
#: Documented: one call a second for each action and machine, in bursts of three; for reading one machine five and ten.
WRITES, READS = (1.0, 3.0), (5.0, 10.0)


class Lab:
    """The WSGI application."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._faults = Faults()
        self._calls: list[dict[str, Any]] = []
        self._judge = Judge()
        #: What was sent, or answered, otherwise than the published description has it; never values.
        self._problems: dict[str, int] = {}
        self._recording = threading.Lock()
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self._operations = {each.id: each for each in OPERATIONS}
        rules = [
            Rule("/v1" + each.path.replace("{", "<").replace("}", ">"), endpoint=each.id, methods=[each.method])
            for each in OPERATIONS
        ]
        self._map = Map(rules, strict_slashes=False)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.get("PATH_INFO", "").startswith("/_lab/"):
            status, answer = self._control(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
            start_response(f"{status} -", [("Content-Type", "application/json")])
            return [json.dumps(answer).encode()]
        return self._api(environ, body, start_response)

    # The Machines API

    def _api(self, environ: Environ, body: bytes, start_response: StartResponse) -> Iterable[bytes]:
        try:
            name, places = self._map.bind_to_environ(environ).match()
        except HTTPException as error:
            return _answer(start_response, error.code or 404, {"error": "not found"})
        operation = self._operations[name]
        scheme, _space, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        call: dict[str, Any] = {"at": time.time(), "action": name, "token": token, "status": None, **places}
        if scheme.lower() != "bearer" or not (
            token == KNOWN_TOKEN or token.startswith((f"{KNOWN_TOKEN}-", f"{KNOWN_TOKEN}@"))
        ):
            call["token"] = ""
            self._record(call, 401)
            return _answer(start_response, 401, {"error": "Authenticate: token validation error"})
        try:
            sent = json.loads(body) if body else {}
            if not isinstance(sent, dict):
                raise ValueError
        except ValueError:
            self._record(call, 400)
            return _answer(start_response, 400, {"error": "invalid json"})
        call["sent"] = sorted(sent)
        facts = {
            "key": token,
            "app": str(places.get("app_name") or ""),
            "machine": str(places.get("machine_id") or ""),
            "volume": str(places.get("volume_id") or ""),
            "name": str(sent.get("name") or ""),
            "region": str(sent.get("region") or ""),
        }
        self._record(call, None)
        fault = self._faults.take("fly", name, facts)
        if isinstance(fault, FlyFault):
            early = self._before(fault, call, facts, environ, start_response)
            if early is not None:
                return early
        request = Call(operation, places, sent, parse_qs(environ.get("QUERY_STRING", "")), environ, token)
        status, answer, more = self._do(request)
        call["status"] = status
        self._hold_to_the_description(request, status, answer)
        if isinstance(fault, FlyFault):
            late = self._after(fault, call, facts, environ, start_response)
            if late is not None:
                return late
        return _answer(start_response, status, answer, more)

    def _hold_to_the_description(self, request: Call, status: int, answer: Any) -> None:
        name = request.operation.id
        found = self._judge.answer(name, status, answer)
        # What is refused may be whatever it is.
        found += self._judge.request(name, request.query, request.sent) if status < 400 else []
        with self._recording:
            for line in found:
                self._problems[line] = self._problems.get(line, 0) + 1

    def _record(self, call: dict[str, Any], status: int | None) -> None:
        call["status"] = status
        with self._recording:
            self._calls.append(call)

    def _do(self, request: Call) -> tuple[int, Any, list[tuple[str, str]]]:
        try:
            self._limit(request.operation, request.places)
            # What waits, and what runs in a machine, must not hold everybody else up.
            if request.operation.id in ("Machines_wait", "Machines_exec"):
                return request.operation.status, reply(self._cloud, request), []
            with self._cloud.changed:
                answer = reply(self._cloud, request)
            return request.operation.status, answer, list(request.headers.items())
        except RefusedError as error:
            told = {"error": error.message, **({"status": error.code} if error.code else {})}
            return error.status, told, [("Retry-After", "1")] if error.status == 429 else []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return 400, {"error": f"invalid_argument: {type(error).__name__}: {error}"}, []

    def _limit(self, operation: Operation, places: Mapping[str, Any]) -> None:
        if not self._cloud.settings.rate_limits:
            return
        rate, burst = READS if operation.id == "Machines_show" else WRITES
        key = (operation.id, str(places.get("machine_id") or places.get("app_name") or ""))
        with self._recording:
            now = time.monotonic()
            left, at = self._buckets.get(key, (burst, now))
            left = min(burst, left + (now - at) * rate)
            self._buckets[key] = (max(0.0, left - 1), now)
        if left < 1:
            raise RefusedError(429, "rate limit exceeded")

    def _before(
        self,
        fault: FlyFault,
        call: dict[str, Any],
        facts: dict[str, str],
        environ: Environ,
        start_response: StartResponse,
    ) -> Iterable[bytes] | None:
        if fault.effect == "error":
            status, answer = fault.answer(facts)
            call["status"], call["fault"] = status, fault.code
            retry = [("Retry-After", f"{fault.retry_after:g}")] if fault.retry_after is not None else []
            return _answer(start_response, status, json.loads(answer), retry)
        if fault.effect in ("reset", "stall"):
            call["fault"] = fault.effect
            return _lose(environ, fault, start_response)
        if fault.effect == "hold":
            self._faults.hold(fault, call["action"], facts["key"])
        return None

    def _after(
        self,
        fault: FlyFault,
        call: dict[str, Any],
        facts: dict[str, str],
        environ: Environ,
        start_response: StartResponse,
    ) -> Iterable[bytes] | None:
        if fault.effect in ("lost-reset", "lost-stall"):
            return _lose(environ, fault, start_response)
        if fault.effect == "lost-error":
            return _answer(start_response, 500, {"error": "internal error"})
        if fault.effect == "hold-after":
            self._faults.hold(fault, call["action"], facts["key"])
        return None

    # The control endpoint

    def _control(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        try:
            data = json.loads(body) if body else {}
            return 200, self._steer(f"{method} {path.removeprefix('/_lab/')}", data)
        except (KeyError, TypeError, ValueError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}

    def _steer(self, request: str, data: dict[str, Any]) -> Any:
        match request:
            case "GET calls":
                with self._recording:
                    return list(self._calls)
            case "DELETE calls":
                with self._recording:
                    self._calls.clear()
            case "POST faults":
                self._faults.add(FlyFault.parse(data))
            case "DELETE faults":
                self._faults.clear()
            case "GET held":
                return self._faults.held()
            case "POST release":
                self._faults.release(data.get("key"))
            case "PATCH settings":
                self._cloud.settings.update(data)
            case "GET problems":
                with self._recording:
                    return sorted(self._problems)
            case "GET truth":
                return self._truth()
            case "POST end":
                # Once this answer is out.
                threading.Timer(0.5, lambda: os._exit(0)).start()
            case _:
                raise ValueError(f"no such request: {request}")
        return {}

    def _truth(self) -> dict[str, Any]:
        """Everything that there ever was, whatever the API shows by now."""
        with self._cloud.changed:
            machines = [
                {
                    "id": each.id,
                    "name": each.name,
                    "app": each.app,
                    "state": each.state,
                    "metadata": each.config.get("metadata") or {},
                    "lease": each.lease is not None and each.lease.expires_at > time.time(),
                    "address": self._cloud.reached.get(each.id, ""),
                }
                for each in self._cloud.every_machine
            ]
            volumes = [
                {
                    "id": each.id,
                    "name": each.name,
                    "app": each.app,
                    "state": each.state,
                    "machine": each.machine_id,
                    "size_gb": each.size_gb,
                }
                for each in self._cloud.every_volume
            ]
            secrets = {name: sorted(app.secrets) for name, app in self._cloud.apps.items()}
            return {"apps": sorted(self._cloud.apps), "machines": machines, "volumes": volumes, "secrets": secrets}


def _answer(
    start_response: StartResponse, status: int, answer: Any, more: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    body = b"" if status == 204 or answer is None else json.dumps(answer).encode()
    start_response(f"{status} -", [("Content-Type", "application/json"), *more, ("Content-Length", str(len(body)))])
    return [body]


def _lose(environ: Environ, fault: FlyFault, start_response: StartResponse) -> Iterable[bytes]:
    """No answer: the connection is reset, or nothing comes for `seconds` and then it ends."""
    connection: socket.socket = environ["werkzeug.socket"]
    if fault.effect.endswith("stall"):
        time.sleep(fault.seconds)
    with contextlib.suppress(OSError):
        # SO_LINGER of zero: closing sends RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    start_response("500 -", [])
    return []
