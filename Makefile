# Every target does its own set-up; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-flannel check test test-untagged thorough coverage coverage-all fuzz wheels flannel kubernetes bench bench-tools bench-containers bench-dataplane bench-agent \
	bench-flannel bench-scale chaos clean

RUN := .venv/bin
PYTEST := $(RUN)/python -m pytest
# Tests beside each other, in `make test` each worker with labs of its own: most wait more than they compute.
WORKERS ?= 2
CASES ?= 1000000

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## the Python environment in .venv
	@packaging/setup

demo: setup ## two Docker hosts on one Neutron network, told step by step (root)
	@$(RUN)/fairlead lab demo

demo-flannel: setup flannel ## unmodified flannel on two instances, Neutron underneath (root)
	@$(RUN)/fairlead lab demo --flannel

check: setup ## style, types, layers and the fast tests; no root needed
	@$(RUN)/ruff format --check --quiet .
	@$(RUN)/ruff check --quiet .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-logo
	@$(PYTEST) -q -n $(WORKERS) -m "not root and not real and not wheels and not thorough"

test: check ## every tier, the real cloud included (root)
	@$(RUN)/fairlead lab install --virtual-machines
	@packaging/build-flannel
	@$(PYTEST) -v --durations=20 -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "root or real or wheels"

thorough: setup ## every failure at every point of a Docker user's day, in every mode: minutes; no root needed
	@$(PYTEST) -q -n $(WORKERS) -m thorough

fuzz: setup ## bodies that nobody should send, to every RPC of both doors: CASES=1000000 of them (half an hour), SEED=N to repeat
	@$(RUN)/python -m tests.fuzz.run --cases $(CASES) $(if $(SEED),--seed $(SEED))

test-untagged: setup ## what depends on tags, on a Neutron that takes none while a port is made (root)
	@$(RUN)/fairlead lab up --name untagged --no-tags-while-creating
	@status=0; FAIRLEAD_LAB=untagged $(PYTEST) -q -m real tests/contract tests/e2e/test_reconcile.py || status=$$?; \
		$(RUN)/fairlead lab down --name untagged; exit $$status

coverage: setup ## which branches the fast tests reach, by room; what they don't is listed in build/coverage
	@packaging/coverage fast

coverage-all: coverage ## the same of every tier, agents in a lab's namespaces included (root)
	@$(RUN)/fairlead lab install --virtual-machines
	@packaging/build-flannel
	@packaging/coverage slow

# How long, and a seed that repeats a run: make chaos SECONDS=3600 SEED=7
SECONDS ?= 900
chaos: setup ## Docker's commands at random while everything under them fails, 15 minutes or SECONDS=… (root)
	@$(RUN)/fairlead lab chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

wheels: ## a wheel and an sdist of each distribution in build/dist, and how large they are
	@packaging/build-wheels

flannel: ## real flanneld, CNI plugins and etcd in build/flannel/bin
	@packaging/build-flannel

kubernetes: ## a real kube-apiserver in build/kubernetes/bin (four minutes), for the tests of flannel's Kubernetes subnet manager
	@packaging/build-kubernetes

bench: bench-containers bench-dataplane bench-flannel bench-agent bench-scale ## all benchmarks, under 50 minutes (root); docs/benchmarks.md

bench-tools: setup
	@build/uv/bin/uv sync --quiet --frozen --all-packages --all-extras --group bench
	@$(RUN)/fairlead lab install

bench-containers: bench-tools ## containers up and down on five kinds of network
	@$(RUN)/python -m benchmarks.containers

bench-dataplane: bench-tools ## packets between two hosts
	@$(RUN)/python -m benchmarks.dataplane

bench-flannel: bench-tools flannel ## packets between two instances, with flannel
	@$(RUN)/python -m benchmarks.flannel

bench-agent: bench-tools ## memory, start and processor time of an agent
	@$(RUN)/python -m benchmarks.agent_cost

bench-scale: bench-tools ## a thousand agents on one Neutron, simulated
	@$(RUN)/python -m benchmarks.scale

clean: ## what setup made in this folder
	@rm -rf .venv build
