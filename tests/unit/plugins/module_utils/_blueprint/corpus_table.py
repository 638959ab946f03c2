# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus: small projects and what an engineer of their field would say they need, all in one table.

`want` is one line: `runtime@version/manager` for each runtime, the primary first; `:ports`; `+service=image`.
A mark says where a value comes from: `~` range, `^` alias, `?` default, none a pin. `:` alone means no port.
Files are text, or mappings that become JSON. Other keys: image, setup, packages, conflicts (how many), warns (a file).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CORPUS = Path(__file__).with_name("corpus")
MARKS = {"range": "~", "alias": "^", "default": "?", "pin": ""}


class Project(NamedTuple):
    """One row of the table."""

    name: str
    files: dict[str, Any]
    want: str
    more: dict[str, Any]


def projects() -> list[Project]:
    """Every row, in the order of the files and of the lines in them."""
    rows: list[Project] = []
    for file in sorted(CORPUS.glob("*.corpus")):
        table = yaml.safe_load(file.read_text("utf-8"))
        for name, entry in table.items():
            more = {key: value for key, value in entry.items() if key not in ("files", "want")}
            rows.append(Project(f"{file.stem}/{name}", entry["files"], entry["want"], more))
    return rows


def materialise(project: Project, folder: Path) -> Path:
    """The project as files below `folder`."""
    for name, content in project.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_bytes(content.encode("latin-1" if name.endswith(".latin1") else "utf-8"))
        else:
            path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return folder


def answer(detection: Any, want: str = "") -> str:
    """What detection says, in the words of `want`; services with their images only where `want` has them."""
    kinds = {entry["field"]: entry["kind"] for entry in detection.evidence}
    words: list[str] = []
    for index, runtime in enumerate(detection.blueprint["runtimes"]):
        path = f"runtimes[{index}]"
        word = runtime["name"]
        if runtime["version"]:
            word += f"@{runtime['version']}{MARKS[kinds[f'{path}.version']]}"
        if runtime["package_manager"]:
            word += f"/{runtime['package_manager']}{MARKS[kinds[f'{path}.package_manager']]}"
        words.append(word)
    ports = sorted(detection.blueprint["ports"])
    words.append(":" + ",".join(map(str, ports)) + (MARKS[kinds["ports"]] if ports else ""))
    words += [
        f"+{service['name']}" + (f"={service['image']}" if f"+{service['name']}=" in want else "")
        for service in sorted(detection.blueprint["services"], key=lambda item: item["name"])
    ]
    return " ".join(words)


def normal(want: str) -> str:
    """`want` with ports and services sorted and the mark of the ports at their end."""
    words = want.split()
    runtimes = [word for word in words if word[0] not in ":+"]
    ports = next((word for word in words if word[0] == ":"), ":")
    mark = next((mark for mark in "?~" if mark in ports), "")
    numbers = sorted(int(number) for number in ports[1:].replace("?", "").replace("~", "").split(",") if number)
    services = sorted(word for word in words if word[0] == "+")
    return " ".join([*runtimes, ":" + ",".join(map(str, numbers)) + mark, *services])


def differences(project: Project, detection: Any) -> list[tuple[str, Any, Any]]:
    """(what, expected, found) of everything that is not as the table has it."""
    found: list[tuple[str, Any, Any]] = []
    want, got = normal(project.want), answer(detection, project.want)
    if want != got:
        found.append(("want", want, got))
    blueprint = detection.blueprint
    found += [
        (key, project.more[key], blueprint[key])
        for key in ("image", "setup")
        if key in project.more and blueprint[key] != project.more[key]
    ]
    missing = [name for name in project.more.get("packages", ()) if name not in blueprint["system_packages"]]
    if missing:
        found.append(("packages", missing, blueprint["system_packages"]))
    if "conflicts" in project.more and len(detection.conflicts) != project.more["conflicts"]:
        found.append(("conflicts", project.more["conflicts"], [conflict.as_dict() for conflict in detection.conflicts]))
    if "warns" in project.more and project.more["warns"] not in [warning["file"] for warning in detection.warnings]:
        found.append(("warns", project.more["warns"], detection.warnings))
    return found
