"""The results of README.md, between two markers: one line per paper, in the words of the page's cards."""

from collections.abc import Sequence
from pathlib import Path

from repro import paths
from repro.errors import ReproError
from repro.evidence.markup import as_markdown
from repro.report.cards import Card

START, END = "<!-- results: REPRO_OUT=. python -m repro report writes these lines -->", "<!-- end of results -->"


def write(cards: Sequence[Card], file: Path) -> None:
    """Writes the lines of the cards between the markers of a file. ReproError where it lacks them."""
    try:
        before, start, rest = file.read_text(encoding="utf-8").partition(START)
    except UnicodeDecodeError as error:
        raise ReproError(f"{file}: not UTF-8 ({error}); take it back from git") from None
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ReproError(f"{file}: without the lines {START!r} and {END!r}; put them where the results belong")
    with paths.atomic(file) as part:
        part.write_text(f"{before}{START}\n{lines(cards)}{END}{after}", encoding="utf-8")


def lines(cards: Sequence[Card]) -> str:
    """One Markdown item per card: its name, what its first place says, and its exact counts."""
    return "".join(f"- **{card.name}.** {as_markdown(f'{_said(card)} {card.exact}')}\n" for card in cards)


def _said(card: Card) -> str:
    return card.answers[0].sentence if card.answers else "No claim has been tested here yet."
