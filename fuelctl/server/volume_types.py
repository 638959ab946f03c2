# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's types for the disk that outlives a machine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, RootModel

from fuelctl.environments.volume import Volume


class VolumeIn(BaseModel):
    """How large it is to be."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size_gb: int = Field(ge=1, le=1_000_000, description="In GB; its provider says how many it gives.")


class VolumeOut(RootModel[Volume]):
    """The disk that outlives a machine, with its snapshots."""
