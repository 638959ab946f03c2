# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Platforms that a project is deployed to, by weighted signals. The signals are data (`data_platforms.py`)."""

from __future__ import annotations

import re
from typing import Any, Dict, List

from .data_platforms import PLATFORMS, Signal
from .parsers import line_at, toml_table
from .tree import Folder, Tree

#: Folders whose files are asked as well as the root's: where such files usually lie.
_PLACES = (
    "k8s",
    "kubernetes",
    "deploy",
    "deployment",
    "deployments",
    "manifests",
    "helm",
    "chart",
    "charts",
    "infra",
    "terraform",
    "infrastructure",
    "copilot",
    ".github/workflows",
    "scripts",
    "bin",
    "kustomize",
    "base",
    "overlays",
    "cdk",
    ".aws",
    "aws",
)
_MOST_FILES = 300


def platforms(directory: str) -> List[Dict[str, Any]]:
    """Every platform with a signal: name, confidence, detected, and its signals (signal, weight, source)."""
    tree = Tree(directory)
    files = _files(tree)
    found: List[Dict[str, Any]] = []
    for name, platform in PLATFORMS.items():
        signals = [match for signal in platform.signals for match in _matches(tree, files, signal)]
        if not signals:
            continue
        total = sum(signal["weight"] for signal in signals)
        if len(signals) >= 3:
            # Independent signs that agree are worth more than their sum.
            total += 0.1
        confidence = round(min(1.0, total), 2)
        found.append(
            {"name": name, "confidence": confidence, "detected": confidence >= platform.threshold, "signals": signals}
        )
    return sorted(found, key=lambda entry: (-entry["confidence"], entry["name"]))


def _files(tree: Tree) -> List[str]:
    files: List[str] = []
    for place in ("", *_PLACES):
        if place and not tree.is_folder(place):
            continue
        names = tree.names(place)
        files += [f"{place}/{name}" if place else name for name in sorted(names) if not names[name]]
        if place and "/" not in place:
            for name in sorted(names):
                if names[name]:
                    inner = f"{place}/{name}"
                    files += [f"{inner}/{file}" for file, folder in sorted(tree.names(inner).items()) if not folder]
    return files[:_MOST_FILES]


def _matches(tree: Tree, files: List[str], signal: Signal) -> List[Dict[str, Any]]:
    """At most one match: two files that say the same are one signal."""
    for file in files:
        if not re.search(signal.file, file):
            continue
        text = tree.text(file)
        if text is None:
            continue
        if signal.toml and not _valid_toml(tree, file, signal):
            continue
        match = re.search(signal.text, text, re.MULTILINE) if signal.text else None
        if signal.text and match is None:
            continue
        if signal.beside and not any(re.search(signal.beside, other) for other in files):
            continue
        line = line_at(text, match.start()) if match else 1
        return [{"signal": signal.what, "weight": signal.weight, "source": f"{file}:{line}"}]
    return []


def _valid_toml(tree: Tree, file: str, signal: Signal) -> bool:
    folder, _slash, name = file.rpartition("/")
    data = toml_table(Folder(tree, folder), name)
    return any(key in data and isinstance(data[key], (str, dict, list)) for key in signal.toml)
