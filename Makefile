# Each target does its own set-up: nothing but a Python (3.12 to 3.14) and make is expected.
.DEFAULT_GOAL := help
.PHONY: help venv demo run test lint bench accuracy certs lock clean

BIN := .venv/bin
ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## make .venv with the locked packages (the others do this themselves)
	@scripts/bootstrap

demo: venv ## play the whole story with real processes and real clients
	@$(BIN)/python -m hoopguard.demo $(ARGS)

run: venv ## leave the same gateway running, with a token and a line to try
	@$(BIN)/python -m hoopguard.demo --keep-running $(ARGS)

test: venv ## run the tests; ARGS="-k name" narrows
	@$(BIN)/pytest -n 2 $(ARGS)

lint: venv ## style, types, the house's walls, and nothing committed that should not be
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@scripts/check-tree

bench: venv ## requests per second and latency: the model, bare mitmdump, hoopguard
	@$(BIN)/python -m bench $(ARGS)

accuracy: venv ## precision, recall and F2 of what masking finds, by entity; ARGS="--model FOLDER" for names
	@$(BIN)/python -m bench.accuracy $(ARGS)

certs: venv ## make the CA in certs/ unless there is one
	@test -e certs/mitmproxy-ca.pem || $(BIN)/hoopguard certs init
	@$(BIN)/hoopguard certs show

lock: venv ## pin the dependencies again (UPGRADE=1: to their newest versions)
	@scripts/lock

clean: ## remove what the other targets made, except the CA
	rm -rf .venv .venv.lock var build dist *.egg-info .coverage .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
