# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What Fly.io costs: the one file that names the source and its date. US dollars, before tax, pay as you go."""

from __future__ import annotations

from typing import Dict

CURRENCY = "USD"
#: The source bears no date: when it was read.
READ = "2026-11-22"
SOURCE = "fly.io/docs/about/pricing, as in superfly/docs at 0137eed; regions at 12704c0 and aea0083"

#: The page's months of a machine have so many hours.
MONTH_HOURS = 720.0
#: Per month and CPU in the cheapest region, with the memory in GB that is in it. Billed by the second.
CPU_MONTH: Dict[str, float] = {"shared": 2.19, "performance": 33.00}
INCLUDED_GB: Dict[str, float] = {"shared": 0.25, "performance": 2.0}
#: Per month and GB of memory besides.
MEMORY_GB_MONTH = 6.00
#: By how much a region is dearer; volumes and addresses cost the same everywhere.
#: Mumbai is in one of the two lists only.
REGIONS: Dict[str, float] = {
    "ams": 1.038461538,
    "arn": 1.038461538,
    "bom": 1.076923077,
    "cdg": 1.134615385,
    "dfw": 1.25,
    "ewr": 1.0,
    "fra": 1.153846154,
    "gru": 1.615384615,
    "iad": 1.0,
    "jnb": 1.302884615,
    "lax": 1.199519231,
    "lhr": 1.134615385,
    "nrt": 1.307692308,
    "ord": 1.25,
    "sin": 1.269230769,
    "sjc": 1.192307692,
    "syd": 1.269230769,
    "yyz": 1.115384615,
}
#: A GB of a volume for a month, whether its machine runs or not; and of a stopped machine's root file system.
VOLUME_GB_MONTH = 0.15
ROOTFS_GB_MONTH = 0.15
#: A GB that a volume's snapshots store, for a month; and how many of them an organization has for nothing.
SNAPSHOT_GB_MONTH = 0.08
SNAPSHOT_FREE_GB = 10
#: An IPv4 address of an app's own, for a month.
IPV4_MONTH = 2.0
