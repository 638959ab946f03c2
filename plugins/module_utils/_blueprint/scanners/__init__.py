# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One file per ecosystem: `scan(folder)` describes the project of its runtime in one folder, or returns None."""

from __future__ import annotations

from typing import Callable, Dict, Optional

from ..findings import Finding
from ..tree import Folder

Scanner = Callable[[Folder], Optional[Finding]]
_LOADED: Dict[str, Scanner] = {}


def scanner(name: str) -> Scanner:
    """The scanner called `name`, imported at its first use.

    Written out, because Ansible finds what a module needs by reading its import statements.
    """
    known = _LOADED.get(name)
    if known is None:
        known = _LOADED[name] = _load(name)
    return known


def _load(name: str) -> Scanner:
    if name == "node":
        from .node import scan as node_scan

        return node_scan
    if name == "deno":
        from .deno import scan as deno_scan

        return deno_scan
    if name == "python":
        from .python import scan as python_scan

        return python_scan
    if name == "go":
        from .go import scan as go_scan

        return go_scan
    if name == "rust":
        from .rust import scan as rust_scan

        return rust_scan
    if name == "ruby":
        from .ruby import scan as ruby_scan

        return ruby_scan
    if name == "php":
        from .php import scan as php_scan

        return php_scan
    if name == "java":
        from .java import scan as java_scan

        return java_scan
    if name == "dotnet":
        from .dotnet import scan as dotnet_scan

        return dotnet_scan
    if name == "elixir":
        from .elixir import scan as elixir_scan

        return elixir_scan
    if name == "gleam":
        from .gleam import scan as gleam_scan

        return gleam_scan
    if name == "cpp":
        from .cpp import scan as cpp_scan

        return cpp_scan
    if name == "zig":
        from .zig import scan as zig_scan

        return zig_scan
    if name == "swift":
        from .swift import scan as swift_scan

        return swift_scan
    if name == "dart":
        from .dart import scan as dart_scan

        return dart_scan
    if name == "scala":
        from .scala import scan as scala_scan

        return scala_scan
    if name == "clojure":
        from .clojure import scan as clojure_scan

        return clojure_scan
    if name == "crystal":
        from .crystal import scan as crystal_scan

        return crystal_scan
    if name == "haskell":
        from .haskell import scan as haskell_scan

        return haskell_scan
    if name == "static":
        from .static import scan as static_scan

        return static_scan
    raise LookupError(f"there is no scanner called {name}")
