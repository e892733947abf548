"""Runs made again: which ones, the spread of their seeds, and the files that list them."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from repro import records
from repro.again import choose, compare
from repro.config import CrossEntropy, Data, Distillation, Model, Optimisation, Run, content
from repro.errors import ReproError
from repro.papers import imrs, systems
from repro.parameters import Parameters
from repro.records import Record

LAST = Optimisation(schedule="onecycle", select="last")
MACHINE = {"processor": "P", "instruction_set": "AVX2", "extensions": "", "threads": 1, "device": "cpu x1"}


def run(seed=0, name="resnext3d", modality="rgb", **data) -> Run:
    return Run("small", seed, Data("synthetic", "small", modality=modality, **data), Model(name), CrossEntropy(), LAST)


def student(seed=0, teacher=0) -> Run:
    taught = dataclasses.replace(run(seed), objective=Distillation(), teacher=run(teacher, modality="flow"))
    return taught


def record(of: Run, top1=0.5, **given) -> Record:
    plain = {
        "history": [], "metrics": {"video_top1": top1}, "scores": np.zeros((1, 2), np.float16), "labels": [0], "clips": ["c"],
        "classes": ["a", "b"], "catalog": "", "excluded": [], "start": "",
        "provenance": {"machine": MACHINE, "date": "2030-01-02T03:04:05+00:00", "git": {"commit": "c"}, "seconds": 1.0},
        **given,
    }  # fmt: skip
    return Record(id=of.id, config=content(of), **plain)


def recorded(*made: Record) -> dict[str, Record]:
    return {each.id: each for each in made}


# the interval


def test_the_interval_is_the_textbook_s():
    """S = 4: mean 0.5, sd 0.1; t of 3 degrees of freedom is 3.1824 at 97.5 %: +- 3.1824 * 0.1 * sqrt(1.25)."""
    low, high = compare.interval([0.5 - 0.1 * np.sqrt(1.5), 0.5, 0.5, 0.5 + 0.1 * np.sqrt(1.5)])
    assert low == pytest.approx(0.5 - 0.35581, abs=1e-5)
    assert high == pytest.approx(0.5 + 0.35581, abs=1e-5)


def test_fewer_than_three_seeds_have_no_spread():
    assert compare.interval([0.4, 0.6]) is None
    assert compare.interval([]) is None


def test_seeds_that_agree_have_an_interval_that_holds_their_value_and_no_other():
    third = 1 / 3
    low, high = compare.interval([third, third, third])
    assert low < third < high
    assert not low <= third + 1 / 1152 <= high


@pytest.mark.parametrize(("seeds", "level"), [(3, 0.95), (9, 0.95), (9, 0.9958)])
def test_the_interval_holds_one_more_seed_as_often_as_it_says(seeds, level):
    draws = np.random.default_rng(0).normal(0.8, 0.05, (4000, seeds + 1))
    ends = [compare.interval(each[1:], level) for each in draws]
    missed = np.mean([not low <= each[0] <= high for (low, high), each in zip(ends, draws, strict=True)])
    assert abs(missed - (1 - level)) < 4 * np.sqrt(level * (1 - level) / 4000)


def test_the_other_seeds_are_those_of_the_same_configuration():
    same = [record(student(seed, teacher=seed + 5), 0.1 * seed) for seed in range(4)]
    elsewhere = [record(run(7)), record(run(8, frames=8)), record(dataclasses.replace(student(9), profile="gpu"))]
    split = dataclasses.replace(run(3, modality="flow"), data=Data("synthetic", "small", split=2, modality="flow"))
    assert compare.others(same[0], recorded(*same, *elsewhere, record(split))) == pytest.approx([0.1, 0.2, 0.3])


# what is said of a run made again


def seeds_of(values, of=run) -> list[Record]:
    return [record(of(seed), value) for seed, value in enumerate(values)]


def judged(top1: float, values=(0.8, 0.79, 0.8, 0.81)) -> compare.Again:
    before = seeds_of(values)
    made = dataclasses.replace(before[0], metrics={"video_top1": top1})
    (found,) = compare.compare([made], recorded(*before), {})
    return found


def test_a_run_within_the_spread_and_one_outside():
    inside, outside = judged(0.805), judged(0.5)
    assert (inside.within, inside.outside, inside.equal, inside.seeds) == (True, False, False, 3)
    assert (outside.within, outside.outside) == (False, True)
    assert (outside.committed, outside.again) == (0.8, 0.5)
    assert compare.outside([inside]) == ""
    assert compare.outside([inside, outside]) == f"1 of 2 outside the spread of their seeds: {outside.run}."


def test_a_run_equal_to_the_bit_agrees_though_its_seed_is_an_outlier():
    found = judged(0.2, (0.2, 0.79, 0.8, 0.81))
    assert (found.equal, found.within, found.outside) == (True, False, False)


def test_without_a_spread_nothing_is_outside():
    found = judged(0.1, (0.8, 0.8, 0.8))
    assert (found.interval, found.within, found.outside, found.seeds) == (None, None, False, 2)
    assert compare.cells(found)["interval"] == "no spread to compare with"


def test_the_intervals_of_one_command_hold_together():
    before = [*seeds_of((0.8, 0.79, 0.8, 0.81)), *seeds_of((0.5, 0.6, 0.7), lambda seed: run(seed, "tsm"))]
    found = compare.compare(before, recorded(*before), {before[0].id: "imrs_table3:CE"})
    assert {each.level for each in found} == {1 - 0.05 / 4}  # three of the seven have no spread
    alone = judged(0.8)
    assert found[0].interval[1] > alone.interval[1]
    assert alone.level == 0.95
    assert [each.row for each in found[:2]] == ["imrs_table3:CE", ""]
    assert compare.summary(found) == (
        "7 runs made again: 7 equal to the committed record to the bit; 4 of 4 within the spread of their seeds; "
        "3 without a spread to compare with (fewer than 3 other seeds)."
    )


def test_other_clips_are_another_measurement():
    before = record(run())
    with pytest.raises(ReproError, match=r"made again on other clips \(here\) than its committed record \(there\)"):
        compare.compare(
            [dataclasses.replace(before, catalog="here")],
            recorded(dataclasses.replace(before, catalog="there")),
            {},
        )


# the files


def test_a_file_per_processor_and_date_has_one_line_per_run(tmp_path):
    first, second = judged(0.8), dataclasses.replace(judged(0.805), run="b" * 12)
    other = dataclasses.replace(first, processor_again="Q 9 (AVX2)", date="2030-02-01")
    paths = compare.add([first, second, other], tmp_path)
    assert [path.name for path in paths] == ["p-avx2-1-thread-2030-01-02.json", "q-9-avx2-2030-02-01.json"]
    assert compare.read(paths[0]) == [first, second]
    assert len(paths[0].read_text().splitlines()) == 4
    assert [each["run"] for each in json.loads(paths[0].read_text())] == [first.run, "b" * 12]
    changed = dataclasses.replace(first, again=0.1)
    third = dataclasses.replace(first, run="c" * 12)
    compare.add([changed, third], tmp_path)
    assert compare.read(paths[0]) == [changed, second, third]
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # nothing half-written


@pytest.mark.parametrize("text", ["", "{}", "[{}]", '[{"run": 3}]'])
def test_a_foreign_file_is_one_error(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ReproError, match=r"a\.json: not a list of runs made again .*delete it"):
        compare.read(tmp_path / "a.json")


# which runs


def test_an_id_or_its_beginning_names_a_run():
    known = {id: record(run()) for id in ("abc1", "abd2", "b3")}
    assert choose.named("b", known, "small") == ["b3"]
    assert choose.named("abc1", known, "small") == ["abc1"]
    with pytest.raises(ReproError, match=r"'ab' begins the ids of 2 committed runs \(abc1, abd2\): give more of it"):
        choose.named("ab", known, "small")
    with pytest.raises(
        ReproError, match="'zz' is neither the beginning of a committed run's id nor the row of a table"
    ):
        choose.named("zz", known, "small")


def test_a_row_names_all_its_recorded_seeds(home):
    table = imrs.table3(Parameters())
    (row,) = (row for row in table.rows if row.label == "CE")
    ids = [each.id for each in row.runs]
    known = recorded(*map(record, row.runs))
    assert choose.named("imrs_table3:CE", known, "small") == ids
    del known[ids[1]]
    assert choose.named("imrs_table3:CE", known, "small") == [ids[0], *ids[2:]]
    assert choose.named("tstam_fusion:1 : 3", records.committed("small"), "small")  # a label with a colon


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imrs_tabel3:CE", "unknown table 'imrs_tabel3'; did you mean 'imrs_table3'"),
        ("imrs_table3:CEE", r"unknown row of imrs_table3 'CEE'; did you mean 'CE'\? \(known: plain, SE, CE\)"),
        ("imrs_table3", r"unknown row of imrs_table3 '' \(known: plain, SE, CE\)"),
        ("imrs_table3:SE", "no run of 'imrs_table3:SE' has a committed record in profile 'small'"),
    ],
)
def test_a_wrong_row_lists_the_right_ones(text, words):
    with pytest.raises(ReproError, match=words):
        choose.named(text, {}, "small")


def pool() -> dict[str, Record]:
    networks = [(name, modality) for name in ("resnext3d", "tsm", "stme") for modality in ("rgb", "flow")]
    folder = dataclasses.replace(run(), data=Data("folder", "mine", group="(?P<group>x)"))
    made = [record(run(seed, *each)) for each in networks for seed in range(4)]
    return recorded(*made, *[record(student(seed)) for seed in range(4)], record(folder))


def systems_of(ids, known) -> Counter:
    return Counter(choose.system(known[id]) for id in ids)


def test_a_sample_has_each_system_before_any_twice():
    known = pool()
    assert set(systems_of(choose.sample(7, 0, known), known).values()) == {1}
    assert len(systems_of(choose.sample(7, 0, known), known)) == 7
    assert set(systems_of(choose.sample(3, 0, known), known).values()) == {1}
    more = choose.sample(20, 0, known)
    assert len(set(more)) == 20
    assert len(systems_of(more, known)) == 7


def test_a_sample_depends_on_its_seed_alone():
    known = pool()
    backwards = dict(reversed(known.items()))
    assert choose.sample(9, 1, known) == choose.sample(9, 1, backwards)
    assert len({tuple(choose.sample(9, seed, known)) for seed in range(5)}) == 5


def test_a_sample_has_runs_on_a_folder_only_where_it_is_given():
    known = pool()
    (on_folder,) = (id for id, each in known.items() if each.config["data"]["dataset"] == "folder")
    assert on_folder not in choose.sample(28, 0, known)
    with pytest.raises(
        ReproError, match="sample is 29, but must be from 1 to 28, the committed runs that can be made again"
    ):
        choose.sample(29, 0, known)
    assert on_folder in choose.sample(29, 0, known, "/somewhere/mine")
    with pytest.raises(ReproError, match=rf"run {on_folder} was made on the folder 'mine': name it, --data-root"):
        choose.require_folders([known[on_folder]], "/somewhere/other")
    choose.require_folders([known[on_folder]], "/somewhere/mine")


# one run of each system


def test_each_system_has_a_run_of_its_lowest_recorded_seed():
    parameters = Parameters(seeds=(3, 1, 2), splits=(2, 1))
    planned = [each for plan, _ in systems.SYSTEMS.values() for each in plan(parameters).runs()]
    known = {each.id for each in planned if each.seed != 1}
    found = systems.one_run_each(parameters, known)
    assert list(found) == list(systems.SYSTEMS)
    assert {(each.seed, each.data.split) for each in found.values()} == {(2, 1)}
    assert len({each.id for each in found.values()}) == len(systems.SYSTEMS) == 12
    assert {each.model.name for each in found.values()} == {
        "resnext3d", "tsn", "tstam", "tsm", "smnet", "stme", "stmsa", "stddcn"
    }  # fmt: skip
    assert set(systems.one_run_each(parameters, ()).values()) == {None}


def test_every_system_has_a_committed_run():
    assert None not in systems.one_run_each(Parameters(), records.committed("small")).values()
