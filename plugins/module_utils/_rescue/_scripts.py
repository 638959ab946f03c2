# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The scripts that read the work out of a container: plain sh, git and GNU tools, run as the environment's own user.

They change nothing there but a scratch folder of their own. What they answer, lines of `key base64`, is not trusted.
"""

from __future__ import annotations

from .._inside import FIELD

_COMMON = (
    FIELD
    + r"""
umask 077
export LC_ALL=C GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0
say() { printf '%s ' "$1"; base64 -w0; echo; }
g() { git -c core.fsmonitor=false -c core.hooksPath=/dev/null "$@"; }
"""
)

#: A scratch folder, and the repositories that lie beside the workspace, it first.
BEGIN = (
    _COMMON
    + r"""
path=$(field)
command -v git >/dev/null || { printf 'git is not installed in the container' | say failed; echo end; exit 0; }
# Where the disk is full, memory may do.
scratch=$(mktemp -d -t fuel-code-rescue.XXXXXXXX 2>/dev/null) \
  || scratch=$(mktemp -d -p /dev/shm fuel-code-rescue.XXXXXXXX) || {
  printf 'there is no room for a temporary folder in the container' | say failed; echo end; exit 0
}
printf %s "$scratch" | say scratch
parent=${path%/*}
for folder in "$path" "$parent"/* "$parent"/.[!.]*; do
  case $folder in */.fuel-code-partial-*) continue ;; esac
  [ ! -e "$folder/.git" ] || printf '%s\0' "$folder"
done | say repositories
echo end
"""
)

END = (
    _COMMON
    + r"""
scratch=$(field)
case $scratch in */fuel-code-rescue.????????) rm -rf -- "$scratch" ;; esac
"""
)

#: One repository or worktree: where it stands, and which files of it are not as they are in its index.
LOOK = (
    _COMMON
    + r"""
path=$(field)
cd "$path" 2>/dev/null || { printf 'it cannot be entered' | say failed; echo end; exit 0; }
if ! top=$(g rev-parse --show-toplevel 2>&1); then printf %s "$top" | head -n 1 | say failed; echo end; exit 0; fi
printf %s "$top" | say top
cd "$top" || exit 1
g rev-parse --path-format=absolute --git-common-dir | say common
g rev-parse --verify --quiet 'HEAD^{commit}' | say head
g symbolic-ref --quiet HEAD | say branch
g rev-parse --show-object-format | say format
cat "$(g rev-parse --git-path shallow)" 2>/dev/null | say shallow
g config --get user.name | say name
g config --get user.email | say email
cat .git/fuel-code/launch.json 2>/dev/null | head -c 262144 | say launch
g rev-parse --verify --quiet 'refs/fuel/launch^{commit}' | say launched
for remote in $(g remote | head -n 50); do
  printf '%s %s\0' "$remote" "$(g remote get-url -- "$remote" | head -n 1)"
done | say remotes
g for-each-ref --count=10000 --format='%(refname:short) %(upstream:remotename) %(upstream:remoteref)' refs/heads \
  | say tracking
g stash list -z --format='%H%x09%gs' 2>/dev/null | say stashes
g worktree list --porcelain 2>/dev/null | sed -n 's/^worktree //p' | say worktrees
g config --get-regexp '^filter\.lfs\.' >/dev/null && echo yes | say lfs
g config -f .gitmodules -z --get-regexp '^submodule\..*\.(path|url)$' 2>/dev/null | say modules
g ls-files --stage -z | sed -z -n 's/^160000 \([0-9a-f]*\) [0-3]\t/\1 /p' | say links
for name in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD rebase-merge rebase-apply; do
  [ ! -e "$(g rev-parse --git-path $name)" ] || echo $name
done | say unfinished
g diff-files --raw -z --no-renames --ignore-submodules=all | say changed
{
  g diff-files --name-only -z --no-renames --ignore-submodules=all
  g ls-files --others --exclude-standard -z
  # Of a file with a filter (Git LFS) the index has something else.
  if g config --get-regexp '^filter\.' >/dev/null; then
    g ls-files -z | g check-attr -z --stdin filter \
      | sed -z -n 'N;N;/\x00\(unspecified\|unset\|set\)$/!{s/\x00filter\x00.*$//;p}'
  fi
} | sort -zu | xargs -0 -r stat --printf='%s %f %Y %n\0' -- 2>/dev/null | say files
g ls-files --others --ignored --exclude-standard --directory -z | head -c 20000 | say ignored
echo end
"""
)

#: Makes a git directory that borrows the repository's objects and holds, as refs, all of it that is to be saved. On
#: stdin: path, scratch folder, number of the worktree, its name among its siblings; files to be taken, files removed.
BUILD = (
    _COMMON
    + r"""
set -e
path=$(field) private=$(field) number=$(field) taken=$(field)
cd "$path"
mkdir -p "$private"
head -c "$taken" > "$private/taken"
cat > "$private/removed"
fuel=refs/fuel/rescue
export GIT_AUTHOR_NAME=fuel-code GIT_AUTHOR_EMAIL=fuel-code@localhost GIT_COMMITTER_NAME=fuel-code
export GIT_COMMITTER_EMAIL=fuel-code@localhost
# Nothing of the user's or the repository's configuration: content is taken as it lies there, through no filter.
p() { GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 git --git-dir="$private/git" --work-tree="$path" "$@"; }
if [ ! -d "$private/git" ]; then
  git init -q --bare --template= --object-format="$(g rev-parse --show-object-format)" "$private/git"
  p config core.bare false
  p config core.fsmonitor false
  p config core.hooksPath /dev/null
  mkdir -p "$private/git/info"
  printf '* -text -eol -crlf -ident -filter -working-tree-encoding\n' > "$private/git/info/attributes"
  g rev-parse --path-format=absolute --git-path objects | sed 's/[\\"]/\\&/g; s/^/"/; s/$/"/' \
    > "$private/git/objects/info/alternates"
  shallow=$(g rev-parse --git-path shallow)
  [ ! -s "$shallow" ] || cp "$shallow" "$private/git/shallow"
  g for-each-ref --format='create %(refname) %(objectname)' > "$private/all"
  [ "$(wc -l < "$private/all")" -le 20000 ] || { echo "it has more than 20000 refs" >&2; exit 1; }
  grep -v -e "^create $fuel/" -e '^create refs/stash ' "$private/all" | p update-ref --stdin
  count=0
  for stash in $(g log -g --max-count=500 --format=%H refs/stash -- 2>/dev/null || true); do
    p update-ref "$fuel/stash/$count" "$stash"
    count=$((count + 1))
  done
fi
head=$(g rev-parse --verify --quiet 'HEAD^{commit}') || head=
# The index, whole: a folder per stage, so that an unfinished merge is one still.
GIT_INDEX_FILE=$private/index-$number
g ls-files --stage -z > "$private/entries"
export GIT_INDEX_FILE
rm -f "$GIT_INDEX_FILE"
sed -z -E 's/^([0-9]+) ([0-9a-f]+) ([0-3])\t/\1 \2 0\t\3\//' "$private/entries" | p update-index -z --index-info
index=$(p write-tree)
# The tree as it lies there, what is removed included.
rm -f "$GIT_INDEX_FILE"
sed -z -n -E 's/^([0-9]+ [0-9a-f]+) 0\t/\1 0\t/p' "$private/entries" | p update-index -z --index-info
p update-index --force-remove -z --stdin < "$private/removed"
p update-index --add --replace -z --stdin < "$private/taken"
work=$(p write-tree)
now="@$(date +%s) +0000"
export GIT_AUTHOR_DATE="$now" GIT_COMMITTER_DATE="$now"
index=$(echo 'The index as it was, a folder per stage' | p commit-tree "$index")
work=$(echo 'Work that was not committed' | p commit-tree "$work" ${head:+-p "$head"})
p update-ref "$fuel/$number/index" "$index"
p update-ref "$fuel/$number/work" "$work"
[ -z "$head" ] || p update-ref "$fuel/$number/head" "$head"
p for-each-ref --format='%(objectname) %(refname)' | say refs
echo end
"""
)

BUNDLE = (
    _COMMON
    + r"""
private=$(field)
exec git --git-dir="$private/git" -c pack.threads=2 bundle create -q - --all
"""
)

#: What the agent wrote of its sessions: sizes, times and names. No link is followed.
SESSIONS = (
    _COMMON
    + r"""
home=$(getent passwd "$(id -u)" | cut -d: -f6)
folder=$home/.claude/projects
if [ ! -L "$home/.claude" ] && [ ! -L "$folder" ] && cd "$folder" 2>/dev/null; then
  find . -xdev -type f -printf '%s %m %T@ %P\0' | head -c 2000000 | say files
fi
echo end
"""
)

#: A tar of those of them whose names come on stdin.
TRANSCRIPT = r"""
home=$(getent passwd "$(id -u)" | cut -d: -f6)
cd "$home/.claude/projects" || exit 1
exec tar --create --file=- --format=pax --no-recursion --null --verbatim-files-from --files-from=- --ignore-failed-read
"""
