# SPDX-License-Identifier: GPL-3.0-or-later
"""/api/webhooks: who is told what happens, and whether it arrives. For admins."""

from __future__ import annotations

from typing import Annotated

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fuelctl.server.parts import parts
from fuelctl.server.types import ProblemOut

api = APIBlueprint(
    "webhooks", __name__, url_prefix="/api/webhooks", abp_responses={"4XX": ProblemOut, "5XX": ProblemOut}
)

_Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class WebhookOut(BaseModel):
    """A receiver, and what waits for it. `problem`: why the last one that did not arrive did not."""

    name: str
    host: str
    events: list[str]
    waiting: int
    since: str | None
    problem: str | None


class WebhooksOut(BaseModel):
    """All receivers."""

    webhooks: list[WebhookOut]


class TestIn(BaseModel):
    """Which receiver; all of them, without."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: _Name | None = None


class DeliveryOut(BaseModel):
    """What came of one. `status`: the receiver's answer, if there was one."""

    name: str
    host: str
    arrived: bool
    status: int | None
    seconds: float
    problem: str | None


class TestOut(BaseModel):
    """What came of each."""

    deliveries: list[DeliveryOut] = Field(description="One for each receiver that was tried.")


@api.get("", responses={200: WebhooksOut}, summary="List webhooks")
def listing() -> Response:
    """With what waits for each."""
    return jsonify(webhooks=parts().webhooks())


@api.post("/test", responses={200: TestOut}, summary="Send a test to webhooks")
def test(body: TestIn) -> Response:
    """A signed message of type `test`, sent while the caller waits; not by way of the outbox, and not again."""
    core = parts().core
    with core.write() as session:
        core.audit(session, "webhook.test", body.name or "all")
    return jsonify(deliveries=parts().try_webhooks(body.name))
