"""Executed notebooks as pages: what is shown of an execution, and that the committed pages are of today's notebooks."""

import base64
import io
import re
from urllib.parse import unquote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from repro import notebooks, pages, paths
from repro.errors import ReproError
from repro.report import executed

COMMITTED = sorted((paths.ROOT / "results" / "notebooks").glob("*.html"))
NAME = "ablation_lambda"


def png() -> str:
    data = io.BytesIO()
    Image.new("RGB", (2400, 600), "red").save(data, "png")
    return base64.b64encode(data.getvalue()).decode()


@pytest.fixture
def copy():
    """An executed notebook with a picture, a table, a script, a style, links, and progress on stderr."""
    html = "<style>.x { color: red }</style><table><tr><td>77.8</td></tr></table><script>alert(1)</script>"
    outputs = [
        new_output("stream", name="stdout", text="two < three"), new_output("stream", name="stderr", text="50 %"),
        new_output("display_data", {"image/png": png()}), new_output("execute_result", {"text/html": html}),
    ]  # fmt: skip
    injected = new_code_cell("jobs = 1", metadata={"tags": ["injected-parameters"]})
    links = "[d](../docs/evidence.md#tiers-and-profiles) [n](streams.ipynb) [w](https://example.org) [h](#here)"
    return new_notebook(cells=[new_markdown_cell(links), injected, new_code_cell("print(1)", outputs=outputs)])


def test_a_page_shows_the_outputs_and_runs_nothing(copy):
    text = executed.text(NAME, copy)
    for shown in ("two &lt; three", "<td>77.8</td>", f"<title>{notebooks.NOTEBOOKS[NAME].title}</title>"):
        assert shown in text
    for hidden in ("50 %", "jobs", "<script", "color: red }</style><table"):
        assert hidden not in text, hidden
    assert re.search(
        r'<img alt="A figure of: [^"]+" src="data:image/webp;base64,[^"]+" width="1200" height="300"', text
    )
    assert text.count("<img") == 1
    assert "default-src 'none'" in text


def test_links_are_those_of_the_notebook_from_another_folder(copy, monkeypatch):
    monkeypatch.setenv("REPRO_OUT", str(paths.ROOT))
    found = re.findall(r'href="([^"]+)"', executed.text(NAME, copy).split("<main>")[1])
    assert found == ["../../docs/evidence.md#tiers-and-profiles", "streams.html", "https://example.org", "#here"]


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: file.stem)
def test_a_committed_page_is_of_the_committed_notebook(file):
    """Its outputs are not compared: there are times in them."""
    text = file.read_text(encoding="utf-8")
    source = re.search(r'<meta name="source" content="(\w+)">', text)[1]
    assert source == executed.source_of(file.stem), f"make pages, or python -m repro.pages {file.stem}"
    assert str(paths.ROOT) not in text
    loaded = re.findall(r'src="(?!data:)([^"]*)"', text)
    assert loaded == []
    for target in re.findall(r'href="(?!https?:|data:|#)([^"#]+)', text):
        place = file.parent / unquote(target)
        other = place.parent == file.parent and place.stem in notebooks.NOTEBOOKS  # made by the same command
        assert place.exists() or other, target


def test_one_that_fails_is_named_and_the_others_are_written(home, monkeypatch, copy, capsys):
    def execute(name, given, folder, quiet):
        if name == "streams":
            raise ReproError("streams: it broke")
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(copy, folder / f"{name}.ipynb")
        assert paths.out() != home / "out", "results/ and figures/ are left as they are"
        return folder / f"{name}.ipynb"

    monkeypatch.setattr(notebooks, "execute", execute)
    with pytest.raises(ReproError, match="1 notebooks failed, the others have their pages: streams: it broke"):
        pages.make(["streams", NAME])
    written = home / "out" / "results" / "notebooks" / f"{NAME}.html"
    assert capsys.readouterr().out == f"{written}\n"
    assert "77.8" in written.read_text()
    with pytest.raises(ReproError, match="did you mean 'streams'"):
        pages.make(["stream"])
