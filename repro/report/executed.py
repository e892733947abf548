"""An executed notebook as a page that needs no network and runs no script: nbconvert's markup in a style of our own."""

import base64
import hashlib
import html
import io
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import jinja2
import nbformat
from nbconvert import HTMLExporter
from PIL import Image
from pygments.formatters import HtmlFormatter

from repro import notebooks, paths
from repro.report import pictures
from repro.report.links import link

PNG = re.compile(r'<img alt="[^"]*" src="data:image/png;base64,([^"]+)"')
LINK = re.compile(r'href="((?!https?:|data:|#)[^"#]+)')
ACTIVE = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)  # styles of outputs are made for a white page


def folder() -> Path:
    """Where the pages are: results/notebooks/."""
    return paths.out() / "results" / "notebooks"


def source_of(name: str) -> str:
    """A hash of a notebook's cells. A page has that of the notebook which it was made from."""
    cells = json.loads(notebooks.path_of(name).read_text(encoding="utf-8"))["cells"]
    return hashlib.sha256(json.dumps([cell["source"] for cell in cells]).encode()).hexdigest()[:16]


def write(name: str, copy: Path) -> Path:
    """Writes the page of a notebook, results/notebooks/NAME.html, from its executed copy."""
    target = folder() / f"{name}.html"
    with paths.atomic(target) as part:
        part.write_text(text(name, nbformat.read(copy, as_version=4)), encoding="utf-8")
    return target


def text(name: str, copy: nbformat.NotebookNode) -> str:
    """The page of a notebook. Leaves out the cell that papermill adds, and what was written to stderr: progress."""
    cells = [cell for cell in copy.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    kept = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    options = {f"exclude_{each}": True for each in ("input_prompt", "output_prompt", "anchor_links")}
    body, _ = HTMLExporter(template_name="basic", **options).from_notebook_node(kept)
    title = notebooks.NOTEBOOKS[name].title
    body = PNG.sub(lambda found: _picture(found[1], title), ACTIVE.sub("", body))
    body = LINK.sub(lambda found: f'href="{_from_here(found[1])}', body).replace("<table", '<table tabindex="0"')
    colours = {style: HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark")}
    loader = jinja2.PackageLoader("repro.report", ".")
    template = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined).get_template("executed.html")
    return template.render(
        title=html.escape(title), source=source_of(name), body=body, light=colours["default"], dark=colours["github-dark"],
        command=notebooks.command(name, "small"), notebook=link(notebooks.path_of(name), folder()),
    )  # fmt: skip


def _picture(data: str, title: str) -> str:
    """The start of an image's tag, its pixels as small as on the results page."""
    with Image.open(io.BytesIO(base64.b64decode(data)), formats=["PNG"]) as image:
        source, width, height = pictures.embedded(image)
    return f'<img alt="A figure of: {html.escape(title)}" src="{source}" width="{width}" height="{height}"'


def _from_here(target: str) -> str:
    """A link of a notebook, as it is from its page; to another notebook, its page."""
    file = Path(os.path.normpath(notebooks.FOLDER / unquote(target)))
    if file.suffix == ".ipynb" and file.stem in notebooks.NOTEBOOKS:
        return f"{file.stem}.html"
    return link(file, folder())
