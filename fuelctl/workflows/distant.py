# SPDX-License-Identifier: GPL-3.0-or-later
"""The observer of a team's server: it says when, and a worker asks the machines."""

from __future__ import annotations

import logging

from fuelctl.environments.core import MachineError
from fuelctl.workflows.enqueue import Enqueuer
from fuelctl.workflows.observer import Observer
from fuelctl.workflows.run import Plant

_logger = logging.getLogger(__name__)


class DistantObserver(Observer):
    """An Observer whose rounds are a worker's."""

    def __init__(self, plant: Plant, enqueuer: Enqueuer, seconds: float) -> None:
        super().__init__(plant, enqueuer, seconds)
        self._enqueuer = enqueuer

    def round(self) -> int:
        """Have every provider asked once about its environments; how many were observed: none without a worker."""
        with self._one_at_a_time:
            try:
                return self._enqueuer.observe()
            except MachineError as error:
                _logger.warning("nobody could observe: %s", error)
                return 0
