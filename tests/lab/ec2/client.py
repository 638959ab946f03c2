# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab for a test: started in a process of its own, steered over HTTP, gone when the test is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]


class Ec2Lab:
    """`with Ec2Lab(machines=False, boot_delay=0) as lab: ...`; keyword arguments are settings (see settings.py)."""

    endpoint: str
    #: Where machines find `images`, as a registry mirror.
    registry: str
    #: Answers with the address that callers have, as far as the lab goes.
    address_service: str

    def __init__(self, *, machines: bool = True, images: Sequence[str] = (), **settings: float) -> None:
        self._argv = [sys.executable, "-m", "tests.lab.ec2", "--until-eof"]
        self._argv += [] if machines else ["--no-machines"]
        for name in images:
            self._argv += ["--image", name]
        for name, value in settings.items():
            self._argv += ["--set", f"{name}={value}"]

    def __enter__(self) -> Ec2Lab:
        self._process = subprocess.Popen(
            self._argv, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError("the lab did not start: see its messages above")
        facts = json.loads(line)
        self.endpoint, self.registry = facts["endpoint"], facts["registry"]
        self.address_service = facts["address_service"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(180)
        self._process.stdout.close()

    def environment(self, region: str = "us-east-1") -> dict[str, str]:
        """What makes any AWS client, Ansible's included, talk to the lab."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIALABLABLABLABLAB1",
            "AWS_SECRET_ACCESS_KEY": "lab",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def options(self, **more: Any) -> dict[str, Any]:
        """Provider options that an environment on the lab needs, and no other cloud does."""
        mirrors = {"registry_mirrors": [self.registry]} if self.registry else {}
        return {"address_services": [self.address_service], "settle": 2, **mirrors, **more}

    def ask(self, method: str, path: str, data: dict[str, Any] | None = None) -> Any:
        """One request to the control endpoint; ValueError with the lab's words when it was refused."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(f"{self.endpoint}/_lab/{path}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(error.read().decode()) from None

    def configure(self, **settings: float) -> None:
        self.ask("PATCH", "settings", settings)

    def fault(self, action: str, effect: str = "error", **rule: Any) -> None:
        """See faults.Fault: code, when, times, seconds ..."""
        self.ask("POST", "faults", {"action": action, "effect": effect, **rule})

    def heal(self) -> None:
        """No fault any more; calls that are held go on."""
        self.ask("DELETE", "faults")

    def boots(self, kind: str, count: int = 1, seconds: float = 0.0) -> None:
        """How the next instances boot: see life.BOOTS."""
        self.ask("POST", "boots", {"kind": kind, "count": count, "seconds": seconds})

    def come_from(self, address: str | None = None) -> None:
        """Whoever connects has this address from now on; the usual one, without."""
        self.ask("PUT", "caller", {"address": address} if address else {})

    def calls(self, action: str | None = None) -> list[dict[str, Any]]:
        return [call for call in self.ask("GET", "calls") if action in (None, call["action"])]

    def instances(self, environment_id: str | None = None) -> list[dict[str, Any]]:
        """Every instance as it truly is, of one environment or of all."""
        tag = "fuel-code:environment"
        every = self.ask("GET", "instances")
        return [each for each in every if environment_id in (None, each["tags"].get(tag))]

    def alive(self, environment_id: str | None = None) -> list[dict[str, Any]]:
        return [each for each in self.instances(environment_id) if each["state"] != "terminated"]

    def wait_for(self, condition: Callable[[], Any], seconds: float = 180.0) -> Any:
        """The first true value of `condition`; AssertionError when there is none in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s")
