# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at the start of every login, interactive or not, by bash and by other shells.
if [ -n "${SSH_CONNECTION:-}" ] && [ "${SHLVL:-1}" -le 1 ]; then
  # /etc/profile replaces what sshd gave.
  PATH=$HOME/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  LANG=${LANG:-C.UTF-8}
  export PATH LANG
  # Work begins in the workspace, whose path stands in a file beside what the machine keeps.
  if [ "$PWD" -ef "$HOME" ] && [ -r /workspaces/.fuel-code/workspace ]; then
    read -r fuel_code_workspace </workspaces/.fuel-code/workspace
    cd -- "$fuel_code_workspace" 2>/dev/null || :
    unset fuel_code_workspace
    # Launched from a folder of a repository: work begins there.
    [ ! -r .git/fuel-code/folder ] || cd -- "./$(cat .git/fuel-code/folder)" 2>/dev/null || :
  fi
fi
