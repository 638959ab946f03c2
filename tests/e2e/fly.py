# SPDX-License-Identifier: GPL-3.0-or-later
"""A person whose environments are on the Fly lab, and what the lab still holds of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.lab import dev_image
from tests.lab.fly.client import FlyLab
from tests.lab.fly.contract import OPERATIONS

from .harness import BASE_IMAGE, Fuelctl, docker, make_repository, write_blueprint

#: Nothing is behind the machines of a lab without them, so that every up ends here.
END_OF_UP = "this lab has no machines"
#: What changes something: what a lab may hold while somebody dies.
CHANGES = frozenset(each.id for each in OPERATIONS if each.method != "GET")


def person(lab: FlyLab, home: Path, **options: Any) -> Fuelctl:
    """A user with the lab's token in the environment, and its options in the settings."""
    made = Fuelctl(home, environment=lab.environment())
    folder = Path(made.base["FUELCTL_HOME"]) / "config"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"image": dev_image.reference("remote"), "region": "fra", **options}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (folder / "config.toml").write_text("\n".join(["[providers.fly]", *lines]) + "\n")
    return made


@contextlib.contextmanager
def present(lab: FlyLab, home: Path, **options: Any) -> Iterator[Fuelctl]:
    """Such a person, whose server and processes end with the block."""
    made = person(lab, home, **options)
    try:
        yield made
    finally:
        made.run("server", "stop", ok=None)
        made.kill_everything()


@contextlib.contextmanager
def guest(lab: FlyLab, home: Path, **options: Any) -> Iterator[Fuelctl]:
    """The same; after the block nothing of theirs is there, and what is there all the same is ended."""
    with present(lab, home, **options) as made:
        try:
            yield made
            lab.heal()
            found = left(lab, made)
        finally:
            lab.heal()
            made.run("down", "--all", "--yes", "--discard", ok=None)
    assert found == []


def sample(folders: pytest.TempPathFactory, *, blueprint: str = "") -> Path:
    """A small repository with a blueprint."""
    path = make_repository(folders.mktemp("source") / "sample")
    write_blueprint(path, f"version: 1\nimage: {BASE_IMAGE}\n{blueprint}")
    return path


def left(lab: FlyLab, home: Fuelctl, seconds: float = 120) -> list[str]:
    """What still exists: apps with their secrets, machines, volumes, containers, and keys on this machine.

    A container and its volume go a moment after the API has said that they are gone: for so long they are waited for.
    """
    truth = lab.truth()
    found = [f"app {name} with secrets {truth['secrets'].get(name)}" for name in truth["apps"]]
    found += [f"machine {each['id']}" for each in lab.machines()]
    found += [f"volume {each['id']}" for each in lab.volumes()]
    with contextlib.suppress(AssertionError):
        lab.wait_for(lambda: not _behind(lab), seconds)
    found += _behind(lab)
    state = Path(home.base["FUELCTL_HOME"])
    found += [str(path) for path in (state / "state" / "keys").rglob("*") if path.is_file()]
    found += [str(path) for path in (state / "data" / "ssh" / "keys").rglob("*") if path.is_file()]
    return found


def _behind(lab: FlyLab) -> list[str]:
    """Containers and volumes of the engine that are this lab's."""
    block = str(urlsplit(lab.endpoint).hostname).split(".")[2]
    label = f"label=fuel-code-lab.fly.block={block}"
    return [
        *docker("ps", "--all", "--quiet", "--filter", label).split(),
        *docker("volume", "ls", "--quiet", "--filter", label).split(),
    ]
