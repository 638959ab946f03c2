#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Has base images on the engine (tests/lab/base_image.py); where none can be pulled, as root, it gets debootstrap first.
set -euo pipefail

cd "$(dirname "$0")/.."
missing=()
for image in "$@"; do
  docker image inspect "$image" >/dev/null 2>&1 || missing+=("$image")
done
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v debootstrap >/dev/null; then
  # Needed only where no registry answers, and small enough to be had beforehand.
  tools/apt_install.sh debootstrap
fi
exec .venv/bin/python tests/lab/base_image.py "$@"
