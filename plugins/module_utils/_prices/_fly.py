# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a Fly Machine that somebody asks for would cost, running and stopped. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from . import data_fly
from ._offer import HOURS_OF_MONTH, Offer


@dataclass(frozen=True)
class Machine:
    """A machine as it is asked for, with its volume and address. Sizes in GB."""

    region: str
    cpu_kind: str = "shared"
    cpus: float = 2
    memory_gb: float = 4
    disk_gb: float = 10
    dedicated_ipv4: bool = True

    @property
    def type(self) -> str:
        """As Fly.io calls such a size, with its memory."""
        name = "shared-cpu" if self.cpu_kind == "shared" else self.cpu_kind
        return f"{name}-{self.cpus:g}x {self.memory_gb:g} GB"


def running(machine: Machine) -> Optional[float]:
    """The machine alone, per hour while it runs; None where nobody knows the region or the kind."""
    share, cpu = data_fly.REGIONS.get(machine.region), data_fly.CPU_MONTH.get(machine.cpu_kind)
    if share is None or cpu is None:
        return None
    besides = max(0.0, machine.memory_gb - machine.cpus * data_fly.INCLUDED_GB[machine.cpu_kind])
    return (machine.cpus * cpu + besides * data_fly.MEMORY_GB_MONTH) / data_fly.MONTH_HOURS * share


def gb_hour() -> float:
    """A GB of its volume, per hour."""
    return data_fly.VOLUME_GB_MONTH / HOURS_OF_MONTH


def kept(machine: Machine) -> float:
    """Volume and address, per hour, as long as they are there. Of a stopped machine's own disk, cents, not."""
    address = data_fly.IPV4_MONTH if machine.dedicated_ipv4 else 0.0
    return (machine.disk_gb * data_fly.VOLUME_GB_MONTH + address) / HOURS_OF_MONTH


def offer(machine: Machine) -> Offer:
    """What it costs per hour while it runs."""
    base = Offer(None, None, estimate=True, type=machine.type, region=machine.region, currency=data_fly.CURRENCY)
    base = replace(base, source=data_fly.SOURCE, published=data_fly.READ)
    hourly = running(machine)
    if hourly is None:
        return replace(base, reason=f"no prices of region {machine.region}" if machine.region else "no region is named")
    total = round(hourly + kept(machine), 6)
    return replace(base, hourly=total, ceiling=total, estimate=False)
