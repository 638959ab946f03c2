# SPDX-License-Identifier: GPL-3.0-or-later
"""The teardown receipt: every resource, asked for again after its removal."""

from __future__ import annotations

from typing import Any

from fuelctl import paths, ssh_config
from fuelctl.cli._output import clean, mark, table

_GOOD = {"gone": True, "present": False}


def complete_receipt(environment: dict[str, Any]) -> dict[str, Any]:
    """The server's receipt, with what was on this machine added after removing it and looking again."""
    environment_id = environment["id"]
    with ssh_config.locked():
        ssh_config.remove([environment_id])
    receipt = dict(environment.get("receipt") or {"complete": True, "resources": []})
    local = [
        {"kind": kind, "name": _local_name(kind, environment), "state": "present" if there else "gone", "detail": ""}
        for kind, there in ssh_config.traces(environment_id).items()
    ]
    receipt["resources"] = [*(receipt.get("resources") or []), *local]
    receipt["complete"] = bool(receipt.get("complete")) and all(item["state"] == "gone" for item in local)
    return receipt


def _local_name(kind: str, environment: dict[str, Any]) -> str:
    if kind == "ssh_config_entry":
        return ssh_config.host(environment["name"])
    return str(paths.ssh_key_file(environment["id"]))


def receipt_lines(receipt: dict[str, Any]) -> list[str]:
    """The receipt for people: one line per resource, then the verdict."""
    rows = []
    for item in receipt.get("resources") or []:
        state = clean(item.get("state", "unknown"))
        rows.append(
            [mark(_GOOD.get(state)), clean(item.get("kind", "")), clean(item.get("name", "")), state, _detail(item)]
        )
    lines = ["  " + line for line in table(["", "RESOURCE", "NAME", "STATE", ""], rows)] if rows else []
    verdict = "nothing of it is left" if receipt.get("complete") else "something of it may be left; see above"
    return [*lines, f"Receipt: {verdict}."]


def _detail(item: dict[str, Any]) -> str:
    return clean(item.get("detail") or "")
