# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""How runtimes beside the primary get into the container: mise where it can be reached, Debian packages otherwise."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Tuple

from .findings import Candidate, Finding


class Tool(NamedTuple):
    """How one tool is installed.

    :param mise: its name in mise; "" where Debian's own always does.
    :param packages: Debian packages that do where mise cannot be reached; "" where Debian has none.
    :param after: what makes the packages fit, `{version}` standing for the version that is wanted.
    """

    mise: str
    packages: str = ""
    after: str = ""


_RUNTIMES: Dict[str, Tool] = {
    # Debian's is old, but npm has Node.js itself, in every version.
    "node": Tool("node", "nodejs npm", "{{ sudo npm install --global node@{version} || true; }}"),
    "bun": Tool("bun"),
    "deno": Tool("deno"),
    "python": Tool("python", "python3 python3-pip python3-venv"),
    "go": Tool("go", "golang"),
    "rust": Tool("rust", "cargo rustc"),
    # Debian's gems belong to root: a person's go into their home.
    "ruby": Tool("ruby", "ruby-full ruby-bundler", "bundle config set --global path ~/.bundle"),
    "php": Tool("php", "php-cli composer"),
    "java": Tool("java", "default-jdk-headless"),
    "dotnet": Tool("dotnet"),
    "elixir": Tool("elixir", "elixir"),
    "gleam": Tool("gleam"),
    "zig": Tool("zig"),
    "swift": Tool("swift"),
    "dart": Tool("dart"),
    "scala": Tool("scala", "scala"),
    "clojure": Tool("clojure", "clojure"),
    "crystal": Tool("crystal", "crystal"),
    "haskell": Tool("ghc", "ghc cabal-install"),
    "cpp": Tool("", "build-essential cmake"),
}
#: Build tools that come with the image of a primary runtime, but with nothing else.
_BUILD_TOOLS: Dict[str, Tool] = {
    "maven": Tool("maven", "maven"),
    "gradle": Tool("gradle", "gradle"),
    "lein": Tool("leiningen", "leiningen"),
    "sbt": Tool("sbt"),
    "stack": Tool("stack", "haskell-stack"),
}
MISE = "curl -fsSL --connect-timeout 10 https://mise.run | sh && ~/.local/bin/mise use --global "
#: A login shell finds what is linked there, whatever its profile says.
REACH = " && sudo ln -sf ~/.local/share/mise/shims/* /usr/local/bin/"
#: Languages that the full Debian images of others bring already in a version that does.
_BROUGHT = {"cpp"}


def secondary_setup(runtimes: List[Tuple[Finding, str]], image: str) -> List[Candidate]:
    """One command for each runtime that the image of the primary one does not bring."""
    commands: List[Candidate] = []
    for finding, version in runtimes[1:]:
        brought = finding.runtime in _BROUGHT or f"/{finding.runtime}:" in image
        if finding.runtime not in _RUNTIMES or brought or any(MISE in own.value for own in finding.setup):
            continue
        command = _command(_RUNTIMES[finding.runtime], version, _build_tool(finding))
        note = f"brings {finding.runtime}, which the image does not have"
        commands.append(Candidate(command, finding.source, confidence=0.6, note=note))
    return commands


def _build_tool(finding: Finding) -> Tool:
    """The build tool that only the image would bring; none where the project has a wrapper."""
    manager = str(finding.managers[0].value) if finding.managers else ""
    return _BUILD_TOOLS.get(manager, Tool("")) if finding.image or manager in ("sbt", "stack") else Tool("")


def _command(tool: Tool, version: str, build: Tool) -> str:
    ways: List[str] = []
    if tool.mise:
        names = [f"{tool.mise}@{version or 'latest'}", *([build.mise] if build.mise else [])]
        ways.append(f"{MISE}{' '.join(names)}{REACH}")
    if tool.packages:
        packages = f"{tool.packages} {build.packages}".rstrip()
        steps = ["sudo apt-get update", f"sudo apt-get install --yes --no-install-recommends {packages}"]
        if tool.after:
            steps.append(tool.after.format(version=version or "latest"))
        ways.append(f"{{ {' && '.join(steps)}; }}")
    return " || ".join(ways)
