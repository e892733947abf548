"""Every notebook: committed clean, short, documented, and executed end to end in the smoke profile."""

import ast
import errno
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import papermill
import pytest

from repro import notebooks, paths, reproduce
from repro.errors import ReproError
from repro.evidence import results
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
    "overview": "overview",
    "controls": "controls",
    "convergence": "controls_videos",
    "doses": "doses_bias",
}


def cells(name: str) -> list[dict]:
    return json.loads(notebooks.path_of(name).read_text())["cells"]


def code(name: str) -> list[str]:
    return ["".join(c["source"]) for c in cells(name) if c["cell_type"] == "code"]


def test_every_notebook_file_is_listed():
    assert sorted(p.stem for p in notebooks.FOLDER.glob("*.ipynb")) == sorted([*NAMES, "index"])


def test_the_index_lists_all_notebooks_in_reading_order():
    index = json.loads((notebooks.FOLDER / "index.ipynb").read_text())["cells"]
    assert {cell["cell_type"] for cell in index} == {"markdown"}
    text = "\n".join("".join(cell["source"]) for cell in index)
    links = re.findall(r"^- \[(\w+)\]\((\w+)\.ipynb\): ", text, re.MULTILINE)
    assert [label for label, _ in links] == [target for _, target in links] == NAMES
    for target in re.findall(r"\]\((\.\./[\w./-]+)\)", text):
        assert (notebooks.FOLDER / target).exists(), target


def test_make_lab_opens_copies_that_are_kept(tmp_path):
    """A student's changes are no changes of the project, and an update of the project does not overwrite them."""
    (tmp_path / "notebooks").mkdir()
    shutil.copy(paths.ROOT / "Makefile", tmp_path)
    source, copy = tmp_path / "notebooks" / "index.ipynb", tmp_path / "my-notebooks" / "index.ipynb"
    make = ["make", "-s", "my-notebooks/index.ipynb"]
    for text, changed, when in (("first", "first, mine", 1000), ("second", "second, mine", 3000)):
        source.write_text(text)
        os.utime(source, (when, when))
        subprocess.run(make, cwd=tmp_path, check=True)
        assert copy.read_text() == text
        copy.write_text(changed)
        os.utime(copy, (when + 1000, when + 1000))
        subprocess.run(make, cwd=tmp_path, check=True)
        assert copy.read_text() == changed
    assert copy.with_name("index.before.ipynb").read_text() == "first, mine"
    assert "/my-notebooks/" in (paths.ROOT / ".gitignore").read_text().splitlines()
    lab = (paths.ROOT / "Makefile").read_text().partition("\nlab:")[2].partition("\n\n")[0]
    assert "/lab/tree/my-notebooks/index.ipynb" in lab


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_opens_with_its_title(name):
    first = cells(name)[0]
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).splitlines()[0] == f"# {notebooks.NOTEBOOKS[name].title}"


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
        made = "execute.execute(" in cell or "make.make(" in cell
        assert not (made and ("tables.build(" in cell or "results.save(" in cell)), "compute and tables share a cell"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_a_notebook_takes_from_the_package_exists(name):
    """Of its imports, and of attributes of the modules that it imports: found without a kernel."""
    trees = [node for cell in code(name) for node in ast.walk(ast.parse(cell))]
    froms = [node for node in trees if isinstance(node, ast.ImportFrom) and node.module.startswith("repro")]
    names = {alias.asname or alias.name: found(node.module, alias.name) for node in froms for alias in node.names}
    assert None not in names.values(), names
    for node in trees:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            assert not isinstance(module, ModuleType) or hasattr(module, node.attr), ast.unparse(node)


def found(module: str, name: str):
    """What `from module import name` gives, or None."""
    try:
        return getattr(importlib.import_module(module), name, None) or importlib.import_module(f"{module}.{name}")
    except ImportError:
        return None


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
    common = {"profile", "dataset", "data_root", "splits", "seeds", "jobs", "device", "group", "allow_missing",
              "fresh", "pretrained_rgb", "pretrained_flow"}  # fmt: skip
    assert common <= set(notebooks.parameters(name))
    given = notebooks.parameters_of(name, {})
    notebook = notebooks.NOTEBOOKS[name]
    assert given == Parameters(splits=notebook.splits, seeds=given.seeds)  # all others are the defaults
    assert given.seeds == Parameters().seeds or not notebook.tables


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


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs_under_papermill(executed, name):
    home, done = executed
    assert done[name].returncode == 0, done[name].stderr[-3000:]
    outputs = [o for c in json.loads((home / f"{name}.ipynb").read_text())["cells"] for o in c.get("outputs", ())]
    assert any("image/png" in o.get("data", {}) for o in outputs), "no figure"
    assert [o["text"] for o in outputs if o.get("name") == "stderr"] == [], "red that is no error"
    assert any("text/markdown" in o.get("data", {}) or "text/html" in o.get("data", {}) for o in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if notebooks.NOTEBOOKS[n].tables])
def test_tables_and_figures_land_where_the_readme_says(executed, name):
    home, _ = executed
    parameters = notebooks.parameters_of(name, {"profile": "smoke", "splits": "1", "seeds": "0,1"})
    table = TABLES[name]
    folder = home / "results" / "smoke" / parameters.name
    for ending in ("json", "csv", "md", "html", "tex"):
        text = (folder / f"{table}.{ending}").read_text()
        assert "synthetic" in text
        assert "python -m repro run" in text
    assert (home / "figures" / "smoke" / parameters.name / f"{table}.png").stat().st_size > 5000
    saved = {path.name for path in (home / "results" / "smoke" / "records").iterdir()}
    given = {"profile": "smoke", "splits": "1", "seeds": "0,1"}
    assert {f"{run.id}.json.gz" for run in notebooks.runs_of(name, given)} <= saved


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["sedes", "1"], "unknown parameter of ablation_lambda 'sedes'; did you mean 'seeds'"),
        (["dataset", "hmbd51"], "did you mean 'hmdb51'"),
        (["pairs", "50:200, 50:-1"], "lambda2 is -1.0, but must be"),
        (["dataset", "ucf101"], "there is no such folder"),
    ],
)
def test_a_bad_parameter_is_one_error_and_a_bad_exit(home, given, words):
    command = [sys.executable, "-m", "repro", "run", "ablation_lambda", "-p", "profile", "smoke", "-p", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode != 0
    assert words in done.stderr


@pytest.mark.slow
def test_papermill_with_an_unknown_parameter_fails_in_the_notebook(home):
    command = [sys.executable, "-m", "papermill", str(notebooks.path_of("streams")), str(home / "out.ipynb")]
    done = subprocess.run([*command, "-p", "sedes", "1"], capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode == 1
    assert "unknown parameter 'sedes'; did you mean 'seeds'" in done.stderr


def test_root_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("REPRO_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert paths.data() == paths.ROOT / "data"


@pytest.mark.slow
def test_a_fresh_clone_shows_the_committed_table_and_trains_nothing(home):
    """The small profile, with nothing on this machine: the records that come with the project are enough."""
    target = notebooks.execute("ablation_lambda", {}, home / "executed", quiet=True)
    outputs = [output for cell in json.loads(target.read_text())["cells"] for output in cell.get("outputs", ())]
    shown = "\n".join("".join(text) for output in outputs for text in output.get("data", {}).values())
    assert "committed with the project" in shown
    assert "made on this machine" not in shown
    result = results.read(home / "out" / "results" / "small" / "synthetic" / "imrs_table4.json")
    committed = results.read(paths.ROOT / "results" / "small" / "synthetic" / "imrs_table4.json")
    assert result == committed
    for line in result.lines:
        assert line.cells["ours"] in shown
    assert not (home / "data").exists() or not [path for path in (home / "data").rglob("*") if path.is_file()]


@pytest.fixture
def executed_names(tmp_path, monkeypatch):
    """Names of notebooks as they are "executed", in this process: nothing runs. results/ and figures/ are there."""
    monkeypatch.setenv("REPRO_OUT", str(tmp_path))
    for where in ("results", "figures"):
        (tmp_path / where / "smoke").mkdir(parents=True)
    names = []
    monkeypatch.setattr(notebooks, "execute", lambda name, given, folder, quiet: names.append(name))
    return names


GIVEN = {"profile": "smoke", "jobs": 1}


def test_an_executed_notebook_is_left_alone_until_something_changes(tmp_path, executed_names, monkeypatch):
    names = ["efficiency", "streams", "tstam"]
    assert reproduce.execute_all(names, GIVEN, tmp_path, 1) == []
    assert executed_names == ["streams", "tstam", "efficiency"]  # the one that measures time is the last
    assert reproduce.execute_all(names, GIVEN, tmp_path, 1) == []
    assert len(executed_names) == 3
    other = {**GIVEN, "seeds": "1"}
    reproduce.execute_all(names, other, tmp_path, 1)
    assert len(executed_names) == 6
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "elsewhere"))
    reproduce.execute_all(names, other, tmp_path, 1)
    assert len(executed_names) == 9
    (tmp_path / "results" / "smoke").rmdir()  # nothing to show: draw again
    reproduce.execute_all(names, other, tmp_path, 1)
    assert len(executed_names) == 12


def test_a_notebook_that_failed_is_executed_again(tmp_path, executed_names, monkeypatch):
    def fails_once(name, *_, **options):
        executed_names.append(name)
        if len(executed_names) == 1:
            raise ReproError("broken")

    monkeypatch.setattr(notebooks, "execute", fails_once)
    assert reproduce.execute_all(["streams", "tstam"], GIVEN, tmp_path, 1) == ["failed: broken"]  # the other one runs
    assert reproduce.execute_all(["streams", "tstam"], GIVEN, tmp_path, 1) == []
    assert executed_names == ["streams", "tstam", "streams"]


def test_a_notebook_that_finds_no_space_is_named_and_costs_no_other(tmp_path, executed_names, monkeypatch):
    def full_once(source, target, **options):
        executed_names.append(target)
        if len(executed_names) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of a write, which names no file

    monkeypatch.undo()
    monkeypatch.setenv("REPRO_OUT", str(tmp_path))
    monkeypatch.setattr(papermill, "execute_notebook", full_once)
    (error,) = reproduce.execute_all(["efficiency", "your_video"], GIVEN, tmp_path, 1)
    assert error.startswith(f"failed: {tmp_path / 'your_video.ipynb'}: cannot be written (No space left on device; ")
    assert len(executed_names) == 2
    assert [path.name for path in tmp_path.glob("*.made-from")] == ["efficiency.made-from"]


def test_a_parameter_in_a_notebook_that_is_no_literal_is_one_error(tmp_path, monkeypatch):
    source = json.loads(notebooks.path_of("streams").read_text())
    for cell in source["cells"]:
        cell["source"] = [re.sub(r"^(seeds.*?= )[^#]*", r"\1range(4)  ", line) for line in cell["source"]]
    (tmp_path / "streams.ipynb").write_text(json.dumps(source))
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    with pytest.raises(ReproError, match=r"streams\.ipynb: the value of seeds is 'range\(4\)', but must be a literal"):
        notebooks.parameters("streams")


def test_a_damaged_mark_of_a_notebook_costs_its_execution(tmp_path, executed_names):
    assert reproduce.execute_all(["streams"], GIVEN, tmp_path, 1) == []
    (tmp_path / "streams.made-from").write_bytes(b"\xff")
    assert reproduce.execute_all(["streams"], GIVEN, tmp_path, 1) == []
    assert executed_names == ["streams", "streams"]


def threads(name, given, folder):
    """In place of an execution: notes the threads that a kernel would have."""
    (folder / name).write_text(os.environ["OMP_NUM_THREADS"])
    return ""


@pytest.mark.slow
def test_notebooks_side_by_side_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "_attempt", threads)
    monkeypatch.setattr(reproduce.joblib, "cpu_count", lambda: 4)
    reproduce.execute_all(["streams", "tstam", "smnet"], GIVEN, tmp_path, 2)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"streams": "2", "tstam": "2", "smnet": "2"}


def test_chosen_notebooks_and_the_runs_behind_them():
    assert notebooks.chosen(()) == NAMES
    assert notebooks.chosen(["notebooks/streams.ipynb", "claims"]) == ["streams", "claims"]
    with pytest.raises(ReproError, match="unknown notebook 'steams'; did you mean 'streams'"):
        notebooks.chosen(["steams"])
    runs = notebooks.runs_of("streams", {"profile": "smoke", "seeds": "0", "splits": "1,2"})
    assert len(runs) == 2 * 4  # RGB, flow and two students on two splits
    assert notebooks.runs_of("claims", {}) == []
