"""Controls, ours: comparisons whose answer is known or must be known before the claims about IMRS can be read.

- Null: the same network trained twice, from other seeds. A design that finds a difference here finds differences anywhere.
- Planted: the same again, with two points more. A design that misses it misses the papers' gains.
- A student taught by another RGB network: does flow teach, or does any teacher?
- The streams over the number of training videos per class: where is flow ahead, and where does it teach?
"""

from dataclasses import replace

from repro.config import Run
from repro.errors import Unavailable
from repro.papers import imrs, recipes
from repro.papers.table import Table
from repro.parameters import Parameters

OTHER = 100  # added to a seed: the same network, trained once more
PLANTED = 0.02  # share of the test videos that count as right although the network is wrong
SEEDS = 3  # at most, of a curve: its points are no claims of a paper
VIDEOS = {"smoke": (2, 3), "small": (6, 12, 24, 48)}  # training videos of each class, by profile


def table(parameters: Parameters) -> Table:
    """Null control, planted effect, and the student of another RGB network."""
    rows = recipes.rows(
        parameters,
        {
            "RGB": lambda split, seed: [imrs.single(parameters, split, seed)],
            "RGB, other seeds": lambda split, seed: [imrs.single(parameters, split, OTHER + seed)],
            "RGB, other seeds, two points planted": lambda split, seed: [imrs.single(parameters, split, OTHER + seed)],
            "taught by RGB": lambda split, seed: [rgb_taught(parameters, split, seed)],
            "taught by flow (IMRS)": lambda split, seed: [imrs.student(parameters, split, seed)],
        },
    )
    rows = tuple(replace(row, planted=PLANTED) if row.label.endswith("planted") else row for row in rows)
    return Table(
        "controls", "", "Controls: the same network twice, two points planted, and a student taught by RGB.",
        "Ours: other seeds make no difference, two planted points are found, and an RGB teacher teaches less than flow.",
        "RGB", rows, ("controls", "controls", "1"), "controls",
        ladders=(("taught by RGB", "taught by flow (IMRS)"),),
    )  # fmt: skip


def rgb_taught(parameters: Parameters, split: int, seed: int) -> Run:
    """The student of eq. (8) with an RGB network of another seed as its teacher."""
    return replace(imrs.student(parameters, split, seed), teacher=imrs.single(parameters, split, OTHER + seed))


def curve(parameters: Parameters) -> Table:
    """Figure 4's streams with 6 to 48 training videos per class, all trained for about as many steps.

    Unavailable for real data sets, whose number of videos is what it is, and for full-size networks.
    """
    if parameters.profile not in VIDEOS or parameters.dataset != "synthetic":
        raise Unavailable("the number of training videos is varied for small networks on the embedded videos alone")
    numbers, few = VIDEOS[parameters.profile], replace(parameters, seeds=parameters.seeds[:SEEDS])
    streams = {
        "RGB": lambda split, seed: imrs.single(few, split, seed),
        "Flow": lambda split, seed: imrs.single(few, split, seed, "flow"),
        "IMRS": lambda split, seed: imrs.student(few, split, seed),
    }
    systems = {
        f"{name}, {n} videos": lambda split, seed, of=of, n=n: [with_videos(of(split, seed), n)]
        for n in numbers
        for name, of in streams.items()
    }
    return Table(
        "controls_videos", "", "The streams of IMRS over the number of training videos per class.",
        "Ours: where videos are few, flow is ahead of RGB and the student gains from it.",
        f"RGB, {numbers[0]} videos", recipes.rows(few, systems), ("", "", ""), "convergence",
        ladders=tuple((f"RGB, {n} videos", f"IMRS, {n} videos") for n in numbers),
        over="training videos per class",
    )  # fmt: skip


def with_videos(run: Run, videos: int) -> Run:
    """The run with another number of training videos per class, its teacher alike, and about as many steps."""
    epochs = run.optimisation.epochs * (run.data.train_per_class or videos) / videos
    return replace(
        run, data=replace(run.data, train_per_class=videos),
        optimisation=replace(run.optimisation, epochs=max(round(epochs), 1)),
        teacher=None if run.teacher is None else with_videos(run.teacher, videos),
    )  # fmt: skip
