# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What EC2 costs, as far as it is known without asking AWS: the one file that names its sources and their dates.

US dollars, before tax, Linux, on-demand, shared tenancy. `fuelctl prices refresh` reads AWS's own list instead.
"""

from __future__ import annotations

from typing import Dict, Tuple

CURRENCY = "USD"
PUBLISHED = "2026-01-19"
SOURCE = "AWS price list of us-east-1, as Karpenter's table of 2026-01-19 gives it; gp3 and IPv4 as AWS announced them"
#: The region of which SOURCE speaks: the only one whose prices are verified.
VERIFIED_REGION = "us-east-1"
#: Of every other region: what is written below is a rule of thumb.
GUESS_SOURCE = "us-east-1 of 2026-01-19 times the region's usual surcharge; not verified"

#: A public IPv4 address, per hour, the same in all regions (AWS News Blog, 2023-07-28).
IPV4_HOUR = 0.005
#: gp3 in VERIFIED_REGION, per GB and month (AWS News Blog, 2020-12-01).
GP3_GB_MONTH = 0.08
#: What spot capacity costs of the on-demand price, by rule of thumb: it moves all the time, and is always an estimate.
SPOT_SHARE = 0.4

_BURSTABLE = "nano micro small medium large xlarge 2xlarge"
_FLEX = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
_INTEL_5 = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge"
_COMPUTE_5 = "large xlarge 2xlarge 4xlarge 9xlarge 12xlarge 18xlarge 24xlarge"
_INTEL_6 = f"{_INTEL_5} 32xlarge"
_INTEL_7 = f"{_INTEL_5} 48xlarge"
_AMD_6 = f"{_INTEL_5} 32xlarge 48xlarge"
_AMD_7 = f"medium {_AMD_6}"
_AMD_8 = f"medium {_INTEL_7}"
_INTEL_8 = f"{_INTEL_5} 32xlarge 48xlarge 96xlarge"
_ARM = "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
_ARM_8 = f"{_ARM} 24xlarge 48xlarge"

#: Family -> (price of its size `large` per hour, sizes). Every other size costs in proportion.
FAMILIES: Dict[str, Tuple[float, str]] = {
    "t2": (0.0928, _BURSTABLE),
    "t3": (0.0832, _BURSTABLE),
    "t3a": (0.0752, _BURSTABLE),
    "t4g": (0.0672, _BURSTABLE),
    "m5": (0.096, _INTEL_5),
    "m5a": (0.086, _INTEL_5),
    "m5d": (0.113, _INTEL_5),
    "m6a": (0.0864, _AMD_6),
    "m6g": (0.077, _ARM),
    "m6gd": (0.0904, _ARM),
    "m6i": (0.096, _INTEL_6),
    "m6id": (0.11865, _INTEL_6),
    "m7a": (0.11592, _AMD_7),
    "m7g": (0.0816, _ARM),
    "m7i": (0.1008, _INTEL_7),
    "m7i-flex": (0.09576, _FLEX),
    "m8a": (0.12172, _AMD_8),
    "m8g": (0.08976, _ARM_8),
    "m8i": (0.10584, _INTEL_8),
    "m8i-flex": (0.10055, _FLEX),
    "c5": (0.085, _COMPUTE_5),
    "c5a": (0.077, _INTEL_5),
    "c5d": (0.096, _COMPUTE_5),
    "c6a": (0.0765, _AMD_6),
    "c6g": (0.068, _ARM),
    "c6gd": (0.0768, _ARM),
    "c6i": (0.085, _INTEL_6),
    "c6id": (0.1008, _INTEL_6),
    "c7a": (0.10264, _AMD_7),
    "c7g": (0.0725, _ARM),
    "c7i": (0.08925, _INTEL_7),
    "c7i-flex": (0.0847875, _FLEX),
    "c8a": (0.10777, _AMD_8),
    "c8g": (0.07976, _ARM_8),
    "c8i": (0.09371, _INTEL_8),
    "c8i-flex": (0.08902, _FLEX),
    "r5": (0.126, _INTEL_5),
    "r5a": (0.113, _INTEL_5),
    "r5d": (0.144, _INTEL_5),
    "r6a": (0.1134, _AMD_6),
    "r6g": (0.1008, _ARM),
    "r6gd": (0.1152, _ARM),
    "r6i": (0.126, _INTEL_6),
    "r6id": (0.1512, _INTEL_6),
    "r7a": (0.15215, _AMD_7),
    "r7g": (0.1071, _ARM),
    "r7i": (0.1323, _INTEL_7),
    "r8a": (0.15976, _AMD_8),
    "r8g": (0.11782, _ARM_8),
    "r8i": (0.13892, _INTEL_8),
    "r8i-flex": (0.13197, _FLEX),
}
#: Types whose price is not in proportion to their size.
TYPES: Dict[str, float] = {
    "g4dn.xlarge": 0.526,
    "g4dn.2xlarge": 0.752,
    "g4dn.4xlarge": 1.204,
    "g4dn.8xlarge": 2.176,
    "g4dn.12xlarge": 3.912,
    "g4dn.16xlarge": 4.352,
    "g5.xlarge": 1.006,
    "g5.2xlarge": 1.212,
    "g5.4xlarge": 1.624,
    "g5.8xlarge": 2.448,
    "g5.12xlarge": 5.672,
    "g5.16xlarge": 4.096,
    "g5.24xlarge": 8.144,
    "g5.48xlarge": 16.288,
    "g6.xlarge": 0.8048,
    "g6.2xlarge": 0.9776,
    "g6.4xlarge": 1.3232,
    "g6.8xlarge": 2.0144,
    "g6.12xlarge": 4.6016,
    "g6.16xlarge": 3.3968,
    "g6.24xlarge": 6.6752,
    "g6.48xlarge": 13.3504,
    "t2.small": 0.023,
    "c7g.medium": 0.0363,
    "c7i-flex.large": 0.08479,
    "c7i-flex.xlarge": 0.16958,
    "r7a.medium": 0.07608,
    "c8a.medium": 0.05389,
    "r7g.medium": 0.0536,
}
#: Size -> how many times the price of `large`; `<n>xlarge` is twice n.
SIZES: Dict[str, float] = {"nano": 0.0625, "micro": 0.125, "small": 0.25, "medium": 0.5, "large": 1.0, "xlarge": 2.0}

#: Every other commercial region -> (usual price there : price in VERIFIED_REGION, gp3 per GB and month).
GUESSES: Dict[str, Tuple[float, float]] = {
    "us-east-2": (1.0, 0.08),
    "us-west-1": (1.17, 0.096),
    "us-west-2": (1.0, 0.08),
    "ca-central-1": (1.115, 0.088),
    "ca-west-1": (1.115, 0.088),
    "mx-central-1": (1.15, 0.092),
    "sa-east-1": (1.6, 0.152),
    "eu-central-1": (1.2, 0.0952),
    "eu-central-2": (1.32, 0.1142),
    "eu-north-1": (1.065, 0.0836),
    "eu-south-1": (1.17, 0.0924),
    "eu-south-2": (1.115, 0.088),
    "eu-west-1": (1.115, 0.088),
    "eu-west-2": (1.165, 0.0928),
    "eu-west-3": (1.17, 0.0928),
    "il-central-1": (1.23, 0.0968),
    "me-central-1": (1.23, 0.0968),
    "me-south-1": (1.23, 0.0968),
    "af-south-1": (1.325, 0.1047),
    "ap-east-1": (1.375, 0.1056),
    "ap-east-2": (1.3, 0.096),
    "ap-northeast-1": (1.3, 0.096),
    "ap-northeast-2": (1.23, 0.0912),
    "ap-northeast-3": (1.3, 0.096),
    "ap-south-1": (1.055, 0.0912),
    "ap-south-2": (1.055, 0.0912),
    "ap-southeast-1": (1.25, 0.096),
    "ap-southeast-2": (1.25, 0.096),
    "ap-southeast-3": (1.25, 0.096),
    "ap-southeast-4": (1.25, 0.096),
    "ap-southeast-5": (1.15, 0.0864),
    "ap-southeast-6": (1.25, 0.096),
    "ap-southeast-7": (1.2, 0.0912),
}


def instances() -> Dict[str, float]:
    """Type -> price per hour in VERIFIED_REGION."""
    found = {
        f"{family}.{size}": round(large * (SIZES.get(size) or 2.0 * int(size[: -len("xlarge")])), 6)
        for family, (large, sizes) in FAMILIES.items()
        for size in sizes.split()
    }
    found.update(TYPES)
    return found
