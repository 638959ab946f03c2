# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Which AMI, and which instance type: from a distribution's name and a size to what AWS wants. The lookup is cached."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from .._errors import FuelError, UsageError
from . import _refusals
from ._api import Api, ApiError

#: For so long the newest AMI of a distribution is believed to be the newest. Seconds.
FRESH = 24 * 3600.0
_AMI = re.compile(r"ami-[0-9a-f]{8,17}")
#: A family with a `g` behind its generation (m7g, c7gn, t4g), and the first one, is Graviton.
_GRAVITON = re.compile(r"(?:[a-z]+[0-9]+g[a-z]*|a1)\.")


@dataclass(frozen=True)
class Distribution:
    """Where a distribution's AMIs are: its owner's account, its names, and how it calls the two architectures."""

    owner: str
    names: str
    architectures: Mapping[str, str]


_DEBIAN = {"x86_64": "amd64", "arm64": "arm64"}
DISTRIBUTIONS: Dict[str, Distribution] = {
    "al2023": Distribution("137112412989", "al2023-ami-2023.*-kernel-6.1-{}", {"x86_64": "x86_64", "arm64": "arm64"}),
    "debian-12": Distribution("136693071363", "debian-12-{}-*", _DEBIAN),
    "debian-13": Distribution("136693071363", "debian-13-{}-*", _DEBIAN),
    "ubuntu-22.04": Distribution("099720109477", "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{}-server-*", _DEBIAN),
    "ubuntu-24.04": Distribution("099720109477", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{}-server-*", _DEBIAN),
}

#: (type, vCPUs, GiB), the cheaper first. Burstable ones end where sustained work would be throttled.
SIZES: Tuple[Tuple[str, float, float], ...] = (
    ("t3.small", 2, 2),
    ("t3.medium", 2, 4),
    ("t3.large", 2, 8),
    ("t3.xlarge", 4, 16),
    ("m7i.2xlarge", 8, 32),
    ("m7i.4xlarge", 16, 64),
    ("m7i.8xlarge", 32, 128),
    ("m7i.16xlarge", 64, 256),
)


def type_for(cpus: float, memory_gb: float) -> str:
    """The smallest type of ours that has at least so much; UsageError when none has."""
    for name, has_cpus, has_memory in SIZES:
        if has_cpus >= cpus and has_memory >= memory_gb:
            return name
    raise UsageError(
        f"no instance type is known that has {cpus:g} CPUs and {memory_gb:g} GiB",
        hint="name one: resources.instance_type in the blueprint, or --instance-type",
        code="ec2_type",
    )


def architecture_of(instance_types: Sequence[str]) -> str:
    """`x86_64` or `arm64`; UsageError when the types are of both, for one AMI cannot serve both."""
    found = {"arm64" if _GRAVITON.match(each) else "x86_64" for each in instance_types}
    if len(found) > 1:
        raise UsageError(
            f"{', '.join(instance_types)} are of two architectures, and an AMI is of one",
            hint="name types of one architecture",
            code="ec2_type",
        )
    return found.pop() if found else "x86_64"


@dataclass
class Cache:
    """What was found lately, in one file per question. `folder` is empty to remember nothing."""

    folder: str = ""
    clock: Callable[[], float] = time.time

    def get(self, question: str) -> Optional[str]:
        """The answer, unless it is older than FRESH, or cannot be read."""
        try:
            with open(self._file(question), encoding="utf-8") as stream:
                known = json.load(stream)
            if known["question"] == question and 0 <= self.clock() - float(known["at"]) < FRESH:
                return str(known["answer"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def put(self, question: str, answer: str) -> None:
        """Remember it; where that is not possible, the next one asks again."""
        if not self.folder:
            return
        text = json.dumps({"question": question, "answer": answer, "at": self.clock()})
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            temporary = f"{self._file(question)}.{os.getpid()}"
            with open(temporary, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.replace(temporary, self._file(question))
        except OSError:
            pass

    def _file(self, question: str) -> str:
        return os.path.join(self.folder, f"ami-{hashlib.sha256(question.encode('utf-8')).hexdigest()[:16]}.json")


def find(api: Api, image: str, architecture: str, *, endpoint: str, cache: Cache) -> Tuple[Dict[str, Any], str]:
    """(the AMI as AWS describes it, how it was found: `given`, `found` or `remembered`).

    `image` is an AMI id or one of DISTRIBUTIONS; `endpoint` tells regions (and clouds) apart in the cache.
    """
    if _AMI.fullmatch(image):
        return _by_id(api, image), "given"
    if image not in DISTRIBUTIONS:
        raise UsageError(
            f"{image[:60]!r} is no AMI id and no distribution",
            hint=f"known: {', '.join(DISTRIBUTIONS)}; an AMI id looks like ami-0123456789abcdef0",
            code="ec2_image",
        )
    question = f"{endpoint} {image} {architecture}"
    known = cache.get(question)
    if known is not None:
        try:
            return _by_id(api, known), "remembered"
        except FuelError as error:
            # Withdrawn since: look again.
            if error.code != "ec2_image":
                raise
    found = _newest(api, image, architecture)
    cache.put(question, str(found["ImageId"]))
    return found, "found"


def _by_id(api: Api, image_id: str) -> Dict[str, Any]:
    try:
        images: List[Dict[str, Any]] = api.call("describe_images", ImageIds=[image_id]).get("Images") or []
    except ApiError as error:
        raise _refusals.explain(error) from error
    if not images:
        raise _refusals.explain(ApiError("DescribeImages", "InvalidAMIID.NotFound", image_id))
    return images[0]


def _newest(api: Api, image: str, architecture: str) -> Dict[str, Any]:
    wanted = DISTRIBUTIONS[image]
    filters = [
        {"Name": "name", "Values": [wanted.names.format(wanted.architectures[architecture])]},
        {"Name": "architecture", "Values": [architecture]},
        {"Name": "state", "Values": ["available"]},
    ]
    try:
        images = list(api.pages("describe_images", "Images", Owners=[wanted.owner], Filters=filters))
    except ApiError as error:
        raise _refusals.explain(error) from error
    if not images:
        raise FuelError(
            f"there is no AMI of {image} for {architecture} in this region",
            hint="name another distribution, or an AMI by its id",
            code="ec2_image",
        )
    return max(images, key=lambda each: str(each.get("CreationDate") or ""))
