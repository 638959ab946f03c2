#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes .venv with fuelctl in it: `tools/venv.sh run` for its use, `tools/venv.sh dev` with everything the gates need.
# What is installed is stamped by pyproject.toml's content, so that a second call costs nothing.
set -euo pipefail

kind=${1:?usage: tools/venv.sh run|dev}
cd "$(dirname "$0")/.."

python=
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "setup: Python 3.11 or newer is needed (found: $(python3 --version 2>&1 || true)); install it, or name it: make PYTHON=/path/to/python3" >&2
  exit 1
fi

# The folder is in it too, because a venv that was moved with its checkout runs nothing.
stamp() { { pwd -P; cat pyproject.toml; } | sha256sum | cut -c1-16; }
if [ "$(cat ".venv/.installed-$kind" 2>/dev/null)" = "$(stamp)" ] && [ -x .venv/bin/fuelctl ]; then
  echo "setup: .venv is up to date"
  exit 0
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing python3-venv"
    tools/apt_install.sh python3-venv
  else
    echo "setup: $python has no venv module; install it: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  "$python" -m venv --clear .venv
fi
target=.
[ "$kind" = dev ] && target='.[dev]'
echo "setup: installing fuelctl ($kind) with $(.venv/bin/python --version) into .venv"
# No byte code beforehand: most of the `ansible` package is never imported.
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-compile --editable "$target"
stamp >".venv/.installed-$kind"
# dev holds all that run does.
[ "$kind" = dev ] && stamp >.venv/.installed-run
exit 0
