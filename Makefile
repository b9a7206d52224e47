# make demo   a simulated screen through the whole workflow, with its report and audit
# make test   every test
# make slurm-test   the workflow on a real SLURM, and the faults of a cluster (root, Debian)
# make rehearse   the recipes for RxRx1 at its true shape, on tiny images (CELLSIGNAL_DATA; RECIPES="config explain")
# make lint   formatting, lint, types, snakemake --lint
# Nothing else is needed first: each installs what it needs into .venv.

PYTHON ?= python3
BIN := .venv/bin
DEMO := results/demo_screen/demo
SNAKEMAKE := $(BIN)/snakemake
export CELLSIGNAL_DATA ?= $(if $(wildcard ../shared/data),$(abspath ../shared/data))

.PHONY: demo test slurm-test rehearse lint format settings clean

.venv/installed: envs/requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' envs/requirements.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	touch $@

# The command `cellsignal` of this checkout. Not by pip: see the file.
$(BIN)/cellsignal: workflow_scripts/bin/cellsignal .venv/installed
	install -m 755 $< $@

demo: .venv/installed $(BIN)/cellsignal
	$(SNAKEMAKE) all --profile profiles/local --configfile recipes/demo.yaml
	@$(MAKE) --no-print-directory $(DEMO)/report.html
	@echo
	@echo "Submission: $(DEMO)/submission.csv"
	@echo "Report:     $(DEMO)/report.html"
	@echo "Audit:      $(DEMO)/audit.json"
	@$(BIN)/python -c 'import json; [print(" " * 11, v["artefact"], "passed" if v["passed"] else "FAILED") for v in json.load(open("$(DEMO)/audit.json"))]'

$(DEMO)/report.html: $(DEMO)/audit.json
	$(SNAKEMAKE) all --profile profiles/local --report $@ --configfile recipes/demo.yaml

test: .venv/installed $(BIN)/cellsignal
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -c tests/pytest.ini -n 2 --dist loadfile tests

# On a SLURM of this machine alone, which the tests start and stop; skipped without root and Debian's packages.
slurm-test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -c tests/pytest.ini tests/slurm

rehearse: .venv/installed
	$(BIN)/python benchmarks/rehearse.py $(RECIPES)

lint: .venv/installed
	$(BIN)/ruff format --check --config workflow_scripts/pyproject.toml workflow_scripts tests benchmarks
	$(BIN)/ruff check --config workflow_scripts/pyproject.toml workflow_scripts tests benchmarks
	$(BIN)/snakefmt --check --line-length 110 Snakefile rules
	$(BIN)/mypy --config-file workflow_scripts/pyproject.toml
	$(BIN)/python tests/lint_workflow.py

format: .venv/installed
	$(BIN)/ruff format --config workflow_scripts/pyproject.toml workflow_scripts tests benchmarks
	$(BIN)/ruff check --fix --config workflow_scripts/pyproject.toml workflow_scripts tests benchmarks
	$(BIN)/snakefmt --line-length 110 Snakefile rules

# After a change to a setting: the page and the schema that are made from them.
settings: .venv/installed
	$(BIN)/python workflow_scripts/settings_page.py

clean:
	rm -rf results .snakemake
