#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Has the programs that fuelctl and its tests call, given as PROGRAM=PACKAGE: installed as root, else named in one line.
#   tools/programs.sh ssh=openssh-client git=git
set -euo pipefail

missing=()
for each in "$@"; do
  command -v "${each%%=*}" >/dev/null || missing+=("${each#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup: installing ${missing[*]}"
  exec "$(dirname "$0")/apt_install.sh" "${missing[@]}"
fi
echo "setup: missing: ${missing[*]}; install them: sudo apt-get install ${missing[*]}" >&2
exit 1
