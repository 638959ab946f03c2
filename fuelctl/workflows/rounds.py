# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes round by itself: reaper and observer, each in a thread, one round at a time."""

from __future__ import annotations

import logging
from datetime import UTC

from apscheduler.schedulers.background import BackgroundScheduler

#: Its words on a round that is not over when the next is due are no news: rounds take what time they take, and who
#: takes too long is told of by the reaper itself, by /readyz and by fuelctl_reaper_late.
_QUIET = logging.getLogger("fuelctl.workflows.rounds.scheduler")
_QUIET.setLevel(logging.ERROR)


def scheduler() -> BackgroundScheduler:
    """One whose jobs, when they were due several times meanwhile, run once, and never beside themselves."""
    return BackgroundScheduler(timezone=UTC, logger=_QUIET, job_defaults={"coalesce": True, "max_instances": 1})
