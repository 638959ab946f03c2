# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The only door to the file system that detection has: listings and texts of one directory tree, within limits.

Nothing outside the tree is ever read, whatever links it holds; what cannot be used is remembered, never raised.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from .data_scanners import WELL_KNOWN

#: Bytes of one file; the manifests that matter are far smaller.
MAX_FILE = 512 * 1024
#: Bytes of all files of one detection.
MAX_TOTAL = 16 * 1024 * 1024
#: Entries of one folder; past it only known names are looked for.
MAX_ENTRIES = 5000
#: Folders listed in one detection.
MAX_FOLDERS = 400

#: Folders that hold other people's code, results of builds, or examples.
IGNORED = frozenset(
    "node_modules bower_components jspm_packages vendor .venv venv env virtualenv .tox .nox target dist build "
    "out _build deps "
    "docs doc examples example samples sample fixtures fixture __fixtures__ testdata test tests spec specs "
    "__tests__ e2e "
    "benchmarks bench coverage tmp temp log logs .git .hg .svn .github .gitlab .circleci .devcontainer .vscode .idea "
    ".cache .next .nuxt .turbo .gradle .mvn .yarn .pnpm-store .terraform __pycache__ third_party third-party external "
    "templates template tools scripts hack ci supabase .fuel-code Pods obj".split()
)


class Trouble(NamedTuple):
    """A file that was there and could not be used."""

    file: str
    line: Optional[int]
    message: str

    def as_dict(self) -> Dict[str, object]:
        """The same as plain data."""
        return {"file": self.file, "line": self.line, "message": self.message}


class Tree:
    """Files below `root`, by their paths relative to it with forward slashes; "" is the root itself."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._prefix = self.root.rstrip("/") + "/"
        self.troubles: List[Trouble] = []
        self._folders: Dict[str, Tuple[Dict[str, bool], bool]] = {}
        self._texts: Dict[str, Optional[str]] = {}
        self._told: Set[Tuple[str, str]] = set()
        self._bytes = 0
        #: For scanners: what they read once for several folders.
        self.cache: Dict[str, Any] = {}
        self._views: Dict[str, Folder] = {}

    def folder(self, path: str) -> Folder:
        """The view of one folder."""
        view = self._views.get(path)
        if view is None:
            view = self._views[path] = Folder(self, path)
        return view

    def trouble(self, file: str, message: str, line: Optional[int] = None) -> None:
        """Remember once that `file` could not be used."""
        if (file, message) not in self._told:
            self._told.add((file, message))
            self.troubles.append(Trouble(file, line, message))

    def _path(self, relative: str) -> str:
        return self._prefix + relative if relative else self.root

    def _inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self.root or real.startswith(self._prefix)

    def names(self, folder: str) -> Dict[str, bool]:
        """Name -> whether it is a folder, for every entry of `folder`; empty when there is no such folder."""
        return self.listing(folder)[0]

    def listing(self, folder: str) -> Tuple[Dict[str, bool], bool]:
        """(names, whether there are more than could be listed) of a folder."""
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = self._list(folder)
        return known

    def _list(self, folder: str) -> Tuple[Dict[str, bool], bool]:
        names: Dict[str, bool] = {}
        if len(self._folders) >= MAX_FOLDERS:
            self.trouble(folder or ".", f"not looked at: more than {MAX_FOLDERS} folders")
            return names, False
        path = self._path(folder)
        # The listing of its parent has refused what leads out of the tree.
        if folder and self._kind(folder) is not True:
            return names, False
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if len(names) >= MAX_ENTRIES:
                        return self._known(folder), True
                    if not entry.is_symlink():
                        names[entry.name] = entry.is_dir(follow_symlinks=False)
                    elif not self._inside(entry.path):
                        self.trouble(_join(folder, entry.name), "not followed: it leads out of the directory")
                    else:
                        try:
                            names[entry.name] = entry.is_dir()
                        except OSError:
                            continue
        except OSError as error:
            if folder in self._folders or not folder:
                self.trouble(folder or ".", f"cannot be listed: {error.strerror}")
        return names, False

    def _known(self, folder: str) -> Dict[str, bool]:
        """The well-known names of a folder that has too many to list: what is there must not depend on their order."""
        names: Dict[str, bool] = {}
        for name in WELL_KNOWN:
            path = self._path(_join(folder, name))
            try:
                mode = os.stat(path).st_mode
            except OSError:
                continue
            if self._inside(path):
                names[name] = stat.S_ISDIR(mode)
        return names

    def is_file(self, relative: str) -> bool:
        """Whether `relative` is a file of the tree (or a link to one inside it)."""
        return self._kind(relative) is False

    def is_folder(self, relative: str) -> bool:
        """Whether `relative` is a folder of the tree."""
        return self._kind(relative) is True

    def _kind(self, relative: str) -> Optional[bool]:
        folder, _slash, name = relative.rpartition("/")
        names, partial = self.listing(folder)
        kind = names.get(name)
        if kind is None and partial:
            path = self._path(relative)
            try:
                mode = os.stat(path).st_mode
            except OSError:
                return None
            if self._inside(path):
                kind = names[name] = stat.S_ISDIR(mode)
        return kind

    def text(self, relative: str) -> Optional[str]:
        """Text of a file, without its BOM and with plain newlines; None (and a trouble) when it cannot be used."""
        if relative in self._texts:
            return self._texts[relative]
        result = self._texts[relative] = self._read(relative)
        return result

    def _read(self, relative: str) -> Optional[str]:
        path = self._path(relative)
        try:
            # Not blocking, so that a FIFO called package.json cannot hang us.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (2, 20):
                self.trouble(relative, f"cannot be read: {error.strerror}")
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self.trouble(relative, "skipped: it is not a file")
                return None
            if status.st_size > MAX_FILE or self._bytes + status.st_size > MAX_TOTAL:
                self.trouble(relative, f"skipped: {status.st_size} bytes are too many")
                return None
            # Asking for no more than there is: a large buffer is mapped anew for every file.
            raw = os.read(descriptor, status.st_size)
        except OSError as error:
            self.trouble(relative, f"cannot be read: {error.strerror}")
            return None
        finally:
            os.close(descriptor)
        self._bytes += len(raw)
        return self._decode(relative, raw)

    def _decode(self, relative: str, raw: bytes) -> Optional[str]:
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            try:
                text = raw.decode("utf-16")
                self.trouble(relative, "it is not UTF-8: read as UTF-16", 1)
            except UnicodeDecodeError:
                self.trouble(relative, "skipped: it is not UTF-8 text")
                return None
        elif b"\0" in raw:
            self.trouble(relative, "skipped: it holds NUL bytes", raw.count(b"\n", 0, raw.index(b"\0")) + 1)
            return None
        else:
            if raw[:3] == b"\xef\xbb\xbf":
                self.trouble(relative, "it begins with a byte order mark: read without it", 1)
                raw = raw[3:]
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                self.trouble(relative, "it is not UTF-8: read as Latin-1", raw.count(b"\n", 0, error.start) + 1)
                text = raw.decode("latin-1")
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if "<<<<<<< " in text and "\n>>>>>>> " in text:
            position = text.index("<<<<<<< ")
            if position == 0 or text[position - 1] == "\n":
                self.trouble(relative, "skipped: it holds merge-conflict markers", text.count("\n", 0, position) + 1)
                return None
        return text

    def head(self, relative: str, size: int = 400) -> str:
        """The first `size` characters of a file that may be huge; "" when it cannot be read."""
        known = self._texts.get(relative)
        if known is not None:
            return known[:size]
        try:
            descriptor = os.open(self._path(relative), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            return os.read(descriptor, size).decode("utf-8", "replace") if self._inside(self._path(relative)) else ""
        except OSError:
            return ""
        finally:
            os.close(descriptor)

    def folders(self, folder: str, declared: bool = False) -> Iterator[str]:
        """Folders directly in `folder` that may hold code of the project, in order of their names.

        :param declared: the project names them itself (a workspace's pattern), so `docs` or `tools` count too.
        """
        ignored = ("node_modules",) if declared else IGNORED
        for name in sorted(name for name, is_folder in self.names(folder).items() if is_folder):
            if name[0] != "." and name not in ignored:
                yield _join(folder, name)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


class Folder:
    """One folder of the tree, as a scanner sees it."""

    __slots__ = ("chain", "names", "owner", "partial", "path", "tree")

    def __init__(self, tree: Tree, path: str) -> None:
        self.tree = tree
        self.path = path
        self.names, self.partial = tree.listing(path)
        #: Runtime of the workspace that installs for this folder, when one does.
        self.owner = ""
        #: This folder and those above it, once somebody has asked (`scanners.common.upward`).
        self.chain: Optional[Tuple[Folder, ...]] = None

    def at(self, name: str) -> str:
        """Path of `name` (may have slashes) relative to the tree's root."""
        return f"{self.path}/{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether a file of that name is here."""
        kind = self.names.get(name)
        if kind is None:
            return self.tree.is_file(self.at(name)) if "/" in name or self.partial else False
        if kind:
            return False
        return True

    def has_folder(self, name: str) -> bool:
        """Whether a folder of that name is here."""
        kind = self.names.get(name)
        if kind is None and ("/" in name or self.partial):
            return self.tree.is_folder(self.at(name))
        return bool(kind)

    def first(self, *names: str) -> Optional[str]:
        """The first of these files that is here."""
        for name in names:
            if self.has(name):
                return name
        return None

    def ending(self, *suffixes: str) -> List[str]:
        """Files that end like this, in order of their names."""
        return sorted(name for name, is_folder in self.names.items() if not is_folder and name.endswith(suffixes))

    def text(self, name: str) -> Optional[str]:
        """Text of a file that is here; None when it is not, or cannot be used."""
        return self.tree.text(self.at(name)) if self.has(name) else None

    def trouble(self, name: str, message: str, line: Optional[int] = None) -> None:
        """Remember that a file here could not be used."""
        self.tree.trouble(self.at(name), message, line)
