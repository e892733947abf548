"""One damaged file costs itself: commands name it, do all the rest, and end with exit code 1."""

import shutil
import sys

import pytest

import repro
from repro import __main__, damaged, paths, rebuild, records, rerun, verify
from repro.errors import ReproError
from repro.evidence import results
from repro.maps import measurements
from repro.papers import imrs, tstam
from repro.papers.table import with_needs
from repro.parameters import Parameters

COMMITTED = paths.ROOT / "results" / "small"


@pytest.fixture
def clone(home, monkeypatch):
    """A clone with the records of two tables, of which one of the first is cut; the cut file."""
    monkeypatch.setattr(paths, "ROOT", home / "clone")
    folder = paths.ROOT / "results" / "small" / "records"
    folder.mkdir(parents=True)
    for plan in (imrs.table3, tstam.fusion_weights):
        for run in with_needs(plan(Parameters()).runs()):
            shutil.copy(COMMITTED / "records" / f"{run.id}.json.gz", folder)
    cut = folder / f"{imrs.table3(Parameters()).runs()[0].id}.json.gz"
    cut.write_bytes(cut.read_bytes()[:-1000])
    return cut


def command(monkeypatch, *arguments: str) -> str | int | None:
    monkeypatch.setattr(sys, "argv", ["repro", *arguments])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    return end.value.code


def said(capsys, file) -> str:
    """What was printed, once it is clear that the file was named, and nothing else."""
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    assert errors[0].startswith(f"error: {file}: not a ")
    assert "; delete it" in errors[0]
    return out


COUNTED = "error: 1 file could not be read, see above; all that does not need them is done"


def test_list_needs_no_record_and_names_its_own_table(clone, monkeypatch, capsys):
    kept = clone.parents[1] / "synthetic" / "run_times.csv"
    kept.parent.mkdir()
    shutil.copy(COMMITTED / "synthetic" / "run_times.csv", kept)
    monkeypatch.setattr(sys, "argv", ["repro", "list"])
    __main__.main()
    assert capsys.readouterr().out.splitlines()[-1].startswith("reproduce --fresh")
    for content in (b"other,columns\n1,2\n", b"\xff\xfe", kept.read_bytes()[:200]):
        kept.write_bytes(content)
        assert str(command(monkeypatch, "list")).startswith(f"error: {kept}: not a table that repro wrote")
    kept.unlink()
    assert str(kept) in str(command(monkeypatch, "list"))


def test_rebuild_writes_all_tables_that_do_not_need_it(clone, monkeypatch, capsys, home):
    monkeypatch.setattr(rebuild, "_across", lambda parameters: [])  # counts networks, which takes seconds
    monkeypatch.setattr("repro.report.write", lambda profile: home / "page")
    assert command(monkeypatch, "rebuild") == COUNTED
    assert said(capsys, clone).startswith("1 tables in ")
    written = {path.stem for path in (home / "out" / "results" / "small" / "synthetic").glob("*.json")}
    assert written == {tstam.fusion_weights(Parameters()).name}


def test_reproduce_compares_the_rest(clone, monkeypatch, capsys):
    monkeypatch.setattr(rebuild, "differences", lambda profile: (9, []))
    monkeypatch.setattr(verify.systems, "one_run_each", lambda parameters, recorded: {})
    monkeypatch.setattr(verify, "rerun", lambda ids, recorded, profile, jobs: ([], []))
    assert command(monkeypatch, "reproduce") == COUNTED
    assert "9 files rebuilt" in said(capsys, clone)


def test_load_results_gives_the_others(clone, capsys):
    frame, scores = repro.load_results()
    there = set(clone.parent.glob("*.json.gz")) - {clone}
    assert set(frame.index) == set(scores) == {path.name.removesuffix(".json.gz") for path in there}
    said(capsys, clone)


def test_a_run_whose_record_is_damaged_is_not_made(clone, capsys):
    run = imrs.table3(Parameters()).runs()[0]
    assert records.find(run) is None
    said(capsys, clone)
    with pytest.raises(ReproError, match=rf"run {run.id} .* has no record here; execute it first"):
        records.get(run)


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"id": []}'])
def test_a_damaged_measurement_is_named_and_looked_for_elsewhere(home, monkeypatch, capsys, text):
    file = next((COMMITTED / "maps").glob("*.json"))
    found = measurements.read(file)
    runs = [records.run_of(records.read(COMMITTED / "records" / f"{run}.json.gz").config) for run in found.runs]
    here = measurements.path_here(found.id)
    here.parent.mkdir(parents=True)
    here.write_text(text)
    assert measurements.find(runs, found.map, found.step).id == found.id
    said(capsys, here)
    assert measurements.find(runs, found.map, found.step, fresh=True) is None


def test_a_measurement_of_other_shapes_is_one_error(tmp_path):
    found = measurements.read(next((COMMITTED / "maps").glob("*.json")))
    for change in ({"share": found.trained.share[:, :3]}, {"share": found.trained.share + 1}):
        path = tmp_path / f"{found.id}.json"
        trained = measurements.Measured(**{**vars(found.trained), **change})
        measurements.write(measurements.Overlap(found.runs, found.map, found.step, trained, found.untrained, {}), path)
        with pytest.raises(ReproError, match=r"not a measurement of maps \((not the four|shares above 1)"):
            measurements.read(path)


def test_a_damaged_table_in_the_output_folder_does_not_hide_the_project_s(home, monkeypatch, capsys):
    file = home / "out" / "results" / "small" / "synthetic" / "imrs_table3.json"
    file.parent.mkdir(parents=True)
    for text in ("[" * 100_000, "{}", ""):
        damaged.named.clear()
        file.write_text(text)
        assert results.committed("imrs_table3", Parameters()).name == "imrs_table3"
        said(capsys, file)


def test_the_record_of_a_run_made_again_replaces_a_damaged_copy(clone, home, monkeypatch, capsys):
    """Beside the tables, where a run's record is copied."""
    monkeypatch.setenv("REPRO_OUT", str(paths.ROOT))
    run = imrs.table3(Parameters()).runs()[0]
    whole = records.read(COMMITTED / "records" / f"{run.id}.json.gz")
    records.write(whole, records.path_here(run.id))
    results.save(results.Result("t", "imrs", "T.", "", "synthetic", "n", "c", ()), Parameters(), [run])
    assert records.equal(records.read(clone), whole)
    said(capsys, clone)


def test_nothing_is_compared_with_a_damaged_record(clone, monkeypatch, capsys):
    monkeypatch.setattr(rerun, "rerun", None)
    assert "is neither the beginning of a committed run's id" in command(monkeypatch, "rerun", clone.stem)
    said(capsys, clone)
