# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as one HTTP server: the AWS API in front of moto, with recording and faults, and `/_lab/` to steer it."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import os
import re
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from flask import got_request_exception
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from .cloud import ACCOUNT, CALLER, Cloud
from .faults import AWS_ERRORS, Fault, Faults, error_body

__all__ = ["CALLER", "Lab"]
StartResponse = Callable[..., Any]
Environ = dict[str, Any]
_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")


class Lab:
    """The WSGI application."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._moto = DomainDispatcherApplication(_loud_app)
        self._faults = Faults()
        self._calls: list[dict[str, Any]] = []
        self._recording = threading.Lock()
        cloud.install()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if path == "/_lab/address":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{self._cloud.caller}\n".encode()]
        if path.startswith("/_lab/"):
            status, answer = self._control(environ["REQUEST_METHOD"], path, body, environ.get("QUERY_STRING", ""))
            start_response(f"{status} -", [("Content-Type", "application/json")])
            return [json.dumps(answer).encode()]
        return self._api(environ, body, start_response)

    # The AWS API

    def _api(self, environ: Environ, body: bytes, start_response: StartResponse) -> Iterable[bytes]:
        key, region, service = _scope(environ)
        parameters = dict(parse_qsl(body.decode("utf-8", "replace"))) if service != "s3" else {}
        action = parameters.get("Action") or f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
        call: dict[str, Any] = {
            "at": time.time(),
            "key": key,
            "service": service,
            "region": region,
            "action": action,
            "parameters": {name: value for name, value in parameters.items() if name not in ("Action", "Version")},
            "status": None,
        }
        with self._recording:
            self._calls.append(call)
        facts = {**parameters, **self._facts(region, parameters), "key": key}
        fault = self._faults.take(service, action, facts)
        if fault is not None:
            early = self._before(fault, call, facts, environ, start_response)
            if early is not None:
                return early
        status, headers, answer = self._ask_moto(environ)
        call["status"] = int(status.split()[0])
        if fault is not None:
            late = self._after(fault, call, facts, environ, start_response)
            if late is not None:
                return late
        start_response(status, headers)
        return [answer]

    def _ask_moto(self, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], None]:
            started[:] = [status, headers]
            return lambda _: None

        with self._cloud.lock:
            self._cloud.advance()
            answer = b"".join(self._moto(environ, start))
            self._cloud.filter()
        return started[0], started[1], answer

    def _facts(self, region: str, parameters: dict[str, str]) -> dict[str, str]:
        """What rules compare: type, market and zone of a launch."""
        subnet = parameters.get("SubnetId") or parameters.get("NetworkInterface.1.SubnetId")
        zone = parameters.get("Placement.AvailabilityZone", f"{region}a")
        if subnet:
            with self._cloud.lock, contextlib.suppress(Exception):
                zone = ec2_backends[ACCOUNT][region].get_subnet(subnet).availability_zone
        market = parameters.get("InstanceMarketOptions.MarketType", "on-demand")
        return {"type": parameters.get("InstanceType", ""), "zone": zone, "market": market}

    def _before(
        self, fault: Fault, call: dict[str, Any], facts: dict[str, str], environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        if fault.effect == "error":
            status, answer = fault.answer(facts)
            call["status"], call["fault"] = status, fault.code
            start_response(f"{status} -", [("Content-Type", "text/xml")])
            return [answer.encode()]
        if fault.effect in ("reset", "stall"):
            call["fault"] = fault.effect
            return _lose(environ, fault, start_response)
        if fault.effect == "hold":
            self._faults.hold(fault, call["action"], facts["key"])
        return None

    def _after(
        self, fault: Fault, call: dict[str, Any], facts: dict[str, str], environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        if fault.effect in ("lost-reset", "lost-stall"):
            return _lose(environ, fault, start_response)
        if fault.effect == "lost-error":
            start_response("500 -", [("Content-Type", "text/xml")])
            return [error_body(fault.service, fault.code, AWS_ERRORS["InternalError"][1]).encode()]
        if fault.effect == "hold-after":
            self._faults.hold(fault, call["action"], facts["key"])
        return None

    # The control endpoint

    def _control(self, method: str, path: str, body: bytes, query: str) -> tuple[int, Any]:
        try:
            data = json.loads(body) if body else {}
            return 200, self._steer(f"{method} {path.removeprefix('/_lab/')}", data, parse_qs(query))
        except (KeyError, TypeError, ValueError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}

    def _steer(self, request: str, data: dict[str, Any], query: dict[str, list[str]]) -> Any:
        match request.split("/"):
            case ["GET calls"]:
                after = float(query.get("after", ["0"])[0])
                with self._recording:
                    return [call for call in self._calls if call["at"] > after]
            case ["DELETE calls"]:
                with self._recording:
                    self._calls.clear()
            case ["POST faults"]:
                self._faults.add(Fault.parse(data))
            case ["DELETE faults"]:
                self._faults.clear()
            case ["GET held"]:
                return self._faults.held()
            case ["POST end"]:
                # Once this answer is out.
                threading.Timer(0.5, lambda: os._exit(0)).start()
            case ["POST release"]:
                self._faults.release(data.get("key"))
            case ["PATCH settings"]:
                self._cloud.settings.update(data)
                with self._cloud.lock:
                    self._cloud.filter()
            case ["PUT caller"]:
                with self._cloud.lock:
                    self._cloud.caller = str(ipaddress.IPv4Address(data.get("address", CALLER)))
                    self._cloud.filter()
            case ["POST boots"]:
                self._cloud.next_boots(data["kind"], int(data.get("count", 1)), float(data.get("seconds", 0)))
            case ["GET instances"]:
                return self._cloud.truth()
            case ["GET leftovers"]:
                return self._cloud.leftovers()
            case ["POST instances", instance_id, "interrupt"]:
                self._cloud.interrupt(instance_id, float(data.get("seconds", 120)))
            case _:
                raise ValueError(f"no such request: {request}")
        return {}


def _loud_app(service: Any) -> Any:
    """moto's application, whose unexpected errors are told on stderr and not only answered with 500."""
    app = create_backend_app(service)
    got_request_exception.connect(lambda *_, **__: traceback.print_exc(), app, weak=False)
    return app


def _scope(environ: Environ) -> tuple[str, str, str]:
    """Access key, region and service that a request was signed for."""
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found.groups() if found else ("", "us-east-1", "s3")  # type: ignore[return-value]  # three groups


def _lose(environ: Environ, fault: Fault, start_response: StartResponse) -> Iterable[bytes]:
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
