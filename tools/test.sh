#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# `make test`: all gates, then all tests. The tests run even when a gate fails, so that one run tells everything.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
started=$SECONDS
gates=0
.venv/bin/python tools/gates.py || gates=$?
tests=0
# Three on two cores: most of what tests do is wait for containers and processes. In the order of the folders: the files
# that take minutes (e2e) first, those that take none (unit) last, so that no worker ends long after the others.
.venv/bin/python -m pytest -q --numprocesses 3 --dist loadfile --no-loadscope-reorder || tests=$?
if [ "$gates" -ne 0 ] || [ "$tests" -ne 0 ]; then
  echo "make test: FAILED after $((SECONDS - started)) s (gates: $gates, pytest: $tests)"
  exit 1
fi
echo "make test: everything passed in $((SECONDS - started)) s"
