# `make` lists what there is to make. Only Python 3.11 or later and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE  # the tests start many processes: none shall compile again what another one has
DEMO = demo

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: $(VENV)/.songs  ## make music: an environment, example songs, a small model, a MIDI file
	VENV=$(abspath $(VENV)) sh examples/demo.sh $(DEMO)

test: $(VENV)/.dev  ## run the tests, the linter and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n auto

torture: $(VENV)/.dev  ## damaged files, full disks, killed processes: at length
	TORTURE=1 $(BIN)/python -m pytest -q -n auto tests/torture

test-slow: $(VENV)/.dev  ## run the slow tests, and those by property with up to 500 examples
	$(BIN)/python -m pytest -q -n auto -m "slow or hypothesis" --hypothesis-profile slow

bench: $(VENV)-bench/.bench  ## measure against what else there is, into benchmarks/RESULTS.md; SONGS=a folder of MIDI
	$(VENV)-bench/bin/python -W ignore -m benchmarks.run $(SONGS)

guard: $(VENV)/.dev  ## fail where what was fast has become half as slow again
	$(BIN)/python -m benchmarks.guard

clean:  ## take away what was made, the environment too
	rm -rf $(VENV) $(VENV)-bench $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

%/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "musicgen needs Python 3.11 or later: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $*

# One stamp for each set of packages, remade when what it is made from changes.
$(VENV)/.dev: EXTRA = dev
$(VENV)/.songs: EXTRA = songs
$(VENV)-bench/.bench: EXTRA = bench
$(VENV)/.dev $(VENV)/.songs: $(VENV)/bin/python
$(VENV)-bench/.bench: $(VENV)-bench/bin/python
$(VENV)/.dev $(VENV)/.songs $(VENV)-bench/.bench: pyproject.toml constraints.txt
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRA)]'
	touch $@

.PHONY: help demo test test-slow torture bench guard clean
.DEFAULT_GOAL := help
