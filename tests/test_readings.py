"""What the notebooks say of their figures in words: there after each figure, without numbers, and true of the records.

A reading that presumes an outcome is listed here with it. Where the committed tables say otherwise, after further seeds,
the test names the notebook and the words to write anew.
"""

import re

import nbformat
import pytest

from repro import notebooks, paths
from repro.evidence import results

MARK = "**Reading the figure.** "
TABLES = paths.ROOT / "results" / "small" / "synthetic"
OPEN = ""  # neither supported nor contradicted
YES, NO, CHANCE = "supported", "contradicted", "at chance, as expected"

# (notebook, words of a reading): {(table, first cell of a row): what the words presume that one of its cells says}
PRESUMED = {
    ("ablation_ce_se", "the row SE lies below the plain network"): {("imrs_table3", "SE"): NO},
    ("ablation_lambda", "The row (1, 1) is clearly behind"): {("imrs_table4", "(1, 1)"): YES},
    ("ablation_lambda", "its student hardly imitates"): {("imrs_table4", "(1, 1)"): "(no imitation)"},
    ("ablation_lambda", "no pair stands out as the best"): {
        ("imrs_table4", "(50, 50)"): OPEN,
        ("imrs_table4", "(50, 100)"): OPEN,
        ("imrs_table4", "(50, 300)"): OPEN,
        ("imrs_table4", "MARS"): OPEN,
        ("claims", "(50, 200) are better weights of the distillation terms than the other pairs."): OPEN,
    },
    ("streams", "what the features of a flow network have taught"): {
        ("claims", "The student is better than the RGB stream, which sees as much at test."): YES,
    },
    ("streams", "The student also stands above its teacher"): {
        ("claims", "The student is better than the flow stream, its teacher."): YES,
    },
    ("streams", "The fused bar is higher still"): {
        ("claims", "The student, without flow at test, keeps up with two streams (at most 1 point worse)."): NO,
    },
    ("ablation_segments", "Neighbouring rows overlap"): {
        ("claims", "Each further segment, up to six, makes it better."): OPEN,
    },
    ("ablation_attention_heads", "these runs do not say how many heads are best"): {
        ("claims", "Four spatial attention heads are better than one, two, three or five."): OPEN,
    },
    ("ablation_fusion_weights", "The curve is highest between them"): {
        ("claims", "Both streams fused are better than either alone."): YES,
    },
    ("ablation_fusion_weights", "Equal weights are better here than the paper's 1 : 3"): {("tstam_fusion", "1 : 1"): NO},
    ("doses", "it falls below RGB"): {("doses_bias_claims", "IMRS, 1 is better than RGB, 1"): NO},
    ("doses", "it stays far above RGB"): {
        ("doses_bias_claims", "IMRS, 0.7 is better than RGB, 0.7"): YES,
        ("doses_bias_claims", "IMRS, 0 is better than RGB, 0"): YES,
    },
    ("doses", "and leaves flow as it is"): {("doses_pan_claims", "Flow, 0.02 is better than RGB, 0.02"): YES},
    ("doses", "the student gains most"): {("doses_action_claims", "IMRS, 0.3 is better than RGB, 0.3"): YES},
    ("convergence", "at the left end it gains nothing"): {
        ("controls_videos_claims", "IMRS, 6 videos is better than RGB, 6 videos"): OPEN,
        ("controls_videos_claims", "IMRS, 48 videos is better than RGB, 48 videos"): YES,
    },
    ("tstam", "RGB is far behind"): {("tstam_systems_claims", "Flow is better than RGB"): YES},
    ("tstam", "the row T-STAM is above its own flow stream"): {("tstam_systems_claims", "T-STAM is better than Flow"): YES},
    ("tstam", "The fused rows overlap"): {
        ("claims", "T-STAM is better than TSN."): OPEN,
        ("claims", "Squeeze-and-excitation makes TSN better."): OPEN,
        ("claims", "Squeeze-and-excitation makes T-STAM better."): OPEN,
    },
    ("smnet", "TSN and the row ME alone stay together"): {
        ("claims", "Spatio-temporal and motion excitation each make TSN better."): OPEN,
        ("smnet_ablation", "TSN"): YES,
        ("smnet_ablation", "ME alone"): YES,
        ("smnet_ablation", "STE alone"): OPEN,
    },
    ("stme", "Nearly all of the gain is in the first step"): {
        ("stme_ablation_claims", "shift (TSM) is better than TSN"): YES,
        ("stme_ablation_claims", "+ STE is better than shift (TSM)"): OPEN,
        ("stme_ablation_claims", "+ ME is better than + STE"): OPEN,
        ("stme_ablation_claims", "+ enhancement (STME) is better than + ME"): OPEN,
    },
    ("stmsa", "Self-attention alone stays with TSN"): {
        ("claims", "Multi-scale convolution and self-attention each make TSN better."): OPEN,
        ("stmsa_ablation", "TSN"): YES,
        ("stmsa_ablation", "self-attention alone"): YES,
    },
    ("stddcn", "The row *distillation* is below plain two streams"): {("stddcn_ablation", "distillation"): NO},
    ("temporal_order", "Some rows lie on it"): {
        ("temporal_order", "TSN"): CHANCE,
        ("temporal_order", "T-STAM, RGB stream"): CHANCE,
    },
    ("convergence", "*T-STAM* move to the left"): {
        ("convergence_claims", f"{name}, twice the epochs is better than {name}"): NO
        for name in ("3D ResNeXt-101", "3D ResNeXt-101 + SE", "T-STAM")
    },
    ("temporal_order", "All others are far to the right"): {
        ("temporal_order", name): YES for name in ("TSM", "SMNet", "STME", "STMSA", "STDDCN", "T-STAM, flow stream")
    },
    ("overview", "make up for all of it"): {("overview_claims", "TSM is better than TSN, ResNet-50"): YES},
    ("overview", "come part of the way without it"): {("overview_claims", "IMRS is better than RGB"): YES},
    ("controls", "the distance of their diamonds is chance"): {("controls", "RGB, other seeds"): OPEN},
    ("controls", "the table finds them"): {("controls", "RGB, other seeds, two points planted"): YES},
    ("controls", "its student is ahead"): {
        ("controls_claims", "taught by flow (IMRS) is better than taught by RGB"): YES,
    },
}  # fmt: skip


def cells(name: str) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in nbformat.read(notebooks.path_of(name), 4).cells]


def readings(name: str) -> list[str]:
    return [text for kind, text in cells(name) if kind == "markdown" and text.startswith(MARK)]


def draws(kind: str, text: str) -> bool:
    """Whether a cell draws a figure of results."""
    return kind == "code" and "style.save(" in text


@pytest.mark.parametrize("name", [name for name in notebooks.NOTEBOOKS if name != "your_video"])
def test_a_reading_follows_each_figure_of_results(name):
    found = cells(name)
    places = [place for place, cell in enumerate(found) if draws(*cell)]
    assert places
    for place, after in zip(places, [*places[1:], len(found)], strict=True):
        between = [text for kind, text in found[place + 1 : after] if kind == "markdown"]
        assert any(text.startswith(MARK) for text in between), found[place][1]


@pytest.mark.parametrize("name", notebooks.NOTEBOOKS)
def test_a_reading_names_no_measured_number(name):
    for text in readings(name):
        assert not re.search(r"\d\.\d|\d ?%|\d points", text), text


@pytest.mark.parametrize(("name", "words"), PRESUMED)
def test_what_a_reading_presumes_is_what_the_committed_tables_say(name, words):
    assert words in "\n".join(readings(name)), "these words are gone from the notebook: take them from this test too"
    for (table, row), presumed in PRESUMED[name, words].items():
        lines = results.read(TABLES / f"{table}.json").lines
        (line,) = (each for each in lines if next(iter(each.cells.values())) == row)
        said = line.cells["verdict"]
        if presumed == OPEN:
            agrees = said not in (YES, NO)
        else:
            agrees = any(cell == presumed or cell.endswith(f" {presumed}") for cell in line.cells.values())
        assert agrees, f"{name}.ipynb says '{words}', but in {table} '{row}' is now '{said}': write the reading anew"
