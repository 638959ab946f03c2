#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Installs Debian or Ubuntu packages, as root, without questions; what apt says is shown only when it fails.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -q && apt-get install -qy --no-install-recommends "$@"; } </dev/null >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "apt-get could not install: $*" >&2
  exit 1
fi
