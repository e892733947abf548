"""Text from data, such as names of folders and classes, in Markdown and LaTeX: shown as it is, never read as markup."""

import html
import re

HTML = re.compile(r"<(?! )|>|&")  # before a space, "<" begins no tag, and "< 0.001" is easier to read
ACTIVE = re.compile(r"[\\`*~|]|(?<!\w)_|_(?!\w)|\[(?=[^]]*\]\()")  # in GitHub's Markdown, its tables included
LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", **{c: f"\\{c}" for c in "%_&#{}$"},
}  # fmt: skip


def as_markdown(text: str) -> str:
    """Text for a line or a cell of a table in Markdown."""
    line = HTML.sub(lambda found: html.escape(found[0]), " ".join(text.splitlines()))
    return ACTIVE.sub(r"\\\g<0>", line)


def as_code(text: str) -> str:
    """Text as code in a line of Markdown; not for a cell of a table, which ends at a "|" even there."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " * (len(fence) > 1)
    return f"{fence}{space}{' '.join(text.splitlines())}{space}{fence}"


def as_latex(text: str) -> str:
    """Text for a paragraph or a cell of a table in LaTeX."""
    plain = "".join(LATEX.get(c, c) for c in " ".join(text.splitlines()))
    # after a line of a table these are options
    return f"{{{plain[0]}}}{plain[1:]}" if plain[:1] in ("[", "*") else plain
