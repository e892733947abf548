"""What README.md and docs/ show is what the repository holds."""

import csv
import importlib
import json
import os
import re
import statistics

import pytest

from repro import paths, records, report
from repro.config import EMBEDDED
from repro.errors import ReproError
from repro.evidence.statistics import DECIDED, Outcome
from repro.models import MODELS
from repro.models.tools.cost import published_models
from repro.papers import controls, imrs
from repro.papers.systems import SYSTEMS
from repro.parameters import Parameters
from repro.report import docs, readme
from repro.report import page as drawn

PAGES = {
    path.name: path.read_text(encoding="utf-8") for path in (paths.ROOT / "README.md", *paths.ROOT.glob("docs/*.md"))
}
RESULTS = paths.ROOT / "results" / "small"
BENCHMARKS = paths.ROOT / "results" / "benchmarks"
WARNED = ("results.md", "evidence.md", "README.md")  # pages that say first what the numbers rest on


def tables(page: str, heading: str = "") -> list[list[list[str]]]:
    """The Markdown tables of a page, or of its section under a heading: lists of rows, rows of cells, the header first."""
    text = PAGES[page]
    if heading:
        text = re.split(r"\n##+ ", text.split(f"# {heading}\n", 1)[1])[0]
    found = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    cells = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in each.splitlines()] for each in found]
    return [[[cell.strip() for cell in row] for i, row in enumerate(each) if i != 1] for each in cells]


def read(file) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def load(name: str) -> dict:
    return json.loads((BENCHMARKS / f"{name}.json").read_text())


def test_tables_of_docs_are_those_of_results(tmp_path):
    for file in sorted((paths.ROOT / "docs").glob("*.md")):
        copy = tmp_path / file.name
        copy.write_text(PAGES[file.name], encoding="utf-8")
        docs.write(copy, paths.ROOT)
        assert copy.read_text(encoding="utf-8") == PAGES[file.name], "report writes these tables"


def test_rows_of_a_table_in_docs_come_from_its_file(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "t.csv").write_text('row,ours,more\na|b,1.5,x\n"c, d",< 2,y\n')
    page = tmp_path / "page.md"
    page.write_text("Words.\n\n<!-- rows of results/t.csv -->\n\n| ours | row |\n|---|---|\n| old | old |\n\nMore.\n")
    docs.write(page, tmp_path)
    shown = "| ours | row |\n|---|---|\n| 1.5 | a\\|b |\n| < 2 | c, d |\n"
    assert page.read_text() == f"Words.\n\n<!-- rows of results/t.csv -->\n\n{shown}\nMore.\n"
    page.write_text(page.read_text().replace("| ours |", "| our |"))
    with pytest.raises(ReproError, match=r"unknown column of results/t\.csv.*'our'.*did you mean 'ours'"):
        docs.write(page, tmp_path)
    page.write_text(page.read_text().replace("t.csv", "u.csv"))
    with pytest.raises(ReproError, match=r"page\.md shows results/u\.csv, which does not exist"):
        docs.write(page, tmp_path)


@pytest.fixture(scope="module")
def claims() -> list[dict[str, str]]:
    return read(RESULTS / "synthetic" / "claims.csv")


def test_the_memory_of_prepare_by_the_number_of_clips():
    few, many = load("many_clips")["rows"]
    assert few["peak MB of a worker"] == many["peak MB of a worker"]
    more = f"{many['peak MB'] - few['peak MB']} MB more for {many['clips']:,} clips than for {few['clips']:,}"
    assert more in " ".join(PAGES["real-data.md"].split())


def test_every_line_with_an_interval_is_a_line_of_a_table():
    measured = [set(row.values()) for file in RESULTS.glob("*/*.csv") for row in read(file)]
    rows = [row for page in PAGES for table in tables(page) for row in table]
    shown = [row for row in rows if any(re.search(r"\d \[[+-]?\d", cell) for cell in row)]
    assert len(shown) > 60
    for row in shown:
        numbers = {cell for cell in row[1:] if re.search(r"\d", cell)}
        assert any(numbers <= line for line in measured), row


def test_every_claim_is_shown_with_its_verdict(claims):
    (table,) = tables("results.md", "The claims")
    assert [(row[0], row[-1]) for row in table[1:]] == [(line["claim"], line["verdict"]) for line in claims]


def counted(verdicts: list[str]) -> list[int]:
    return [verdicts.count(verdict) for verdict in DECIDED]


def test_the_counts_of_verdicts_are_those_of_the_claims(claims):
    found = counted([line["verdict"] for line in claims])
    words = ", ".join(f"{number} {outcome}" for number, outcome in zip(found, DECIDED, strict=True))
    assert words in PAGES["results.md"]
    seeds = NUMBERS[len(Parameters().seeds)]
    assert f"Of the {len(claims)} claims, {found[-1]} are not testable with {seeds} seeds" in flat("evidence.md")
    lines = re.findall(r"^- \*\*([\w-]+)\.\*\* (.*)", PAGES["README.md"], re.MULTILINE)
    assert {name for name, _ in lines} == {line["paper"] for line in claims}
    for name, line in lines:
        own = [claim["verdict"] for claim in claims if claim["paper"] == name]
        assert f"of {len(own)} claims of {name}, " in line
        shown = [re.search(rf"(\w+) (?:is|are) {outcome}\b", line) for outcome in DECIDED]
        assert [int(each[1].replace("none", "0")) if each else 0 for each in shown] == counted(own), line


@pytest.mark.slow
def test_the_results_are_those_of_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_OUT", str(paths.ROOT))
    file = tmp_path / "README.md"
    file.write_text(PAGES["README.md"], encoding="utf-8")
    readme.write(drawn.summary(report.COMMITTED), file)
    assert file.read_text(encoding="utf-8") == PAGES["README.md"], "report writes these lines"


def test_the_exact_rows_are_counted(claims):
    printed = [row["match"] for row in read(RESULTS / "synthetic" / "imrs_efficiency.csv") if row["match"]]
    assert f"{printed.count('True')} of {len(printed)} printed rows of cost" in PAGES["README.md"]


@pytest.mark.slow
def test_the_table_of_costs_is_what_is_counted():
    (table,) = tables("results.md", "Exact counts")
    counts = published_models()
    assert len(counts) == len(table) - 1
    for row, count in zip(table[1:], counts, strict=True):
        assert row[:5] == [
            count["model"], str(count["classes"]), count["input"], f"{count['parameters']:,}", str(count["gmacs"]),
        ]  # fmt: skip
        assert row[6] == {True: "yes", False: "no", None: ""}[count["match"]]


NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def test_how_many_seeds_are_recorded_is_said_first():
    seeds = {record.config["seed"] for record, _ in records.everything("small") if is_shown(record)}
    assert seeds >= set(Parameters().seeds)
    for page in WARNED:
        assert f"{NUMBERS[len(Parameters().seeds)].capitalize()} of ten planned seeds" in flat(page)


def is_shown(record) -> bool:
    """Whether a run is one of the embedded study's, of its usual seeds: not a pretext network, not a control's."""
    return record.config["data"]["source"] == EMBEDDED["small"] and record.config["seed"] < controls.OTHER


def test_the_claims_that_rest_on_one_student_are_counted(claims):
    student = imrs.student(Parameters(), 1, 0)
    rest_on_it = [claim.statement for claim in imrs.CLAIMS if student.id in better_runs(claim)]
    assert [line["claim"] for line in claims if line["rests on"] == "IMRS"] == rest_on_it
    assert f"{NUMBERS[len(rest_on_it)].capitalize()} of IMRS's claims rest on one student" in PAGES["results.md"]


def test_what_was_tried_is_in_its_file():
    (table,) = tables("evidence.md", "Recipes")
    tried = [row["top-1"] for row in read(RESULTS.parent / "tried.csv")]
    shown = [number for row in table[1:] for number in re.split(" / |, ", row[2])]
    assert len(shown) == 50
    assert set(shown) <= set(tried)


def test_the_controls_are_those_of_their_table():
    (table,) = tables("evidence.md", "The controls")
    lines = read(RESULTS / "synthetic" / "controls.csv")
    assert table[1:] == [[line[column] for column in table[0]] for line in lines]


def test_how_trained_the_systems_are_is_that_of_their_tables():
    (table,) = tables("evidence.md", "How trained the systems are")
    assert [row[0] for row in table[1:]] == list(SYSTEMS)
    for row, (plan, label) in zip(table[1:], SYSTEMS.values(), strict=True):
        name, label = ("stme_ablation", "shift (TSM)") if label == "TSM" else (plan(Parameters()).name, label)
        (line,) = (line for line in read(RESULTS / "synthetic" / f"{name}.csv") if line["row"] == label)
        assert row[1:] == [line["ours"], line["seed SD"], line["training"]]


def test_the_power_is_that_of_the_claims(claims):
    (table,) = tables("evidence.md", "The power")
    for paper, count, least, largest, untestable in table[1:]:
        own = [line for line in claims if line["paper"] == paper]
        seen = [line["smallest gain seen"] for line in own]
        assert int(count) == len(own)
        assert int(untestable) == sum(line["verdict"] == Outcome.NOT_TESTABLE for line in own)
        assert {least, largest} <= set(seen)
        assert float(least) == min(float(each) for each in seen if each and "over" not in each)


def better_runs(claim) -> set[str]:
    """Ids of the runs of the rows that a claim calls better."""
    rows = [row for row in claim.table(Parameters()).rows if row.label in {better for better, _ in claim.pairs}]
    return {run.id for row in rows for system in row.systems for run in system}


def flat(page: str) -> str:
    return " ".join(PAGES[page].split())


def test_flow_is_as_its_record_says():
    speed, hours = tables("flow-and-speed.md", "Optical flow")
    pairs, median = load("flow"), {}
    for row in speed[1:]:
        own = [pair for pair in pairs["one_thread"] if pair["size"] == row[0]]
        median[row[0]] = [statistics.median(pair[what] for pair in own) for what in ("ours", "opencv", "ratio")]
        ours, opencv, ratio = median[row[0]]
        assert row[1:] == [f"{ours:.1f}", f"{opencv:.0f}", f"{ratio:.1f}x"]
    assert all(pair["identical"] for pair in pairs["one_thread"])
    assert f"{pairs['two_processes']['clock']:.2f} times the pairs of one" in PAGES["flow-and-speed.md"]
    per_pair = {"ours": median["320x240"][0] / 3.6e6, "opencv": median["320x240"][1] / 3.6e6}  # core-hours
    for column, frames in ((1, 2.4e6), (2, 0.63e6)):
        ours, opencv = per_pair["ours"] * frames, per_pair["opencv"] * frames
        shown = [float(row[column]) for row in hours[1:]]
        assert shown == [
            float(f"{ours:.2g}"),
            float(f"{ours / pairs['two_processes']['clock']:.{2 if ours < 10 else 1}g}"),
            round(opencv),
        ]


def test_latency_is_as_its_record_says():
    (table,) = tables("flow-and-speed.md", "Latency of one clip")
    lines = read(RESULTS / "synthetic" / "imrs_latency.csv")
    assert table[1:] == [[line["system"], line["ms a clip"], line["times the student"]] for line in lines]


def test_speed_is_as_its_records_say():
    (table,) = tables("flow-and-speed.md", "Training and inference")

    def ratio(name: str, what: str, batch: int) -> str:
        (row,) = (row for row in load(name)["rows"] if (row["what"], row["batch"]) == (what, batch))
        return f"{row['ratio']:.1f}x"

    for row, name in zip(table[1:4], ("networks", "networks_one_thread", "networks_bn_inception"), strict=True):
        assert row[1:] == [ratio(name, "training step", 4), ratio(name, "inference", 8), ratio(name, "inference", 1)]
    modules = {row["network"]: row["ratio"] for row in load("temporal")["rows"]}
    assert table[4][1] == f"{modules['contiguous float32']:.1f}x"
    for name in ("TSM", "SMNet", "STMSA", "STME"):
        assert f"{name} {modules[name]:.2f}" in flat("flow-and-speed.md")


def test_decoding_is_as_its_record_says():
    texture, *real = load("clips")["measured"]
    packed = [row["clips_per_second"]["packed"] for row in real]
    sparse = [row["clips_per_second"]["sparse"] for row in real]
    ratios = [row["ratio"] for row in (texture, *real)]
    text = flat("flow-and-speed.md")
    for words in (
        f"{texture['clips_per_second']['packed']:.0f} training clips a second from frames of {texture['kB a frame']:.0f} kB",
        f"{min(packed):.0f} to {max(packed):.0f} from four real UCF101 clips",
        f"{min(ratios):.1f} to {max(ratios):.1f} times the rate of Pillow",
        f"cuts {min(sparse):.0f} to {max(sparse):.0f}",
    ):
        assert words in text, words


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_lead_somewhere(page):
    folder = paths.ROOT if page == "README.md" else paths.ROOT / "docs"
    targets = re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", PAGES[page])
    for target, section in targets:
        path = folder / target if target else folder / page
        assert path.exists(), target
        assert not section or section in anchors(path.read_text(encoding="utf-8")), (target, section)


def anchors(text: str) -> list[str]:
    """The names under which GitHub links the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_named_exists(page):
    words = re.findall(r"`((?:repro|docs|tests|benchmarks|results|figures|notebooks)/[\w./-]*)`", PAGES[page])
    for word in words:
        added = word == "repro/models/meancolour.py"  # the reader's own file
        assert added or (paths.ROOT / word).exists(), word


@pytest.mark.parametrize("page", PAGES)
def test_every_name_in_the_package_exists(page):
    for module, name in re.findall(r"`(repro\.[a-z][\w.]*)\.(\w+)[(`]", PAGES[page]):
        assert hasattr(importlib.import_module(module), name), (module, name)


def test_every_notebook_is_linked_from_the_readme():
    for notebook in (paths.ROOT / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{notebook.name})" in PAGES["README.md"] or notebook.name == "index.ipynb", notebook


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)


def test_five_lines_build_a_network(capsys):
    exec(blocks("README.md")[0], {})
    printed = capsys.readouterr().out.strip()
    assert f"prints `{printed}`" in PAGES["README.md"]


def test_results_are_read_in_three_lines():
    space = {}
    exec(blocks("README.md")[1], space)
    assert len(space["frame"]) == len(space["scores"]) == len(list(records.everything("small")))


@pytest.mark.parametrize("number", range(6))
def test_the_ideas_run(number):
    assert len(blocks("ideas.md")) == 6
    exec(blocks("ideas.md")[number], {})


@pytest.mark.slow
def test_the_project_is_extended_as_the_page_says(home, monkeypatch, capsys):
    network, *use = blocks("extending.md")
    space = {}
    exec(network, space)
    monkeypatch.setitem(MODELS, "meancolour", space["MeanColour"])
    for block in use:
        exec(block.replace('profile="small"', 'profile="smoke"'), space)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[:2]] == ["meancolour", "tsm"]
    assert list(space["result"].frame["row"]) == ["TSN", "TSM", "TSM, half of the channels"]
    assert os.environ["REPRO_DATA"] == str(home / "data")


def test_results_and_figures_stay_small():
    places = [RESULTS, BENCHMARKS, paths.ROOT / "results" / "notebooks", paths.ROOT / "figures" / "small"]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in [*files, paths.ROOT / "results" / "index.html"]) < 25e6
