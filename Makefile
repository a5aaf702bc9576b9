# Every target does its own set-up; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo check test bench clean

RUN := .venv/bin
PYTEST := $(RUN)/python -m pytest

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## the Python environment in .venv
	@packaging/setup

demo: setup ## two Docker hosts on one Neutron network, told step by step (root)
	@$(RUN)/fairlead lab demo

check: setup ## style, types, layers and the fast tests; no root needed
	@$(RUN)/ruff format --check --quiet .
	@$(RUN)/ruff check --quiet .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-logo
	@$(PYTEST) -q -m "not root and not real"

test: check ## every tier, the real cloud included (root)
	@$(RUN)/fairlead lab install
	@$(PYTEST) -v -m "root or real"

bench: setup ## start times beside Docker's bridge, in one run (root)
	@$(RUN)/fairlead lab install
	@$(RUN)/python -m benchmarks.docker_start

clean: ## what setup made in this folder
	@rm -rf .venv build
