# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Findings: a rule that something breaks, where, and what to do; and the comments that say it is meant so."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Set

from .resources import yaml_data

#: From the worst on.
SEVERITIES = ("error", "warning", "info")
#: `# fuelctl: ignore=rule,rule` at the line's end or on the line before; `ignore-file=` for the whole file.
_IGNORE = re.compile(r"#[ \t]*fuelctl:[ \t]*(ignore|ignore-file)=([\w,-]+)")


class Finding(NamedTuple):
    """One thing that is wrong.

    :param rule: its name in rules.yml, or hadolint's.
    :param severity: error, warning or info.
    :param file: path relative to the folder that was checked.
    :param line: from 1.
    :param message: what is there, in one line, without the value of a secret.
    :param why: what follows from it.
    :param fix: what to do.
    """

    rule: str
    severity: str
    file: str
    line: int
    message: str
    why: str
    fix: str

    def as_dict(self) -> Dict[str, Any]:
        """The same as plain data."""
        return self._asdict()


def rules() -> Dict[str, Dict[str, str]]:
    """Every rule of our own: severity, why and fix by name."""
    found: Dict[str, Dict[str, str]] = yaml_data("rules.yml")
    return found


def finding(rule: str, file: str, line: int, message: str, fix: str = "") -> Finding:
    """A finding of one of our rules; `fix` where it is known better than in general."""
    entry = rules()[rule]
    return Finding(rule, entry["severity"], file, line, message, entry["why"], fix or entry["fix"])


def meant(text: str) -> Dict[int, Set[str]]:
    """Line -> the rules that its comments ask to ignore there; 0 is the whole file."""
    found: Dict[int, Set[str]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        for word, names in _IGNORE.findall(line):
            alone = line.lstrip().startswith("#")
            place = 0 if word == "ignore-file" else number + 1 if alone else number
            found.setdefault(place, set()).update(name for name in names.split(",") if name)
    return found


def kept(findings: Iterable[Finding], texts: Dict[str, str]) -> List[Finding]:
    """Findings that no comment asks to ignore, each once, in the order of files and lines."""
    ignored = {file: meant(text) for file, text in texts.items()}
    unique = dict.fromkeys(findings)
    left = [
        item
        for item in unique
        if not {item.rule, "all"}
        & (ignored.get(item.file, {}).get(item.line, set()) | ignored.get(item.file, {}).get(0, set()))
    ]
    return sorted(left, key=lambda item: (item.file, item.line, SEVERITIES.index(item.severity), item.rule))


def reached(findings: Iterable[Finding], severity: str) -> bool:
    """Whether one of them is as bad as `severity` (`never`: none is)."""
    if severity not in SEVERITIES:
        return False
    worst = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return any(item.severity in worst for item in findings)
