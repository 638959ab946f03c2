# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The scripts that place a repository in a container. Plain sh and git; they read values from files or stdin only.

A repository has a plan folder with the files worktree, gitdir, commit, branch, upstream, url, format, name, email,
shallow, repo.bundle and dirty.patch; for a submodule also submodule (its name), super (the git directory above), up and
down (from its work tree to its git directory and back). Of a rescue it has rescue (empty) and head, stashes, tracking,
remotes as well: then its bundle holds everything, refs, index and tree.
"""

from __future__ import annotations

from .._inside import FIELD

#: Exit codes of PLACE that mean something to `_place`. Its last line is `placed` and the tree, if it did the work.
NO_GIT, TAKEN = 3, 4

PROBE = (
    FIELD
    + r"""
path=$(field)
cd "$path" 2>/dev/null || { [ -e "$path" ] && echo taken || echo absent; exit 0; }
if [ ! -f .git/fuel-code/launch.json ]; then
  [ -n "$(ls -A .)" ] && echo taken || echo absent
  exit 0
fi
echo present
printf 'launch '; base64 -w0 < .git/fuel-code/launch.json; echo
printf 'done '; base64 -w0 < .git/fuel-code/setup.done 2>/dev/null; echo
printf 'commit '; git rev-parse --verify --quiet 'refs/fuel/launch^{commit}' || echo
printf 'tree '; git rev-parse --verify --quiet refs/fuel/launch-tree || echo
printf 'branch '; git symbolic-ref --quiet --short HEAD || echo
"""
)

PLACE = (
    FIELD
    + r"""
set -eu
umask 022
export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0
final=$(field)
command -v git >/dev/null || { echo "git is not installed in the container"; exit 3; }
parent=${final%/*}
cd "$parent"
# Held until this script ends: a second run waits, then finds the work done.
exec 9<"$parent"
flock -w 600 9
[ ! -f "$final/.git/fuel-code/launch.json" ] || { cat >/dev/null; exit 0; }
[ ! -e "$final" ] || rmdir "$final" 2>/dev/null || { echo "$final holds something else"; exit 4; }
temporary=$parent/.fuel-code-partial-${final##*/}
rm -rf "$temporary"
mkdir "$temporary"
incoming=$temporary/.git/fuel-code/incoming
mkdir -p "$incoming"
tar -x -f - -C "$incoming" --no-same-owner

value() { cat "$plan/$1" 2>/dev/null || true; }
g() { git --git-dir="$gitdir" --work-tree="$worktree" -c core.hooksPath=/dev/null "$@"; }

place() {
  plan=$1
  worktree=$temporary/$(value worktree) gitdir=$temporary/$(value gitdir) commit=$(value commit) branch=$(value branch)
  mkdir -p "$worktree" "$gitdir/hooks" "$gitdir/info"
  if [ -s "$plan/submodule" ]; then
    git --git-dir="$gitdir" init -q --template= --object-format="$(value format)"
    printf 'gitdir: %s\n' "$(value up)" > "$worktree/.git"
    git --git-dir="$gitdir" config core.bare false
    git --git-dir="$gitdir" config core.worktree "$(value down)"
  else
    git init -q --template= --object-format="$(value format)" "$worktree"
  fi
  cd "$worktree"
  [ ! -s "$plan/shallow" ] || cp "$plan/shallow" "$gitdir/shallow"
  g bundle unbundle "$plan/repo.bundle" > "$plan/refs"
  [ ! -s "$plan/name" ] || g config user.name "$(value name)"
  [ ! -s "$plan/email" ] || g config user.email "$(value email)"
  if [ -e "$plan/rescue" ]; then put_back; return; fi
  sed -n 's|^\([0-9a-f]*\) \(refs/tags/.*\)$|create \2 \1|p' "$plan/refs" | g update-ref --stdin
  g update-ref refs/fuel/launch "$commit"
  if [ -n "$branch" ]; then
    g update-ref "refs/heads/$branch" "$commit"
    g symbolic-ref HEAD "refs/heads/$branch"
  else
    g update-ref --no-deref HEAD "$commit"
  fi
  if [ -d "$plan/lfs" ]; then
    mkdir -p "$gitdir/lfs"
    mv "$plan/lfs" "$gitdir/lfs/objects"
    lfs
  fi
  g read-tree "$commit"
  [ ! -s "$plan/dirty.patch" ] || g apply --cached --whitespace=nowarn "$plan/dirty.patch"
  tree=$(g write-tree)
  g update-ref refs/fuel/launch-tree "$tree"
  g checkout-index --all --force --index --quiet
  g read-tree -m "$commit"
  url=$(value url)
  if [ -n "$url" ]; then
    g config remote.origin.url "$url"
    g config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
    if [ -n "$branch" ] && [ -s "$plan/upstream" ]; then
      g update-ref "refs/remotes/origin/$branch" "$(value upstream)"
      g config "branch.$branch.remote" origin
      g config "branch.$branch.merge" "refs/heads/$branch"
    fi
  fi
}

lfs() {
  if command -v git-lfs >/dev/null; then
    g lfs install --local --force >/dev/null
    return
  fi
  mkdir -p "$gitdir/fuel-code"
  mv "$plan/lfs-clean" "$plan/lfs-smudge" "$gitdir/fuel-code/"
  # git runs these through sh at the top of the work tree; GIT_DIR is not always set for them.
  g config filter.lfs.clean 'sh "$(git rev-parse --absolute-git-dir)/fuel-code/lfs-clean"'
  g config filter.lfs.smudge 'sh "$(git rev-parse --absolute-git-dir)/fuel-code/lfs-smudge"'
  g config filter.lfs.required true
}

# What was rescued, as it was: all refs and stashes, HEAD, the index with its stages, the tree with its very bytes.
put_back() {
  fuel=refs/fuel/rescue
  sed -n 's|^\([0-9a-f]*\) \(refs/.*\)$|create \2 \1|p' "$plan/refs" > "$plan/all"
  grep -v "^create $fuel/" "$plan/all" | g update-ref --stdin
  while IFS=' ' read -r stash encoded; do
    g stash store -m "$(printf %s "$encoded" | base64 -d)" "$stash"
  done < "$plan/stashes"
  # Of other worktrees: where they stood, and what was in them.
  sed -n "s|^create $fuel/\([1-9][0-9]*/.*\) \([0-9a-f]*\)$|create refs/fuel/worktrees/\1 \2|p" "$plan/all" \
    | g update-ref --stdin
  head=$(sed -n "s|^create $fuel/0/head ||p" "$plan/all")
  work=$(sed -n "s|^create $fuel/0/work ||p" "$plan/all")
  index=$(sed -n "s|^create $fuel/0/index ||p" "$plan/all")
  if [ -n "$branch" ]; then
    g symbolic-ref HEAD "refs/heads/$branch"
  elif [ -n "$head" ]; then
    g update-ref --no-deref HEAD "$head"
  fi
  while IFS=' ' read -r remote url; do
    g config "remote.$remote.url" "$url"
    g config "remote.$remote.fetch" "+refs/heads/*:refs/remotes/$remote/*"
  done < "$plan/remotes"
  while IFS=' ' read -r name remote merge; do
    g config "branch.$name.remote" "$remote"
    g config "branch.$name.merge" "refs/heads/$merge"
  done < "$plan/tracking"
  [ ! -e "$plan/lfs-clean" ] || lfs
  g ls-tree -r -z --full-tree "$index" \
    | sed -z -E 's/^([0-9]+) (blob|commit) ([0-9a-f]+)\t([0-3])\//\1 \3 \4\t/' | g update-index -z --index-info
  same=$(g rev-parse --verify --quiet "$index:0") || same=$(g hash-object -t tree -w /dev/null)
  # What was as in the index is checked out from there; the rest is written as it lay there, through no filter.
  g checkout-index --all --force --quiet 2>/dev/null || true
  g diff-tree -r -z --name-only --no-renames --diff-filter=D "$same" "$work" | xargs -0 -r rm -f --
  attributes=$gitdir/info/attributes
  printf '* -text -eol -crlf -ident -filter -working-tree-encoding\n' > "$attributes"
  (
    export GIT_INDEX_FILE="$plan/index"
    g read-tree "$work"
    g diff-tree -r -z --name-only --no-renames --diff-filter=d "$same" "$work" \
      | g checkout-index --force --quiet -z --stdin
  )
  rm -f "$attributes"
  g update-index -q --refresh >/dev/null || true
}

number=0
while [ -d "$incoming/$number" ]; do
  ( place "$incoming/$number" )
  if [ -s "$incoming/$number/submodule" ]; then
    plan=$incoming/$number
    super=$temporary/$(value super)
    git --git-dir="$super" config "submodule.$(value submodule).active" true
    [ ! -s "$plan/url" ] || git --git-dir="$super" config "submodule.$(value submodule).url" "$(value url)"
  fi
  number=$((number + 1))
done
# A login begins there.
[ ! -s "$incoming/folder" ] || mv "$incoming/folder" "$temporary/.git/fuel-code/folder"
mv "$incoming/launch.json" "$temporary/.git/fuel-code/launch.json"
rm -rf "$incoming"
tree=$(git --git-dir="$temporary/.git" rev-parse --verify --quiet refs/fuel/launch-tree) \
  || tree=$(git --git-dir="$temporary/.git" hash-object -t tree /dev/null)
mv -T "$temporary" "$final"
echo "placed $tree"
"""
)

#: Stand-ins for git-lfs where the container has none: contents come from and go to .git/lfs/objects.
LFS_SMUDGE = r"""#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu
pointer=$(mktemp)
trap 'rm -f "$pointer"' EXIT
cat > "$pointer"
oid=$(head -c 1024 "$pointer" | sed -n 's/^oid sha256:\([0-9a-f]\{64\}\)$/\1/p' | head -n 1)
rest=${oid#??}
object=$(git rev-parse --absolute-git-dir)/lfs/objects/${oid%"$rest"}/${rest%"${rest#??}"}/$oid
if [ -n "$oid" ] && [ -f "$object" ]; then cat "$object"; else cat "$pointer"; fi
"""

LFS_CLEAN = r"""#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu
objects=$(git rev-parse --absolute-git-dir)/lfs/objects
mkdir -p "$objects"
content=$(mktemp "$objects/incoming.XXXXXX")
trap 'rm -f "$content"' EXIT
cat > "$content"
if head -c 60 "$content" | grep -q '^version https://git-lfs.github.com/spec/v1'; then cat "$content"; exit 0; fi
oid=$(sha256sum < "$content" | cut -d' ' -f1)
rest=${oid#??}
folder=$objects/${oid%"$rest"}/${rest%"${rest#??}"}
mkdir -p "$folder"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %s\n' "$oid" "$(($(wc -c < "$content")))"
[ -f "$folder/$oid" ] || ln "$content" "$folder/$oid"
"""
