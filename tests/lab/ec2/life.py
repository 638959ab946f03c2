# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one instance as a function of time: what it truly is, and what Describe shows of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
INSTANCE = ("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
CLOUD = ("Server.InternalError", "Server.InternalError: Internal error")
SPOT = ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")

#: What a boot can be like, for faults: as it should; `pending` for ever; `dead`: running, but no machine behind it;
#: `no-network`: it boots and hears nothing; `dies`: the cloud ends it after `seconds`.
BOOTS = ("good", "pending", "dead", "no-network", "dies")


@dataclass
class Life:
    """Times are of one monotonic clock, in seconds."""

    instance_id: str
    region: str
    token: str
    launched: float
    visible: float
    running: float
    boot: str = "good"
    dies: float | None = None
    #: The end: asked for at, terminated at the earliest, shown stale until, why.
    ending: float | None = None
    over: float = 0.0
    stale: float = 0.0
    reason: tuple[str, str] = USER
    halted: bool = False
    #: The machine behind it has been removed (or there was none).
    machine_gone: bool = True
    buried: float | None = None
    notes: dict[str, str] = field(default_factory=dict)

    def end(self, now: float, *, delay: float, stale: float, reason: tuple[str, str]) -> None:
        """Begin the end; only the first counts."""
        if self.ending is None:
            self.ending, self.over, self.stale, self.reason = now, now + delay, now + stale, reason

    def state(self, now: float) -> str:
        """What it truly is."""
        if self.ending is not None:
            return "terminated" if now >= self.over and self.machine_gone else "shutting-down"
        if self.halted:
            return "stopped"
        return "running" if now >= self.running and self.boot != "pending" else "pending"

    def shown(self, now: float) -> str:
        """What Describe says it is."""
        if self.ending is not None and now < self.stale:
            return "running" if self.ending >= self.running and self.boot != "pending" else "pending"
        return self.state(now)

    def known(self, now: float, remembered: float) -> bool:
        """Whether Describe knows it at all: not yet right after the launch, no more long after the end."""
        return now >= self.visible and (self.buried is None or now < self.buried + remembered)
