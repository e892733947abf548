"""The results page: what it shows, in which order, and what it says of files that are missing, damaged or foreign."""

import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from repro import notebooks, paths, records, report
from repro.errors import ReproError
from repro.report import evidence, page, runs

IDS = ("0123456789ab", "ba9876543210")
COMMAND = "python -m repro run ablation_ce_se -p splits 1"
HEADER = "row,paper,ours,top-5,seeds,paper's gain,our gain [95 %],difference,verdict,tier,command,runs"
ROWS = (
    f"plain,63.8,50.0,90.0,2,,,,compared with plain,synthetic,{COMMAND},{IDS[0]}",
    f'SE,65.4,60.0,91.0,2,+1.6,"+10.0 [+2.0, +18.0]",+8.4,supported,synthetic,{COMMAND},{IDS[1]}',
    f'CE,67.6,40.0,92.0,2,+3.8,"-10.0 [-18.0, -2.0]",-13.8,contradicted,synthetic,{COMMAND},{IDS[1]} {IDS[0]}',
    f"<b>odd</b>,not available,1.0,2.0,2,,,,nothing claimed,synthetic,{COMMAND},",
)


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
    """results/ with one table of the small profile, its figure and its two records; the exact counts are cut short."""
    counted = {"model": "tiny", "parameters": 1234567, "gmacs": 1.5, "match": True, "note": None}
    monkeypatch.setattr(page, "published_models", lambda: [counted])
    folder = home / "out" / "results" / "small" / "synthetic"
    folder.mkdir(parents=True)
    (folder / "imrs_table3.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    head = "**IMRS, Table 3: channel excitation.** CE is better than SE.\n\n"
    (folder / "imrs_table3.md").write_text(f"{head}Tier: synthetic. Command: `{COMMAND}`\n")
    for seed, name in enumerate(IDS):
        write_record(folder.parent / "records" / f"{name}.json", name, seed)
    figure = home / "out" / "figures" / "small" / "synthetic" / "imrs_table3.png"
    figure.parent.mkdir(parents=True)
    Image.new("RGB", (40, 20), "white").save(figure)
    return folder.parent.parent


def write_record(path: Path, name: str, seed: int, **changes) -> None:
    provenance = {
        "seconds": 30.0 + seed,
        "date": "today",
        "versions": {"torch": "2.14.0"},
        "machine": {"system": "Linux", "processor": "A processor", "device": "cpu x1"},
        "git": {"commit": "a" * 40, "dirty": bool(seed)},
    }
    config = {"seed": seed, "data": {"split": 1, "modality": "rgb"}, "model": {"arguments": {"stages": [2, 3]}}}
    config["teacher"] = {"seed": 7, "data": {"modality": "flow"}} if seed else None
    excluded = ["lost.avi"] if seed else []
    fields = {
        "config": config,
        "metrics": {"video_top1": 0.5},
        "excluded": excluded,
        "provenance": provenance,
        **changes,
    }
    scores = np.zeros((1, 2), np.float16)
    records.write(
        records.Record(id=name, history=[], scores=scores, labels=[0], clips=["c"], classes=["a", "b"], **fields), path
    )


def read(results: Path) -> tuple[str, Page]:
    text = report.write().read_text(encoding="utf-8")
    return text, Page(text)


def test_it_can_be_read_by_a_screen_reader(results):
    text, made = read(results)
    assert text.startswith("<!doctype html>")
    assert made.all("html") == [{"lang": "en"}]
    assert [len(made.all(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    levels = [int(tag[1]) for tag, _ in made.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    assert made.all("a")[0] == {"class": "skip", "href": "#main"}
    assert all(cell.get("scope") in ("col", "row") for cell in made.all("th"))
    assert len(made.text("caption")) == len(made.all("table")) - text.split('id="deviations"')[1].count("<table")
    assert all(made.text("caption"))
    boxes = [box for box in made.all("div") if box.get("class", "").startswith("box")]
    assert len(boxes) == len(made.all("table"))
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)
    assert [image["alt"] for image in made.all("img")] == [
        "Plot of IMRS, Table 3: channel excitation (synthetic); its numbers are in the table above."
    ]
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text


def test_it_needs_no_network_and_every_link_leads_somewhere(results):
    text, made = read(results)
    assert "default-src 'none'" in text
    assert not [
        a
        for tag in ("script", "img", "link", "iframe")
        for a in made.all(tag)
        if "src" in a and "data:" not in a["src"]
    ]
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for target in {a["href"] for a in made.all("a")}:
        if target.startswith("#"):
            assert target[1:] in ids
        else:
            assert (results / unquote(target)).exists(), target


def test_the_verdicts_come_first_and_hold_every_comparison_that_the_paper_makes(results):
    text, made = read(results)
    table = Page(text.split('id="verdicts"')[1].split("</table>")[0])
    lines = [row for row in table.text("tr") if row]
    assert len(lines) == 3  # a header and two comparisons: neither the base nor the row of which nothing is claimed
    assert "SE against plain" in lines[1]
    for words in ("supported", "+10.0 [+2.0, +18.0]", "+1.6", "65.4", "synthetic", "IMRS", "Table 3", COMMAND):
        assert words in lines[1]
    assert "contradicted" in lines[2]
    order = [
        text.index(f'id="{name}"')
        for name in ("tiers", "verdicts", "small-synthetic-imrs_table3", "exact", "deviations")
    ]
    assert order == sorted(order)
    assert [re.sub(" +", " ", p) for p in made.text("p") if "contradicted" in p] == [
        "synthetic 1 supported, 1 contradicted"
    ]


def test_a_table_stands_with_its_claim_and_its_runs(results):
    text, made = read(results)
    assert "Claim: CE is better than SE." in made.text("p")
    assert "IMRS, Table 3: channel excitation (synthetic)" in made.text("h3")
    assert made.text("summary")[0].startswith("2 runs, 1.0 minutes of one core")
    details = Page(text.split("<details>")[1].split("</details>")[0])
    head, first, second = details.text("tr")
    assert head == "run row seed teacher top-1 % seconds machine commit left out"
    assert first == f"{IDS[0]} plain; CE 0 none 50.0 30.0 A processor, cpu x1 aaaaaaaaa none"
    assert second == f"{IDS[1]} SE; CE 1 flow, seed 7 50.0 31.0 A processor, cpu x1 aaaaaaaaa with changes 1: lost.avi"
    assert details.text("li") == ["data.modality rgb", "data.split 1", "model.arguments.stages 2, 3"]
    assert [a["href"] for a in details.all("a")] == [f"small/records/{name}.json" for name in IDS]


def test_words_from_files_are_text_and_never_markup(results):
    text, _ = read(results)
    assert "&lt;b&gt;odd&lt;/b&gt;" in text
    assert "<b>" not in text


def test_equal_inputs_give_equal_bytes(results):
    assert report.write().read_bytes() == report.write().read_bytes()


def test_a_claims_table_replaces_the_verdicts_of_its_folder(results):
    lines = ["claim,paper,source,verdict,our gain [95 %],seeds,tier,command"]
    lines += [
        f'Six segments are best,T-STAM,Table 7,not resolved,"+1 [-1, +3]",3,synthetic,python -m repro run {n}'
        for n in "ab"
    ]
    (results / "small" / "synthetic" / "claims.csv").write_text("\n".join(lines))
    text, _ = read(results)
    rows = Page(text.split('id="verdicts"')[1].split("</table>")[0]).text("tr")
    assert len(rows) == 3
    for words in ("Six segments are best", "T-STAM", "Table 7", "not resolved", "+1 [-1, +3]", "python -m repro run a"):
        assert words in rows[1]
    assert "paper's gain" not in rows[0], "a column that nothing fills is not shown"
    assert text.count("Six segments are best") == 2  # it is the verdict table, not a table among others


def test_missing_tables_are_listed_with_the_command_that_makes_them(results):
    text, _ = read(results)
    missing = Page(text.split('id="missing"')[1].split("</section>")[0]).text("li")
    assert "imrs table2, made by python -m repro run ablation_ce_position" in missing
    assert not [line for line in missing if "ablation_ce_se" in line]
    assert len(missing) == sum(1 for functions in notebooks.NOTEBOOKS.values() if functions) - 1


def test_a_notebook_with_half_of_its_tables_counts_as_missing(results, monkeypatch):
    def other(parameters):
        """Another table of the same notebook."""

    both = (*notebooks.NOTEBOOKS["ablation_ce_se"], other)
    monkeypatch.setattr(notebooks, "NOTEBOOKS", {"ablation_ce_se": both})
    (line,) = evidence.missing(evidence.tables("small"), "small")
    assert line["tables"] == "imrs table3, test_report other; there are only: imrs_table3"
    shutil.copy(results / "small" / "synthetic" / "imrs_table3.csv", results / "small" / "synthetic" / "imrs_other.csv")
    assert evidence.missing(evidence.tables("small"), "small") == []


def test_an_empty_project_still_has_a_page(results):
    shutil.rmtree(results.parent)
    text, made = read(results)
    assert "None yet." in made.text("p")
    assert "imrs table3" in text


def test_profiles_share_a_page_and_smoke_has_its_own(results):
    shutil.copytree(results / "small", results / "gpu")
    shutil.copytree(results / "small", results / "smoke")
    text, _ = read(results)
    assert "(synthetic, profile gpu)" in text
    assert "profile smoke" not in text
    smoke = report.write("smoke")
    assert smoke == results / "smoke" / "index.html"
    assert f'href="records/{IDS[0]}.json"' in smoke.read_text()
    with pytest.raises(ReproError, match="unknown profile 'smal'; did you mean 'small'"):
        report.write("smal")


def test_executed_notebooks_are_linked_where_they_lie_beside_the_results(results, monkeypatch):
    assert "executed copy<" not in read(results)[0]
    executed = results.parent / "data" / "executed" / "small" / "streams.ipynb"
    executed.parent.mkdir(parents=True)
    executed.write_text("{}")
    monkeypatch.setenv("REPRO_DATA", str(results.parent / "data"))
    assert 'href="../data/executed/small/streams.ipynb"' in read(results)[0]


def test_large_and_moving_figures(results):
    folder = results.parent / "figures" / "small" / "synthetic"
    noise = np.random.default_rng(0).integers(0, 255, (900, 1600, 3), np.uint8)
    Image.fromarray(noise).save(folder / "quickstart_flow.png")
    frames = [Image.fromarray(noise[:40, i : i + 40]) for i in range(3)]
    frames[0].save(folder / "clip.webp", save_all=True, append_images=frames[1:])
    (folder / "plot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 10"></svg>')
    _, made = read(results)
    by_alt = {image["alt"].split(",")[0]: image for image in made.all("img")}
    assert by_alt["Quickstart flow"]["width"] == "1200"
    assert by_alt["Quickstart flow"]["alt"] == "Quickstart flow, synthetic: drawn by the notebook 00_quickstart."
    assert len(by_alt["Quickstart flow"]["src"]) < (folder / "quickstart_flow.png").stat().st_size / 3
    assert (by_alt["Plot"]["width"], by_alt["Plot"]["height"]) == ("30", "10")
    assert by_alt["Clip"]["src"].startswith("data:image/webp;base64,")
    (folder / "clip.webp").write_bytes(b"RIFF")
    with pytest.raises(ReproError, match=r"clip\.webp: not an image"):
        report.write()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not enough values"),
        (b"\xff\xfe\x00bad", "can't decode"),
        (b"a,b\n1,2\n", "`command` among them"),
        (b"row,row,command\n1,2,3\n", "different names"),
        (b"row,command\n", "and a row"),
        (b"row,command\n1,2,3\n", "row 2 has 3 cells, the header 2"),
        (b'row,command\n"open,2\n', "unexpected end of data"),
        (b"row,command\n1,it's\n", "No closing quotation"),
        (b"row,command,runs\n1,2,../../secret\n", "is no id of a run"),
    ],
)
def test_a_damaged_or_foreign_table_is_one_error_that_names_it(results, text, words):
    (results / "small" / "synthetic" / "imrs_table9.csv").write_bytes(text)
    with pytest.raises(ReproError, match=rf"imrs_table9\.csv: not a table.*{re.escape(words)}.*delete it"):
        report.write()


def test_a_damaged_or_foreign_record_is_one_error_that_names_it(results):
    file = results / "small" / "records" / f"{IDS[0]}.json"
    whole = json.loads(file.read_text())
    for text in ("{", "[]", json.dumps({**whole, "id": IDS[1]}), json.dumps({**whole, "provenance": {}})):
        file.write_text(text)
        with pytest.raises(ReproError, match=rf"{IDS[0]}\.json: not a record"):
            report.write()
    file.unlink()
    with pytest.raises(ReproError, match="no such record"):
        report.write()
    assert not list(results.glob(".*")), "a failed page leaves nothing behind"


def test_papers_are_named_as_their_modules_name_them():
    title = 'IMRS: Hu, Mao, Yao, Bi 2023, "3D network with channel excitation and knowledge distillation for action recognition"'
    assert evidence.paper_title("imrs") == title
    for paper in {evidence.paper_of(f"{f.stem}_table") for f in (paths.ROOT / "repro" / "papers").glob("[a-z]*.py")}:
        assert len(evidence.paper_title(paper)) < 250


def test_what_a_notebook_cost(results):
    assert report.cost("ablation_ce_se") == "2 runs, 1.0 minutes of one core when last run"
    assert report.cost("streams") == "not run yet"
    assert report.cost("train") == "seconds"


def test_deviations_come_from_the_readme(results, monkeypatch, tmp_path):
    text, _ = read(results)
    assert "before the last, as MARS" in text.split('id="deviations"')[1]
    (tmp_path / "README.md").write_text("# Title\n\n## Else\n")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert "README.md has no section" in page._deviations(tmp_path)
    (tmp_path / "README.md").write_text("# Title\n\n## Deviations\n\n[a](b/c.md) [d](https://x.org)\n\n## Else\n\nno\n")
    made = page._deviations(tmp_path / "results")
    assert 'href="../b/c.md"' in made
    assert 'href="https://x.org"' in made
    assert "no" not in made


def test_the_committed_results_make_one_small_page(monkeypatch, tmp_path):
    for name in ("results", "figures"):
        (tmp_path / name).mkdir()
        if (paths.ROOT / name / "small").exists():
            shutil.copytree(paths.ROOT / name / "small", tmp_path / name / "small")
    monkeypatch.setenv("REPRO_OUT", str(tmp_path))
    made = report.write()
    text = made.read_text(encoding="utf-8")
    assert made.stat().st_size < 3_000_000
    assert "48,340,828" in text  # the exact counts, counted
    for table in evidence.tables("small"):
        assert f'id="{table.id}"' in text or table.name == evidence.CLAIMS or "parameters" in table.columns
        for ids in table.runs.values():
            assert all(runs.run("small", each).id == each for each in ids)
