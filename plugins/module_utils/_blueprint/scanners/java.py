# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Java and Kotlin: Maven, Gradle and Ant, with or without a wrapper."""

from __future__ import annotations

import re
from typing import List, Optional, Tuple

from ..data_frameworks import JVM
from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at, line_at, without_comments
from ..ports import valid
from ..tree import Folder
from ..versions import candidate
from .common import java_version, tools_of, upward
from .node_workspaces import expand

_GRADLE_BUILDS = ("build.gradle.kts", "build.gradle")
_GRADLE_SETTINGS = ("settings.gradle.kts", "settings.gradle")
_MAVEN_VERSION = (
    ("maven.compiler.release", 0.95),
    ("java.version", 0.94),
    ("maven.compiler.source", 0.92),
    ("maven.compiler.target", 0.9),
    ("jdk.version", 0.88),
    ("javaVersion", 0.88),
    ("release", 0.85),
    ("source", 0.8),
    ("kotlin.compiler.jvmTarget", 0.8),
)
#: `JavaVersion.VERSION_17`, `JavaVersion.toVersion("17")`, `'1.8'` or 17.
_LEVEL = r"(?:JavaVersion\.VERSION_(?:1_)?|(?:JavaVersion\.toVersion\(\s{0,9})?[\"']?(?:1\.)?)(\d+)"
_GRADLE_VERSION = (
    (re.compile(r"languageVersion\s*(?:=|\.set\()\s*JavaLanguageVersion\.of\(\s*[\"']?(\d+)"), 0.96),
    (re.compile(r"\bjvmToolchain(?:\s*[({]\s*|[ \t]+)(?:languageVersion[^\d]*)?(\d+)"), 0.96),
    (re.compile(r"\boptions\.release\s*(?:=|\.set\()\s*(\d+)"), 0.93),
    (re.compile(r"\bsourceCompatibility\s{0,9}=?\s{0,9}" + _LEVEL), 0.92),
    (re.compile(r"\btargetCompatibility\s{0,9}=?\s{0,9}" + _LEVEL), 0.9),
    (re.compile(r"\bjvmTarget\s*(?:=|\.set\()\s*(?:JvmTarget\.JVM_|[\"'](?:1\.)?)(\d+)"), 0.88),
)
_MAX_CONVENTIONS = 8
_PROPERTIES_PORT = re.compile(
    r"^[ \t]*(?:server\.port|quarkus\.http\.port|micronaut\.server\.port)\s*[=:]\s*(?:\$\{\w+:)?(\d{2,5})",
    re.MULTILINE,
)


_YAML_LINE = re.compile(r"([ ]{0,40})([\w.-]{1,60}):[ \t]*(?:\$\{\w{1,60}:)?[\"']?(\d{2,5})?")


def _yaml_port(text: str) -> Optional[Tuple[int, int]]:
    """(port, line) of `port:` below `server:` or `http:`, by indentation."""
    inside = -1
    for number, line in enumerate(text.split("\n"), 1):
        match = _YAML_LINE.match(line)
        if match is None:
            continue
        indent, key = len(match.group(1)), match.group(2)
        if indent <= inside:
            inside = -1
        if key in ("server", "http", "deployment"):
            inside = indent
        port = valid(match.group(3) or "")
        if port and (key == "server.port" or (key == "port" and inside >= 0)):
            return port, number
    return None


def _properties_port(text: str) -> Optional[Tuple[int, int]]:
    """(port, line) of a framework's port in a properties file."""
    match = _PROPERTIES_PORT.search(text)
    port = valid(match.group(1)) if match else None
    return (port, line_at(text, match.start(1))) if match and port else None


def _hocon_port(text: str) -> Optional[Tuple[int, int]]:
    """(port, line) of `deployment { port = 8080 }`, Ktor's own way."""
    match = re.search(r"\bdeployment\s{0,9}\{[^{}]{0,400}?\bport\s*[=:]\s*(\d{2,5})", text)
    port = valid(match.group(1)) if match else None
    return (port, line_at(text, match.start(1))) if match and port else None


#: File of src/main/resources -> what finds a port in it.
_CONFIGURATIONS = (
    ("application.properties", _properties_port),
    ("application.yml", _yaml_port),
    ("application.yaml", _yaml_port),
    ("application.conf", _hocon_port),
    ("config/application-dev.yml", _yaml_port),
    ("config/application.yml", _yaml_port),
)


def scan(folder: Folder) -> Optional[Finding]:
    """The JVM project in `folder`; Scala builds by sbt are another scanner's."""
    maven = "pom.xml" if folder.has("pom.xml") else None
    gradle = folder.first(*_GRADLE_BUILDS, *_GRADLE_SETTINGS)
    ant = "build.xml" if folder.has("build.xml") else None
    sources = folder.ending(".java", ".kt")
    manifest = maven or gradle or ant
    if manifest is None:
        return Finding("java", folder.path, 22, at(folder, sources[0]), "loose Java sources") if sources else None
    # Ant drives builds of other languages too.
    java = maven or gradle or sources or any(map(folder.has_folder, ("src/java", "src/main/java")))
    finding = Finding("java", folder.path, 92 if java else 29, at(folder, manifest), manifest)
    managers: List[Tuple[str, Optional[str]]] = (
        [("gradle", gradle), ("maven", maven), ("ant", ant)]
        if gradle and (folder.has("gradlew") and not folder.has("mvnw"))
        else [("maven", maven), ("gradle", gradle), ("ant", ant)]
    )
    finding.managers = [Candidate(name, at(folder, file), confidence=0.97) for name, file in managers if file]
    texts = [
        (name, folder.text(name) or "")
        for name in (
            maven,
            *[
                name
                for name in (*_GRADLE_BUILDS, "gradle/libs.versions.toml", "buildSrc/build.gradle.kts")
                if folder.has(name)
            ],
        )
        if name
    ]
    finding.versions = _versions(folder, texts, finding.managers[0].value)
    finding.members = _members(folder, texts)
    _install(folder, finding)
    _framework(folder, finding, texts)
    return finding


def _versions(folder: Folder, texts: List[Tuple[str, str]], manager: str) -> List[Candidate]:
    found: List[Candidate] = []
    for place in upward(folder):
        found += tools_of(place).get("java", [])
        for name, pattern in (
            (".sdkmanrc", r"^[ \t]*java\s*=\s*(\S+)"),
            (".java-version", r"^[ \t]*(\S+)"),
            ("system.properties", r"^[ \t]*java\.runtime\.version\s*[=:]\s*(\S+)"),
            (".jabbarc", r"jdk:\s*(\S+)|^[ \t]*(\S+)"),
        ):
            text = place.text(name) or "" if place.has(name) else ""
            match = re.search(pattern, text, re.MULTILINE)
            word = next((group for group in match.groups() if group), "") if match else ""
            if match and word:
                found += candidate(
                    java_version(word), "java", at(place, name, line_at(text, match.start(1))), confidence=0.97
                )
    for name, text in texts:
        found += _maven(folder, name, text) if name == "pom.xml" else _gradle(folder, name, text)
    if folder.path and not found:
        root = upward(folder)[-1]
        for name in ("pom.xml", *_GRADLE_BUILDS):
            if root.has(name):
                found += (
                    _maven(root, name, root.text(name) or "")
                    if name == "pom.xml"
                    else _gradle(root, name, root.text(name) or "")
                )
    for name in _conventions(folder) if not found else ():
        found += _gradle(folder, name, folder.text(name) or "")
    # The build that counts first says it first.
    found.sort(
        key=lambda item: (
            0 if item.confidence >= 0.97 else 1 if ("pom.xml" in item.source) == (manager == "maven") else 2
        )
    )
    return found


def _conventions(folder: Folder) -> List[str]:
    """Plugins of the build's own, where many modules share what one would state itself."""
    found: List[str] = []
    for home in ("buildSrc", "build-logic"):
        for language in ("kotlin", "groovy") if folder.names.get(home) else ():
            path = f"{home}/src/main/{language}"
            names = sorted(folder.tree.names(folder.at(path)))
            found += [f"{path}/{name}" for name in names if name.endswith((".gradle", ".gradle.kts"))]
    return found[:_MAX_CONVENTIONS]


def _maven(folder: Folder, name: str, text: str) -> List[Candidate]:
    body = without_comments(text, "xml")
    for key, confidence in _MAVEN_VERSION:
        match = re.search(rf"<{re.escape(key)}>\s*([^<\s]+)\s*</{re.escape(key)}>", body)
        value = match.group(1) if match else ""
        reference = re.fullmatch(r"\$\{([\w.-]+)\}", value)
        if reference:
            inner = re.search(rf"<{re.escape(reference.group(1))}>\s*([^<\s$]+)\s*<", body)
            value = inner.group(1) if inner else ""
        if match and value[:1].isdigit():
            return candidate(
                java_version(value), "java", at(folder, name, line_at(body, match.start())), confidence=confidence
            )
    return []


def _gradle(folder: Folder, name: str, text: str) -> List[Candidate]:
    body = without_comments(text, "hash" if name.endswith(".toml") else "c")
    for pattern, confidence in _GRADLE_VERSION:
        match = pattern.search(body)
        if match:
            return candidate(
                match.group(1), "java", at(folder, name, line_at(body, match.start())), confidence=confidence
            )
    match = re.search(
        r"^[ \t]*(?:java|jdk|jvm)(?:[-_]?(?:version|toolchain|target))?\s*=\s*\"(\d+)\"", body, re.MULTILINE
    )
    return (
        candidate(match.group(1), "java", at(folder, name, line_at(body, match.start(1))), confidence=0.85)
        if match
        else []
    )


def _members(folder: Folder, texts: List[Tuple[str, str]]) -> List[str]:
    patterns: List[str] = []
    for name, text in texts:
        if name == "pom.xml":
            patterns += re.findall(r"<module>\s*([^<\s]+)\s*</module>", text)
    settings = folder.first(*_GRADLE_SETTINGS)
    if settings:
        for block in re.findall(
            r"^[ \t]*include\s*\(?((?:\s*[\"'][^\"']+[\"']\s*,?)+)", folder.text(settings) or "", re.MULTILINE
        ):
            patterns += [path.strip(":").replace(":", "/") for path in re.findall(r"[\"']([^\"']+)[\"']", block)]
    return expand(folder, patterns)


def _install(folder: Folder, finding: Finding) -> None:
    manager = finding.managers[0].value
    source = finding.managers[0].source
    version = java_version(finding.versions[0].value) if finding.versions else "21"
    major = version.split(".")[0]
    if manager == "maven":
        wrapper = folder.has("mvnw")
        finding.setup.append(
            Candidate(
                f"{'./mvnw' if wrapper else 'mvn'} --batch-mode dependency:go-offline",
                at(folder, "mvnw") if wrapper else source,
                confidence=0.85,
            )
        )
        if not wrapper:
            finding.image = Candidate(
                f"maven:3-eclipse-temurin-{major}",
                source,
                confidence=0.85,
                note="no wrapper: Maven comes with the image",
            )
    elif manager == "gradle":
        wrapper = folder.has("gradlew")
        finding.setup.append(
            Candidate(
                f"{'./gradlew' if wrapper else 'gradle'} --no-daemon dependencies",
                at(folder, "gradlew") if wrapper else source,
                confidence=0.85,
            )
        )
        if not wrapper:
            finding.image = Candidate(
                f"gradle:8-jdk{major}", source, confidence=0.85, note="no wrapper: Gradle comes with the image"
            )
    elif manager == "ant":
        finding.packages.append(Candidate("ant", source, note="builds build.xml"))


def _framework(folder: Folder, finding: Finding, texts: List[Tuple[str, str]]) -> None:
    for key, framework in JVM.items():
        if any(key in text for _name, text in texts):
            finding.framework = framework[0]
            if framework[0] != "spring-boot" or any(
                re.search(
                    r"starter-(?:web|webflux|thymeleaf|actuator|data-rest|graphql|undertow|jetty|tomcat|websocket)|spring-boot-starter-parent|spring\.boot",
                    text,
                )
                for _name, text in texts
            ):
                finding.default_ports.append(
                    Candidate([framework[1]], "default", DEFAULT, 0.6, note=f"port of {framework[0]}")
                )
            break
    for base in ("src/main/resources", "app/src/main/resources"):
        for name, read in _CONFIGURATIONS:
            path = f"{base}/{name}"
            if base.split("/", 1)[0] in folder.names and folder.has(path):
                stated = read(folder.text(path) or "")
                if stated:
                    finding.ports.append(Candidate([stated[0]], at(folder, path, stated[1]), confidence=0.9))
                    return
