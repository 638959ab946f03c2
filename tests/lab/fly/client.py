# SPDX-License-Identifier: GPL-3.0-or-later
"""A Fly lab for a test: started in a process of its own, steered over HTTP, gone when the test is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]


class FlyLab:
    """`with FlyLab(machines=False, boot_delay=0) as lab: ...`; keyword arguments are settings (see settings.py)."""

    endpoint: str
    token: str

    def __init__(self, *, machines: bool = True, **settings: float) -> None:
        self._argv = [sys.executable, "-m", "tests.lab.fly", "--until-eof"]
        self._argv += [] if machines else ["--no-machines"]
        for name, value in settings.items():
            self._argv += ["--set", f"{name}={value}"]

    def __enter__(self) -> FlyLab:
        self._process = subprocess.Popen(
            self._argv, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError("the lab did not start: see its messages above")
        facts = json.loads(line)
        self.endpoint, self.token = facts["endpoint"], facts["token"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        problems = self._problems() if kind is None else []
        self._process.stdin.close()
        self._process.wait(180)
        self._process.stdout.close()
        assert not problems, f"not as the published description has it: {problems}"

    def _problems(self) -> list[str]:
        """What was sent or answered otherwise than it is published (see conformance.py); none of a lab that ended."""
        try:
            found: list[str] = self.ask("GET", "problems")
        except OSError:
            return []
        return found

    def environment(self) -> dict[str, str]:
        """What makes any client of the Machines API talk to the lab."""
        return {"FLY_API_TOKEN": self.token, "FLY_API_HOSTNAME": self.endpoint}

    def api(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        token: str | None = None,
        nonce: str = "",
    ) -> tuple[int, Any]:
        """One request to the Machines API: status and answer."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        if nonce:
            headers["fly-machine-lease-nonce"] = nonce
        return self._request(f"/v1{path}", method, body, headers)

    def ask(self, method: str, path: str, data: dict[str, Any] | None = None) -> Any:
        """One request to the control endpoint; ValueError with the lab's words when it was refused."""
        status, answer = self._request(f"/_lab/{path}", method, data, {})
        if status != 200:
            raise ValueError(answer["error"])
        return answer

    def _request(self, path: str, method: str, body: dict[str, Any] | None, headers: dict[str, str]) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}{path}", data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=70) as reply:
                text = reply.read()
                return reply.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def configure(self, **settings: float) -> None:
        self.ask("PATCH", "settings", settings)

    def fault(self, action: str, effect: str = "error", **rule: Any) -> None:
        """See faults.FlyFault: code, when, times, seconds, retry_after ..."""
        self.ask("POST", "faults", {"action": action, "effect": effect, **rule})

    def heal(self) -> None:
        """No fault any more; calls that are held go on."""
        self.ask("DELETE", "faults")

    def calls(self, action: str | None = None) -> list[dict[str, Any]]:
        return [call for call in self.ask("GET", "calls") if action in (None, call["action"])]

    def truth(self) -> dict[str, Any]:
        """Every app, machine and volume as it truly is."""
        found: dict[str, Any] = self.ask("GET", "truth")
        return found

    def machines(self, app: str | None = None) -> list[dict[str, Any]]:
        """The machines that are not destroyed, of one app or of all."""
        return [
            each
            for each in self.truth()["machines"]
            if app in (None, each["app"]) and each["state"] not in ("destroying", "destroyed")
        ]

    def volumes(self, app: str | None = None) -> list[dict[str, Any]]:
        return [each for each in self.truth()["volumes"] if app in (None, each["app"]) and each["state"] == "created"]

    def wait_for(self, condition: Callable[[], Any], seconds: float = 180.0) -> Any:
        """The first true value of `condition`; AssertionError when there is none in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s")
