"""A table in LaTeX: to be put into a document with \\input, and named there by its label."""

from collections.abc import Collection, Mapping, Sequence

from repro.evidence.markup import as_latex

PACKAGES = "array,booktabs,graphicx"
LONG = 30  # characters: a column with a longer cell breaks its lines
BROKEN = r">{\raggedright\arraybackslash}p{14em}"
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # as wide as the text at most


def table(rows: Sequence[Mapping[str, str]], numeric: Collection[str], caption: str, label: str, command: str) -> str:
    """A table environment. Its first line, a comment, names the packages that it needs and the command that makes it.

    rows: cells by column; a column without text is left out. numeric: columns set to the right. label: without
    characters that LaTeX reads as commands.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: cells for name in names if any(cells := [row.get(name, "") for row in rows])}
    layout = "".join(_layout(cells, name in numeric) for name, cells in columns.items())
    return "\n".join([
        rf"% Needs \usepackage{{{PACKAGES}}}. Made by: {' '.join(command.split())}",
        r"\begin{table}", r"\centering", rf"\caption{{{as_latex(caption)}}}", rf"\label{{{label}}}",
        FITTED, rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule", _row(columns), r"\midrule", *map(_row, zip(*columns.values(), strict=True)), r"\bottomrule",
        r"\end{tabular}}", r"\end{table}", "",
    ])  # fmt: skip


def _layout(cells: Sequence[str], numeric: bool) -> str:
    if max(map(len, cells)) > LONG:
        return BROKEN
    return "r" if numeric else "l"


def _row(cells: Collection[str]) -> str:
    return " & ".join(map(as_latex, cells)) + r" \\"
