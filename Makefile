# SPDX-License-Identifier: GPL-3.0-or-later
# Every habit is one word. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
export PYTHON

VENV := .venv/bin
GATES := $(VENV)/python tools/gates.py
PYTEST := $(VENV)/python -m pytest
# What fuelctl calls, and what its tests call besides.
PROGRAMS := git=git ssh=openssh-client
TEST_PROGRAMS := curl=curl rsync=rsync
# What tests, demo and benchmarks start from.
IMAGES := debian:bookworm node:22-bookworm python:3.11-bookworm

.PHONY: help setup demo demo-ec2 demo-fly test soak lint types sanity units molecule pytest bench lab docs build clean \
	_run _dev _docker _images _demo_image

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: _dev _docker ## .venv with everything, and a Docker engine

demo: _run _docker _demo_image ## examples/node-api in a running environment, its tests and the agent in it
	@$(VENV)/python tools/demo.py

demo-ec2: _dev _docker _demo_image ## the same on a local EC2 with real machines: no AWS account is needed
	@PYTHONPATH=. $(VENV)/python tools/demo_ec2.py

demo-fly: _dev _docker _demo_image ## the same on a local Fly.io, with a stop and a start: no account is needed
	@PYTHONPATH=. $(VENV)/python tools/demo_fly.py

test: _dev _docker _images ## every gate and every test
	@tools/test.sh

soak: _dev _docker _images ## the reliability tests at their full counts (hours)
	@$(PYTEST) -m soak --hypothesis-profile=soak tests

lint: _dev ## ruff, mypy, yamllint, shellcheck, ansible-lint, docs and changelog
	@$(GATES) lint

types: _dev ## mypy only
	@$(GATES) mypy-fuelctl mypy-module-utils mypy-tests mypy-tools

sanity: _dev ## ansible-test sanity
	@$(GATES) sanity

units: _dev ## ansible-test units
	@$(GATES) units

molecule: _dev _docker _images ## each role's scenario
	@$(GATES) molecule

pytest: _dev _docker _images ## all Python tests; ARGS="tests/unit -k name" picks some
	@$(PYTEST) $(ARGS)

bench: _dev _docker _images ## measured against peers: build/bench.json, docs/benchmarks.md
	@$(VENV)/python tests/bench/run.py

lab: _dev _docker ## a local EC2 with real machines behind it, until Ctrl-C (docs/developer/lab.md)
	@$(VENV)/python -m tests.lab.ec2

docs: _dev ## the generated reference pages
	@$(VENV)/python tools/docs.py

build: _dev ## the wheel and the collection's archive, checked, in build/dist
	@$(GATES) build

clean: ## everything that can be made again, but .venv
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/output
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0r rm -rf

_run:
	@tools/programs.sh $(PROGRAMS)
	@tools/venv.sh run

_dev:
	@tools/programs.sh $(PROGRAMS) $(TEST_PROGRAMS)
	@tools/venv.sh dev

_docker:
	@tools/docker_engine.sh

_images:
	@tools/images.sh $(IMAGES)

_demo_image:
	@tools/images.sh node:22-bookworm
