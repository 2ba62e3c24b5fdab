# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
# EXTRAS=cuda,postgres: parts of the package that not everybody needs.
EXTRAS ?=
comma := ,
STAMP := $(VENV)/.installed$(subst $(comma),-,$(EXTRAS:%=-%))
PACKAGE := .$(EXTRAS:%=[%])
BENCH_VENV := .venv-bench
BENCH_BIN := $(BENCH_VENV)/bin
BENCH_STAMP := $(BENCH_VENV)/.installed
# All cores, as tests of a file share servers and browsers; `make test TEST_ARGS=` takes one.
TEST_ARGS ?= -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
BENCH_ARGS ?=
BENCH_RESULTS ?= .bench/results.json
BENCH_NAME ?= cpu

WEB := src/verbatim/web
WEB_BUILT := $(WEB)/dist/index.html
WEB_MODULES := $(WEB)/node_modules/.package-lock.json
WEB_SOURCES := $(shell find $(WEB)/src $(WEB)/build -type f) $(wildcard $(WEB)/*.ts $(WEB)/*.html $(WEB)/*.js)

.PHONY: help install run dev docker-up test test-packages lint format clean web web-if-possible web-check

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(STAMP) ## make .venv with everything; the command is then .venv/bin/verbatim

# uv where it is, pip where it is not; both read the same pyproject.toml.
$(STAMP): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python --editable '$(PACKAGE)' --group dev; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
	  $(BIN)/python -m pip install --quiet --editable '$(PACKAGE)' --group dev; \
	fi
	@touch $@

run: install web-if-possible ## serve on http://127.0.0.1:$(PORT)
	$(BIN)/verbatim serve --port $(PORT)

# The page's own server passes the API's requests on; to the API they come from another site.
dev: install $(WEB_MODULES) ## the server, and the page on http://127.0.0.1:5173 as it is being edited
	@$(BIN)/verbatim serve --port $(PORT) --cors-origins http://127.0.0.1:5173,http://localhost:5173 & \
	trap "kill $$!" EXIT INT TERM; \
	VERBATIM_URL=http://127.0.0.1:$(PORT) npm run --silent dev --prefix $(WEB) -- --host 127.0.0.1

web: $(WEB_BUILT) ## build the page for browsers; needs Node.js 18 or newer

$(WEB_MODULES): $(WEB)/package.json $(WEB)/package-lock.json
	npm ci --silent --prefix $(WEB)
	@touch $@

$(WEB_BUILT): $(WEB_MODULES) $(WEB_SOURCES)
	npm run --silent build --prefix $(WEB)

# The API works without the page; an older build is better than none.
web-if-possible:
	@if command -v npm >/dev/null 2>&1; then \
	  $(MAKE) --no-print-directory web || echo "The page could not be built; the API works without it."; \
	elif [ ! -f $(WEB_BUILT) ]; then \
	  echo "Node.js is not here, so the page for browsers is not built; the API works without it."; \
	fi

web-check: ## types, form and unit tests of the page, where Node.js is
	@if command -v npm >/dev/null 2>&1; then \
	  $(MAKE) --no-print-directory $(WEB_BUILT) && \
	  npm run --silent check --prefix $(WEB) && npm run --silent test --prefix $(WEB); \
	else \
	  echo "Node.js is not here; the page is neither checked nor built, its browser tests are skipped"; \
	fi

test: lint test-packages web-check ## everything that CI runs: lint, types, layers, all tests
	$(BIN)/python -m pytest $(TEST_ARGS)

# Without them the tests on PostgreSQL and in a browser are skipped, and say so.
test-packages: ## where apt and its rights are at hand, what tests use besides: PostgreSQL, Chromium, Node.js
	@for need in chromium:chromium npm:nodejs,npm; do \
	  command=$${need%%:*}; packages=$$(echo "$${need##*:}" | tr , ' '); \
	  if command -v $$command >/dev/null 2>&1; then continue; fi; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "installing $$packages for the tests of the page"; \
	    { apt-get update -qq && \
	      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages; } \
	      >/dev/null || echo "$$packages could not be installed; tests of the page are skipped"; \
	  else \
	    echo "$$command is not installed; tests of the page are skipped"; \
	  fi; \
	done
	@if ! command -v initdb >/dev/null 2>&1 && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "installing PostgreSQL for the tests"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql; } \
	      >/dev/null || echo "PostgreSQL could not be installed; its tests are skipped"; \
	  else \
	    echo "PostgreSQL is not installed; its tests are skipped"; \
	  fi; \
	fi

lint: install ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docker-up: ## build the image and run it; `docker compose logs verbatim` has the first keys
	docker compose up --build --detach

format: install ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCH_STAMP) ## measure beside other Whisper programs, 20 minutes; BENCH_ARGS="--models base"
	$(BENCH_BIN)/python -m benchmarks run $(BENCH_ARGS)

bench-live: $(BENCH_STAMP) ## measure live speech in real time, 25 minutes; BENCH_ARGS="--models base --streams 1"
	$(BENCH_BIN)/python -m benchmarks.live run $(BENCH_ARGS)

bench-live-page: $(BENCH_STAMP) ## write the last of these results into docs/performance.md
	$(BENCH_BIN)/python -m benchmarks.live render

bench-page: $(BENCH_STAMP) ## write the last results into docs/performance.md
	$(BENCH_BIN)/python -m benchmarks render $(BENCH_RESULTS) --name $(BENCH_NAME)

# The peers have an environment of their own: they are large, and none of ours.
$(BENCH_STAMP): pyproject.toml benchmarks/peers.py benchmarks/install.py
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --seed --python $(PYTHON) $(BENCH_VENV) && \
	  uv pip install --quiet --python $(BENCH_BIN)/python --editable .; \
	else \
	  $(PYTHON) -m venv $(BENCH_VENV) && \
	  $(BENCH_BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
	  $(BENCH_BIN)/python -m pip install --quiet --editable .; \
	fi
	@$(BENCH_BIN)/python -m benchmarks.install
	@touch $@

clean: ## remove the environment and the caches
	rm -rf $(VENV) $(BENCH_VENV) $(WEB)/dist $(WEB)/node_modules .bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist
