"""The page that a reader opens first, built from results/ and figures/ alone, and what each notebook cost."""

import base64
import html
from pathlib import Path

import pandas as pd

from repro import notebooks, paths, records

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:auto;padding:1rem;color-scheme:light dark}
div{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}td,th{padding:.3rem .6rem;text-align:left;
border-bottom:1px solid #8886}img{max-width:100%;background:#fff}code{font-size:.85rem;word-break:break-all}"""


def write(profile: str = "small") -> Path:
    """Writes results/index.html for a profile: every table that lies in results/, with its figure."""
    results, figures = paths.out() / "results", paths.out() / "figures"
    parts = [f"<h1>Reproduced tables, profile {html.escape(profile)}</h1>"]
    folders = sorted(p for p in (results / profile).glob("*") if p.is_dir() and p.name != "records")
    for folder in folders:
        for file in sorted(folder.glob("*.csv")):
            parts.append(_section(file, figures / profile / folder.name / f"{file.stem}.png"))
    page = results / ("index.html" if profile == "small" else f"{profile}/index.html")
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    with paths.atomic(page) as part:
        part.write_text(
            f"{head}<title>repro: results</title><style>{STYLE}</style><main>{''.join(parts)}</main></html>\n"
        )
    return page


def _section(file: Path, figure: Path) -> str:
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    lines = file.with_suffix(".md").read_text().splitlines()
    table = (
        frame.drop(columns=["command", "runs"], errors="ignore")
        .to_html(index=False, border=0)
        .replace("<th>", '<th scope="col">')
    )
    image = ""
    if figure.exists():
        data = base64.b64encode(figure.read_bytes()).decode()
        image = f'<img alt="Figure of {html.escape(lines[0])}" src="data:image/png;base64,{data}">'
    heading, note = html.escape(lines[0].replace("**", "")), html.escape(lines[2])
    return f"<h2>{file.parent.name}: {file.stem}</h2><p>{heading}</p><p>{note}</p><div>{table}</div>{image}"


def cost(name: str, profile: str = "small") -> str:
    """Runs behind a notebook's tables and the processor time they took, from the records in results/."""
    results, ids = paths.out() / "results" / profile, set()
    for file in results.glob("*/*.csv"):
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        if {"command", "runs"} <= set(frame) and frame["command"][0].split()[4] == name:
            ids |= set(" ".join(frame["runs"]).split())
    if not ids:
        return "seconds" if not notebooks.NOTEBOOKS[name] else "not run yet"
    seconds = sum(records.read(results / "records" / f"{i}.json").provenance["seconds"] for i in ids)
    return f"{len(ids)} runs, {seconds / 60:.1f} minutes of one core when last run"
