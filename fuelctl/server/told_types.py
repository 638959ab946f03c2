# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's types for events that are told by their tellers' token."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fuelctl.server.place_types import Ulid
from fuelctl.server.types import Data, Ref

_AnyEventType = Annotated[
    str,
    StringConstraints(
        max_length=64,
        pattern=r"^((session|tool|agent)\.[a-z0-9_.-]+|remote\.(provision\.(start|ready|error)|terminate|heartbeat)"
        r"|system\.device\.register)$",
    ),
]


class ToldIn(BaseModel):
    """One event of an environment, or of somebody's laptop."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Ulid
    at: float | None = None
    type: _AnyEventType
    data: Data = Field(default_factory=dict)
    environment: Ref | None = Field(
        default=None, description="What it is about; not needed with an environment's own token."
    )


class BatchIn(BaseModel):
    """A batch, in any order; what is known already is passed over."""

    model_config = ConfigDict(extra="forbid", strict=True)

    events: list[ToldIn] = Field(max_length=1000)
