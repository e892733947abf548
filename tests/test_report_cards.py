"""The cards of the page, and the lines of the README made from them, on made-up findings."""

import pytest

from repro.errors import ReproError
from repro.evidence.intervals import Gain
from repro.evidence.results import Line, Result
from repro.evidence.statistics import Outcome, Verdict
from repro.papers import TITLES
from repro.report import cards, readme
from repro.report.evidence import Table

SUPPORTED, CONTRADICTED, EQUIVALENT = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.EQUIVALENT
OPEN, BLIND, NOT_RUN = Outcome.NOT_RESOLVED, Outcome.NOT_TESTABLE, Outcome.NOT_RUN
COUNTED = {
    "IMRS": [
        {"model": "IMRS", "parameters": 1234567, "gmacs": 1.5, "input": "rgb, 16x112x112", "match": True},
        {"model": "MARS", "parameters": 8, "gmacs": 2.5, "input": "rgb", "match": False},
        {"model": "flow stream", "parameters": 9, "gmacs": 3.5, "input": "flow", "match": None},
    ],
    "ResNet-50": [
        {"model": "SMNet", "parameters": 7, "gmacs": 0.1, "input": "one frame", "match": None},
        {"model": "SMNet", "parameters": 70, "gmacs": 0.8, "input": "eight frames", "match": None},
    ],
}


def claim(outcome, rests_on="", paper="IMRS", runs=("a",), seeds=3, name="A claim.", gain=None) -> Line:
    gain = gain if gain is not None or outcome is NOT_RUN else Gain(0.01, 0.02, 4.0)
    cells = {"claim": name, "paper": paper, "rests on": rests_on, "tier": "synthetic"}
    return Line(cells, () if outcome is NOT_RUN else tuple(runs), Verdict(outcome, gain, seeds))


def table(lines=(), dataset="synthetic", tier="synthetic", profile="small") -> Table:
    return Table(profile, dataset, Result("claims", "", "Claims.", "", tier, "claims", "command", tuple(lines)))


def card(*lines, name="IMRS", costs=()) -> cards.Card:
    made = cards.cards([(table(), line) for line in lines], COUNTED, costs)
    return next(each for each in made if each.name == name)


def cost(source: str, outcome: Outcome) -> Line:
    return Line({"claim": "It is cheap.", "source": source}, (), Verdict(outcome))


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([SUPPORTED], "of 1 claim of IMRS, 1 is supported and none is contradicted."),
        ([SUPPORTED, SUPPORTED], "of 2 claims of IMRS, 2 are supported and none is contradicted."),
        ([CONTRADICTED], "of 1 claim of IMRS, none is supported and 1 is contradicted."),
        (
            [OPEN, BLIND, CONTRADICTED, EQUIVALENT, BLIND, SUPPORTED, CONTRADICTED, NOT_RUN],
            "of 8 claims of IMRS, 1 is supported, 2 are contradicted, 1 is equivalent, 1 is not resolved, 2 are not testable "
            "here (power under 50 % for the paper's gain) and 1 is not run.",
        ),
        (
            [BLIND],
            "of 1 claim of IMRS, none is supported, none is contradicted and 1 is not testable here "
            "(power under 50 % for the paper's gain).",
        ),
        ([NOT_RUN, NOT_RUN], "no claim of IMRS has been run (2 can be)."),
    ],
)
def test_the_sentence_counts_every_outcome_once(outcomes, words):
    assert cards.sentence("IMRS", ("synthetic",), outcomes) == f"Synthetic tier: {words}"


def test_the_sentence_names_data_and_profile_where_the_tier_does_not():
    where = table(dataset="folder-weizmann", profile="gpu").at("small real")
    said = cards.sentence("IMRS", where, [SUPPORTED])
    assert said.startswith("Small real tier (folder-weizmann, profile gpu): of 1 claim of IMRS")


def test_claims_that_rest_on_one_row_are_one_finding():
    (answer,) = card(
        claim(CONTRADICTED, "student", name="One."), claim(SUPPORTED, name="Two."), claim(OPEN, "student", name="Three."),
        claim(BLIND, "plain", name="Four."), claim(CONTRADICTED, "student", name="Five."), claim(BLIND, "plain", name="Six."),
        claim(OPEN, "lonely", name="Seven."),
    ).answers  # fmt: skip
    assert answer.size == "7 claims in 4 findings"
    assert [[statement for statement, _ in each.claims] for each in answer.findings] == [
        ["One.", "Three.", "Five."], ["Two."], ["Four.", "Six."], ["Seven."],
    ]  # fmt: skip
    assert [str(each) for each in answer.shared] == [
        "3 claims rest on the runs of one row, “student”, and are one finding: 2 contradicted, 1 not resolved.",
        "2 claims rest on the runs of one row, “plain”, and are one finding: 2 not testable here.",
    ]


def test_claims_of_their_own_are_not_called_findings():
    (answer,) = card(claim(OPEN), claim(OPEN, name="Another.")).answers
    assert answer.size == "2 claims"
    assert answer.shared == ()
    (answer,) = card(claim(OPEN)).answers
    assert answer.size == "1 claim"
    (answer,) = card(claim(OPEN, "student"), claim(OPEN, "student")).answers
    assert answer.size == "2 claims in 1 finding"


def test_runs_are_counted_once_and_seeds_as_a_range():
    (answer,) = card(claim(OPEN, runs=("a", "b")), claim(OPEN, runs=("b", "c"))).answers
    assert answer.basis == "3 runs, 3 seeds per row."
    (answer,) = card(claim(OPEN, seeds=10), claim(OPEN, seeds=1), claim(NOT_RUN, seeds=0)).answers
    assert answer.basis == "1 run, 1 to 10 seeds per row."
    (answer,) = card(claim(OPEN, seeds=1)).answers
    assert answer.basis == "1 run, 1 seed per row."
    (answer,) = card(claim(NOT_RUN, seeds=0)).answers
    assert (answer.basis, answer.power) == ("No runs.", "")


def test_the_power_is_that_of_the_claims_that_cannot_be_tested():
    narrow, wide = Gain(0.0, 0.001, 9.0), Gain(0.0, 0.02, 9.0)
    (answer,) = card(claim(BLIND, gain=wide), claim(OPEN, gain=Gain(0.0, 0.1, 9.0)), claim(BLIND, gain=narrow)).answers
    ends = [Verdict(BLIND, gain).smallest_gain_text for gain in (narrow, wide)]
    assert ends[0] != ends[1]
    assert answer.power == f"Power of 80 % for a claim not testable here takes a gain of {' to '.join(ends)} points."
    (answer,) = card(claim(BLIND, gain=wide), claim(BLIND, gain=wide)).answers
    assert answer.power.endswith(f"takes a gain of {ends[1]} points.")
    assert card(claim(OPEN)).answers[0].power == ""


def test_every_paper_has_a_card_with_claims_or_without():
    made = cards.cards([(table(), claim(OPEN, paper="T-STAM"))], COUNTED, ())
    assert [each.name for each in made] == [name for key, (name, _) in TITLES.items() if key]
    assert [each.name for each in made if each.answers] == ["T-STAM"]
    assert cards.cards([], {}, ())[0].exact == "Exact tier: no printed cost is known."


def test_tiers_data_and_profiles_are_counted_apart():
    judged = [
        (table(), claim(SUPPORTED)),
        (table(dataset="folder-a", tier="small real"), Line({"claim": "x", "paper": "IMRS"}, ("r",), Verdict(OPEN, seeds=2))),
        (table(profile="gpu"), claim(CONTRADICTED)),
        (table(), claim(CONTRADICTED)),
    ]  # fmt: skip
    made = cards.cards(judged, COUNTED, ())[0]
    assert [answer.where for answer in made.answers] == [
        ("synthetic",), ("small real", "folder-a"), ("synthetic", "profile gpu"),
    ]  # fmt: skip
    assert [sum(len(finding.claims) for finding in answer.findings) for answer in made.answers] == [2, 1, 1]


def test_the_exact_line_is_of_the_whole_system_of_the_paper():
    imrs = card(costs=[cost("IMRS, section 4", Outcome.HOLDS), cost("IMRS, section 5", Outcome.FAILS)])
    assert imrs.exact == (
        "Exact tier: 1,234,567 parameters, 1.5 G multiply-adds (rgb, 16x112x112); 1 of 2 printed rows of cost reproduced; "
        "1 of 2 claims on cost holds."
    )
    smnet = card(name="SMNet", costs=[cost("SMNet, abstract", Outcome.HOLDS), cost("SMNet", Outcome.HOLDS)])
    assert smnet.exact == (
        "Exact tier: 70 parameters, 0.8 G multiply-adds (eight frames); no printed cost is known; 2 of 2 claims on cost hold."
    )
    assert "claim" not in card(costs=[cost("SMNet, abstract", Outcome.HOLDS)]).exact
    assert "0 of 1 claim on cost hold." in card(costs=[cost("IMRS", Outcome.FAILS)]).exact


def test_a_tally_is_silent_on_rows_that_nobody_claims_anything_of():
    outcomes = [OPEN, Outcome.REFERENCE, SUPPORTED, Outcome.UNCLAIMED, OPEN]
    assert cards.tally(outcomes) == "1 supported, 2 not resolved"
    assert cards.tally([Outcome.REFERENCE]) == ""


def test_the_readme_gets_one_line_per_paper_between_its_markers(tmp_path):
    made = cards.cards([(table(), claim(SUPPORTED))], COUNTED, ())
    file = tmp_path / "README.md"
    file.write_text(f"before\n\n{readme.START}\nstale\n{readme.END}\n\nafter\n")
    readme.write(made, file)
    first = file.read_text()
    readme.write(made, file)
    assert file.read_text() == first
    before, *lines, after = first.split("\n\n")[1].splitlines()
    assert first.startswith("before\n\n")
    assert first.endswith("\n\nafter\n")
    assert (before, after) == (readme.START, readme.END)
    assert len(lines) == len(made)
    assert lines[0] == f"- **IMRS.** {made[0].answers[0].sentence} {made[0].exact}"
    assert lines[1].startswith("- **T-STAM.** No claim has been tested here yet. Exact tier:")


@pytest.mark.parametrize("text", ["", readme.START, f"{readme.END}\n{readme.START}"])
def test_a_readme_without_its_markers_is_one_error_and_stays(tmp_path, text):
    file = tmp_path / "README.md"
    file.write_text(text)
    with pytest.raises(ReproError, match=r"README\.md: without the lines .*put them where the results belong"):
        readme.write([], file)
    assert file.read_text() == text


def test_a_readme_that_is_not_utf_8_is_one_error_and_stays(tmp_path):
    file = tmp_path / "README.md"
    file.write_bytes(b"caf\xe9")
    with pytest.raises(ReproError, match=r"README\.md: not UTF-8 "):
        readme.write([], file)
    assert file.read_bytes() == b"caf\xe9"
