# Two commands on a fresh machine with Python 3.11 and make:  make reproduce   make test
# make drill damages files, kills processes and fills disks for MINUTES, and counts what came of it
# reproduce compares this machine with what is committed; make reproduce PROFILE=smoke trains toy networks instead
PYTHON ?= python3
PROFILE ?= small
MINUTES ?= 30
VENV := .venv
STAMP := $(VENV)/.installed-from-lock

.PHONY: reproduce test drill lab lock clean

reproduce: $(STAMP)
	$(VENV)/bin/python -m repro reproduce --profile $(PROFILE)

test: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	-$(VENV)/bin/python tests/install_browser.py
	$(VENV)/bin/python -m pytest

drill: $(STAMP)
	$(VENV)/bin/python tests/drills --minutes $(MINUTES)

# what notebooks write goes to data/out, and git is told to see notebooks without their outputs: git status stays clean
NO_OUTPUTS := --keep-id --extra-keys "metadata.language_info.codemirror_mode metadata.language_info.file_extension metadata.language_info.mimetype metadata.language_info.nbconvert_exporter metadata.language_info.pygments_lexer metadata.language_info.version"
lab: $(STAMP)
	-git config filter.notebook.clean '"$(CURDIR)/$(VENV)/bin/nbstripout" $(NO_OUTPUTS)'
	REPRO_OUT=$${REPRO_OUT:-$(CURDIR)/data/out} $(VENV)/bin/jupyter lab --LabApp.default_url=/lab/tree/notebooks/index.ipynb

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
