"""The results page and the notebooks, looked at and clicked through in a real headless browser.

All notebooks, not only the first, are run in JupyterLab by: REPRO_ALL_NOTEBOOKS=1 pytest tests/test_browser.py
"""

import gzip
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlparse

import browser
import nbformat
import pytest

from repro import notebooks, paths, report

pytestmark = pytest.mark.slow  # a real browser

IN_LAB = list(notebooks.NOTEBOOKS) if os.environ.get("REPRO_ALL_NOTEBOOKS") else ["00_quickstart"]
PARAMETERS = '# Parameters\nprofile = "smoke"\nsplits = "1"\nseeds = "0,1"\njobs = 1'
CONTRAST = """names => {
  const linear = v => v > .03928 ? ((v + .055) / 1.055) ** 2.4 : v / 12.92;
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = colour.map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b + .05;
  };
  const behind = e => {  // what a translucent background lets through included
    const [r, g, b, a = 1] = parts(getComputedStyle(e).backgroundColor);
    const under = a < 1 ? behind(e.parentElement) : [0, 0, 0];
    return [r, g, b].map((v, i) => a * v + (1 - a) * under[i]);
  };
  return Object.fromEntries(names.map(name => {
    const e = document.querySelector(name), ratio = light(parts(getComputedStyle(e).color).slice(0, 3)) / light(behind(e));
    return [name, Math.max(ratio, 1 / ratio)];
  }));
}"""
UNFOLD = "document.querySelectorAll('details').forEach(each => { each.open = true })"
LOADED = """() => [...document.querySelectorAll("img")].map(i => i.decode().then(() => i.naturalWidth > 0, () => false))
  .reduce((all, one) => Promise.all([all, one]).then(([a, b]) => a && b), Promise.resolve(true))"""


@pytest.fixture(scope="module")
def chrome():
    with browser.launched() as launched:
        yield launched


@pytest.fixture(scope="module")
def results_page(tmp_path_factory, chrome) -> Path:
    """The page made from the committed results, beside copies of them."""
    home = tmp_path_factory.mktemp("report")
    for name in ("results", "figures"):
        shutil.copytree(paths.ROOT / name, home / name, ignore=shutil.ignore_patterns("index.html", "smoke"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_OUT", str(home))
        return report.write()


@pytest.fixture
def opened(chrome, results_page, tmp_path):
    """opened(width, scheme) -> the page in a window of its own; whatever it complained of or fetched fails the test."""
    contexts, complaints = [], []

    def open_page(width: int = 1280, scheme: str = "light"):
        context = chrome.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: complaints.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
        page.goto(results_page.as_uri())
        return page

    yield open_page
    for number, context in enumerate(contexts):
        context.pages[0].screenshot(path=tmp_path / f"report{number}.png")
        context.close()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 1280])
def test_the_page_fits_and_can_be_read(opened, width, scheme):
    page = opened(width, scheme)
    assert page.evaluate("document.documentElement.scrollHeight") < (15_000 if width == 1280 else 20_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == (scheme == "dark")
    names = [
        "p",
        "a[href]",
        "thead th",
        "tbody th",
        "tbody td",
        ".soft",
        ".not-resolved",
        ".not-testable",
        ".card p",
        ".box tr:nth-child(even) td",
        "summary",
        "thead button",
        "code",
    ]
    ratios = page.evaluate(CONTRAST, names)
    assert min(ratios.values()) >= 4.5, ratios
    assert page.evaluate(LOADED)
    assert page.locator("img").count() > 0


def unfold_verdicts(page) -> None:
    page.locator("details.verdicts > summary").first.click()


@pytest.mark.parametrize("width", [375, 768, 1280])
def test_a_table_with_columns_off_the_screen_says_so(opened, width):
    page = opened(width)
    page.evaluate(UNFOLD)
    boxes = "[...document.querySelectorAll('.box, .forest')]"
    page.wait_for_function(f"{boxes}.some(box => box.classList.contains('wide'))")
    hidden = page.evaluate(f"{boxes}.map(box => [box.scrollWidth > box.clientWidth, box.classList.contains('wide')])")
    assert [wide for _, wide in hidden] == [more for more, _ in hidden]
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.box')).backgroundImage").count("linear-gradient") == 4
    )


def test_the_first_column_stays_where_a_table_scrolls(opened):
    page = opened(375)
    page.evaluate(UNFOLD)
    page.wait_for_function("document.querySelectorAll('.box.wide').length > 20")
    moved = page.evaluate("""[...document.querySelectorAll('.box.wide')].map(box => {
      const cell = box.querySelector('tbody th'), left = e => e.getBoundingClientRect().left;
      const edge = () => left(cell) - left(box), before = edge();
      box.scrollLeft = 80;
      return [Math.abs(edge() - before), cell.offsetWidth / box.clientWidth];
    })""")
    assert max(by for by, _ in moved) < 2
    assert max(share for _, share in moved) < 0.6  # the others can be read beside it


@pytest.mark.parametrize("width", [375, 1280])
def test_saying_that_a_table_is_wide_does_not_change_its_width(opened, width):
    """Else a box could go on and off for ever."""
    page = opened(width)
    page.evaluate(UNFOLD)
    changed = """[...document.querySelectorAll('.box')].filter(box => {
      const widths = [false, true].map(wide => { box.classList.toggle('wide', wide); return box.scrollWidth; });
      return widths[0] !== widths[1];
    }).map(box => box.ariaLabel)"""
    assert page.evaluate(changed) == []


def test_no_table_of_results_is_wider_than_a_desktop(opened):
    """Lists of runs, which have a column for each field that differs, scroll."""
    page = opened(1280)
    page.evaluate(UNFOLD)
    wide = "[...document.querySelectorAll('.box:not(.tall)')].filter(box => box.scrollWidth > box.clientWidth)"
    assert page.evaluate(f"{wide}.map(box => box.ariaLabel)") == []


def test_the_first_screen_answers_before_anything_else(opened):
    page = opened()
    cards = page.locator("article")
    assert cards.count() == 6
    assert cards.first.bounding_box()["y"] < 500
    order = ["cards", "verdicts", "exact", "time", "paper-1", "again"]
    tops = [page.locator(f"#{name}").bounding_box()["y"] for name in order]
    assert tops == sorted(tops)
    picture = page.locator("#verdicts ~ .forest img").bounding_box()
    assert tops[1] < picture["y"] < tops[1] + 100


def test_wide_tables_scroll_inside_their_boxes_on_a_phone(opened):
    page = opened(320)
    unfold_verdicts(page)
    box = page.get_by_role("region", name="Verdicts, synthetic", exact=True).and_(page.locator("div"))
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("box => box.scrollLeft > 0", arg=box.element_handle())
    assert page.evaluate("window.scrollX") == 0


def numbers(page, column: int) -> list[float]:
    """The first number of each cell of a column of the verdict table, empty cells left out."""
    cells = (
        page.get_by_role("table", name="Verdicts, synthetic")
        .locator(f"tbody tr > :nth-child({column})")
        .all_inner_texts()
    )
    return [float(cell.split()[0]) for cell in cells if cell.strip()]


def test_columns_sort_by_click_and_by_key(opened):
    page = opened()
    unfold_verdicts(page)
    table = page.get_by_role("table", name="Verdicts, synthetic")
    heading = table.get_by_role("columnheader", name="our gain [95 %]")
    column = heading.evaluate("cell => cell.cellIndex") + 1
    before = numbers(page, column)
    assert heading.get_attribute("aria-sort") == "none"
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert numbers(page, column) == sorted(before) != before
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert numbers(page, column) == sorted(before, reverse=True)
    assert page.locator("#said").inner_text() == "Verdicts, synthetic: sorted by our gain [95 %], descending"
    table.get_by_role("columnheader", name="verdict").get_by_role("button").click()
    verdicts = table.locator("tbody tr > :nth-child(2)").all_inner_texts()
    assert verdicts == sorted(verdicts)
    assert heading.get_attribute("aria-sort") == "none"


def test_the_keyboard_reaches_the_results(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_every_link_leads_somewhere(opened, results_page):
    page = opened()
    for link in page.get_by_role("navigation").get_by_role("link").all():
        link.click()
        target = page.locator(urlparse(page.url).fragment.join(["[id='", "']"]))
        assert target.bounding_box()["y"] < 800, f"{link.inner_text()} does not bring its section into view"
    links = page.evaluate("[...document.links].map(link => link.href)")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    here = results_page.as_uri()
    for link in set(links):
        if link.startswith(f"{here}#"):
            assert urlparse(link).fragment in ids, link
        elif link.startswith("file:"):
            assert Path(unquote(urlparse(link).path)).exists(), link
    assert sum(link.endswith("docs/evidence.md") for link in links) == 2
    page.locator("[aria-labelledby='time'] summary").first.click()
    run = page.locator("details[open] a").first
    assert run.is_visible()
    record = Path(unquote(urlparse(run.evaluate("link => link.href")).path))
    assert json.loads(gzip.decompress(record.read_bytes()))["id"] == run.inner_text()


@pytest.fixture(scope="module")
def lab(tmp_path_factory, chrome):
    """A JupyterLab over copies of the notebooks, set to the smoke profile, with data and output folders of its own."""
    home = tmp_path_factory.mktemp("lab")
    for name in IN_LAB:
        notebook = nbformat.read(notebooks.path_of(name), 4)
        tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
        notebook.cells.insert(tagged[0] + 1, nbformat.v4.new_code_cell(PARAMETERS))  # as papermill does
        nbformat.write(notebook, home / f"{name}.ipynb")
    environment = {"REPRO_DATA": str(home / "data"), "REPRO_OUT": str(home / "out"), "OMP_NUM_THREADS": "1"}
    with browser.jupyterlab(home, environment) as address:
        yield address, home


def choose(page, menu: str, entry: str) -> None:
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()


@pytest.mark.parametrize("name", IN_LAB)
def test_a_notebook_runs_in_jupyterlab(lab, chrome, name, tmp_path):
    address, folder = lab
    with chrome.new_context(viewport={"width": 1280, "height": 1000}) as context:
        page = context.new_page()
        page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
        idle = page.get_by_text(re.compile(r"\| Idle$"))  # of the status bar; before, the menu does nothing
        idle.wait_for(timeout=60_000)
        choose(page, "Run", "Run All Cells")
        prompts = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(prompt => prompt.textContent)"
        page.wait_for_function(f"/\\[[*\\d]/.test({prompts})")
        page.wait_for_function(f"!/\\[[*]/.test({prompts})", timeout=300_000)  # done, or stopped by an error
        idle.wait_for()
        with page.expect_response(
            lambda response: response.request.method == "PUT" and "/api/contents/" in response.url
        ):
            choose(page, "File", "Save Notebook")
        cells = [cell for cell in nbformat.read(folder / f"{name}.ipynb", 4).cells if cell.cell_type == "code"]
        assert [output for cell in cells for output in cell.outputs if output.output_type == "error"] == []
        assert all(cell.execution_count for cell in cells)
        images = page.locator(".jp-OutputArea-output img")
        assert images.count() > 0, "no figure"
        assert page.evaluate(LOADED)
        for moving in page.locator(".jp-OutputArea-output video").all():
            assert moving.evaluate("video => video.videoWidth") > 0
        for place, image in (("first", images.first), ("last", images.last)):
            image.scroll_into_view_if_needed()
            assert image.is_visible()
            page.screenshot(path=tmp_path / f"{name}_{place}.png")
        choose(page, "Kernel", "Shut Down Kernel")
        page.get_by_text("No Kernel").first.wait_for()


def test_the_index_leads_to_a_notebook(lab, chrome):
    address, folder = lab
    shutil.copy(notebooks.FOLDER / "index.ipynb", folder)
    with chrome.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/lab/tree/index.ipynb?reset")
        page.get_by_role("link", name="00_quickstart").click()
        page.locator("h1", has_text=notebooks.NOTEBOOKS["00_quickstart"].title).wait_for()


SLIDER = """
from repro.figures import ideas, sliders

sliders.sliders(lambda height: ideas.bars({"x": [height, 3]}, "place"), [{"height": 1}], height=(1, 2, 3))
"""


def test_a_slider_redraws_its_figure(lab, chrome):
    """By the kernel, through the widgets that JupyterLab has from ipywidgets."""
    address, folder = lab
    notebook = nbformat.read(notebooks.FOLDER / "index.ipynb", 4)
    notebook.cells = [nbformat.v4.new_code_cell(SLIDER.strip())]
    nbformat.write(notebook, folder / "slider.ipynb")
    with chrome.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/lab/tree/slider.ipynb?reset")
        page.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=60_000)
        choose(page, "Run", "Run All Cells")
        picture, handle = page.locator(".jupyter-widgets img, img.jupyter-widgets"), page.locator(".noUi-handle")
        picture.wait_for(timeout=120_000)
        before = picture.get_attribute("src")
        handle.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("before => !document.querySelector(`img[src='${before}']`)", arg=before, timeout=60_000)
        assert picture.is_visible()
        choose(page, "Kernel", "Shut Down Kernel")
