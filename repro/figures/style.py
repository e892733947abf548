"""What all figures share: matplotlib's settings, one colour per stream and system, and how a figure is saved."""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from IPython.display import Video
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from repro import paths
from repro.errors import ReproError
from repro.parameters import Parameters

matplotlib.rcParams.update({
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "axes.axisbelow": True,
    "font.size": 10, "figure.dpi": 110, "savefig.bbox": "tight", "axes.titlelocation": "left", "legend.frameon": False,
})  # fmt: skip

INK = "#444444"  # text, lines, and baselines
PAPER = "#e69f00"  # what a paper printed, and reference lines
OURS = "#44546a"  # our numbers where the rows are variants without a colour of their own
# A stream or system has the same colour in every figure. Each two of them stay apart for the three kinds of colour
# blindness: tests/test_figures.py simulates them.
COLOURS = {
    "RGB": "#56b4e9",
    "Flow": "#f09bc8",
    "IMRS": "#0072b2",
    "RGB+Flow": "#882255",
    "MARS": "#e0b030",
    "TSN": "#808080",
    "TSM": "#8f8f20",
    "SMNet": "#0f6030",
    "STME": "#35d0a5",
    "STMSA": "#241470",
    "STDDCN": "#c050d0",
    "T-STAM": "#d55e00",
}
OTHER_NAMES = {  # of the same networks, in labels
    "RGB alone": "RGB", "teacher": "Flow", "student": "IMRS", "IMRS at test": "IMRS", "two streams": "RGB+Flow", "shift": "TSM",
    "+ enhancement": "STME", "two streams with our TV-L1": "RGB+Flow", "two streams with OpenCV's TV-L1": "RGB+Flow",
}  # fmt: skip
NO_NETWORKS = (
    "Trained networks are not part of the repository, and those of these runs are not on this machine: committed figures "
    "are shown. `fresh=True` trains the networks and draws the figures again."
)


def colour(label: str, other: str = OURS) -> str:
    """The colour of the stream or system that a label begins with, up to a comma or bracket; `other` for all else."""
    name = label.partition(" (")[0].partition(",")[0].partition(":")[0]
    return COLOURS.get(OTHER_NAMES.get(name, name), other)


def colours(labels: Sequence[str]) -> list[str]:
    """A colour per label, for labels drawn in one panel: those without a colour of their own share what is left."""
    taken = [colour(label, "") for label in labels]
    free = iter([OURS, INK, PAPER] + [each for each in COLOURS.values() if each not in taken])
    return [each or next(free, OURS) for each in taken]


def plain(text: str) -> str:
    """Text from data, such as the name of a class, for a figure: matplotlib takes what two dollars enclose for a formula."""
    return text.replace("$", r"\$")


def titled(width: float, height: float, title: str = "") -> Figure:
    """An empty figure of a size in inches, with its title at the left."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(plain(title), x=0.01, ha="left", fontweight="bold")
    return figure


def png(figure: Figure, **text: str) -> bytes:
    """A figure as a PNG in full colour, with `text` as its metadata; the same figure gives the same bytes."""
    drawn, out, info = io.BytesIO(), io.BytesIO(), PngInfo()
    figure.savefig(drawn, format="png")
    for key, value in text.items():
        info.add_text(key, value)
    Image.open(drawn).convert("RGB").save(out, format="png", optimize=True, pnginfo=info)
    return out.getvalue()


def save(figure: Figure, name: str, parameters: Parameters, notebook: str) -> Path:
    """Writes figures/PROFILE/DATASET/NAME.png; its PNG text "Notebook" names the notebook that draws it."""
    path = _path(paths.out(), name, parameters)
    with paths.atomic(path) as part:
        part.write_bytes(png(figure, Notebook=notebook))
    return path


def committed(name: str, parameters: Parameters) -> Path | None:
    """The file of a figure that was saved before: in the output folder, else with the project, else None."""
    found = (_path(folder, name, parameters) for folder in (paths.out(), paths.ROOT))
    return next((path for path in found if path.exists()), None)


def _path(folder: Path, name: str, parameters: Parameters) -> Path:
    return folder / "figures" / parameters.profile / parameters.name / f"{name}.png"


def video(frames: np.ndarray, fps: float = 12.0, scale: int = 1) -> Video:
    """(T, H, W, 3) uint8 as a video (VP9) with pause, a time line and, in the menu at its right, speed; it loops."""
    frames = frames.repeat(scale, axis=1).repeat(scale, axis=2)
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), "edge")  # even sides
    height, width = frames.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"vp09"), fps, (width, height))
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))  # BGR
        writer.release()
        if not path.exists() or not path.stat().st_size:
            raise ReproError("this OpenCV writes no VP9 video; install opencv-python-headless, which does")
        film = path.read_bytes()
    return Video(film, embed=True, mimetype="video/mp4", width=width, html_attributes="controls loop autoplay muted")
