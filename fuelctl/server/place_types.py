# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's types for workspaces and devices."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from fuelctl.environments.views import Device
from fuelctl.server.asked import Asked

Ulid = Annotated[str, StringConstraints(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
_Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class PageQuery(Asked):
    """Which page; `cursor` is what the page before said."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: Ulid | None = None


class WorkspaceIn(BaseModel):
    """A place where work is done."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: _Line = Field(description="The repository's address, as git takes it.")
    folder: Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        default="", description="Where in it work begins; all of it without."
    )


class WorkspaceOut(BaseModel):
    """One workspace. `url`: `host/path`, however it was written; `live`: its environments that live."""

    id: str
    url: str
    folder: str
    name: str
    created_at: str
    live: int


class WorkspacesOut(BaseModel):
    """A page of workspaces, the newest first; `cursor` is the next one's, null after the last."""

    workspaces: list[WorkspaceOut]
    cursor: str | None


class DevicesQuery(PageQuery):
    """Which devices."""

    kind: Annotated[str, StringConstraints(pattern=r"^(environment|laptop)$")] | None = None
    include_terminated: bool = False


class DeviceIn(BaseModel):
    """A laptop; its id is its own, and stays the same."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Ulid
    name: _Word
    platform: _Word | None = None
    version: _Word | None = None


class DeviceOut(RootModel[Device]):
    """One device."""


class DevicesOut(BaseModel):
    """A page of devices; `cursor` is the next one's, null after the last."""

    devices: list[Device]
    cursor: str | None
