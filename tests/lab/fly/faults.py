# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand, as the EC2 lab has them, in the words of the Machines API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.lab.ec2.faults import Fault

#: Status and message by code. `code` goes into the answer where Fly.io's own client knows it.
ERRORS: dict[str, tuple[int, str]] = {
    "rate_limited": (429, "rate limit exceeded"),
    "unauthorized": (401, "Authenticate: token validation error"),
    "forbidden": (403, "unauthorized"),
    "insufficient_capacity": (422, "no capacity available in the region"),
    "volume_placement_capacity": (422, "insufficient resources available on the volume's host"),
    "insufficient_memory": (409, "aborted: insufficient memory available to fulfill request"),
    "trial": (403, "Your organization has reached its machine limit. Please contact billing@fly.io"),
    "internal": (500, "internal error"),
    "unavailable": (503, "upstream connect error or disconnect/reset before headers"),
}
TOLD = frozenset({"insufficient_capacity", "volume_placement_capacity"})


@dataclass
class FlyFault(Fault):
    """`action` is an operation's id (see contract.py); `when` compares app, machine, volume, name, region and key (the
    token). `retry_after` becomes the header of a 429."""

    code: str = "internal"
    retry_after: float | None = None

    @classmethod
    def parse(cls, data: dict[str, Any]) -> FlyFault:
        fault = super().parse({"service": "fly", **data})
        assert isinstance(fault, cls)
        return fault

    def answer(self, facts: dict[str, str]) -> tuple[int, str]:
        status, wording = ERRORS.get(self.code, (400, self.code))
        body = {"error": self.message or wording, **({"status": self.code} if self.code in TOLD else {})}
        return self.status or status, json.dumps(body)
