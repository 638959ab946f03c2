# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.fuelctl.lab_worker`: a real worker process, whose playbooks make files.

`FUELCTL_LAB_REGIONS`: its provider ends several at once, and has an API with limits.
"""

from __future__ import annotations

import os
import sys

from fuelctl import worker
from fuelctl.workflows import provider_traits, run
from fuelctl.workflows.provider_traits import Traits
from tests.fuelctl.control import PLAYBOOKS


def in_regions(_provider: str) -> Traits:
    """A cloud."""
    return Traits(ends_several=True, has_regions=True)


if __name__ == "__main__":
    for verb in ("up", "down", "observe", "extend"):
        run._PLAYBOOKS[verb] = str(PLAYBOOKS / f"{verb}.yml")
    if os.environ.get("FUELCTL_LAB_REGIONS"):
        setattr(provider_traits, "of", in_regions)  # noqa: B010 - mypy knows that it is a function
    sys.exit(worker.run())
