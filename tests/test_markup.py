r"""Text from data in Markdown, LaTeX and HTML, as other programs read it back."""

import html
import json
import re
from html.parser import HTMLParser

import mistune
import pandas as pd
import pytest
from matplotlib.figure import Figure

from repro.config import Data
from repro.errors import ReproError
from repro.evidence import results
from repro.evidence.markup import as_code, as_latex, as_markdown
from repro.evidence.results import Line, Result
from repro.figures import results as figures
from repro.figures import style
from repro.parameters import Parameters

HOSTILE = (
    "<script>alert(1)</script>", "a|b", "a\\|b", "`code`", "``", "*x*", "_x_", "a_b", "[x](http://y)", "[x", "\\", "&amp;",
    "{}$%#~^", "^(?P<group>[a-z]+)_", "*", "two\nlines", "~~x~~", "|" * 9, "< 0.001", "a < b>", "é ±",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_the_text_itself(text):
    """Every active character is escaped, so what a reader of Markdown takes away is what was put in."""
    written = as_markdown(text)
    assert "\n" not in written
    assert not re.search(r"(?<!\\)(\\\\)*[`*~|]", written)
    assert not re.search(r"<(?! )|>", written)
    back = html.unescape(re.sub(r"\\([\\`*~|_\[])", r"\1", written))
    assert back == text.replace("\n", " ")


@pytest.mark.parametrize("text", HOSTILE)
def test_code_ends_where_it_should(text):
    """A code span ends at a fence as long as its first: there is none inside."""
    written = as_code(text)
    fence = re.match("`+", written).group()
    inside = written[len(fence) : -len(fence)]
    assert written.endswith(fence)
    assert len(fence) not in map(len, re.findall("`+", inside))
    assert inside.strip() == text.replace("\n", " ").strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_has_no_character_with_a_meaning_left(text):
    written = as_latex(text)
    bare = re.sub(r"\\text[a-z]+\{\}|\\[%_&#{}$]|^\{[\[*]\}", "", written)
    assert not set(bare) & set("\\{}$%#&_~^<>|\n")
    assert not written.startswith(("[", "*"))


class Tags(HTMLParser):
    """The tags of a page, and the text of its cells."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.cells, self.inside = set(), [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.inside = tag in ("td", "th", "caption")
        self.cells += [""] * self.inside

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th", "caption")

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


@pytest.fixture
def result() -> Result:
    """A table whose every text is hostile."""
    lines = tuple(Line({"row": text, f"ours (folder-{HOSTILE[0]})": text[::-1]}) for text in HOSTILE)
    bad = " ".join(HOSTILE)
    return Result("t", "", bad, bad, "small real", "claims", f"python -m repro run claims -p group '{bad}'", lines)


def test_no_format_of_a_table_reads_data_as_markup(result, home):
    parameters = Parameters(dataset="folder", data_root="/videos/<b>x|y")
    results.save(result, parameters)
    folder = home / "out" / "results" / "small" / "folder-<b>x|y"
    texts = {path.suffix: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert results.read(folder / "t.json") == result
    assert json.loads(texts[".json"])["claim"] == result.claim
    csv = pd.read_csv(folder / "t.csv", keep_default_na=False, dtype=str)
    assert csv["row"].tolist() == list(HOSTILE)
    page = Tags(texts[".html"])
    assert page.tags <= {
        "html",
        "head",
        "meta",
        "style",
        "body",
        "table",
        "caption",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
    }
    assert page.cells[1:3] == ["row", f"ours (folder-{HOSTILE[0]})"]
    assert [" ".join(cell.split()) for cell in page.cells[3::2]] == [" ".join(text.split()) for text in HOSTILE]
    shown = Tags(result._repr_html_())
    assert shown.tags <= {"style", "table", "thead", "tr", "th", "tbody", "td"}
    assert shown.cells[1] == f"ours (folder-{HOSTILE[0]})"
    table = texts[".md"].split("\n\n")[-1].splitlines()
    assert len(table) == len(HOSTILE) + 2
    drawn = Tags(mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])("\n".join(table)))
    assert drawn.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert [cell.strip() for cell in drawn.cells[2::2]] == [text.replace("\n", " ") for text in HOSTILE]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table} == {3}
    assert "<script" not in texts[".md"].replace(result.command.replace("\n", " "), "")
    rows = re.findall(r"^(.*) & (.*) \\\\$", texts[".tex"], re.MULTILINE)
    assert len(rows) == len(HOSTILE) + 1
    assert result.again == f"Make it again with {as_code(result.command)}."


def test_classes_with_odd_names_are_drawn_and_named(recorded, monkeypatch):
    """A "$" is no formula, and a name no Markdown."""
    from finished import record
    from test_stored import RUN

    names = ["$\\foo$", "a$b$c", "*x*"]
    made = record(RUN, [[0.0, 1, 0], [0, 1, 0], [1, 0, 0]], [0, 1, 2], names)
    figure = figures.confusion_figure(made)
    assert isinstance(figure, Figure)
    style.save(figure, "odd", Parameters(), "evaluate")
    assert "*$\\\\foo$* is called *a$b$c* (1 times)" in figures.confusion_sentence(made)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\0b", "x" * 1001, "\udce9"])
def test_a_folder_whose_name_no_table_can_hold_is_one_error(name):
    with pytest.raises(ReproError, match=r"Data.source is .*, but must be one line of text of at most 1000 characters"):
        Data("folder", name)
