# SPDX-License-Identifier: GPL-3.0-or-later
"""A real copy of this checkout as `<folder>/ansible_collections/fuel_code/remote`.

ansible-test and ansible-lint want a collection tree outside the checkout; a link is not enough for them, and inside a
git-ignored folder ansible-test sees no file and passes without having looked.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def tracked_files() -> list[Path]:
    """Every file that is, or could be, committed, relative to the checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [Path(name) for name in listing.split("\0") if name]


def make_tree(folder: Path) -> Path:
    """Copy the checkout into `folder`; returns the collection's root in it."""
    root = folder / "ansible_collections" / "fuel_code" / "remote"
    for name in tracked_files():
        source, target = CHECKOUT / name, root / name
        if not source.exists() and not source.is_symlink():
            continue  # deleted, and not committed yet
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    return root


if __name__ == "__main__":
    print(make_tree(Path(sys.argv[1])))
