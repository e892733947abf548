"""Tables in LaTeX: their structure, and that a real TeX typesets every committed one."""

import re
import shutil
import subprocess

import pytest

from repro import paths
from repro.evidence import latex

COMMITTED = sorted((paths.ROOT / "results").glob("*/*/*.tex"))
PDFLATEX = shutil.which("pdflatex")
TABLE = re.compile(
    r"% Needs \\usepackage\{(?P<packages>[a-z,]+)\}\. Made by: python -m repro run .+\n"
    r"\\begin\{table\}\n\\centering\n\\caption\{(?P<caption>.+)\}\n\\label\{(?P<label>tab:[\w:-]+)\}\n"
    r"\\resizebox.+%\n\\begin\{tabular\}\{(?P<layout>.+)\}\n\\toprule\n(?P<head>.+)\n\\midrule\n"
    r"(?P<rows>(?:.+ \\\\\n)+)\\bottomrule\n\\end\{tabular\}\}\n\\end\{table\}\n",
    re.ASCII,
)
ROWS = [
    {"row": "a_b", "ours": "1.5", "empty": "", "verdict": "a text that is too long for one line of a page"},
    {"row": "[c]", "ours": "2"},
]


def table(rows=ROWS) -> str:
    return latex.table(rows, ("ours",), "50 % of A&B.", "tab:x", "python -m repro run\nstreams -p group '^a_'")


def test_a_table_has_columns_that_suit_their_cells_and_none_without_text():
    found = TABLE.fullmatch(table())
    assert found["layout"] == f"lr{latex.BROKEN}"
    assert found["head"] == r"row & ours & verdict \\"
    assert found["rows"].splitlines() == [rf"a\_b & 1.5 & {ROWS[0]['verdict']} \\", r"{[}c] & 2 &  \\"]
    assert found["caption"] == r"50 \% of A\&B."


def test_the_command_is_a_comment_of_one_line():
    first, *rest = table().splitlines()
    assert first == r"% Needs \usepackage{array,booktabs,graphicx}. Made by: python -m repro run streams -p group '^a_'"
    assert "python" not in "".join(rest)


def test_every_committed_table_has_this_structure_and_a_label_of_its_own():
    found = [TABLE.fullmatch(path.read_text(encoding="utf-8")) for path in COMMITTED]
    assert all(found), [path.name for path, each in zip(COMMITTED, found, strict=True) if not each]
    assert len({each["label"] for each in found}) == len(COMMITTED) > 40
    for each in found:
        assert "python -m" not in each["caption"] + each["rows"]
        assert re.search(r"Tier: [a-z ]+\.$", each["caption"])
        for row in (each["head"], *each["rows"].splitlines()):
            columns = each["layout"].replace(latex.BROKEN, "p")
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1, row


@pytest.mark.slow
@pytest.mark.skipif(PDFLATEX is None, reason="no pdflatex (Debian: texlive-latex-recommended)")
def test_a_real_tex_typesets_every_committed_table_within_its_page(tmp_path):
    inputs = "\n".join(rf"\input{{{path}}}\clearpage" for path in COMMITTED)
    source = rf"\documentclass{{article}}\usepackage{{{latex.PACKAGES}}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "all.tex").write_text(source, encoding="utf-8")
    command = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    log = (tmp_path / "all.log").read_text(encoding="utf-8", errors="replace")
    assert "Overfull" not in log
    assert "Missing character" not in log
    assert f"({len(COMMITTED)} pages" in log.replace("\n", "")
