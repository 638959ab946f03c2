# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Skills for the agent: which ones, what is in them, and what is to be done where some are installed already.

In the environment a skill is ~/.claude/skills/<name>/, as the agent looks for it. Ours hold a file more, MARK, with the
digest of the others: what has none, or another one, was written or changed by whoever works there and is left alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

from .._errors import FuelError, UsageError
from .data_skills import SKILLS, THRESHOLD

#: Path within the skill -> content.
Files = Dict[str, bytes]

MARK = ".fuel-code"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
#: Bytes of one skill; the agent reads what it needs of it, but it goes along to every environment.
_LIMIT = 1 << 20

#: As the user, and without single quotes, for it stands in some: what is in ~/.claude/skills and in the project's own
#: folder. Names that no skill of ours can have do not matter. `ours` is said with both digests: what was written down,
#: and what is there now.
PROBE = r"""
cd "$HOME/.claude/skills" 2>/dev/null && for name in *; do
  case $name in ""|*[!a-z0-9-]*) continue ;; esac
  if [ -f "$name/.fuel-code" ] && [ ! -L "$name" ] && [ -z "$(find "$name" -type l)" ]; then
    now=$(cd "$name" && find . -type f ! -path ./.fuel-code -exec sha256sum {} + | LC_ALL=C sort | sha256sum)
    printf "skill-ours %s %s %s\n" "$name" "$(head -c 64 "$name/.fuel-code")" "${now%% *}"
  elif [ -e "$name" ] || [ -L "$name" ]; then
    printf "skill-own %s\n" "$name"
  fi
done
cd "$1/.claude/skills" 2>/dev/null && for name in *; do
  case $name in ""|*[!a-z0-9-]*) continue ;; esac
  [ -f "$name/SKILL.md" ] && printf "skill-project %s\n" "$name"
done
:
"""

#: As the user, beside what is to be laid down ($1): names in `remove`, whole skills in `skills/`. A folder is exchanged
#: by renaming, so that nobody meets half a skill; what became somebody's own meanwhile has no MARK and stays.
APPLY = r"""
staged=$HOME/.claude/.fuel-code-skills
while IFS= read -r name; do
  target=$HOME/.claude/skills/$name
  [ -f "$target/.fuel-code" ] || continue
  rm -rf "$staged"
  mkdir -p "$staged"
  mv -T "$target" "$staged/old"
done < "$1/remove"
"""
APPLY_NEW = r"""
for new in "$1"/skills/*; do
  [ -d "$new" ] || continue
  target=$HOME/.claude/skills/${new##*/}
  mkdir -p "$HOME/.claude/skills"
  rm -rf "$staged"
  mkdir -p "$staged"
  cp -R "$new" "$staged/new"
  if [ -f "$target/.fuel-code" ]; then
    mv -T "$target" "$staged/old"
  fi
  [ -e "$target" ] || [ -L "$target" ] || mv -T "$staged/new" "$target"
done
rm -rf "$staged"
"""


class Present(NamedTuple):
    """What is installed: ours with the digest as it is now, ours that somebody changed, others', the project's."""

    ours: Dict[str, str]
    others: List[str]
    project: List[str]


class Change(NamedTuple):
    """What is to be done: skills to lay down, names to remove; and what is then there, with the reason."""

    install: Dict[str, Files]
    remove: List[str]
    told: List[Dict[str, str]]


def wanted(skills: Sequence[str], platforms: Iterable[Mapping[str, Any]]) -> List[str]:
    """Names of the skills to install, sorted.

    :param skills: names; `auto` stands for those of the detected platforms; none, or `none` alone, for no skill.
    :param platforms: `{"name", "confidence"}` each, as the detector gives them.
    """
    names = {name for name in skills if name not in ("auto", "none")}
    wrong = sorted(name for name in names if not _NAME.fullmatch(name))
    if wrong:
        raise UsageError(
            f"{wrong[0][:40]!r} is no skill's name", hint="known are " + ", ".join(SKILLS), code="bad_skill"
        )
    if "auto" in skills:
        known = (each for each in platforms if isinstance(each, Mapping))
        sure = {str(each.get("name")) for each in known if _number(each.get("confidence")) >= THRESHOLD}
        names |= {skill for skill, of in SKILLS.items() if sure.intersection(of)}
    return sorted(names)


def read_skills(path: str, names: Sequence[str]) -> Dict[str, Files]:
    """The skills of these names from a folder of skills, or from `pack_skills`'s file."""
    if os.path.isfile(path):
        known = _packed(path)
        found = {name: known[name] for name in names if name in known}
    else:
        found = {name: _files(os.path.join(path, name)) for name in names if os.path.isdir(os.path.join(path, name))}
    missing = [name for name in names if "SKILL.md" not in found.get(name, {})]
    if missing:
        raise UsageError(
            f"there is no skill {missing[0]!r}", where=path, hint="known are " + ", ".join(SKILLS), code="no_skill"
        )
    return found


def pack_skills(path: str, target: str) -> None:
    """Write all skills of a folder into one file, for another machine."""
    names = sorted(name for name in os.listdir(path) if _NAME.fullmatch(name))
    skills = {name: _files(os.path.join(path, name)) for name in names if os.path.isdir(os.path.join(path, name))}
    document = {
        name: {file: base64.b64encode(content).decode("ascii") for file, content in files.items()}
        for name, files in skills.items()
    }
    with open(target, "w", encoding="utf-8") as stream:
        json.dump(document, stream)


def digest(files: Files) -> str:
    """As PROBE takes it of what is there: of the sorted lines of `sha256sum`."""
    lines = sorted(f"{hashlib.sha256(content).hexdigest()}  ./{name}\n" for name, content in files.items())
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def present(lines: Iterable[str]) -> Present:
    """What PROBE's lines say."""
    found = Present({}, [], [])
    for line in lines:
        word, _space, rest = line.partition(" ")
        if word == "skill-ours":
            name, noted, now = (rest.split(" ") + ["", ""])[:3]
            if noted and noted == now:
                found.ours[name] = now
            else:
                found.others.append(name)
        elif word == "skill-own":
            found.others.append(rest)
        elif word == "skill-project":
            found.project.append(rest)
    return found


def change(skills: Mapping[str, Files], there: Present, callers: Iterable[str]) -> Change:
    """What is to be done for `skills` to be there and no others of ours. Pure.

    :param callers: files of the caller's own agent folder, as `skills/<name>/...`; those come before ours.
    """
    theirs = {file.split("/")[1] for file in callers if file.startswith("skills/") and file.count("/") > 1}
    install: Dict[str, Files] = {}
    told: List[Dict[str, str]] = []
    kept: List[str] = []
    for name, files in skills.items():
        if name in there.others or name in theirs:
            told.append({"name": name, "state": "left", "reason": "one of this name is the user's own"})
        elif name in there.project:
            # A personal skill would go before the project's.
            told.append({"name": name, "state": "left", "reason": "the project has one of this name"})
        else:
            kept.append(name)
            told.append({"name": name, "state": "installed", "reason": ""})
            if there.ours.get(name) != digest(files):
                install[name] = files
    return Change(install, sorted(name for name in there.ours if name not in kept), told)


def _files(folder: str) -> Files:
    """Every file of a skill; links are not followed, hidden files of ours would clash with MARK."""
    found: Files = {}
    total = 0
    for current, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            full = os.path.join(current, name)
            if os.path.islink(full) or name == MARK:
                continue
            try:
                with open(full, "rb") as stream:
                    content = stream.read(_LIMIT + 1)
            except OSError as error:
                raise FuelError("a skill's file cannot be read", where=full, code="bad_skill") from error
            total += len(content)
            if total > _LIMIT:
                raise UsageError("the skill is larger than 1 MiB", where=folder, code="bad_skill")
            found[os.path.relpath(full, folder).replace(os.sep, "/")] = content
    return found


def _packed(path: str) -> Dict[str, Files]:
    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
        return {
            name: {file: base64.b64decode(text) for file, text in files.items()} for name, files in document.items()
        }
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError("is no folder with skills", where=path, code="bad_skill") from error


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def archive_of(changes: Change) -> List[Tuple[str, bytes]]:
    """(path, content) of what APPLY finds beside itself."""
    entries = [("remove", "".join(f"{name}\n" for name in changes.remove).encode("ascii"))]
    for name, files in changes.install.items():
        entries += [(f"skills/{name}/{file}", content) for file, content in sorted(files.items())]
        entries.append((f"skills/{name}/{MARK}", f"{digest(files)}\n".encode("ascii")))
    return entries
