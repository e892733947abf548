"""docs/ as pages: built without warnings and without a network, and every link leads to something."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from repro import paths

BUILD = """
import socket, sys
def refuse(*arguments):
    raise OSError("the pages are built without a network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""
pytestmark = pytest.mark.slow  # starts Sphinx


class Page(HTMLParser):
    """Links, what is loaded, ids and headings of a page."""

    def __init__(self, file: Path):
        super().__init__()
        self.links, self.loaded, self.ids, self.headings = [], [], set(), 0
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given["id"]} if "id" in given else set()
        self.headings += tag == "h1"
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.loaded += [given[name] for name in ("src", "href") if tag in ("script", "img", "link") and given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[str, Page]:
    """The pages by file name, built into a folder of the tests."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install -e .[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", BUILD, "-W", "--keep-going", "-q", "-d", str(folder / "trees")]
    done = subprocess.run([*command, str(paths.ROOT / "docs"), str(folder / "site")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return {file.name: Page(file) for file in (folder / "site").glob("*.html")} | {"": folder / "site"}


def test_every_page_is_built_and_listed(site):
    names = {file.stem for file in (paths.ROOT / "docs").glob("*.md")}
    assert names <= {name.removesuffix(".html") for name in site}
    listed = {urlsplit(link).path.removesuffix(".html") for link in site["index.html"].links}
    assert names - {"index"} <= listed
    assert all(site[f"{name}.html"].headings == 1 for name in names)


def test_every_link_leads_to_a_page_a_heading_or_a_file_of_the_repository(site):
    beside = 0
    for file in (paths.ROOT / "docs").glob("*.md"):
        name = f"{file.stem}.html"
        for link in site[name].links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                continue
            target = unquote(parts.path) or name
            if target.startswith("../"):  # from site/, which is beside docs/
                assert (paths.ROOT / target[3:]).exists(), (name, link)
                beside += 1
            else:
                assert (site[""] / target).exists(), (name, link)
                assert not parts.fragment or parts.fragment in site[target].ids, (name, link)
    assert beside > 25


def test_the_pages_load_nothing_from_elsewhere(site):
    loaded = [each for name, page in site.items() if name for each in page.loaded]
    assert loaded
    for each in loaded:
        assert not re.match(r"(https?:)?//", each), each


def test_links_of_the_other_pages_lead_somewhere():
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        text = (paths.ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (paths.ROOT / target).exists(), (name, target)
