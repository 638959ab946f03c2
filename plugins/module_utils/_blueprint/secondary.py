# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""How runtimes beside the primary get into the container: mise where it can be reached, Debian packages otherwise."""

from __future__ import annotations

from typing import Dict, List, Tuple

from .findings import Candidate, Finding

#: Runtime -> (name in mise, Debian packages that do where mise cannot be reached).
INSTALL: Dict[str, Tuple[str, str]] = {
    "node": ("node", "nodejs npm"),
    "bun": ("bun", ""),
    "deno": ("deno", ""),
    "python": ("python", "python3 python3-pip python3-venv"),
    "go": ("go", "golang"),
    "rust": ("rust", "cargo rustc"),
    "ruby": ("ruby", "ruby-full"),
    "php": ("php", "php-cli composer"),
    "java": ("java", "default-jdk-headless"),
    "dotnet": ("dotnet", ""),
    "elixir": ("elixir", "elixir"),
    "gleam": ("gleam", ""),
    "zig": ("zig", ""),
    "swift": ("swift", ""),
    "dart": ("dart", ""),
    "scala": ("scala", "scala"),
    "clojure": ("clojure", "clojure"),
    "crystal": ("crystal", "crystal"),
    "haskell": ("ghc", "ghc cabal-install"),
    "cpp": ("", "build-essential cmake"),
}
MISE = "curl -fsSL https://mise.run | sh && ~/.local/bin/mise use --global "
#: A login shell finds what is linked there, whatever its profile says.
REACH = " && sudo ln -sf ~/.local/share/mise/shims/* /usr/local/bin/"
#: Languages that the full Debian images of others bring already in a version that does.
_BROUGHT = {"cpp"}


def secondary_setup(runtimes: List[Tuple[Finding, str]], image: str) -> List[Candidate]:
    """One command for each runtime that the image of the primary one does not bring."""
    commands: List[Candidate] = []
    for finding, version in runtimes[1:]:
        tool, packages = INSTALL.get(finding.runtime, ("", ""))
        if finding.runtime in _BROUGHT or f"/{finding.runtime}:" in image:
            continue
        mise = f"{MISE}{tool}@{version or 'latest'}{REACH}" if tool else ""
        apt = f"{{ sudo apt-get update && sudo apt-get install --yes {packages}; }}" if packages else ""
        both = " || ".join(part for part in (mise, apt) if part)
        if both:
            note = f"brings {finding.runtime}, which the image does not have"
            commands.append(Candidate(both, finding.source, confidence=0.6, note=note))
    return commands
