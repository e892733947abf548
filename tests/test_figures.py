"""What all figures share: saving, colours, honest axes."""

import dataclasses
import itertools
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from repro import records
from repro.evidence.results import Line, Result
from repro.figures import results, style
from repro.papers import imrs
from repro.parameters import Parameters
from repro.records import Record

PARAMETERS = Parameters()
BLINDNESS = {  # linear RGB as seen without one kind of cone: Machado, Oliveira, Fernandes 2009, severity 1
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour: str, seen: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of a colour "#rrggbb" under a linear transformation of RGB."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(np.array(seen) @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_streams_and_systems_stay_apart_for_the_colour_blind(kind):
    for (a, x), (b, y) in itertools.combinations(style.COLOURS.items(), 2):
        assert np.linalg.norm(lab(x, BLINDNESS[kind]) - lab(y, BLINDNESS[kind])) > 10, f"{a} and {b}"


def test_a_label_has_the_colour_of_its_system():
    same = {
        "IMRS": ["student (IMRS)", "IMRS: the RGB student", "IMRS at test", "IMRS (RGB, taught by flow)"],
        "T-STAM": ["T-STAM, flow stream", "T-STAM, RGB stream (base_model)"],
        "STDDCN": ["STDDCN (dense, two-way, distilled)", "STDDCN (motion.layer3)"],
        "RGB": ["RGB alone"],
        "Flow": ["teacher (flow)"],
    }
    for name, labels in same.items():
        assert {style.colour(label) for label in labels} == {style.COLOURS[name]}
    assert style.colour("l = 4") == style.OURS
    assert len(set(style.colours(["RGB", "one", "two", "Flow"]))) == 4


def saved(home, name="x"):
    figure = results.prediction_figure(np.array([0.2, 0.8]), ["a", "b"], 1)
    return style.save(figure, name, PARAMETERS, "train")


def test_a_figure_is_saved_in_full_colour_with_its_notebook_and_the_same_bytes(home):
    path = saved(home)
    assert path == home / "out" / "figures" / "small" / "synthetic" / "x.png"
    image = Image.open(path)
    assert image.mode == "RGB"
    assert image.text == {"Notebook": "train"}
    assert saved(home, "y").read_bytes() == path.read_bytes()


def test_a_video_has_the_frames_in_order_and_can_be_paused(tmp_path, capfd):
    frames = np.zeros((5, 31, 45, 3), np.uint8)  # odd sides, which VP9 does not have
    for t, frame in enumerate(frames):
        frame[:, : 9 * (t + 1)] = (200, 40, 90)
    shown = style.video(frames, fps=5, scale=3)
    assert capfd.readouterr().err == ""  # what a library writes there is red in a notebook
    page = shown._repr_html_()
    assert re.search(r'<video controls loop autoplay muted\s+width="136"', page)
    (tmp_path / "clip.mp4").write_bytes(shown.data)
    video, seen = cv2.VideoCapture(str(tmp_path / "clip.mp4")), []
    assert video.get(cv2.CAP_PROP_FPS) == 5
    while (read := video.read())[0]:
        seen.append(read[1][..., ::-1])
    expected = frames.repeat(3, 1).repeat(3, 2)
    assert np.shape(seen) == (5, 94, 136, 3)
    assert np.abs(np.array(seen)[:, :93, :135].astype(int) - expected).mean() < 4


def test_a_committed_figure_is_found(home, monkeypatch):
    assert style.committed("no_such_figure", PARAMETERS) is None
    with_project = style.committed("imrs_table5", PARAMETERS)
    assert with_project is not None
    assert home not in with_project.parents
    assert style.committed("imrs_table5", Parameters(profile="smoke")) is None
    mine = saved(home, "imrs_table5")
    assert style.committed("imrs_table5", PARAMETERS) == mine


def test_bars_start_at_zero():
    table = imrs.streams(PARAMETERS)
    for axes in results.streams_figure(table, PARAMETERS).axes:
        assert axes.get_ylim()[0] == 0


def test_the_streams_have_panels_of_top1_top5_and_their_mean(recorded):
    """Three kinds of video, of which a system gets the first right at top-1, the second at top-5, the third never."""
    parameters = Parameters(profile="smoke", splits=(1, 2), seeds=(0, 1))
    table = imrs.streams(parameters)
    right, fifth, never = 12.0 - np.arange(12), 12.0 - np.roll(np.arange(12), -4), np.arange(12.0)
    rows = [row for row in table.rows if len(row.systems[0]) == 1]  # RGB+Flow averages two of these
    counts = {}  # by row and split: how many of ten videos are right at top-1, and at top-5
    for i, row in enumerate(rows):
        for system in row.systems:
            run = system[0]
            first, second = 2 + i + run.data.split, 1 + run.seed
            recorded(run, [right] * first + [fifth] * second + [never] * (10 - first - second), [0] * 10, range(12))
            counts.setdefault((row.label, run.data.split), []).append((first, first + second))
    figure = results.streams_figure(dataclasses.replace(table, rows=tuple(rows)), parameters)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        f"{name}, %; dots: seeds" for name in ("mean of top-1 and top-5", "top-1", "top-5")
    ]
    for axes, ks in zip(figure.axes, ((0, 1), (0,), (1,)), strict=True):
        expected = []
        for row in rows:
            splits = [10 * np.mean([[seed[k] for k in ks] for seed in counts[row.label, split]]) for split in (1, 2)]
            expected += [*splits, np.mean(splits)]
        assert [bar.get_height() for bar in axes.patches] == pytest.approx(expected)
        assert [label.get_text() for label in axes.get_xticklabels()] == ["split 1", "split 2", "mean"]
        assert [len(dots.get_xdata()) for dots in axes.lines] == [2] * len(expected)  # seeds


def test_the_latency_axis_has_a_unit():
    lines = tuple(
        Line({"system": name, "ms a clip": ms}) for name, ms in (("IMRS: the RGB student", "54"), ("x", "103"))
    )
    (axes,) = results.latency_figure(Result("n", "imrs", "t", "c", "t", "n", "c", lines)).axes
    assert axes.get_xlabel() == "ms per clip, log scale"
    assert axes.get_xscale() == "log"
    assert [bar.get_width() for bar in axes.patches] == [54, 103]


def made(labels: list[int], answers: list[int]) -> Record:
    scores = np.eye(3, dtype=np.float16)[answers]
    return Record("x", {}, [], {}, scores, labels, [str(i) for i in labels], ["a", "b", "c"], "", [], "", {})


def test_the_confusion_of_answers_by_hand():
    record = made([0, 0, 0, 1, 1], [0, 2, 2, 1, 0])
    assert "3 of 5 test videos are classified wrongly; most often *a* is called *c* (2 times)" in (
        results.confusion_sentence(record)
    )
    (axes,) = results.confusion_figure(record).axes
    np.testing.assert_allclose(axes.images[0].get_array(), [[100 / 3, 0, 200 / 3], [50, 50, 0], [0, 0, 0]])
    assert "classified correctly" in results.confusion_sentence(made([0, 1], [0, 1]))


def test_a_student_is_drawn_with_its_cross_entropy_alone():
    student = imrs.student(PARAMETERS, 1, 0)
    record = records.get(student)
    left = results.history_figure({"student": record, "teacher": records.get(student.teacher)}).axes[0]
    assert left.lines[0].get_ydata() == pytest.approx([epoch["cross_entropy"] for epoch in record.history])
    assert max(epoch["loss"] for epoch in record.history) > left.lines[0].get_ydata().max()


def test_a_history_without_validation_is_drawn():
    plain = dataclasses.replace(made([0], [0]), history=[{"epoch": 1, "loss": 1.0, "clip_top1": 0.5}])
    left, right = results.history_figure({"x": plain}).axes
    assert left.lines[0].get_ydata() == [1.0]
    assert len(right.lines) == 1


@pytest.mark.slow
def test_evidence_and_maps_do_not_import_matplotlib():
    code = (
        "import sys; import repro.evidence.claims, repro.evidence.tables, repro.maps.shares, repro.maps.views; "
        "print([m for m in sys.modules if m.startswith(('matplotlib', 'repro.figures'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
