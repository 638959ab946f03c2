# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Findings as SARIF 2.1.0, which code hosts show beside the lines."""

from __future__ import annotations

from typing import Any, Dict, List
from urllib.parse import quote

from .checking import Report
from .report import Finding, rules

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HOME = "https://github.com/fuel-code/fuel_code.remote"


def sarif(report: Report, version: str) -> Dict[str, Any]:
    """The log of one run; `version` is fuelctl's."""
    used = sorted({item.rule for item in report.findings})
    driver = {
        "name": "fuelctl fly check",
        "semanticVersion": version,
        "informationUri": _HOME,
        "rules": [_rule(name, report.findings) for name in used],
    }
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "artifacts": [{"location": {"uri": quote(file)}} for file in report.files],
                "results": [_result(item, used.index(item.rule)) for item in report.findings],
            }
        ],
    }


def _rule(name: str, findings: List[Finding]) -> Dict[str, Any]:
    entry = rules().get(name)
    first = next(item for item in findings if item.rule == name)
    why, fix = (entry["why"], entry["fix"]) if entry else (first.why, first.fix)
    rule: Dict[str, Any] = {
        "id": name,
        "shortDescription": {"text": name.replace("-", " ")},
        "fullDescription": {"text": why},
        "help": {"text": f"{why}. {fix}"},
        "defaultConfiguration": {"level": _LEVELS[entry["severity"] if entry else first.severity]},
    }
    if entry is None:
        rule["helpUri"] = f"https://github.com/hadolint/hadolint/wiki/{name}"
    return rule


def _result(item: Finding, index: int) -> Dict[str, Any]:
    place = {"artifactLocation": {"uri": quote(item.file)}, "region": {"startLine": item.line}}
    return {
        "ruleId": item.rule,
        "ruleIndex": index,
        "level": _LEVELS[item.severity],
        "message": {"text": f"{item.message}. {item.fix}"},
        "locations": [{"physicalLocation": place}],
    }
