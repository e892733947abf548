"""Doses, ours: what makes the embedded videos hard, one option at a time, for the streams of IMRS.

bias: a training clip has its class's colours and object with this probability. Flow does not see colours, so flow should gain
over RGB with the bias, and the student with it.
distractors: the share of clips in which a second person does something else.
pan: how fast the camera moves. Flow sees that too.
action: the least share of the frames in which the person moves.
"""

from dataclasses import replace

from repro.config import DOSES, Run, dose
from repro.errors import Unavailable
from repro.papers import imrs, recipes
from repro.papers.controls import SEEDS
from repro.papers.table import Table
from repro.parameters import Parameters

USUAL = {"bias": 0.7, "distractors": 0.3, "pan": 0.005, "action": 0.6}  # of the shown edition
EXPECTED = {
    "bias": "Ours: the more appearance misleads, the more flow is ahead of RGB, and the more the student gains.",
    "distractors": "Ours: a second person who does something else makes every stream worse.",
    "pan": "Ours: a camera that moves makes flow worse, and RGB less so.",
    "action": "Ours: the shorter the movement, the worse every stream.",
}
OVER = {
    "bias": "bias: share of training clips with the colours and object of their class",
    "distractors": "distractors: share of clips with a second person",
    "pan": "pan: speed of the camera, heights of the frame per frame",
    "action": "action: least share of the frames in which the person moves",
}


def bias(parameters: Parameters) -> Table:
    """The streams over `bias`."""
    return _curve(parameters, "bias")


def distractors(parameters: Parameters) -> Table:
    """The streams over `distractors`."""
    return _curve(parameters, "distractors")


def pan(parameters: Parameters) -> Table:
    """The streams over `pan`."""
    return _curve(parameters, "pan")


def action(parameters: Parameters) -> Table:
    """The streams over `action`."""
    return _curve(parameters, "action")


def _curve(parameters: Parameters, option: str) -> Table:
    """Rows "STREAM, VALUE". Unavailable for real data sets, whose videos are what they are, and for full-size networks."""
    if parameters.profile not in ("smoke", "small") or parameters.dataset != "synthetic":
        raise Unavailable("the difficulty of videos is varied for small networks on the embedded videos alone")
    others = (
        DOSES[option][:1] if parameters.profile == "smoke" else DOSES[option]
    )  # one other value shows that it works
    values, few = sorted((*others, USUAL[option])), replace(parameters, seeds=parameters.seeds[:SEEDS])
    streams = {
        "RGB": lambda split, seed: imrs.single(few, split, seed),
        "Flow": lambda split, seed: imrs.single(few, split, seed, "flow"),
        "IMRS": lambda split, seed: imrs.student(few, split, seed),
    }
    systems = {
        f"{name}, {value:g}": lambda split, seed, of=of, value=value: [_on(of(split, seed), option, value)]
        for value in values
        for name, of in streams.items()
    }
    return Table(
        f"doses_{option}", "", f"The streams of IMRS over the videos' option {option}.", EXPECTED[option],
        f"RGB, {USUAL[option]:g}", recipes.rows(few, systems), ("", "", ""), "doses",
        ladders=tuple((f"RGB, {value:g}", f"{name}, {value:g}") for value in values for name in ("Flow", "IMRS")),
        over=OVER[option],
    )  # fmt: skip


def _on(run: Run, option: str, value: float) -> Run:
    """The run on the edition with this value, its teacher alike; its start stays."""
    if value == USUAL[option]:
        return run
    source = dose(run.data.source, option, value)
    teacher = None if run.teacher is None else _on(run.teacher, option, value)
    return replace(run, data=replace(run.data, source=source), teacher=teacher)
