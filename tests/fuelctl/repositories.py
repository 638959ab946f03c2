# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories to be packed, and what comes out of them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from fuelctl.source import Packed


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make(folder: Path, *, commits: int = 2) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for number in range(commits):
        (folder / "file.txt").write_text(f"line {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", f"commit {number}")
    return folder


def unpacked(packed: Packed, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path / f"unpacked-{packed.sha256[:8]}"
    with tarfile.open(packed.path) as archive:
        archive.extractall(folder)
    return folder, json.loads((folder / "source.json").read_text())


def rebuilt(folder: Path, description: dict[str, Any], target: Path) -> Path:
    """What the bundle and the patch make, by git's own means."""
    target.mkdir()
    git(target, "init", "-q", f"--object-format={description['object_format']}")
    if description["shallow"]:
        (target / ".git" / "shallow").write_text("".join(f"{commit}\n" for commit in description["shallow"]))
    git(target, "bundle", "unbundle", str(folder / "repo.bundle"))
    git(target, "checkout", "-q", description["commit"])
    if description["patch"]:
        git(target, "apply", str(folder / "dirty.patch"))
    return target


def tree(folder: Path) -> dict[str, bytes]:
    """Every file, link and mode outside .git."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        found[name] = content + (b" x" if os.access(path, os.X_OK) and not path.is_symlink() else b"")
    return found


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file of the git directory with its time and content; of objects, git may renew the time."""
    return {
        path.relative_to(folder).as_posix(): (
            0 if "objects" in path.parts else path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted((folder / ".git").rglob("*"))
        if path.is_file()
    }


def make_dirty(repository: Path) -> None:
    """One of each: changed, added, staged, removed, renamed, binary, executable, link, odd names, ignored."""
    (repository / "file.txt").write_text("changed\n")
    (repository / "binary").write_bytes(bytes(range(256)) * 10)
    (repository / "folder").mkdir()
    (repository / "folder" / "with space, 'quote' \"double\"").write_text("x")
    (repository / "folder" / "newline\nin name").write_text("y")
    (repository / "folder" / "ümlaut").write_text("z")
    (repository / "script").write_text("#!/bin/sh\n")
    (repository / "script").chmod(0o755)
    (repository / "link").symlink_to("file.txt")
    (repository / "empty").write_text("")
    (repository / "no-newline").write_text("no newline")
    (repository / "crlf").write_bytes(b"a\r\nb\r\n")
    (repository / "staged").write_text("staged")
    git(repository, "add", "staged")
    (repository / ".gitignore").write_text("ignored/\n*.log\n")
    (repository / "ignored").mkdir()
    (repository / "ignored" / "x").write_text("never")
    (repository / "a.log").write_text("never")
