# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand: rules that say which API call goes wrong, how, and how often. Pure, but for the lock."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

#: What can happen to a call. `lost-*`: it takes effect and the answer does not arrive as it should.
#: `hold`, `hold-after`: it waits, before or after its effect, until released by the control endpoint.
EFFECTS = ("error", "reset", "stall", "lost-reset", "lost-stall", "lost-error", "hold", "hold-after")

#: HTTP status and message as AWS words them.
AWS_ERRORS: dict[str, tuple[int, str]] = {
    "InsufficientInstanceCapacity": (
        500,
        "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}).",
    ),
    "SpotMaxPriceTooLow": (
        400,
        "Your Spot request price is lower than the minimum required Spot request fulfillment price.",
    ),
    "MaxSpotInstanceCountExceeded": (400, "Max spot instance count exceeded"),
    "InstanceLimitExceeded": (
        400,
        "You have requested more instances (1) than your current instance limit of 0 allows.",
    ),
    "VcpuLimitExceeded": (
        400,
        "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket "
        "that the specified instance type belongs to.",
    ),
    "RequestLimitExceeded": (503, "Request limit exceeded."),
    "UnauthorizedOperation": (403, "You are not authorized to perform this operation. User: {user}"),
    "AuthFailure": (401, "AWS was not able to validate the provided access credentials"),
    "InternalError": (500, "An internal error has occurred"),
    "Unavailable": (503, "The service is unavailable. Please try again shortly."),
    "Unsupported": (
        400,
        "Your requested instance type ({type}) is not supported in your requested Availability Zone ({zone}).",
    ),
    "OptInRequired": (401, "You are not subscribed to this service."),
    "SlowDown": (503, "Please reduce your request rate."),
}


@dataclass
class Fault:
    """One rule; service and action may be `*`. `when` compares facts of the call: type, zone, market (`spot`,
    `on-demand`), key (the access key with which it was signed), or a raw parameter."""

    service: str
    action: str
    effect: str
    code: str = "InternalError"
    message: str = ""
    status: int = 0
    when: dict[str, str] = field(default_factory=dict)
    #: How many calls it hits; None for all.
    times: int | None = None
    #: Each (service, action) once: every step of a run, without anybody listing them.
    each: bool = False
    seconds: float = 30.0
    _met: set[tuple[str, str]] = field(default_factory=set, init=False)

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Fault:
        """ValueError or TypeError for a rule that makes no sense."""
        fault = cls(**{"service": "ec2", "action": "*", "effect": "error", **data})
        if fault.effect not in EFFECTS:
            raise ValueError(f"effect is one of {', '.join(EFFECTS)}")
        return fault

    def fits(self, service: str, action: str, facts: dict[str, str]) -> bool:
        return (
            self.times != 0
            and self.service in ("*", service)
            and self.action in ("*", action)
            and (service, action) not in self._met
            and all(facts.get(name) == value for name, value in self.when.items())
        )

    def answer(self, facts: dict[str, str]) -> tuple[int, str]:
        """Status and body of the error."""
        status, wording = AWS_ERRORS.get(self.code, (400, self.code))
        known = {"type": "?", "zone": "?", "user": "arn:aws:iam::123456789012:user/lab", **facts}
        message = self.message or wording.format_map(known)
        return self.status or status, error_body(self.service, self.code, message)


def error_body(service: str, code: str, message: str) -> str:
    """An error as the service's clients read it."""
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "s3":
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'
    return f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>lab</RequestID></Response>"


@dataclass
class Hold:
    """A call that waits; `key` is the access key with which it was signed."""

    number: int
    action: str
    effect: str
    key: str
    released: threading.Event


class Faults:
    """The rules in force; the first that fits is taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._holds: dict[int, Hold] = {}
        self._numbers = itertools.count(1)

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._rules.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()
            for hold in self._holds.values():
                hold.released.set()

    def take(self, service: str, action: str, facts: dict[str, str]) -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.fits(service, action, facts):
                    if rule.times is not None:
                        rule.times -= 1
                    if rule.each:
                        rule._met.add((service, action))
                    return rule
        return None

    def hold(self, fault: Fault, action: str, key: str) -> None:
        """Wait here until released, at most for the fault's `seconds`."""
        hold = Hold(next(self._numbers), action, fault.effect, key, threading.Event())
        with self._lock:
            self._holds[hold.number] = hold
        hold.released.wait(fault.seconds)
        with self._lock:
            del self._holds[hold.number]

    def held(self) -> list[dict[str, str]]:
        """The calls that wait now."""
        with self._lock:
            return [
                {"action": hold.action, "effect": hold.effect, "key": hold.key}
                for hold in self._holds.values()
                if not hold.released.is_set()
            ]

    def release(self, key: str | None) -> None:
        """Let calls go on: those signed with this key, or all."""
        with self._lock:
            for hold in self._holds.values():
                if key in (None, hold.key):
                    hold.released.set()
