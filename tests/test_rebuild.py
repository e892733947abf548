"""The committed tables are what the committed records say: rebuilt, they are the same files, and nothing is trained."""

import subprocess
import sys

import pytest
from PIL import Image

import repro
from repro import paths, rebuild, report
from repro.evidence import claims, results, tables, time_order
from repro.papers import imrs, systems, tstam
from repro.papers import time_order as time_order_plan
from repro.parameters import Parameters

COMMITTED = paths.ROOT / "results" / "small"


def same(home, name: str, endings=("csv", "json", "md", "html", "tex")) -> None:
    """A rebuilt table is the committed one, byte for byte; nothing was made on the way."""
    for ending in endings:
        made, committed = (folder / f"{name}.{ending}" for folder in (home / "out" / "results" / "small", COMMITTED))
        assert made.read_bytes() == committed.read_bytes(), made.name
    assert not (home / "data").exists()


@pytest.mark.parametrize("plan", [imrs.table4, tstam.fusion_weights, tstam.channel_attention])
def test_a_table_is_rebuilt_from_the_committed_records(home, plan):
    parameters = Parameters()
    table = plan(parameters)
    results.save(tables.build(table, parameters), parameters, table.runs())
    same(home, f"synthetic/{table.name}")
    assert not (home / "out" / "results" / "small" / "records").exists()  # records of this machine alone are copied


def test_a_ladder_is_rebuilt(home):
    parameters = Parameters()
    results.save(tables.chain(imrs.streams(parameters), parameters), parameters)
    same(home, "synthetic/imrs_streams_claims")


def test_the_direction_of_time_is_rebuilt(home):
    parameters = Parameters()
    result = time_order.build(time_order_plan.table(parameters), parameters, time_order_plan.BLIND)
    results.save(result, parameters)
    same(home, "synthetic/temporal_order")


@pytest.mark.parametrize(("plan", "source"), [(imrs.table4, "weizmann"), (tstam.fusion_weights, "weizmann")])
def test_a_folder_s_table_is_rebuilt_without_the_folder(home, plan, source):
    frame, _ = repro.load_results("small")
    of_folder = frame[frame["data.source"] == source]
    (group,), seeds = set(of_folder["data.group"]), sorted(set(of_folder["seed"]))
    parameters = Parameters(dataset="folder", data_root=source, group=group, seeds=seeds)
    result = tables.build(plan(parameters), parameters)
    results.save(result, parameters)
    same(home, f"folder-{source}/{result.name}")


def test_claims_are_rebuilt(home):
    """All claims of two papers, since p-values are adjusted within a paper: the others are below, among the slow tests."""
    asked = [claim for claim in claims.CLAIMS if claim.paper in ("SMNet", "STDDCN")]
    parameters = Parameters(splits="1,2,3")
    made = claims.result(claims.evaluate(parameters, asked), parameters).lines
    committed = results.read(COMMITTED / "synthetic" / "claims.json").lines
    assert len(made) == len(asked) == 5
    assert list(made) == [line for line in committed if line.cells["claim"] in {claim.statement for claim in asked}]


def test_every_committed_table_names_runs_that_have_records():
    for path in COMMITTED.glob("*/*.json"):
        if path.parent.name in ("records", "maps", "again"):
            continue
        result = results.read(path)
        assert result.name == path.stem
        for line in result.lines:
            missing = [run for run in line.runs if not (COMMITTED / "records" / f"{run}.json.gz").exists()]
            assert not missing, f"{path.name}: {line.cells} names {missing}"
        texts = {each.suffix for each in path.parent.glob(f"{path.stem}.*")}
        assert texts == {".json", ".csv", ".md", ".html", ".tex"}, path.name


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """All of the small profile rebuilt by the command in another process; its output folder, and its data folder."""
    home = tmp_path_factory.mktemp("rebuild")
    code = (
        "import sys; from repro.rebuild import rebuild_all; print(*rebuild_all('small')); "
        "print(*[m for m in ('repro.execute', 'repro.make', 'repro.train', 'papermill') if m in sys.modules])"
    )
    environment = {"PATH": "", "HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment |= {"REPRO_DATA": str(home / "data"), "REPRO_OUT": str(home / "out")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    written, trainers = done.stdout.split("\n")[:2]
    return home, written.split(), trainers


@pytest.mark.slow
def test_everything_is_rebuilt_as_committed(rebuilt):
    home, written, _ = rebuilt
    assert len(written) == len(set(written)) > 30
    for name in written:
        for ending in ("csv", "json", "md", "html", "tex"):
            made, committed = (folder / f"{name}.{ending}" for folder in (home / "out/results/small", COMMITTED))
            assert made.read_bytes() == committed.read_bytes(), made.name
    assert rebuild.different(home / "out", paths.ROOT) == []  # the figures too


@pytest.mark.slow
def test_the_committed_page_is_that_of_the_committed_files(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RUNS", str(tmp_path / "none"))
    monkeypatch.setenv("REPRO_OUT", str(paths.ROOT))
    page = tmp_path / "results" / "index.html"
    page.parent.mkdir()
    page.write_text(report.text("small", paths.ROOT / "results"), encoding="utf-8")
    assert rebuild.different(tmp_path, paths.ROOT) == []


@pytest.mark.slow
def test_every_committed_table_is_rebuilt_but_those_that_measure(rebuilt):
    _, written, _ = rebuilt
    committed = {f"{p.parent.name}/{p.stem}" for p in COMMITTED.glob("*/*.csv")}
    assert {name for name in committed - set(written) if name.split("/")[1] not in rebuild.MEASURED} == set()
    assert set(written) <= committed


@pytest.mark.slow
def test_rebuilding_trains_and_decodes_nothing(rebuilt):
    home, _, trainers = rebuilt
    assert trainers == ""
    assert not (home / "data").exists()
    assert {path.name for path in (home / "out" / "results" / "small").iterdir()} == {
        path.name for path in COMMITTED.iterdir() if path.name not in ("records", "maps", "again")
    }  # fmt: skip


@pytest.mark.slow
def test_rebuilding_draws_a_figure_for_every_table_of_runs(rebuilt):
    home, written, _ = rebuilt
    drawn = {f"{path.parent.name}/{path.stem}" for path in (home / "out" / "figures" / "small").glob("*/*.png")}
    # numbers alone
    without = "tstam_comparison", "family2d", "imrs_efficiency", "cost_claims", "time_reversal", "power", "run_times"
    wanted = {name for name in written if not name.endswith("_claims") and name.split("/")[1] not in without}
    assert drawn == wanted


def test_a_damaged_committed_figure_differs_and_is_named(tmp_path, capsys):
    for where in ("made", "committed"):
        (tmp_path / where).mkdir()
        for name in ("a.png", "b.png"):
            Image.new("RGB", (3, 2)).save(tmp_path / where / name)
    (tmp_path / "committed" / "a.png").write_bytes(b"RIFF")
    assert rebuild.different(tmp_path / "made", tmp_path / "committed") == ["a.png"]
    assert "a.png: not a figure of ours" in capsys.readouterr().err


def test_a_table_without_all_its_records_is_not_rebuilt(home, monkeypatch, tmp_path):
    """Of a profile with one record no table of runs is written; of one without any, nothing."""
    monkeypatch.setattr(paths, "ROOT", tmp_path / "clone")
    run = imrs.single(Parameters(), 1, 0)
    target = paths.ROOT / "results" / "small" / "records" / f"{run.id}.json.gz"
    target.parent.mkdir(parents=True)
    target.write_bytes((COMMITTED / "records" / f"{run.id}.json.gz").read_bytes())
    monkeypatch.setattr(rebuild, "_across", lambda parameters: [])  # counts networks, which takes seconds
    assert rebuild.rebuild_all("small") == []
    assert rebuild.rebuild_all("gpu") == []


def test_a_single_run_on_a_folder_of_ones_own_writes_no_table(home, recorded):
    parameters = Parameters(dataset="folder", data_root="mine", seeds=0)
    recorded(systems.run_of("tsm", parameters, 1, 0), [[1.0, 0.0], [0.0, 1.0]], [0, 1], ["a", "b"])
    assert rebuild.rebuild(parameters) == []
    assert not (home / "out").exists()
