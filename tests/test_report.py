"""The results page: what it shows, in which order, and what it says of files that are missing, damaged or foreign."""

import gzip
import itertools
import json
import re
import shutil
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from finished import record
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from repro import damaged, notebooks, paths, records, report
from repro.again import compare
from repro.config import CrossEntropy, Data, Distillation, Model, Optimisation, Run
from repro.errors import ReproError
from repro.evidence import results as finished
from repro.evidence.intervals import Gain
from repro.evidence.results import Line, Result
from repro.evidence.statistics import Outcome, Verdict
from repro.parameters import Parameters
from repro.report import again, evidence, grid, page, pictures, readme

FLOW = Run("small", 7, Data("synthetic", "small", modality="flow"), Model("resnext3d"), CrossEntropy(), Optimisation())
PLAIN = replace(FLOW, seed=0, data=Data("synthetic", "small"), model=Model("resnext3d", {"stages": (2, 3)}))
RUNS = (PLAIN, replace(PLAIN, seed=1, objective=Distillation(), teacher=FLOW))
IDS = tuple(run.id for run in RUNS)
HOSTILE = "<script>alert('x')</script> & \"quoted\"\nsecond line"
COUNTED = {
    "IMRS": [{"model": "tiny", "parameters": 1234567, "gmacs": 1.5, "match": True, "note": None},
             {"model": "tinier", "parameters": 7, "gmacs": None, "match": None, "note": "3"}],
}  # fmt: skip
GAIN = Gain(0.1, 0.04, 9.0)
TABLE = Result(
    "imrs_table3", "imrs", "IMRS, Table 3: channel excitation.", "CE is better than SE.", "synthetic", "ablation_ce_se",
    "python -m repro run ablation_ce_se -p splits 1",
    (
        Line({"row": "plain", "ours": "50.0", "verdict": "compared with plain", "tier": "synthetic"}, IDS[:1],
             Verdict(Outcome.REFERENCE, against="plain")),
        Line({"row": "CE", "ours": "60.0", "verdict": "supported", "tier": "synthetic"}, (IDS[1], IDS[0]),
             Verdict(Outcome.SUPPORTED, GAIN, 2, "plain")),
        Line({"row": "no runs", "ours": "not available", "verdict": "nothing claimed", "tier": "synthetic"}),
    ),
    ("ours",),
)  # fmt: skip


class Page(HTMLParser):
    """The tags of a page with their attributes, and the text inside each tag of a kind."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[tuple[str, list[str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append((tag, []))

    def handle_endtag(self, tag):
        while self.open:
            name, parts = self.open.pop()
            self.texts.append((name, " ".join("".join(parts).split())))
            if name == tag:
                break
        self.handle_data(" " if tag in ("td", "th") else "")

    def handle_data(self, data):
        for _, parts in self.open:
            parts.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture
def results(home, monkeypatch) -> Path:
    """results/ with one table of the small profile, its figure and its two records; the exact counts are two rows."""
    monkeypatch.setattr(page, "counted", lambda: COUNTED)
    finished.save(TABLE, Parameters())
    out = home / "out"
    for run in RUNS:
        write_record(out / "results" / "small" / "records" / f"{run.id}.json.gz", run, 30.0 + run.seed)
    draw(out / "figures" / "small" / "synthetic" / "imrs_table3.png", Notebook="ablation_ce_se")
    return out / "results"


def draw(path: Path, pixels: np.ndarray | None = None, **text: str) -> None:
    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 40, 3), 255, np.uint8) if pixels is None else pixels).save(path, pnginfo=info)


def write_record(path: Path, run: Run, seconds: float) -> None:
    provenance = {
        "seconds": seconds, "date": "2030-01-02T03:04:05+00:00", "versions": {"torch": "2.14.0"},
        "machine": {"system": "Linux", "processor": "A processor", "device": "cpu x1"},
        "git": {"commit": "a" * 40, "dirty": bool(run.seed)},
    }  # fmt: skip
    excluded = ["lost.avi"] if run.seed else []
    made = record(run, [[1.0, 0.0], [1.0, 0.0]], [0, 1], ["a", "b"], excluded=excluded, provenance=provenance)
    records.write(made, path)


def named(capsys) -> str:
    """What was said of damaged files, each of which is counted."""
    said = capsys.readouterr().err
    with pytest.raises(ReproError, match=rf"^{len(damaged.named)} files? could not be read, see above"):
        damaged.require_none()
    assert len(said.splitlines()) == len(damaged.named)
    return said


def save_claims(outcomes, dataset="synthetic", root="") -> None:
    """A claims table with one claim per outcome."""
    tier = "small real" if root else "synthetic"
    lines = [
        Line({"claim": f"Claim {i}", "paper": "T-STAM", "verdict": str(each), "tier": tier}, (), Verdict(each))
        for i, each in enumerate(outcomes)
    ]
    made = Result("claims", "", "Claims.", "", "synthetic", "claims", "python -m repro run claims", tuple(lines))
    finished.save(made, Parameters(dataset=dataset, data_root=root))


def read() -> tuple[str, Page]:
    text = report.write().read_text(encoding="utf-8")
    return text, Page(text)


def section(text: str, name: str) -> Page:
    """The section with a heading of this id."""
    return Page(text.split(f'<h2 id="{name}"')[1].split("<h2")[0])


def verdicts_of(text: str) -> list[list[str]]:
    """The rows of each table of verdicts, without headers."""
    return [Page(each.split("</table>")[0]).text("tr")[1:] for each in text.split('class="verdicts"')[1:]]


def test_it_can_be_read_by_a_screen_reader(results):
    save_claims([Outcome.SUPPORTED])
    text, made = read()
    assert text.startswith("<!doctype html>")
    assert made.all("html") == [{"lang": "en"}]
    assert [len(made.all(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    levels = [int(tag[1]) for tag, _ in made.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    assert made.all("a")[0] == {"class": "skip", "href": "#main"}
    assert all(cell.get("scope") in ("col", "row") for cell in made.all("th"))
    boxes = [box for box in made.all("div") if box.get("class", "").startswith("box")]
    assert len(boxes) == len(made.all("table")) == len(made.text("caption")) == 6
    assert all(made.text("caption"))
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)
    assert [image["alt"] for image in made.all("img")] == [
        "Plot of: IMRS, Table 3: channel excitation. Tier: synthetic. Its numbers are in the table above."
    ]
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text


def test_it_needs_no_network_and_every_link_leads_somewhere(results):
    text, made = read()
    assert "default-src 'none'" in text
    loaded = [a["src"] for tag in ("script", "img", "iframe") for a in made.all(tag) if "src" in a]
    loaded += [a["href"] for a in made.all("link")]
    assert all(source.startswith("data:") for source in loaded)
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = {a["href"] for a in made.all("a")}
    for target in links:
        assert target[1:] in ids if target.startswith("#") else (results / unquote(target)).exists(), target
    for name in ("evidence.md", "results.md", "deviations.md"):
        assert any(target.endswith(f"/docs/{name}") for target in links), name


def test_a_table_is_shown_with_its_claim_its_paper_and_its_runs(results):
    text, made = read()
    assert section(text, "paper-1").text("h3") == ["IMRS, Table 3: channel excitation. synthetic"]
    assert "Claim: CE is better than SE." in made.text("p")
    assert any("3D network with channel excitation and knowledge distillation" in p for p in made.text("p"))
    assert "python -m repro run ablation_ce_se -p splits 1" in made.text("code")
    table, runs = section(text, "paper-1").text("summary")
    assert table == f"3 rows: 1 supported; with a plot: {TABLE.title} Tier: synthetic."
    assert runs.startswith("2 runs, 1.0 minutes of one processor core")
    details = Page(text.split("<summary>2 runs")[1].split("</details>")[0])
    head, first, second = details.text("tr")
    objective = (
        "objective direction objective lambda1 objective lambda2 objective norm objective on objective reduction"
    )
    assert head == (
        f"run row objective kind seed {objective} teacher modality teacher seed "
        "top-1 % seconds machine commit clips left out"
    )
    assert first == f"{IDS[0]} plain; CE cross_entropy 0 50.0 30.0 A processor, cpu x1 aaaaaaaaa none"
    taught = "student||teacher 50.0 200.0 mse features batchmean flow 7"
    last = "aaaaaaaaa with changes 1: lost.avi"
    assert second == f"{IDS[1]} CE distillation 1 {taught} 50.0 31.0 A processor, cpu x1 {last}"
    assert {"data.split 1", "model.arguments.stages 2, 3", "profile small"} <= set(details.text("li"))
    assert [a["href"] for a in details.all("a")] == [f"small/records/{name}.json.gz" for name in IDS]


def test_each_row_of_runs_has_the_command_that_makes_it_again(results, tmp_path):
    finished.save(replace(TABLE, title="Videos."), Parameters(dataset="folder", data_root=str(tmp_path / "mine")))
    text, made = read()
    embedded, of_folder = (Page(each.split("</table>")[0]) for each in text.split('aria-label="')[1:] if "<th" in each and
                           each.startswith(("IMRS, Table 3", "Videos. Tier")))  # fmt: skip
    assert embedded.text("code") == [f"python -m repro rerun imrs_table3:{row}" for row in ("plain", "CE")]
    assert embedded.text("th")[-4:] == ["make again", "plain", "CE", "no runs"]
    assert of_folder.text("code") == []
    assert f"python -m repro rerun {IDS[0]}" in made.text("code")


def test_a_run_on_a_folder_names_it_and_a_profile_its_own():
    config = {"data.dataset": "folder", "data.source": "my videos"}
    assert again.of_run("gpu", "a1", config) == "python -m repro rerun a1 --data-root '.../my videos' --profile gpu"
    table = evidence.Table("gpu", "synthetic", TABLE)
    planned = again.plans(["gpu"])
    words = ["imrs_table3:plain --profile gpu", "imrs_table3:CE --profile gpu", ""]
    assert again.of_rows(table, planned) == [each and f"python -m repro rerun {each}" for each in words]


def test_numbers_are_aligned_by_what_the_table_says_of_its_columns(results):
    made = grid.of_result("", TABLE)
    assert [made.columns[place] for place in made.numeric] == ["ours"]
    printed, others = page._exact(COUNTED, True), page._exact(COUNTED, False)
    assert [printed.columns[place] for place in sorted(printed.numeric)] == ["parameters", "gmacs"]
    assert [[cell.text for cell in row] for row in printed.rows] == [["tiny", "1,234,567", "1.5", "yes"]]
    assert list(others.columns) == ["model", "parameters", "note"]
    assert [[cell.text for cell in row] for row in others.rows] == [["tinier", "7", "3"]]


def test_verdicts_are_the_claims_tables_alone(results):
    text, _ = read()
    assert "None yet." in text, "rows of other tables have verdicts, but no claim"
    assert section(text, "cards").text("p").count("No claim has been tested here yet.") == 6
    outcomes = [Outcome.CONTRADICTED, Outcome.SUPPORTED, Outcome.NOT_RUN, Outcome.SUPPORTED, Outcome.NOT_RESOLVED]
    save_claims(outcomes)
    text, made = read()
    (rows,) = verdicts_of(text)
    assert [row.split(" T-STAM")[0] for row in rows] == [f"Claim {i} {each}" for i, each in enumerate(outcomes)]
    counted = "synthetic 5 claims: 2 supported, 1 contradicted, 1 not resolved, 1 not run"
    assert counted in made.text("summary")
    (card,) = (each for each in section(text, "cards").text("article") if each.startswith("T-STAM"))
    assert "of 5 claims of T-STAM, 2 are supported, 1 is contradicted, 1 is not resolved and 1 is not run." in card
    assert text.count("Claim 0") == 2  # in the card and in the table of verdicts, not in a table among others


def test_an_outcome_is_counted_by_what_it_is_and_not_by_how_it_is_worded(results):
    save_claims([Outcome.SUPPORTED, Outcome.SUPPORTED])
    file = results / "small" / "synthetic" / "claims.json"
    plain = json.loads(file.read_text())
    plain["lines"][0]["cells"]["verdict"] = "supported (one seed)"
    plain["lines"][1]["verdict"] = None
    file.write_text(json.dumps(plain))
    text, made = read()
    assert "synthetic 1 claim: 1 supported" in made.text("summary")
    assert [len(rows) for rows in verdicts_of(text)] == [1]
    assert '<span class="supported">supported (one seed)</span>' in text


def test_a_folder_of_videos_lists_only_the_claims_that_it_has_runs_for(results, tmp_path):
    both = [Outcome.SUPPORTED, Outcome.NOT_RUN]
    save_claims(both)
    save_claims(both, "folder", str(tmp_path / "my videos"))
    text, made = read()
    apart = [[row.split(" T-STAM")[0] for row in rows] for rows in verdicts_of(text)]
    assert apart == [["Claim 0 supported", "Claim 1 not run"], ["Claim 0 supported"]]
    captions = [each for each in made.text("caption") if each.startswith("Verdicts")]
    assert captions == ["Verdicts, synthetic", "Verdicts, small real, folder-my videos"]
    assert Page(text.split('class="verdicts"')[1]).text("th")[:3] == ["claim", "verdict", "paper"]
    said = {"synthetic 2 claims: 1 supported, 1 not run", "small real folder-my videos 1 claim: 1 supported"}
    assert said <= set(made.text("summary"))


def test_tiers_never_share_a_table_and_tables_have_their_sections(results):
    exact = replace(TABLE, name="cost_claims", paper="", tier="exact", title="Cost.", notebook="efficiency",
                    lines=(Line({"source": "IMRS, 4", "verdict": "holds"}, (), Verdict(Outcome.HOLDS)),))  # fmt: skip
    order = replace(TABLE, name="temporal_order", paper="", title="Time.", notebook="temporal_order")
    for each in (exact, order):
        finished.save(each, Parameters())
    text, made = read()
    assert section(text, "exact").text("h3") == ["Cost. exact"]
    assert section(text, "time").text("h3") == ["Time. synthetic"]
    assert section(text, "paper-1").text("h3") == ["IMRS, Table 3: channel excitation. synthetic"]
    assert "1 of 1 claim on cost holds" in section(text, "cards").text("article")[0]
    assert made.text("h2")[:4] == ["Does it reproduce?", "Every claim and its gain", "How to read it", "Missing"]
    assert made.text("h2")[4:7] == ["Exact counts", "The direction of time", "IMRS"]
    assert "tier" not in made.text("th")  # it is in each heading


def test_the_forest_plot_is_beside_its_verdicts(results, tmp_path):
    save_claims([Outcome.SUPPORTED])
    save_claims([Outcome.SUPPORTED], "folder", str(tmp_path / "mine"))
    for dataset in ("synthetic", "folder-mine"):
        draw(results.parent / "figures" / "small" / dataset / "claims.png")
    text, made = read()
    alts = [image["alt"] for image in made.all("img") if image["alt"].startswith("Forest plot")]
    assert alts == [
        "Forest plot, synthetic, 1 claim: 1 supported. Its numbers are in the table below.",
        "Forest plot, small real, folder-mine, 1 claim: 1 supported. Its numbers are in the table above.",
    ]
    assert len(section(text, "verdicts").all("img")) == 2
    assert text.index(alts[0]) < text.index('class="verdicts"') < text.index(alts[1])  # the first is not folded


def test_text_from_files_is_never_markup(results, tmp_path):
    hostile = replace(
        TABLE, title=HOSTILE, claim=HOSTILE, tier=HOSTILE, command=HOSTILE,
        lines=(replace(TABLE.lines[1], cells={HOSTILE: HOSTILE, "verdict": HOSTILE, "command": HOSTILE}),),
    )  # fmt: skip
    finished.save(hostile, Parameters(dataset="folder", data_root=str(tmp_path / "<b onload='x'>\"&")))
    draw(results.parent / "figures" / "small" / "folder-<b>" / "<i>.png", Notebook=HOSTILE)
    text, made = read()
    assert "alert(&#39;x&#39;)" in text
    assert [tag for tag, _ in made.tags if tag in ("b", "i")] == []
    assert len(made.all("script")) == 1
    assert not [a for _, attributes in made.tags for a in attributes if a.startswith("on")]
    assert " ".join(HOSTILE.split()) in made.text("td")
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert not [each for each in ids if re.search(r"\s", each)], "an id with a space cannot be referred to"


def test_equal_inputs_give_equal_bytes(results):
    first = report.write().read_bytes()
    assert report.write().read_bytes() == first
    draw(results.parent / "figures" / "small" / "synthetic" / "imrs_table3.png", np.zeros((20, 40, 3), np.uint8))
    assert report.write().read_bytes() != first


def test_tables_are_in_the_order_of_the_notebooks_with_the_embedded_set_first(results, tmp_path):
    second = replace(TABLE, name="tstam_segments", paper="tstam", notebook="ablation_segments")
    earlier = replace(TABLE, name="imrs_table2", notebook="ablation_ce_position")
    foreign = replace(TABLE, name="another", notebook="not ours", paper="")
    for each in (foreign, second, earlier):
        finished.save(each, Parameters())
    finished.save(earlier, Parameters(dataset="folder", data_root=str(tmp_path / "a")))
    finished.save(earlier, Parameters(dataset="hmdb51"))
    found = [(t.dataset, t.result.name) for t in evidence.tables("small")]
    first = [("synthetic", "imrs_table2"), ("folder-a", "imrs_table2"), ("hmdb51", "imrs_table2")]
    rest = [("synthetic", name) for name in ("imrs_table3", "tstam_segments", "another")]
    assert found == first + rest
    _, made = read()
    papers = [h for h in made.text("h2") if h in ("IMRS", "T-STAM", "Across the papers")]
    assert papers == ["IMRS", "T-STAM", "Across the papers"]


def test_many_tables_of_a_notebook_of_ours_fold_into_one_line(results):
    """Those of a paper do not, and neither do a few."""
    for number in range(4):
        for paper, notebook in (("", "doses"), ("", "not ours"), ("imrs", "streams")):
            finished.save(replace(TABLE, name=f"{notebook}{number}", paper=paper, notebook=notebook), Parameters())
    finished.save(replace(TABLE, name="few", paper="", notebook="controls"), Parameters())
    _, made = read()
    folds = [summary for summary in made.text("summary") if summary.endswith(" tables")]
    assert folds == [f"{notebooks.NOTEBOOKS['doses'].title} 4 tables", "not ours 4 tables"]


def test_missing_tables_are_listed_with_the_command_that_makes_them(results):
    text, _ = read()
    missing = Page(text.split('id="missing"')[1].split("</section>")[0]).text("li")
    assert "imrs_table2, made by python -m repro run ablation_ce_position" in missing
    assert not [line for line in missing if "ablation_ce_se" in line]
    assert len(missing) == sum(1 for notebook in notebooks.NOTEBOOKS.values() if notebook.tables) - 1


def test_a_table_of_another_notebook_or_profile_does_not_count(results):
    found = evidence.tables("small")
    lacking = {command for _, command in evidence.missing(found, "small")}
    assert "python -m repro run ablation_ce_se" not in lacking
    other = [replace(table, result=replace(table.result, notebook="streams")) for table in found]
    assert "python -m repro run ablation_ce_se" in {command for _, command in evidence.missing(other, "small")}
    assert "python -m repro run ablation_ce_se -p profile gpu" in {c for _, c in evidence.missing(found, "gpu")}


def test_a_table_that_needs_a_file_says_so_among_the_missing(results):
    lines = dict(reversed(line) for line in evidence.missing([], "paper"))
    assert "give its file as pretrained_" in lines["python -m repro run ablation_segments -p profile paper"]


def made_again(**changes) -> compare.Again:
    given = compare.Again(
        run=IDS[0], title="resnext3d on rgb", row="imrs_table3:CE", committed=0.8, again=0.75, interval=(0.7, 0.9), level=0.95,
        seeds=9, equal=False, processor_committed="A (AVX2, 1 thread)", processor_again="B (AVX512, 1 thread)",
        date="2030-01-02", commit="c",
    )  # fmt: skip
    return replace(given, **changes)


def test_the_page_shows_what_was_made_again_where(results, capsys):
    assert "No run has been made again on another machine yet." in " ".join(read()[1].text("p"))
    outside = made_again(run=IDS[1], row="", again=0.6)
    compare.add([made_again(), outside], results / "small" / "again")
    compare.add([made_again(processor_again="C", interval=None, equal=True)], results / "small" / "again")
    _, shown = read()
    sentences = [text for text in shown.text("p") if "runs made again" in text]
    assert len(sentences) == 2  # on the first screen, and in its section
    for sentence in sentences:
        assert sentence.startswith(
            "3 runs made again: 1 equal to the committed record to the bit; 1 of 2 within the spread"
        )
        assert f"1 of 3 outside the spread of their seeds: {IDS[1]}." in sentence
    rows = [row for row in shown.text("tr") if "[70.0, 90.0] of 9 seeds" in row or "no spread to compare with" in row]
    assert len(rows) == 3
    for row, words in zip(rows, ("75.0", "60.0", "equal"), strict=True):
        assert words in row
        assert "A (AVX2, 1 thread)" in row
        assert "2030-01-02" in row
    assert ["outside" in row for row in rows] == [False, True, False]
    assert "No run has been made again" not in " ".join(shown.text("p"))
    (results / "small" / "again" / "x.json").write_text("{}")
    assert read()[1].text("p") == shown.text("p")  # what the others say
    assert "x.json: not a list of runs made again (" in named(capsys)


def test_an_empty_project_still_has_a_page(results):
    shutil.rmtree(results.parent)
    text, made = read()
    assert "None yet." in made.text("p")
    assert "imrs_table3" in text
    assert "Read this first" not in text


def test_profiles_share_a_page_and_smoke_has_its_own(results):
    shutil.copytree(results / "small", results / "gpu")
    shutil.copytree(results / "small", results / "smoke")
    text, made = read()
    assert "IMRS, Table 3: channel excitation. synthetic profile gpu" in made.text("h3")
    assert "profile smoke" not in text
    smoke = report.write("smoke")
    assert smoke == results / "smoke" / "index.html"
    assert f'href="records/{IDS[0]}.json.gz"' in smoke.read_text()
    with pytest.raises(ReproError, match="unknown profile 'smal'; did you mean 'small'"):
        report.write("smal")


@pytest.mark.slow
def test_a_figure_names_the_notebook_that_its_file_names(results, capsys):
    folder = results.parent / "figures" / "small" / "synthetic"
    noise = np.random.default_rng(0).integers(0, 255, (900, 1600, 3), np.uint8)
    draw(folder / "quickstart_flow.png", noise, Notebook="00_quickstart")
    draw(folder / "unnamed.png")
    (folder / "notes.txt").write_text("not a figure")
    _, made = read()
    by_alt = {image["alt"]: image for image in made.all("img")}
    large = by_alt["Quickstart flow, synthetic: drawn by the notebook 00_quickstart."]
    assert (large["width"], large["height"]) == ("1200", "675")
    assert len(large["src"]) < (folder / "quickstart_flow.png").stat().st_size / 3
    assert "Unnamed, synthetic." in by_alt
    assert len(by_alt) == 3
    (folder / "unnamed.png").write_bytes(b"RIFF")
    assert len(read()[1].all("img")) == 2
    assert re.search(r"unnamed\.png: not a figure of ours .*delete it", named(capsys))


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_a_figure_of_too_many_pixels_is_refused_before_they_are_unpacked(tmp_path, side):
    draw(tmp_path / "bomb.png")
    data = bytearray((tmp_path / "bomb.png").read_bytes())
    data[16:24] = struct.pack(">II", side, side)  # the size in the first chunk, which begins at 12, and its checksum
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(ReproError, match=r"bomb\.png: not a figure of ours .* exceeds limit .*delete it"):
        pictures.read(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plain: "", "EOF"),
        (lambda plain: "[" * 100_000, "recursion limit"),
        (lambda plain: "[]", "Input should be an object"),
        (lambda plain: json.dumps(plain)[:-40], "EOF"),
        (lambda plain: json.dumps(plain | {"title": 3}), "title: Input should be a valid string"),
        (lambda plain: json.dumps({k: v for k, v in plain.items() if k != "lines"}), "lines: Field required"),
        (lambda plain: json.dumps(plain | {"lines": [{"cells": ["a"]}]}), r"lines\.0\.cells"),
        (lambda plain: json.dumps(plain).replace('"supported"', '"proved"'), "Input should be 'supported'|lines"),
        (lambda plain: json.dumps(plain | {"paper": "unheard"}), "paper 'unheard'"),
        (lambda plain: json.dumps(plain | {"name": "other"}), "name 'other'"),
    ],
)
def test_a_damaged_or_foreign_table_costs_itself_alone_and_is_named(results, change, words, capsys):
    save_claims([Outcome.SUPPORTED])
    file = results / "small" / "synthetic" / "imrs_table3.json"
    plain = json.loads(file.read_text())
    plain["lines"][1]["cells"]["verdict"] = "as the paper says"  # so that the outcome alone says "supported"
    file.write_text(change(plain))
    text, _ = read()
    assert "of 1 claim of T-STAM, 1 is supported" in text
    assert 'id="small-synthetic-imrs_table3"' not in text
    assert re.search(rf"imrs_table3\.json: not a table.*({words}).*delete it and run its notebook", named(capsys))


@pytest.mark.parametrize("name", ["claim", "paper"])
def test_a_table_of_claims_that_lacks_what_the_page_says_of_them_is_named(results, capsys, name):
    save_claims([Outcome.SUPPORTED])
    file = results / "small" / "synthetic" / "claims.json"
    plain = json.loads(file.read_text())
    del plain["lines"][0]["cells"][name]
    file.write_text(json.dumps(plain))
    assert "IMRS, Table 3: channel excitation." in read()[0]
    assert "claims.json: a line without claim or paper; delete it" in named(capsys)


def test_a_table_that_is_not_text_is_named(results, capsys):
    (results / "small" / "synthetic" / "imrs_table3.json").write_bytes(b"\xff\xfe\x00bad")
    read()
    assert re.search(r"imrs_table3\.json: not a table .*expected value", named(capsys))


def test_a_damaged_or_foreign_record_costs_itself_alone_and_is_named(results, capsys):
    file = results / "small" / "records" / f"{IDS[0]}.json.gz"
    whole = json.loads(gzip.decompress(file.read_bytes()))
    for text in ("{", "[]", json.dumps({**whole, "id": IDS[1]}), json.dumps({**whole, "provenance": {}})):
        file.write_bytes(gzip.compress(text.encode()))
        damaged.named.clear()
        assert "1 run, 0.5 minutes of one processor core" in read()[0]  # 31 s of the other
        assert f"{IDS[0]}.json.gz: not a record" in named(capsys)
    file.unlink()
    damaged.named.clear()
    read()
    assert f"{IDS[0]}.json.gz: no such record" in named(capsys)


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """The page of the results that come with the project, and its verdicts, in a folder of its own."""
    home = tmp_path_factory.mktemp("committed")
    for name in ("results", "figures"):
        shutil.copytree(paths.ROOT / name / "small", home / name / "small")
    if not list((home / "results" / "small" / "synthetic").glob("*.json")):
        pytest.skip("the committed tables have no JSON yet: python -m repro rebuild")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_OUT", str(home))
        file = report.write()
        return file, evidence.tables("small")


@pytest.mark.slow
def test_the_committed_results_make_one_small_page(committed):
    file, tables = committed
    text = file.read_text(encoding="utf-8")
    assert file.stat().st_size < 3_000_000
    assert "48,340,828" in text  # the exact counts, counted
    for table in tables:
        hidden = table.result.name in (evidence.CLAIMS, "imrs_efficiency")  # the verdicts; the exact counts
        assert (f'id="{table.id}"' in text) != hidden, table.id


@pytest.mark.slow
def test_what_the_page_says_first_agrees_with_the_page_on_evidence(committed):
    file, _ = committed
    notice = next(p for p in Page(file.read_text(encoding="utf-8")).text("p") if p.startswith("Read this first."))
    explained = " ".join((paths.ROOT / "docs" / "evidence.md").read_text(encoding="utf-8").split())
    for words in (
        "of ten planned seeds per row are recorded, so verdicts may still change.",
        "A claim that these runs could not have decided is marked",
        "they were stopped early, and test on few actors.",
    ):
        assert words in notice
        assert words in explained


def test_the_page_and_the_readme_beside_it_say_the_same(results):
    save_claims([Outcome.SUPPORTED, Outcome.NOT_TESTABLE])
    file = results.parent / "README.md"
    file.write_text(f"{readme.START}\n{readme.END}\n")
    text, _ = read()
    said = "of 2 claims of T-STAM, 1 is supported, none is contradicted and 1 is not testable here"
    assert said in file.read_text()
    assert said in text
    before = file.read_text()
    save_claims([Outcome.SUPPORTED])
    report.write("smoke")
    assert file.read_text() == before
