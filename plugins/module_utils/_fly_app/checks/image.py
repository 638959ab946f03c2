# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Dockerfiles: who the program runs as, what it is built from, what gets into the image unseen."""

from __future__ import annotations

import posixpath
import re
from typing import Iterator, Optional

from ..dockerfile import Instruction, ignored
from ..project import App, Image
from ..report import Finding, finding
from .deployment import floating

#: Base images that run as a user of their own.
_UNPRIVILEGED = re.compile(
    r"nonroot|unprivileged|rootless|chainguard|cgr\.dev|bitnami/|(?:^|/)grafana/|jenkins/jenkins"
)
#: Programs that give up root before they start another one.
_DROPS = re.compile(r"\b(?:setpriv|gosu|su-exec|runuser|s6-setuidgid|chpst|setuidgid|sudo -u|su -)\b")
_SECRET_FILES = re.compile(
    r"^(?:\.env(?:\.(?!example$|sample$|template$|dist$|defaults$)[\w.-]+)?|.*\.pem|id_(?:rsa|ed25519|ecdsa)|master\.key|"
    r"\.npmrc\.secret|\.netrc|service-account.*\.json|credentials\.json)$"
)


def check(app: App) -> Iterator[Finding]:
    """Every finding about an app's image."""
    image = app.image
    if image is None or image.parsed.final is None:
        return
    names = set()
    for stage in image.parsed.stages:
        if stage.image.lower() not in names and floating(stage.image):
            yield finding("latest-tag", image.file, stage.line, f"FROM {stage.image} names no version")
        names.add(stage.name)
        for instruction in stage.instructions:
            yield from _added(image, instruction)
    yield from _user(app, image)
    yield from _context(app, image)


def _added(image: Image, instruction: Instruction) -> Iterator[Finding]:
    if instruction.keyword != "ADD" or "--checksum=" in instruction.text:
        return
    url = re.search(r"(?:^|\s|\")(https?://[^\s\"]+)", instruction.text)
    if url:
        host = url.group(1).split("/")[2].rpartition("@")[2]
        yield finding("add-url", image.file, instruction.line, f"ADD of a file from {host} without a checksum")


def _user(app: App, image: Image) -> Iterator[Finding]:
    final = image.parsed.final
    if final is None:
        return
    user: Optional[Instruction] = None
    entry: Optional[Instruction] = None
    chain = image.parsed.chain(final)
    for stage in reversed(chain):
        for instruction in stage.instructions:
            user = instruction if instruction.keyword == "USER" else user
            entry = instruction if instruction.keyword == "ENTRYPOINT" else entry
    if user is not None:
        name = user.text.split(":")[0].strip("\"'")
        if name not in ("root", "0"):
            return
    elif _UNPRIVILEGED.search(chain[-1].image):
        return
    if entry is not None and _drops(app, image, entry):
        return
    line = user.line if user else final.line
    yield finding(
        "root-user", image.file, line, "the program runs as root" + ("" if user else ": no USER in the last stage")
    )


def _drops(app: App, image: Image, entry: Instruction) -> bool:
    """Whether the entrypoint, or the script of the repository that it names, gives up root."""
    if _DROPS.search(entry.text):
        return True
    for word in re.findall(r"[\w./-]+\.sh\b|[\w./-]*entrypoint[\w.-]*", entry.text):
        name = posixpath.basename(word)
        for folder in (image.context, posixpath.join(image.context, "docker"), posixpath.join(image.context, "bin")):
            place = posixpath.join(folder, name)
            if app.tree.is_file(place) and _DROPS.search(app.tree.text(place) or ""):
                return True
    return False


def _context(app: App, image: Image) -> Iterator[Finding]:
    """What COPY . takes along."""
    everything = [
        instruction
        for stage in image.parsed.stages
        for instruction in stage.instructions
        if instruction.keyword in ("COPY", "ADD") and _copies_all(instruction.text)
    ]
    if not everything:
        return
    line = everything[0].line
    if image.ignore is None:
        yield finding("no-dockerignore", image.file, line, "COPY . without a .dockerignore")
    patterns = image.ignore or []
    for name, folder in sorted(app.tree.names(image.context).items()):
        if not folder and _SECRET_FILES.match(name) and not ignored(patterns, name):
            yield finding(
                "secret-file-in-image",
                image.file,
                line,
                f"COPY . takes {name} along",
                f"add {name} to .dockerignore, and set its values with `fly secrets import`",
            )
    if (
        image.ignore is not None
        and app.tree.is_folder(posixpath.join(image.context, ".git"))
        and not ignored(patterns, ".git")
    ):
        yield finding("git-in-image", image.file, line, "COPY . takes .git along")


def _copies_all(text: str) -> bool:
    words = [
        word
        for word in text.replace("[", " ").replace("]", " ").replace('"', " ").replace(",", " ").split()
        if not word.startswith("--")
    ]
    return not re.search(r"--from=", text) and len(words) > 1 and any(word in (".", "./", "*") for word in words[:-1])
