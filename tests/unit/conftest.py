# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes `ansible_collections.fuel_code.remote` importable from a plain checkout.

ansible-test runs these tests from a real collection tree with its own importer: there, nothing is to be done. Plain
pytest gets a temporary tree whose only leaf is a link to this checkout.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

NAME = "ansible_collections.fuel_code.remote"


def _importable() -> bool:
    try:
        return importlib.util.find_spec(NAME) is not None
    except ModuleNotFoundError:
        return False


def pytest_configure(config):
    """Before the first test module is imported: put the tree on `sys.path` and on Ansible's collections path."""
    checkout = Path(__file__).resolve().parents[2]
    if "ansible_collections" in checkout.parts or _importable():
        return
    tree = tempfile.TemporaryDirectory(prefix="fuel-code-unit-")
    config.add_cleanup(tree.cleanup)
    remote = Path(tree.name) / "ansible_collections" / "fuel_code" / "remote"
    remote.parent.mkdir(parents=True)
    remote.symlink_to(checkout)
    sys.path.insert(0, tree.name)
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join(
        [tree.name, *filter(None, [os.environ.get("ANSIBLE_COLLECTIONS_PATH")])]
    )
