# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to an environment that the server knows, with its source sent."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuelctl import paths
from fuelctl._shared._errors import FuelError
from fuelctl._shared._scratch import scratch
from fuelctl.cli._plan import Plan, free_name
from fuelctl.client import ApiError, Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuelctl.source import Packed

#: An upload that nobody took up again is forgotten after this many seconds.
_FORGET = 7 * 86400
_NEW = "new-"
_NAME_ATTEMPTS = 20


def uploads_folder() -> Path:
    """Packed sources that are on their way, so that a broken upload can be taken up again."""
    return paths.cache_folder() / "uploads"


def upload_file(environment_id: str) -> Path:
    """The packed source of one environment, until the server has all of it."""
    return uploads_folder() / f"{environment_id}.tar"


@contextmanager
def new_upload_file() -> Iterator[Path]:
    """A file to pack into, before there is an environment. Forgets what is old, and what killed processes left."""
    folder = paths.private_folder(uploads_folder())
    for old in folder.glob("*.tar"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _FORGET:
                old.unlink()
    with ExitStack() as stack:
        try:
            mine = stack.enter_context(scratch(_NEW, str(folder)))
        except OSError as error:
            raise paths.storage_error(error, folder) from error
        yield Path(mine, "source.tar")


def create(
    client: Client, plan: Plan, packed: Packed | None, *, owner: str, agent_home: Path | None, keep_on_error: bool
) -> dict[str, Any]:
    """Have the server make the environment; a name that we chose ourselves makes room for one that was faster."""
    body: dict[str, Any] = {
        "name": plan.name,
        "owner": owner,
        "provider": {"name": plan.provider, "options": plan.blueprint["provider"]["options"]},
        "blueprint": plan.blueprint,
        "repository": plan.repository_facts(),
        "ttl_seconds": plan.ttl_seconds,
        "idle_seconds": plan.idle_seconds,
        "idle_discard": plan.idle_discard,
        "secrets": plan.secrets,
        "keep_on_error": keep_on_error,
        "source": {"sha256": packed.sha256, "size": packed.size} if packed is not None else None,
        **({} if plan.rescue else {"rescue": False}),
        **({"from_rescue": plan.from_rescue} if plan.from_rescue else {}),
    }
    if plan.max_price_hour is not None:
        # The server has prices of its own, and the last word.
        body["max_price_hour"] = plan.max_price_hour
    if agent_home is not None:
        body["agent_home"] = str(agent_home)
    taken: set[str] = set()
    for _turn in range(_NAME_ATTEMPTS):
        try:
            return client.create(body, key=secrets.token_hex(16))
        except ApiError as error:
            if error.code != "name_taken" or plan.named:
                raise
            taken |= {body["name"]} | names_in_use(client, owner)
            plan.name = body["name"] = free_name(plan.base_name, taken)
    raise FuelError(f"Every name like {plan.name} is taken", hint="choose one with --name", code="name_taken")


def names_in_use(client: Client, owner: str) -> set[str]:
    """Names that a new environment of this owner cannot have."""
    return {item["name"] for item in client.environments(owner=owner)["environments"]}


def keep_for_upload(packed: Packed, environment_id: str) -> Path:
    """Give the packed source its environment's name, under which `up --attach` finds it."""
    target = upload_file(environment_id)
    try:
        packed.path.replace(target)
    except OSError as error:
        raise paths.storage_error(error, target) from error
    return target


def send(client: Client, environment_id: str, progress: Callable[[int, int], object]) -> None:
    """Upload the source, or what is missing of it, and forget it; nothing to do when the server has it all."""
    path = upload_file(environment_id)
    try:
        state = client.source(environment_id)
    except ApiError as error:
        if error.code == "no_source_expected":
            return
        raise
    if not state["complete"]:
        try:
            stream = path.open("rb")
        except OSError as error:
            raise FuelError(
                "Its source was never sent completely, and this machine does not hold the rest",
                hint=f"go on where it was started, or end it: fuelctl down {environment_id}",
                code="source_incomplete",
            ) from error
        with stream:
            size = path.stat().st_size
            client.upload(environment_id, stream, size, lambda sent: progress(sent, size))
    path.unlink(missing_ok=True)
