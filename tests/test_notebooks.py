"""Every notebook: committed clean, short, documented, and executed end to end in the smoke profile."""

import ast
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from repro import notebooks, paths
from repro.parameters import Parameters

NAMES = list(notebooks.NOTEBOOKS)
TABLES = {
    "ablation_ce_position": "imrs_table2",
    "ablation_ce_se": "imrs_table3",
    "ablation_lambda": "imrs_table4",
    "streams": "imrs_streams",
    "ablation_segments": "tstam_segments",
    "ablation_attention_heads": "tstam_heads",
    "ablation_fusion_weights": "tstam_fusion",
    "ablation_channel_attention": "tstam_channel_attention",
    "tstam": "tstam_systems",
    "smnet": "smnet_ablation",
    "stme": "stme_ablation",
    "stmsa": "stmsa_ablation",
    "stddcn": "stddcn_ablation",
    "temporal_order": "temporal_order",
}


def cells(name: str) -> list[dict]:
    return json.loads(notebooks.path_of(name).read_text())["cells"]


def code(name: str) -> list[str]:
    return ["".join(c["source"]) for c in cells(name) if c["cell_type"] == "code"]


def test_every_notebook_file_is_listed():
    assert sorted(p.stem for p in notebooks.FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_form(name):
    assert len(cells(name)) <= 25
    assert sum(len(c.splitlines()) for c in code(name)) <= 150
    for cell in cells(name):
        assert not cell.get("outputs"), "committed with outputs"
        assert cell.get("execution_count") is None
    functions = [n for c in code(name) for n in ast.walk(ast.parse(c)) if isinstance(n, ast.FunctionDef)]
    assert all(f.end_lineno - f.lineno < 5 for f in functions)
    text = "\n".join(code(name))
    assert "pip install" not in text
    assert "/home" not in text
    for cell in code(name):
        assert not ("execute.execute(" in cell and "tables.build(" in cell), "compute and tables share a cell"


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_annotated_commented_literals(name):
    tagged = [c for c in cells(name) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for line in "".join(tagged[0]["source"]).splitlines():
        node = ast.parse(line).body[0]
        assert isinstance(node, ast.AnnAssign), line
        assert isinstance(ast.literal_eval(node.value), str | int | float | bool), line
        assert "  # " in line, f"no comment for --help-notebook: {line}"
        assert "=" not in line.split("#", 1)[1], f"an equals sign in the comment hides it from --help-notebook: {line}"
    common = {"profile", "dataset", "data_root", "splits", "seeds", "jobs", "device", "group", "allow_missing"}
    assert common <= set(notebooks.parameters(name))
    assert isinstance(notebooks.parameters_of(name, {}), Parameters)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """All notebooks executed in the smoke profile, from another directory; {name: process}, and the output folder."""
    home = tmp_path_factory.mktemp("notebooks")
    environment = {**os.environ, "REPRO_DATA": str(home / "data"), "REPRO_OUT": str(home), "OMP_NUM_THREADS": "1"}
    environment["PYTHONWARNINGS"] = "default"

    def papermill(name: str) -> subprocess.CompletedProcess:
        given = ["-p", "profile", "smoke", "-p", "splits", "1", "-p", "seeds", "0,1", "-p", "jobs", "1"]
        command = [sys.executable, "-m", "papermill", str(notebooks.path_of(name)), str(home / f"{name}.ipynb"), *given]
        return subprocess.run(command, capture_output=True, text=True, cwd=home, env=environment, check=False)

    first = papermill(NAMES[0])  # writes the embedded set, which the others share
    with ThreadPoolExecutor(2) as pool:
        return home, {NAMES[0]: first, **dict(zip(NAMES[1:], pool.map(papermill, NAMES[1:]), strict=True))}


@pytest.mark.parametrize("name", NAMES)
def test_runs_under_papermill(executed, name):
    home, done = executed
    assert done[name].returncode == 0, done[name].stderr[-3000:]
    outputs = [o for c in json.loads((home / f"{name}.ipynb").read_text())["cells"] for o in c.get("outputs", ())]
    assert any("image/png" in o.get("data", {}) for o in outputs), "no figure"
    assert any("text/markdown" in o.get("data", {}) or "text/html" in o.get("data", {}) for o in outputs)


@pytest.mark.parametrize("name", [n for n in NAMES if notebooks.NOTEBOOKS[n]])
def test_tables_and_figures_land_where_the_readme_says(executed, name):
    home, _ = executed
    parameters = notebooks.parameters_of(name, {"profile": "smoke", "splits": "1", "seeds": "0,1"})
    table = TABLES[name]
    folder = home / "results" / "smoke" / parameters.name
    for ending in ("csv", "md", "html", "tex"):
        text = (folder / f"{table}.{ending}").read_text()
        assert "synthetic" in text
        assert "python -m repro run" in text
    assert (home / "figures" / "smoke" / parameters.name / f"{table}.png").stat().st_size > 5000
    assert list((home / "results" / "smoke" / "records").glob("*.json"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["sedes", "1"], "unknown parameter of ablation_lambda 'sedes'; did you mean 'seeds'"),
        (["dataset", "hmbd51"], "did you mean 'hmdb51'"),
        (["pairs", "50:200, 50:-1"], "lambda2 is -1"),
        (["dataset", "ucf101"], "there is no such folder"),
    ],
)
def test_a_bad_parameter_is_one_error_and_a_bad_exit(home, given, words):
    command = [sys.executable, "-m", "repro", "run", "ablation_lambda", "-p", "profile", "smoke", "-p", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode != 0
    assert words in done.stderr


def test_papermill_with_an_unknown_parameter_fails_in_the_notebook(home):
    command = [sys.executable, "-m", "papermill", str(notebooks.path_of("streams")), str(home / "out.ipynb")]
    done = subprocess.run([*command, "-p", "sedes", "1"], capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode == 1
    assert "unknown parameter 'sedes'; did you mean 'seeds'" in done.stderr


def test_root_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("REPRO_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert paths.data() == paths.ROOT / "data"


def test_an_executed_notebook_is_left_alone_until_something_changes(tmp_path, monkeypatch):
    from repro import __main__ as command

    monkeypatch.setenv("REPRO_OUT", str(tmp_path))
    for where in ("results", "figures"):
        (tmp_path / where / "smoke").mkdir(parents=True)
    executed = []

    def note(name, given, folder, quiet, threads):
        executed.append((name, threads))

    monkeypatch.setattr(notebooks, "execute", note)
    monkeypatch.setattr(command.joblib, "cpu_count", lambda: 4)
    folder = tmp_path / "executed"
    folder.mkdir()
    given = {"profile": "smoke", "jobs": 1}
    names = ["streams", "tstam"]
    assert command._execute_all(names, given, folder, 2) == []
    assert command._execute_all(names, given, folder, 2) == []
    assert sorted(executed) == [("streams", 2), ("tstam", 2)]  # two at once share four cores
    command._execute_all(names, {**given, "seeds": "1"}, folder, 2)  # other parameters
    assert len(executed) == 4
    (tmp_path / "results" / "smoke").rmdir()  # nothing to show: draw again
    command._execute_all(names, {**given, "seeds": "1"}, folder, 2)
    assert len(executed) == 6


def test_a_notebook_that_failed_is_executed_again(tmp_path, monkeypatch):
    from repro import __main__ as command

    monkeypatch.setenv("REPRO_OUT", str(tmp_path))
    for where in ("results", "figures"):
        (tmp_path / where / "smoke").mkdir(parents=True)
    tries = []

    def fails_once(name, *_, **options):
        tries.append(name)
        if len(tries) == 1:
            raise notebooks.ReproError("broken")

    monkeypatch.setattr(notebooks, "execute", fails_once)
    given = {"profile": "smoke", "jobs": 1}
    assert command._execute_all(["streams"], given, tmp_path, 1) == ["broken"]
    assert command._execute_all(["streams"], given, tmp_path, 1) == []
    assert len(tries) == 2
