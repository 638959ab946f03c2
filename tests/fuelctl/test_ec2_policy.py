# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy in docs/user/ec2.md allows exactly what the code calls, and changes nothing that is not ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "user" / "ec2.md"

_CALLED = re.compile(r"""(?:call|pages)\(\s*"([a-z_]+)"|(?:describe|delete)="([a-z_]+)\"""")
#: AWS allows it to everybody.
_FREE = {"sts:GetCallerIdentity"}
#: Asked for by tags within other calls.
_IMPLIED = {"ec2:CreateTags"}


def statements() -> list[dict[str, Any]]:
    block = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    found: list[dict[str, Any]] = json.loads(block.group(1))["Statement"]
    return found


def actions(statement: dict[str, Any]) -> set[str]:
    said = statement["Action"]
    return {said} if isinstance(said, str) else set(said)


def called() -> set[str]:
    """Every API call in the code, as a policy names it."""
    plugins = ROOT / "plugins"
    files = [*(plugins / "module_utils" / "_ec2").glob("*.py"), *(plugins / "modules").glob("ec2_*.py")]
    found = set()
    for file in files:
        for match in _CALLED.finditer(file.read_text(encoding="utf-8")):
            name = "".join(part.capitalize() for part in (match.group(1) or match.group(2)).split("_"))
            found.add(f"sts:{name}" if name == "GetCallerIdentity" else f"ec2:{name}")
    return found


def test_it_allows_exactly_what_is_called() -> None:
    allowed = set().union(*(actions(each) for each in statements()))
    assert allowed == (called() - _FREE) | _IMPLIED


def test_every_change_is_bound_to_our_tag() -> None:
    bound = {"fuel-code:managed", "ec2:CreateAction"}
    free = [each for each in statements() if not any(word in json.dumps(each.get("Condition", {})) for word in bound)]
    for each in free:
        looks = all(action.startswith("ec2:Describe") for action in actions(each))
        # Named as what a machine or a group is made from, or in; they are not changed.
        kinds = {one.rsplit(":", 1)[-1] for one in _resources(each)}
        assert looks or kinds <= {"image/*", "subnet/*", "vpc/*"}, each["Sid"]


def _resources(statement: dict[str, Any]) -> list[str]:
    said = statement["Resource"]
    return [said] if isinstance(said, str) else list(said)
