"""Committed runs made again, for real, on a miniature; and what `rerun` and `reproduce` say and return."""

import dataclasses
import shutil
import sys

import finished
import numpy as np
import pytest
import tiny
from PIL import Image

from repro import __main__, execute, paths, rebuild, records, reproduce, rerun, verify
from repro.again import compare
from repro.errors import ReproError
from repro.papers import systems


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A home with the tiny set, and a clone that has the records of four seeds of a tiny network."""
    home = tmp_path_factory.mktemp("rerun")
    with pytest.MonkeyPatch.context() as patch:
        data = tiny.stored(home, patch)
        runs = [short(tiny.run(data, seed)) for seed in range(4)]
        for record in execute.execute(runs, jobs=1, device="cpu"):
            records.write(record, home / "clone" / "results" / "smoke" / "records" / f"{record.id}.json.gz")
        shutil.rmtree(paths.runs())
        yield home, runs


def short(run):
    return dataclasses.replace(run, optimisation=dataclasses.replace(run.optimisation, epochs=1, batch=6))


@pytest.fixture
def clone(stored, tmp_path, monkeypatch):
    """The clone for one test, its data folder without any run, and its runs."""
    home, runs = stored
    for name in ("clone", "data"):
        shutil.copytree(home / name, tmp_path / name)
    monkeypatch.setattr(paths, "ROOT", tmp_path / "clone")
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPRO_OUT", str(tmp_path / "out"))
    monkeypatch.delenv("REPRO_RUNS", raising=False)
    return tmp_path, runs


def tree(folder) -> dict:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def command(monkeypatch, *arguments) -> str | int | None:
    """The exit code of a command, or the message that gives 1; None is 0."""
    monkeypatch.setattr(sys, "argv", ["repro", *arguments])
    try:
        __main__.main()
    except SystemExit as end:
        return end.code
    return None


def change_record(run, **changes) -> None:
    path = records.path_committed("smoke", run.id)
    records.write(dataclasses.replace(records.read(path), **changes), path)


def move_away(runs) -> None:
    """Changes the committed top-1 of the first run, and that of the others to one value that making it again cannot give."""
    before = [records.read(records.path_committed("smoke", run.id)) for run in runs]
    far = before[0].metrics["video_top1"] < 0.5
    for run, record, right in zip(runs, before, [not far] + [far] * len(runs[1:]), strict=True):
        answers = np.array(record.labels) if right else 1 - np.array(record.labels)
        changed = finished.record(run, np.eye(2)[answers], record.labels, record.classes)
        change_record(run, scores=changed.scores, metrics=changed.metrics)


def test_a_run_made_again_is_equal_to_the_bit_and_nothing_else_changes(clone):
    home, runs = clone
    before = tree(home / "clone")
    recorded = records.committed("smoke")
    found, failed = rerun.rerun([runs[0].id, runs[1].id], recorded, "smoke", jobs=1)
    assert failed == []
    assert [(each.run, each.equal, each.seeds, each.outside) for each in found] == [
        (run.id, True, 3, False) for run in runs[:2]
    ]
    assert found[0].processor_again == found[0].processor_committed  # this machine made both
    assert tree(home / "clone") == before
    assert not (home / "out").exists()
    assert not paths.runs().exists()
    assert paths.runs() == home / "data" / "runs"  # moved for the time being only
    (listed,) = (home / "data" / "again" / "smoke").glob("*.json")
    assert compare.read(listed) == found


def test_what_is_finished_is_not_made_again(clone, capsys):
    home, runs = clone
    recorded = records.committed("smoke")
    rerun.rerun([runs[0].id], recorded, "smoke", jobs=1)
    assert "1 runs to make again, teachers included" in capsys.readouterr().err
    (made,) = (home / "data" / "again" / "runs").glob("*/record.json")
    before = made.stat().st_mtime_ns
    found, _ = rerun.rerun([runs[0].id, runs[1].id], recorded, "smoke", jobs=1)
    assert "1 runs to make again, teachers included" in (said := capsys.readouterr().err)
    assert "1 were made before" in said
    assert len(found) == 2
    assert made.stat().st_mtime_ns == before
    rerun.rerun([runs[0].id, runs[1].id], recorded, "smoke", jobs=1)
    assert "all 2 runs were made again before" in capsys.readouterr().err


def test_the_estimate_is_that_of_the_records(clone, monkeypatch, capsys):
    _, runs = clone
    for run in runs[:3]:
        change_record(
            run, provenance=records.read(records.path_committed("smoke", run.id)).provenance | {"seconds": 100.0}
        )
    monkeypatch.setattr(execute, "execute", lambda *given, **more: [])
    rerun.rerun([run.id for run in runs[:3]], records.committed("smoke"), "smoke", jobs=2)
    assert "about 3 minutes by the committed records" in capsys.readouterr().err  # 300 s, two at a time


def test_the_command_returns_0_where_all_agree_and_1_where_one_does_not(clone, monkeypatch, capsys):
    home, runs = clone
    assert command(monkeypatch, "rerun", runs[0].id[:10], "--profile", "smoke", "--jobs", "1") is None
    said = capsys.readouterr().out
    assert "1 run made again: 1 equal to the committed record to the bit; 1 of 1 within the spread" in said
    assert runs[0].id in said
    move_away(runs)
    assert command(monkeypatch, "rerun", runs[0].id, "--profile", "smoke") == (
        f"error: 1 of 1 outside the spread of their seeds: {runs[0].id}."
    )
    assert "outside" in capsys.readouterr().out
    assert command(monkeypatch, "rerun", "--sample", "2", "--profile", "smoke", "--jobs", "1", "--record") is None
    (kept,) = (home / "out" / "results" / "smoke" / "again").glob("*.json")
    assert len(compare.read(kept)) == 2


def test_a_run_that_fails_is_named_and_the_others_are_compared(clone, monkeypatch, capsys):
    _, runs = clone

    def fails(given, *rest, **more):
        execute_one(given[1:], *rest, **more)
        raise ReproError(f"1 runs failed, the others are recorded: run {given[0].id}: no memory")

    execute_one = execute.execute
    monkeypatch.setattr(execute, "execute", fails)
    end = command(monkeypatch, "rerun", runs[0].id, runs[1].id, "--profile", "smoke", "--jobs", "1")
    assert end == f"error: 1 runs failed, the others are recorded: run {runs[0].id}: no memory"
    assert "1 run made again: 1 equal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name runs or rows of tables, or give --sample with a number"),
        (("abc", "--sample", "3"), "one of the two"),
        (("abc", "--profile", "gpu"), "profile 'gpu' has no committed records to compare with"),
        (("zz", "--profile", "smoke"), "'zz' is neither the beginning of a committed run's id"),
        (("--sample", "9", "--profile", "smoke"), "sample is 9, but must be from 1 to 4"),
    ],
)
def test_a_wrong_command_is_one_error(clone, monkeypatch, arguments, words):
    assert words in command(monkeypatch, "rerun", *arguments)


def test_a_record_of_another_version_s_configuration_is_one_error(clone):
    _, runs = clone
    recorded = records.committed("smoke")
    old = dataclasses.replace(recorded[runs[0].id], id="0" * 12)
    with pytest.raises(ReproError, match=f"run {old.id} cannot be made again: .* its id is {runs[0].id}"):
        rerun.rerun([old.id], {old.id: old}, "smoke", jobs=1)


# reproduce


@pytest.fixture
def verified(clone, monkeypatch):
    """The clone, where two of its runs stand for the systems, and a rebuild takes no time and finds what `different` holds."""
    _, runs = clone
    different: list[str] = []
    monkeypatch.setattr(rebuild, "differences", lambda profile: (9, different))
    monkeypatch.setattr(systems, "one_run_each", lambda parameters, recorded: {"one": runs[0], "two": runs[1]})
    return runs, different


def test_reproduce_compares_files_and_runs(verified, monkeypatch, capsys):
    assert command(monkeypatch, "reproduce", "--profile", "smoke", "--jobs", "1") is None
    said = capsys.readouterr().out
    assert "9 files rebuilt from the committed records, 0 differ from the committed ones" in said
    assert "2 runs made again: 2 equal to the committed record to the bit" in said
    assert "done in 0." in said


def test_reproduce_fails_for_a_file_that_differs_and_a_run_outside(verified, monkeypatch, capsys):
    runs, different = verified
    different.append("results/smoke/a.csv")
    move_away(runs)
    end = command(monkeypatch, "reproduce", "--profile", "smoke", "--jobs", "1")
    assert "results/smoke/a.csv differs; " in end
    assert f"run {runs[0].id} is outside the spread of its seeds" in end
    assert "2 runs made again: 0 equal" in capsys.readouterr().out


def test_reproduce_names_a_system_without_a_run(verified, monkeypatch):
    runs, _ = verified
    monkeypatch.setattr(systems, "one_run_each", lambda parameters, recorded: {"one": runs[0], "TSM": None})
    with pytest.raises(ReproError, match="1 things are not as committed: TSM has no committed run"):
        verify.verify("smoke", 1)


@pytest.mark.parametrize(
    ("arguments", "makes"),
    [(("--profile", "smoke"), False), (("--profile", "smoke", "--fresh"), True), (("--profile", "gpu"), True),
     (("--profile", "smoke", "--only", "streams"), True)],
)  # fmt: skip
def test_fresh_only_and_a_profile_without_records_make_the_runs(clone, monkeypatch, arguments, makes):
    called = []
    monkeypatch.setattr(reproduce, "reproduce", lambda *given: called.append("makes"))
    monkeypatch.setattr(verify, "verify", lambda *given: called.append("verifies"))
    assert command(monkeypatch, "reproduce", *arguments) is None
    assert called == ["makes" if makes else "verifies"]


# the comparison of rebuilt files


def test_a_rebuilt_profile_is_compared_both_ways(tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    monkeypatch.setattr(paths, "ROOT", clone)
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPRO_OUT", str(tmp_path / "out"))
    names = (
        "synthetic/a.csv",
        "synthetic/a.tex",
        "synthetic/cam_2d.csv",
        "records/b.json.gz",
    )  # the last two are not rebuilt
    for name in names:
        put(clone, f"results/small/{name}", b"1\n")
    put(clone, "results/index.html", b"small page")
    put(tmp_path, "data/rebuilt/results/small/synthetic/old.csv", b"of the last time")
    rebuilt = ["synthetic/a.csv", "synthetic/a.tex"]

    def write(profile):
        assert not paths.runs().exists()  # committed records alone count
        for name in rebuilt:
            put(paths.out(), f"results/{profile}/{name}", b"1\n")

    monkeypatch.setattr(rebuild, "rebuild_all", write)
    monkeypatch.setattr(rebuild.report, "text", lambda profile, folder: f"{profile} page")
    put(tmp_path, "data/runs/x/record.json", b"made on this machine")
    assert rebuild.differences("small") == (3, [])
    rebuilt.remove("synthetic/a.tex")
    rebuilt.append("synthetic/new.csv")
    put(clone, "results/index.html", b"another page")
    assert rebuild.differences("small") == (
        3, ["results/index.html", "results/small/synthetic/new.csv", "results/small/synthetic/a.tex"]
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def put(folder, name, content) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_files_that_differ_are_named(tmp_path):
    made, committed = tmp_path / "made", tmp_path / "committed"
    for folder, page in ((made, b"AAAA"), (committed, b"BB==")):
        put(folder, "results/small/a.csv", b"1,2\n")
        put(folder, "results/index.html", b'<img src="data:image/webp;base64,' + page + b'"><p>same</p>')
        put(folder, "figures/small/f.png", b"")
    for folder, packed in ((made, 1), (committed, 9)):  # the same pixels, other bytes
        Image.linear_gradient("L").save(folder / "figures/small/f.png", compress_level=packed)
    assert (made / "figures/small/f.png").read_bytes() != (committed / "figures/small/f.png").read_bytes()
    assert rebuild.different(made, committed) == []
    put(committed, "results/small/only_committed.csv", b"")
    put(made, "results/small/new.csv", b"")
    put(made, "results/small/a.csv", b"1,3\n")
    put(made, "results/index.html", b'<img src="data:image/webp;base64,AAAA"><p>other</p>')
    image = Image.open(committed / "figures/small/f.png")
    image.putpixel((3, 3), 255)
    image.save(made / "figures/small/f.png")
    assert rebuild.different(made, committed) == [
        "figures/small/f.png", "results/index.html", "results/small/a.csv", "results/small/new.csv",
    ]  # fmt: skip
