# Two commands on a fresh machine with Python 3.11 and make:  make reproduce   make test
# make drill damages files, kills processes and fills disks for MINUTES, and counts what came of it
# reproduce compares this machine with what is committed; make reproduce PROFILE=smoke trains toy networks instead
PYTHON ?= python3
PROFILE ?= small
MINUTES ?= 30
VENV := .venv
STAMP := $(VENV)/.installed-from-lock

.PHONY: reproduce test drill lab docs pages lock clean

reproduce: $(STAMP)
	$(VENV)/bin/python -m repro reproduce --profile $(PROFILE)

test: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	-$(VENV)/bin/python tests/install_browser.py
	$(VENV)/bin/python -m pytest

drill: $(STAMP)
	$(VENV)/bin/python tests/drills --minutes $(MINUTES)

# copies that are yours to change, so that git status stays clean. A notebook that is newer than its copy, after git pull,
# replaces it, and the copy is kept as NAME.before.ipynb
lab: $(STAMP) $(patsubst notebooks/%,my-notebooks/%,$(wildcard notebooks/*.ipynb))
	$(VENV)/bin/jupyter lab --LabApp.default_url=/lab/tree/my-notebooks/index.ipynb

my-notebooks/%.ipynb: notebooks/%.ipynb
	@mkdir -p my-notebooks
	@if [ -e $@ ]; then mv $@ my-notebooks/$*.before.ipynb; fi
	@cp $< $@

docs: $(STAMP)
	$(VENV)/bin/python -m sphinx -W --keep-going -q docs site

pages: $(STAMP)
	REPRO_OUT=$(CURDIR) $(VENV)/bin/python -m repro.pages

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed; install Python 3.11 or later, or name it: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version) is too old; install Python 3.11 or later, or name it: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: this Python has no venv module; install it (Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(VENV)/bin/python -m pip check
	touch $(STAMP)

# after a change of pyproject.toml; needs uv. Versions stay where they still fit; --upgrade takes the newest
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" --extra test pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV)
