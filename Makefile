# Thin on purpose: every target is one script or one CMake preset. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
JOBS ?= 2

.PHONY: help setup rival build demo demo-down test test-full test-clients unit fuzz bench-controller bench-datapath bench-datapath-limits bench-scale lint \
  generate images clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s $$'\t'

setup: ## Install missing packages and the local Kubernetes' programs
	@deploy/local/install.sh

rival: setup ## Build Go's side of bench-controller
	@deploy/local/install.sh rival

build: setup ## Build everything (release)
	@cmake --preset release -Wno-dev >/dev/null && cmake --build --preset release -j $(JOBS)

demo: setup ## Run the main job on a real two-node Kubernetes (KEEP=1 leaves it running)
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release -j $(JOBS) --target sluice-controller sluice-agent kubectl-sluice
	@tests/e2e/demo $(if $(KEEP),--keep)

demo-down: ## Remove everything a kept demo left running
	@tests/e2e/demo --down

test: setup rival ## The quick whole: unit, sanitizers, short fuzzing, integration, end to end
	@tests/run quick

test-full: setup rival ## The long forms: thread sanitizer, long fuzzing, every fault point, churn
	@tests/run full

test-clients: setup ## Every S3 client and suite we can get, Java, JavaScript and Rust among them, against the agent
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release -j $(JOBS) --target sluice-agent
	@build/venv/bin/python3 tests/clients/run all
	@build/venv/bin/python3 tests/clients/full_flow
	@build/venv/bin/python3 tests/clients/s3s_e2e

unit: ## Unit tests alone (release)
	@cmake --preset release -Wno-dev >/dev/null && cmake --build --preset release -j $(JOBS)
	@ctest --test-dir build/release -L unit --output-on-failure -j $(JOBS)

fuzz: setup ## Every fuzzer for SECONDS each (default 60)
	@tests/run fuzz $(or $(SECONDS_EACH),60)

bench-datapath: setup ## The agent beside nginx, varnish, versitygw (BENCH=short|full); build/bench/datapath.json
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release -j $(JOBS) --target sluice-agent sluice_load
	@BENCH=$(or $(BENCH),short) tests/bench/datapath/run

bench-datapath-limits: setup ## Memory, cold reads, the disk tier against fio, a start with a million chunks
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release -j $(JOBS) --target sluice-agent fill_store
	@tests/bench/datapath/limits

lint: setup ## Format, clang warnings as errors, dependency rules
	@tests/run lint

bench-controller: setup rival ## Our controller runtime beside Go's, in one run (BENCH=short: 5.5 minutes)
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release -j $(JOBS) --target widget_controller
	@tests/bench/controller/run

bench-scale: setup ## 5,000 and 15,000 agents on one controller (BENCH=short: 500); build/bench/scale.json
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release -j $(JOBS) --target sluice-controller agents_load
	@tests/bench/agents/scale

generate: ## Regenerate CRDs and reference pages from api/v1alpha1
	@cmake --preset release -Wno-dev >/dev/null && cmake --build --preset release -j $(JOBS) --target generate_crds

images: build ## Build the container images into build/images
	@deploy/images/build

clean: ## Remove build outputs (not the caches)
	@rm -rf build
