"""How Sphinx makes pages of docs/*.md: python -m sphinx -W docs site

The pages belong into site/, beside docs/: a link such as ../results/index.html leads to the same file from both.
"""

import re

project = "repro"
copyright = "the repro maintainers"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "repro: five action-recognition papers"
html_show_sphinx = html_copy_source = html_use_index = False
myst_heading_anchors = 3
BESIDE = re.compile(r"(?<!!)(\[[^\]]*\])\(\.\./")  # a link, not a picture, to a file outside docs/
myst_url_schemes = {"http": None, "https": None, "beside": "../{{path}}"}


def setup(app) -> None:
    app.connect("source-read", _prepare)


def _prepare(app, page: str, source: list[str]) -> None:
    """Leaves links to files outside docs/ as they are, and makes the pages that index.md lists its contents."""
    if page == "index":
        pages = re.findall(r"^- \[.+?\]\(([\w-]+)\.md\)", source[0], re.MULTILINE)
        source[0] += "\n".join(["\n```{toctree}\n:hidden:\n", *pages, "```\n"])
    source[0] = BESIDE.sub(r"\1(beside:", source[0])
