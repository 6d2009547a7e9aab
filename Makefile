# make chat   sets up and opens the chat page          make test   sets up and passes the tests
# make demo   the whole path on the sample corpora     make lint   checks the format and the style

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := data_scripts/sample

.DEFAULT_GOAL := help
.PHONY: help chat demo test test-slow lint format clean

help:
	@sed -n '1,2s/^# //p' Makefile

# Not python, which a venv that failed for want of python3-venv has, and one of uv, which has no pip.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than 3.11; give another one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.chat: requirements.txt | $(BIN)/pip
	$(BIN)/pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/.train: requirements-train.txt $(VENV)/.chat
	$(BIN)/pip install --quiet -r requirements-train.txt
	$(BIN)/pip install --quiet --no-deps "convokit>=5.0,<6"
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.train
	$(BIN)/pip install --quiet -r requirements-dev.txt
	@touch $@

chat: $(VENV)/.chat
	$(BIN)/python app.py

demo: $(VENV)/.train
	rm -rf demo_run/checkpoints
	$(BIN)/python -m data_scripts.prepare --output demo_run/data --tokenizer models/pocket-base \
		--corpora cornell=$(SAMPLE)/movie-corpus personachat=$(SAMPLE)/persona-chat
	$(BIN)/accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		-m training.train --config training/configs/demo.yaml
	$(BIN)/python -m eval.run --model demo_run/model --base models/pocket-base --data demo_run/data \
		--output demo_run/eval --quick true
	$(BIN)/python -m chat --model demo_run/model --persona "I have two cats." "I work as a nurse."

# Each process with one thread of its own: two of two threads each would wait for each other on two cores. A test
# takes seconds; one that hangs fails, and tells where each thread was; where it hangs on, as in waiting for a pool
# of threads whose work never ends, its process ends, and the run with it: a new process would begin with that test.
test: $(VENV)/.dev
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" \
		--numprocesses logical --maxprocesses 4 --max-worker-restart 0 --dist loadfile --timeout 300 \
		-o faulthandler_timeout=360 -o faulthandler_exit_on_timeout=true

test-slow: $(VENV)/.dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo_run .pytest_cache .ruff_cache
