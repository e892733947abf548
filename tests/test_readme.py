"""What the README shows is what the repository holds."""

import csv
import re

import pytest

from repro import paths
from repro.evidence.statistics import CONTRADICTED, NOT_RESOLVED, SUPPORTED
from repro.models import MODELS

README = (paths.ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = paths.ROOT / "results" / "small"


def rows_of_readme() -> list[list[str]]:
    lines = [line for line in README.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.fixture(scope="module")
def measured() -> list[set[str]]:
    """The cells of each line of every table in results/."""
    texts = [file.read_text(encoding="utf-8") for file in RESULTS.glob("*/*.csv")]
    return [set(line) for text in texts for line in csv.reader(text.splitlines())]


def test_every_line_with_an_interval_is_a_line_of_a_table(measured):
    told = [row for row in rows_of_readme() if any(re.search(r"\d \[[+-]?\d", cell) for cell in row)]
    assert len(told) > 60
    for row in told:
        numbers = {cell for cell in row[1:] if re.search(r"\d", cell) and cell != "split 1"}
        assert any(numbers <= line for line in measured), row


def test_the_counts_of_verdicts_are_those_of_the_claims():
    with (RESULTS / "synthetic" / "claims.csv").open(encoding="utf-8", newline="") as file:
        found = [line["verdict"] for line in csv.DictReader(file)]
    words = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in (SUPPORTED, CONTRADICTED, NOT_RESOLVED))
    assert words in " ".join(README.split())


def test_links_and_pictures_lead_somewhere():
    targets = re.findall(r"\]\(([\w./-]+)\)", README)
    assert len(targets) > 25
    for target in targets:
        assert (paths.ROOT / target).exists(), target


def test_a_network_is_added_as_the_readme_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    section = README.split("## Your own network")[1].split("\n## ")[0]
    network, use = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    namespace = {}
    exec(network, namespace)
    monkeypatch.setitem(MODELS, "meancolour", namespace["MeanColour"])
    exec(use.replace('profile="small"', 'profile="smoke"'), {})
    (floor, _), (tsm, _) = (line.split() for line in capsys.readouterr().out.splitlines())
    assert (floor, tsm) == ("meancolour", "tsm")


def test_results_and_figures_stay_small():
    places = [RESULTS, paths.ROOT / "results" / "benchmarks", paths.ROOT / "figures" / "small"]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in [*files, paths.ROOT / "results" / "index.html"]) < 10e6
