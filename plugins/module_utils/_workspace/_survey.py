# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What would be lost with a workspace: work that is neither where it came from, nor on a remote, nor pulled home."""

from __future__ import annotations

import base64
import posixpath
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from .._errors import FuelError
from .._inside import FIELD, Inside, line

#: Entries of a list that are named; the rest is counted.
SHOWN = 100

#: For every repository beside the workspace, its worktrees, submodules and nested repositories, lines of `key base64`.
#: Trees are made through a private index and object store: a survey changes nothing.
_SURVEY = (
    FIELD
    + r"""
export LC_ALL=C GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0
path=$(field)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
say() { printf '%s ' "$1"; head -c 300000 | base64 -w0; echo; }
failed() { printf '%s' "$1" | say failed; }
g() { git -c core.fsmonitor=false -c core.hooksPath=/dev/null "$@"; }
changes() { g diff-tree -r -z --raw --no-abbrev --no-renames "$1" "$2" 2>/dev/null | say "$3"; }
number=0

tree() (
  index=$(g rev-parse --path-format=absolute --git-path index) || exit 1
  objects=$(g rev-parse --path-format=absolute --git-path objects) || exit 1
  empty=$(g hash-object -t tree /dev/null)
  launch=$(g rev-parse --verify --quiet refs/fuel/launch-tree)
  head=$(g rev-parse --verify --quiet 'HEAD^{commit}') || head=$empty
  private=$scratch/$number
  mkdir -p "$private/objects"
  export GIT_OBJECT_DIRECTORY="$private/objects" GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects"
  if staged=$(g write-tree 2>/dev/null); then :; else staged=; fi
  cp -p "$index" "$private/index" 2>/dev/null
  export GIT_INDEX_FILE="$private/index"
  g -c advice.addEmbeddedRepo=false add --all --ignore-errors -- :/ 2>"$private/errors" || {
    failed "$(head -n 1 "$private/errors")"
  }
  work=$(g write-tree) || exit 1
  changes "$head" "$work" head-work
  [ -z "$launch" ] || changes "$launch" "$work" launch-work
  if [ -n "$staged" ] && [ "$staged" != "$work" ] && [ "$staged" != "$head" ]; then
    changes "$head" "$staged" head-staged
    changes "$work" "$staged" work-staged
    [ -z "$launch" ] || changes "$launch" "$staged" launch-staged
  fi
  g ls-files --stage -z | tr '\n\0' '\0\n' | sed -n 's/^160000 [0-9a-f]* [0-3]\t//p' > "$private/nested"
)

survey() {
  number=$((number + 1))
  [ "$number" -le 200 ] || { failed "more than 200 repositories"; return; }
  cd "$1" 2>/dev/null || { failed "cannot enter it"; return; }
  printf '%s' "$1" | say repository
  if ! g rev-parse --git-dir >/dev/null 2>"$scratch/errors"; then
    failed "$(head -n 1 "$scratch/errors")"
    return
  fi
  tree || failed "its files cannot be compared"
  [ -z "$2" ] || commits || failed "its commits cannot be listed"
  [ -s "$scratch/$number/nested" ] || return 0
  while IFS= read -r inner; do
    [ ! -e "$1/$inner/.git" ] || printf '%s/%s\n' "$1" "$inner"
  done < "$scratch/$number/nested" >> "$scratch/queue"
}

commits() {
  # Worktrees of one repository share their commits.
  common=$(g rev-parse --path-format=absolute --git-common-dir) || return 1
  ! grep -qxF "$common" "$scratch/seen" || return 0
  printf '%s\n' "$common" >> "$scratch/seen"
  g worktree list --porcelain > "$scratch/worktrees" 2>/dev/null || return 1
  set -- --branches --tags
  for commit in $(sed -n 's/^HEAD \([0-9a-f]*\)$/\1/p' "$scratch/worktrees"); do
    case $commit in *[!0]*) set -- "$@" "$commit" ;; esac
  done
  set -- "$@" --not --remotes --glob=refs/fuel/pulled
  if g rev-parse --verify --quiet refs/fuel/launch >/dev/null; then set -- "$@" refs/fuel/launch; fi
  g rev-list --count "$@" 2>/dev/null | say unpushed-count || return 1
  g log --max-count=200 -z --no-show-signature --format='%h%x09%S%x09%s' "$@" -- 2>/dev/null | say unpushed
  ! g rev-parse --verify --quiet refs/stash >/dev/null || g stash list -z --format='%gd%x09%gs' | say stashes
  own=$(pwd -P)
  sed -n 's/^worktree //p' "$scratch/worktrees" | while IFS= read -r other; do
    # Of a submodule, git lists its git directory as a worktree.
    [ "$other" = "$own" ] || [ ! -e "$other/.git" ] || printf '%s\n' "$other"
  done > "$scratch/others"
  cat "$scratch/others" >> "$scratch/trees"
}

parent=${path%/*}
[ -d "$parent" ] || { echo none; exit 0; }
command -v git >/dev/null || { failed "git is not installed in the container"; exit 0; }
: > "$scratch/queue"
: > "$scratch/trees"
: > "$scratch/seen"
for folder in "$parent"/* "$parent"/.[!.]*; do
  case $folder in */.fuel-code-partial-*) continue ;; esac
  [ ! -e "$folder/.git" ] || printf '%s\n' "$folder"
done >> "$scratch/queue"
at=0
while :; do
  at=$((at + 1))
  folder=$(sed -n "${at}p" "$scratch/queue")
  [ -n "$folder" ] || break
  survey "$folder" commits
done
sort -u "$scratch/trees" > "$scratch/sorted"
while IFS= read -r folder; do
  grep -qxF "$folder" "$scratch/queue" || survey "$folder" ''
done < "$scratch/sorted"
echo end
"""
)


@dataclass
class Survey:
    """Work that exists only in the environment."""

    uncommitted: List[str] = field(default_factory=list)
    unpushed: List[str] = field(default_factory=list)
    stashes: List[str] = field(default_factory=list)
    counts: Dict[str, int] = field(default_factory=lambda: {"uncommitted": 0, "unpushed": 0, "stashes": 0})
    #: Why it cannot be told; None when it can.
    unknown: Optional[str] = None

    @property
    def would_lose(self) -> bool:
        """Whether removal could destroy work; what cannot be looked at counts as work."""
        return self.unknown is not None or any(self.counts.values())

    @property
    def reason(self) -> Optional[str]:
        """What would be lost, in one line; None when nothing would."""
        parts = [f"{count} {kind}" for kind, count in self.counts.items() if count]
        return self.unknown or ", ".join(parts) or None

    def as_result(self) -> Dict[str, Any]:
        """The `work` of the module's result."""
        return {
            "uncommitted": self.uncommitted[:SHOWN],
            "unpushed": self.unpushed[:SHOWN],
            "stashes": self.stashes[:SHOWN],
            "counts": self.counts,
            "unknown": self.unknown,
        }


def survey(container: Inside, path: str, timeout: float = 120) -> Survey:
    """Look at every repository beside `path`; an absent container has nothing to lose."""
    state = container.state()
    if state == "absent":
        return Survey()
    if state != "running":
        return Survey(unknown=f"the container is {state}, so its work cannot be looked at")
    try:
        answer = container.script(_SURVEY, line(path), timeout=timeout)
    except FuelError as error:
        if error.code in ("docker_unavailable", "docker_denied", "docker_missing"):
            raise
        return Survey(unknown=error.message)
    text = answer.stdout.decode("ascii", "replace")
    if answer.returncode and not text:
        return Survey(unknown=f"the container did not answer: {answer.error_text[-200:] or answer.returncode}")
    return read_survey(text, path)


def read_survey(text: str, path: str) -> Survey:
    """The script's answer, understood."""
    found = Survey()
    lines = text.splitlines()
    if lines == ["none"]:
        return found
    if not lines or lines[-1] != "end":
        found.unknown = "the survey was cut short"
    repository: Dict[str, bytes] = {}
    blocks: List[Dict[str, bytes]] = []
    problems: List[str] = []
    for entry in lines:
        key, dummy, encoded = entry.partition(" ")
        try:
            value = base64.b64decode(encoded, validate=True)
        except ValueError:
            found.unknown = "the survey was cut short"
            continue
        if key == "repository":
            repository = {"repository": value}
            blocks.append(repository)
        elif key == "failed":
            where = repository.get("repository", path.encode()).decode("utf-8", "replace")
            problems.append(f"{where}: {value.decode('utf-8', 'replace')[:300]}")
        else:
            repository[key] = value
    for block in blocks:
        _add(found, block, path)
    if problems:
        found.unknown = problems[0]
    return found


def _add(found: Survey, block: Dict[str, bytes], path: str) -> None:
    folder = block["repository"].decode("utf-8", "replace")
    prefix = "" if folder == path else posixpath.relpath(folder, path) + "/"
    changed = _lost(block, "work")
    staged = {name: f"{letter} (staged)" for name, letter in _lost(block, "staged").items() if name not in changed}
    for name, letter in sorted({**changed, **staged}.items()):
        found.uncommitted.append(f"{letter} {prefix}{name}")
    label = f"{prefix.rstrip('/')}: " if prefix else ""
    for entry in _records(block.get("unpushed", b"")):
        short, dummy, rest = entry.partition("\t")
        ref, dummy, subject = rest.partition("\t")
        name = ref.replace("refs/heads/", "", 1).replace("refs/tags/", "tag ", 1)
        name = "detached HEAD" if len(name) >= 40 and not name.strip("0123456789abcdef") else name
        found.unpushed.append(f"{label}{short} {name}: {subject[:120]}")
    for entry in _records(block.get("stashes", b"")):
        found.stashes.append(label + entry.replace("\t", ": ", 1)[:200])
    try:
        unpushed = int(block.get("unpushed-count", b"0") or b"0")
    except ValueError:
        unpushed = 1
    found.counts["uncommitted"] = len(found.uncommitted)
    found.counts["unpushed"] += unpushed
    found.counts["stashes"] = len(found.stashes)


def _lost(block: Dict[str, bytes], side: str) -> Dict[str, str]:
    """Paths whose content here is neither HEAD's nor what came from home (nor, when staged, the work tree's)."""
    lost = _changes(block.get(f"head-{side}", b""))
    for other in (f"launch-{side}", "work-staged" if side == "staged" else ""):
        if other in block:
            also = _changes(block[other])
            lost = {name: letter for name, letter in lost.items() if name in also}
    return lost


def _changes(raw: bytes) -> Dict[str, str]:
    fields = raw.split(b"\0")
    found: Dict[str, str] = {}
    for meta, name in zip(fields[::2], fields[1::2]):
        parts = meta.decode("ascii", "replace").split()
        # A nested repository is surveyed on its own.
        if len(parts) == 5 and parts[1] != "160000":
            found[name.decode("utf-8", "replace")] = parts[4]
    return found


def _records(raw: bytes) -> List[str]:
    return [part.decode("utf-8", "replace").replace("\n", " ") for part in raw.split(b"\0") if part]
