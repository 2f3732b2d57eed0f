# The front door. Every target is one line over a real tool; `make help` says what each does.

SHELL         := /bin/bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
READER := .venv/.reader
ARGS   ?=
LOCK   := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
EXTRA  := import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]], sep="\n")
# torch is locked without the libraries of CUDA, for the one platform of its images and tests.
LINUX  := $(subst --universal,--python-platform x86_64-unknown-linux-gnu,$(LOCK)) --no-annotate
CUDA   := $(shell sed '/^\#/d; s/^/--no-emit-package /' hack/images/infinity/not-for-cpu.txt)

# Console scripts and `python -m` both come from the project's own environment.
export PATH        := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
# Some images set it, and then every process compiles anew all that it imports: half of a short one's time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-unit test-torch test-integration test-e2e test-chart test-argocd test-report lint format cluster cluster-down images operator docs crds chart dashboards krew bench bench-images bench-parity bench-replay bench-slo faults requirements clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-17s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: cluster images ## Release a model, watch a bad revision be caught and returned
	python -m hack.demo $(ARGS)

test: ## Everything that must pass, with all its own set-up: lint, unit, integration, e2e
	$(MAKE) lint
	$(MAKE) test-unit
	$(MAKE) test-torch
	$(MAKE) test-integration
	python -m hack.cluster down --control-plane
	$(MAKE) test-e2e

test-unit: $(READY) $(READER) ## Pure tests and simulated lives: seconds, no cluster
	pytest -n auto tests/unit tests/simulation $(ARGS)

test-torch: $(READY) ## Inside small real models, with torch, diffusers and transformers, which it fetches
	pytest tests/torch $(ARGS)

test-integration: $(READY) ## Against a real API server, which it starts
	python -m hack.cluster up --control-plane
	python -m hack.helm build
	pytest -n 2 tests/integration $(ARGS)

test-e2e: cluster images ## Against a real cluster with real pods, which it starts
	pytest tests/e2e -m alone $(ARGS)
	pytest tests/e2e -n 4 --dist worksteal -m "not alone" $(ARGS)

test-chart: cluster images ## Install, upgrade and uninstall the chart under a release with traffic, on the real cluster
	python -m hack.helm build
	pytest -s tests/chart $(ARGS)

test-argocd: cluster images ## Releases by commits alone, through the real Argo CD, which it builds and starts
	python -m hack.argocd test -- $(ARGS)

test-report: $(READY) ## Look at the report of a run in Debian's Chromium, which it installs
	python -m hack.installed chromium
	pytest tests/report $(ARGS)

lint: $(READY) ## Style, format, types, that imports point one way, and that the documentation builds
	ruff check
	ruff format --check
	mypy
	lint-imports --no-logo
	$(MAKE) docs

format: $(READY) ## Let ruff format the code and sort its imports
	ruff check --fix-only --select I
	ruff format

cluster: $(READY) ## Start the local cluster (what is running already stays)
	python -m hack.cluster up

cluster-down: $(READY) ## Stop the local cluster
	python -m hack.cluster down

images: $(READY) ## Build the images and push them to the local cluster's registry
	python -m hack.images

operator: $(READY) ## Install the operator of this checkout on the local cluster
	python -m hack.sample

docs: $(READY) ## Build the documentation as a site, strictly and without network, into build/site
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet

crds: $(READY) ## Generate crds/ from the models
	python -m modelrelease.api.crd crds/

chart: $(READY) ## Generate the chart's README, and its schema of the operator's settings
	python -m hack.helm generate

dashboards: $(READY) ## Generate the Grafana dashboards (ARGS=--runtime=… for another model server)
	python -m hack.dashboards $(ARGS)

krew: $(READY) ## Build the kubectl plugin for Krew, with its manifest, in dist/krew (ARGS=--base-url=…)
	python -m hack.krew $(ARGS)

bench: $(READY) ## Measure, and write the results
	python -m benchmarks $(ARGS)

bench-parity: $(READY) ## Measure the parity statistics beside their peers, and print a table
	python -m benchmarks.parity $(ARGS)

bench-images: $(READY) $(READER) ## Measure how quick and how small the fidelity check is, and print a table
	python -m benchmarks.images $(ARGS)

bench-replay: $(READY) ## Measure how quick the client of the performance check is, and print a table
	python -m benchmarks.replay $(ARGS)

bench-slo: $(READY) ## Simulate how SLOs are judged, beside Flagger and Argo Rollouts, and print a table
	python -m slo_simulation $(ARGS)

faults: $(READY) ## Break a real model in every known way, and print what was named as the cause
	python -m hack.faults $(ARGS)

requirements: $(READY) ## Lock requirements/ from pyproject.toml (UPGRADE=--upgrade for newer versions)
	$(LOCK) $(UPGRADE) --extra dev pyproject.toml -o requirements/dev.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml -o requirements/operator.txt
	python -c '$(EXTRA)' checks | $(LOCK) -c requirements/dev.txt - -o requirements/checks.txt
	python -c '$(EXTRA)' torch | $(LINUX) $(CUDA) -c requirements/dev.txt - -o requirements/torch.txt
	echo uv | $(LOCK) -c requirements/dev.txt - -o requirements/uv.txt

clean: ## Remove what can be made again (never the cluster: cluster-down does that)
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# The environment: uv installs exactly what is locked, by hash; the project itself is linked, not copied.
$(READY): requirements/dev.txt requirements/uv.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync --quiet --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# Tesseract reads the text in images; where it is not there it is installed, or said how to.
$(READER): $(READY)
	command -v tesseract > /dev/null || python -m hack.installed tesseract
	touch $@
