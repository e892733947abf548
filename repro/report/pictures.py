"""The figures of figures/PROFILE/DATASET/, small enough to stand inside a page."""

import base64
import io
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from repro import notebooks, paths
from repro.errors import ReproError

WIDEST = 1200  # pixels of an image inside the page; the file that is linked beside it has all of them
LARGEST = 400_000  # bytes of a moving picture inside the page; of a larger one the first frame is shown
KINDS = (".png", ".webp", ".gif", ".jpg", ".svg")


@dataclass(frozen=True)
class Figure:
    """A figure: where its file lies from the page, and its pixels as a data URI of width x height."""

    profile: str
    dataset: str
    name: str
    notebook: str  # that draws it, or nothing
    link: str
    source: str
    width: int
    height: int

    @property
    def words(self) -> str:
        """The name, to be read."""
        return self.name.replace("_", " ")


def figures(profiles: Iterable[str], page: Path) -> list[Figure]:
    """All figures of some profiles, by data set and name, for a page in the folder `page`."""
    texts = {name: _code(notebooks.path_of(name)) for name in notebooks.NOTEBOOKS}
    found = []
    for profile in profiles:
        for file in sorted((paths.out() / "figures" / profile).glob("*/[!.]*")):
            if file.suffix not in KINDS:
                continue
            kind, data, size = _svg(file) if file.suffix == ".svg" else _pixels(file)
            drawn = next((name for name, text in texts.items() if f'"{file.stem}"' in text), "")
            source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
            link = quote(Path(os.path.relpath(file, page)).as_posix())
            found.append(Figure(profile, file.parent.name, file.stem, drawn, link, source, *size))
    return found


def _code(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def _pixels(file: Path) -> tuple[str, bytes, tuple[int, int]]:
    """Kind, bytes and size. A still becomes WebP, lossless (charts) or lossy (photographs), whichever is smaller."""
    try:
        with Image.open(file) as image:
            if getattr(image, "n_frames", 1) > 1 and file.stat().st_size <= LARGEST:
                return image.format.lower(), file.read_bytes(), image.size
            still = image.convert("RGBA")
    except (OSError, SyntaxError, ValueError) as error:
        raise ReproError(f"{file}: not an image ({error}); delete it and run its notebook again") from None
    flat = Image.new("RGB", still.size, "white")
    flat.paste(still, mask=still.getchannel("A"))
    flat.thumbnail((WIDEST, 4 * WIDEST))
    return "webp", min(_webp(flat, lossless=True), _webp(flat, quality=80), key=len), flat.size


def _webp(image: Image.Image, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, "webp", **options)
    return data.getvalue()


def _svg(file: Path) -> tuple[str, bytes, tuple[int, int]]:
    """An SVG as it is; its width and height are those of its view box."""
    data = file.read_bytes()
    box = re.search(rb'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', data)
    if not box:
        raise ReproError(f"{file}: an SVG without a viewBox; delete it and run its notebook again")
    return "svg+xml", data, (round(float(box[1])), round(float(box[2])))
