# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""C and C++: CMake, Meson, Autotools, xmake, Premake, plain Make; Conan and vcpkg."""

from __future__ import annotations

import re
from itertools import islice
from typing import List, Optional, Tuple

from ..findings import Candidate, Finding
from ..parsers import at, line_at
from ..tree import Folder

#: Build file -> (manager, score, set-up command, packages).
_BUILDS: Tuple[Tuple[str, str, int, str, Tuple[str, ...]], ...] = (
    ("CMakeLists.txt", "cmake", 56, "cmake -S . -B build", ("cmake", "ninja-build")),
    ("meson.build", "meson", 56, "meson setup build", ("meson", "ninja-build")),
    ("xmake.lua", "xmake", 55, "xmake", ()),
    ("premake5.lua", "premake", 50, "premake5 gmake", ()),
    ("SConstruct", "scons", 55, "scons", ("scons",)),
    ("configure.ac", "autotools", 54, "autoreconf --install && ./configure", ("autoconf", "automake", "libtool")),
    ("configure", "autotools", 50, "./configure", ()),
)
#: Score of what only packages C or C++ for others.
PACKAGING = 14
#: Folders that are looked into for the sources of a Makefile.
_MAX_FOLDERS = 20
_SOURCES = (".c", ".cpp", ".cc", ".cxx", ".h", ".hpp")


def scan(folder: Folder) -> Optional[Finding]:
    """The C or C++ project in `folder`."""
    for name, manager, score, command, packages in _BUILDS:
        if folder.has(name):
            finding = Finding("cpp", folder.path, score, at(folder, name), name)
            finding.managers = [*_packagers(folder), Candidate(manager, at(folder, name), confidence=0.9)]
            if folder.has("conanfile.txt") or folder.has("conanfile.py"):
                finding.setup.append(
                    Candidate(
                        "conan install . --build=missing",
                        at(folder, folder.first("conanfile.txt", "conanfile.py") or name),
                        confidence=0.8,
                    )
                )
            finding.setup.append(Candidate(command, at(folder, name), confidence=0.8))
            finding.packages += [
                Candidate(package, at(folder, name), note=f"{manager} builds it") for package in packages
            ]
            _standard(folder, finding, name)
            finding.managers.reverse()
            return finding
    sources = folder.ending(*_SOURCES[:4]) or _below(folder)
    bazel = folder.first("MODULE.bazel", "WORKSPACE.bazel", "WORKSPACE")
    if sources and bazel:
        finding = Finding("cpp", folder.path, 52, at(folder, bazel), f"{bazel} and sources")
        finding.managers = [Candidate("bazel", at(folder, bazel), confidence=0.9)]
        return finding
    make = folder.first("Makefile", "makefile", "GNUmakefile")
    conan = folder.first("conanfile.txt", "conanfile.py", "vcpkg.json")
    if sources and (make or conan):
        name = make or conan or sources[0]
        finding = Finding("cpp", folder.path, 45, at(folder, name), f"{name} and sources")
        finding.managers = (
            [*_packagers(folder), Candidate("make", at(folder, name), confidence=0.85)] if make else _packagers(folder)
        )
        if make:
            finding.setup.append(Candidate("make", at(folder, make), confidence=0.6))
            finding.managers.reverse()
        return finding
    qt = folder.ending(".pro")
    if sources and qt:
        finding = Finding("cpp", folder.path, 52, at(folder, qt[0]), "Qt project")
        finding.managers = [Candidate("qmake", at(folder, qt[0]), confidence=0.85)]
        finding.packages.append(Candidate("qtbase5-dev", at(folder, qt[0]), note="qmake builds it"))
        return finding
    if folder.ending(".vcxproj"):
        return Finding("cpp", folder.path, 50, at(folder, folder.ending(".vcxproj")[0]), "Visual C++ project")
    if sources and not make:
        return Finding("cpp", folder.path, 18, at(folder, sources[0]), "loose C or C++ sources")
    return None


def builds_c(folder: Folder) -> bool:
    """Whether a build of C or C++ is here, beside what packages its result for others."""
    return folder.first("CMakeLists.txt", "meson.build", "configure.ac") is not None


def packaging(finding: Finding) -> None:
    """Lets C or C++ sources count before the manifest that only packages them for another language."""
    finding.score, finding.reason, finding.tools_only = PACKAGING, "packaging of C or C++ sources", True


def by_make(folder: Folder) -> Optional[Finding]:
    """A program whose Makefile is here and whose sources are in folders of their own: the kernel, FFmpeg."""
    make = folder.first("Makefile", "makefile", "GNUmakefile")
    for path in islice(folder.tree.folders(folder.path), _MAX_FOLDERS) if make else ():
        if any(name.endswith(_SOURCES[:4]) for name in folder.tree.names(path)):
            source = at(folder, make or "")
            managers = [Candidate("make", source, confidence=0.85)]
            return Finding("cpp", folder.path, 45, source, f"{make} and sources", managers=managers)
    return None


def _below(folder: Folder) -> List[str]:
    return (
        [f"src/{name}" for name in sorted(folder.tree.names(folder.at("src"))) if name.endswith(_SOURCES[:4])][:1]
        if folder.has_folder("src")
        else []
    )


def _packagers(folder: Folder) -> List[Candidate]:
    found: List[Candidate] = []
    for name, manager in (("vcpkg.json", "vcpkg"), ("conanfile.txt", "conan"), ("conanfile.py", "conan")):
        if folder.has(name):
            found.append(Candidate(manager, at(folder, name), confidence=0.8))
    return found


def _standard(folder: Folder, finding: Finding, name: str) -> None:
    text = folder.text(name) or ""
    for library, package in (
        ("Boost", "libboost-all-dev"),
        ("OpenSSL", "libssl-dev"),
        ("CURL", "libcurl4-openssl-dev"),
        ("ZLIB", "zlib1g-dev"),
        ("SDL2", "libsdl2-dev"),
        ("OpenCV", "libopencv-dev"),
        ("Protobuf", "libprotobuf-dev"),
        ("GTest", "libgtest-dev"),
        ("SQLite3", "libsqlite3-dev"),
        ("Eigen3", "libeigen3-dev"),
        ("fmt", "libfmt-dev"),
        ("spdlog", "libspdlog-dev"),
    ):
        match = re.search(rf"find_package\(\s*{library}\b", text)
        if match:
            finding.packages.append(
                Candidate(package, at(folder, name, line_at(text, match.start())), note=f"{library} is looked for")
            )
