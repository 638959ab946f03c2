#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# `make test`: all gates and all tests. The tests run even when a gate fails, so that one run tells everything.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
started=$SECONDS
told=build/logs/gates.log
last_failed=.pytest_cache/v/cache/lastfailed
mkdir -p build/logs
# Beside the tests, one at a time: most of what tests do is wait, for containers, processes and clouds that lag.
.venv/bin/python tools/gates.py --at-once 1 >"$told" 2>&1 &
running=$!
trap 'kill "$running" 2>/dev/null' EXIT
# What tests boot: none of them waits for it, each has ten minutes.
for kind in machine machine-docker registry; do
  .venv/bin/python -m tests.lab.ec2.image "$kind" >/dev/null
done
.venv/bin/python -m tests.lab.dev_image remote >/dev/null
tests=0
# Three on two cores. In the order of the folders: the files that take minutes (e2e) first, those that take none (unit)
# last, so that no worker ends long after the others.
.venv/bin/python -m pytest -q --numprocesses 3 --dist loadfile --no-loadscope-reorder --cache-clear || tests=$?
tested=$((SECONDS - started))
gates=0
wait "$running" || gates=$?
trap - EXIT
cat "$told"
unsteady=""
if [ "$tests" -eq 1 ] && alone=$(.venv/bin/python tools/unsteady.py "$last_failed"); then
  mapfile -t files <<<"$alone"
  echo "once more, with the machine to themselves: ${files[*]}"
  if .venv/bin/python -m pytest -q --numprocesses 0 "${files[@]}"; then
    tests=0
    unsteady="; UNSTEADY, failed above and passed alone: ${files[*]}"
  fi
fi
if [ "$gates" -ne 0 ] || [ "$tests" -ne 0 ]; then
  echo "make test: FAILED after $((SECONDS - started)) s (gates: $gates, pytest: $tests, over after $tested s)"
  exit 1
fi
echo "make test: everything passed in $((SECONDS - started)) s (pytest was over after $tested s)$unsteady"
