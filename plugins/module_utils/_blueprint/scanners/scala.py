# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Scala: sbt and Mill."""

from __future__ import annotations

import re
from typing import Optional

from ..data_frameworks import JVM
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at, without_comments
from ..tree import Folder
from ..versions import candidate, image_for
from .common import java_version, shared_versions

_NAMES = "scalaVersion|scala3Version|scala2Version|scala213|scala3|ScalaVersion"
_VERSION = re.compile(
    rf"\b(?:{_NAMES})\b(?:\s+in\s+\w+)?\s*(?::=|=|:\s*String\s*=)\s*(?:def\s+)?\"([\d.]+(?:-[\w.]+)?)\""
)


def scan(folder: Folder) -> Optional[Finding]:
    """The Scala build in `folder`."""
    name = folder.first("build.sbt", "build.mill", "build.sc")
    if name is None:
        sources = folder.ending(".scala")
        if not sources:
            return None
        finding = Finding("scala", folder.path, 21, at(folder, sources[0]), "loose Scala sources")
        match = re.search(
            r"//>\s*using\s+scala\s+\"?([\d.]+)", "\n".join(folder.text(item) or "" for item in sources[:4])
        )
        finding.versions = candidate(match.group(1), "scala", at(folder, sources[0])) if match else []
        finding.managers = [Candidate("scala-cli", at(folder, sources[0]), confidence=0.5)]
        return finding
    text = without_comments(folder.text(name) or "", "c")
    finding = Finding("scala", folder.path, 95, at(folder, name), name)
    finding.versions = shared_versions(folder, "scala", ".scala-version")
    match = _VERSION.search(text)
    if match:
        finding.versions += candidate(match.group(1), "scala", at(folder, name, line_at(text, match.start())))
    else:
        for other in ("project/Dependencies.scala", "project/Versions.scala", "project/Settings.scala"):
            found = _VERSION.search(folder.text(other) or "") if folder.has(other) else None
            if found:
                finding.versions += candidate(
                    found.group(1), "scala", at(folder, other, line_at(folder.text(other) or "", found.start()))
                )
                break
        else:
            reference = re.search(r"scalaVersion\s*:=\s*(\w+)", text)
            name_of = reference.group(1) if reference else ""
            # `crossScalaVersions.value.head` is the first of those that it is built for.
            stated = r"\bcrossScalaVersions\s*:=\s*\w+\(\s*" if name_of == "crossScalaVersions" else ""
            stated = stated or rf"\bval\s+{name_of}\s*(?::\s*String\s*)?=\s*"
            value = re.search(stated + r"\"([\d.]+)\"", text) if name_of else None
            if value:
                finding.versions += candidate(value.group(1), "scala", at(folder, name, line_at(text, value.start())))
    manager = "sbt" if name == "build.sbt" else "mill"
    finding.managers = [Candidate(manager, at(folder, name), confidence=0.97)]
    finding.setup.append(
        Candidate(
            "sbt update"
            if manager == "sbt"
            else "./mill __.prepareOffline"
            if folder.has("mill")
            else "mill __.prepareOffline",
            at(folder, name),
            confidence=0.7,
        )
    )
    java = shared_versions(folder, "java", ".java-version")
    if java:
        finding.image = Candidate(
            image_for("java", java_version(java[0].value)),
            java[0].source,
            confidence=0.8,
            note="the JDK that Scala runs on",
        )
    plugins = folder.text("project/plugins.sbt") or ""
    for key, framework in {
        **JVM,
        "PlayScala": JVM["com.typesafe.play"],
        "PlayJava": JVM["com.typesafe.play"],
        "akka-http": ("akka-http", 8080, True),
        "http4s": ("http4s", 8080, True),
        "zio-http": ("zio-http", 8080, True),
        "finatra": ("finatra", 8888, True),
        "scalatra": ("scalatra", 8080, True),
    }.items():
        if key in text or key in plugins:
            finding.framework = framework[0]
            finding.default_ports.append(
                Candidate([framework[1]], "default", DEFAULT, 0.6, note=f"port of {framework[0]}")
            )
            break
    return finding
