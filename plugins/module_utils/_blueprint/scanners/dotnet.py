# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

""".NET: global.json, project files of C#, F# and Visual Basic, solutions."""

from __future__ import annotations

import posixpath
import re
from typing import List, Optional, Tuple

from ..findings import DEFAULT, RANGE, Candidate, Finding
from ..parsers import at, json_line, json_object, line_at, table, without_comments, word
from ..ports import valid
from ..tree import Folder
from ..versions import END, candidate, numbers
from .common import shared_versions, upward

_PROJECTS = (".csproj", ".fsproj", ".vbproj")
_FRAMEWORK = re.compile(r"<TargetFrameworks?>\s*([^<]+?)\s*</TargetFrameworks?>")
_TFM = re.compile(r"net(?:coreapp)?(\d+\.\d+)")
_URL_PORT = re.compile(r"https?://[\w.*+\[\]:-]*?:(\d{2,5})")


def scan(folder: Folder) -> Optional[Finding]:
    """The .NET project or solution in `folder`."""
    projects = folder.ending(*_PROJECTS)
    solutions = folder.ending(".sln", ".slnx")
    if not projects and not solutions and not folder.has("global.json") and not folder.has("Directory.Build.props"):
        return None
    if not projects and not solutions and not _says_dotnet(folder):
        return None
    manifest = (projects or solutions or ["global.json" if folder.has("global.json") else "Directory.Build.props"])[0]
    finding = Finding("dotnet", folder.path, 92, at(folder, manifest), manifest)
    members = [path for solution in solutions[:2] for path in _solution(folder, solution)]
    finding.members = list(dict.fromkeys(posixpath.dirname(path) for path in members if posixpath.dirname(path)))
    files = [folder.at(project) for project in projects] + members
    finding.versions = _versions(folder, files)
    finding.managers = [Candidate("nuget", at(folder, manifest), confidence=0.97)]
    locked = folder.has("packages.lock.json")
    finding.setup.append(
        Candidate(
            "dotnet restore --locked-mode" if locked else "dotnet restore",
            at(folder, "packages.lock.json" if locked else manifest),
            confidence=0.9,
        )
    )
    # The projects of a solution are looked at one by one, as its members.
    _ports(folder, finding, [path for path in files if posixpath.dirname(path) not in finding.members])
    return finding


def _says_dotnet(folder: Folder) -> bool:
    return bool(table(json_object(folder, "global.json", comments=True), "sdk")) if folder.has("global.json") else True


def _solution(folder: Folder, name: str) -> List[str]:
    """Project files of a solution, relative to the root of the tree."""
    text = folder.text(name) or ""
    paths = re.findall(r"\"([^\"\n]+\.(?:cs|fs|vb)proj)\"", text)
    found: List[str] = []
    for path in paths[:60]:
        clean = posixpath.normpath(path.replace("\\", "/"))
        if not clean.startswith(("..", "/")) and folder.tree.is_file(folder.at(clean)):
            found.append(folder.at(clean))
    return found


def _versions(folder: Folder, files: List[str]) -> List[Candidate]:
    found = shared_versions(folder, "dotnet")
    for place in upward(folder):
        if place.has("global.json"):
            sdk = table(json_object(place, "global.json", comments=True), "sdk")
            wanted = word(sdk.get("version"))
            source = at(place, "global.json", json_line(place.text("global.json") or "", "sdk", "version"))
            for item in candidate(wanted, "dotnet", source, confidence=0.97) if wanted else ():
                # An SDK builds every older target.
                found.append(
                    Candidate(
                        item.value,
                        item.source,
                        item.kind,
                        item.confidence,
                        item.raw,
                        bounds=((numbers(item.value)[:2], numbers(item.value)[:2] + (10**6,)),),
                    )
                )
    targets: List[Candidate] = []
    props = [place.at("Directory.Build.props") for place in upward(folder) if place.has("Directory.Build.props")]
    for path in [*files, *props]:
        text = without_comments(folder.tree.text(path) or "", "xml")
        match = _FRAMEWORK.search(text)
        versions = list(_TFM.findall(match.group(1))) if match else []
        if match and versions:
            newest = max(versions, key=numbers)
            source = f"{path}:{line_at(text, match.start())}"
            targets.append(
                Candidate(
                    newest,
                    source,
                    "pin" if len(versions) == 1 else RANGE,
                    0.93,
                    raw=match.group(1),
                    bounds=(((0,), END),),
                )
            )
    # A solution needs the SDK of its newest target.
    targets.sort(key=lambda item: numbers(item.value), reverse=True)
    return found + targets


def _ports(folder: Folder, finding: Finding, files: List[str]) -> None:
    texts = [(path, folder.tree.text(path) or "") for path in files]
    web = next(
        (path for path, text in texts if "Microsoft.NET.Sdk.Web" in text or "Microsoft.AspNetCore.App" in text), None
    )
    for path, _text in texts:
        home = posixpath.dirname(path)
        settings = f"{home}/Properties/launchSettings.json" if home else "Properties/launchSettings.json"
        if folder.tree.is_file(settings):
            url, line = _application_url(folder.tree.folder(home))
            plain = re.search(r"http://[\w.*+\[\]:-]*?:(\d{2,5})", url) or _URL_PORT.search(url)
            port = valid(plain.group(1)) if plain else None
            if port:
                finding.ports.append(Candidate([port], f"{settings}:{line}", confidence=0.85, note="applicationUrl"))
                break
    if web:
        finding.framework = "aspnet"
        finding.reason = "ASP.NET project"
        finding.default_ports.append(Candidate([5000], "default", DEFAULT, 0.5, note="port of Kestrel"))


def _application_url(home: Folder) -> Tuple[str, int]:
    """(addresses, line) of the first profile of launchSettings.json that starts the project itself."""
    name = "Properties/launchSettings.json"
    text = home.text(name) or ""
    for key, profile in table(json_object(home, name, comments=True), "profiles").items():
        url = word(table(profile).get("applicationUrl"))
        if url and table(profile).get("commandName") == "Project":
            return url, json_line(text, "profiles", key, "applicationUrl")
    return "", 1
