"""The figures of figures/PROFILE/DATASET/ in a form small enough for a page."""

import base64
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from repro import damaged, paths
from repro.errors import ReproError
from repro.report.links import link

BOMBS = Image.DecompressionBombWarning, Image.DecompressionBombError
WIDEST = 1200  # pixels of an image inside the page; the file that is linked beside it has all of them


@dataclass(frozen=True)
class Figure:
    """A figure. notebook: the one that draws it, as its file says, or nothing. link: from the page to the file.

    source: its pixels, width x height of them, as a data URI.
    """

    profile: str
    dataset: str
    name: str
    notebook: str
    link: str
    source: str
    width: int
    height: int

    @property
    def words(self) -> str:
        """The name as words."""
        return self.name.replace("_", " ")


def figures(profiles: Iterable[str], folder: Path) -> list[Figure]:
    """All figures of some profiles, by data set and name, for a page in `folder`."""
    places = (paths.out() / "figures" / profile for profile in profiles)
    files = (file for place in places for file in sorted(place.glob("*/[!.]*.png")))
    found = (damaged.read(lambda file: _figure(file, folder), file) for file in files)
    return [figure for figure in found if figure is not None]


def read(file: Path) -> Image.Image:
    """The image in a figure's file, its texts in `text`. ReproError for another file, or one of more than 89 million pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # before any pixel is unpacked
            with Image.open(file, formats=["PNG"]) as image:
                image.load()
                return image
    except (*BOMBS, OSError, SyntaxError, ValueError) as error:
        raise ReproError(f"{file}: not a figure of ours ({error}); delete it and run its notebook again") from None


def _figure(file: Path, folder: Path) -> Figure:
    image = read(file)
    source, *size = embedded(image)
    dataset, profile = file.parent, file.parent.parent
    name = link(file, folder)
    return Figure(profile.name, dataset.name, file.stem, image.text.get("Notebook", ""), name, source, *size)


def embedded(image: Image.Image) -> tuple[str, int, int]:
    """An image as a data URI, at most `WIDEST` pixels wide; its width and height."""
    still = image.convert("RGB")
    still.thumbnail((WIDEST, 4 * WIDEST))
    data = min(_webp(still, lossless=True), _webp(still, quality=80), key=len)  # charts, photographs
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}", *still.size


def _webp(image: Image.Image, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, "webp", **options)
    return data.getvalue()
