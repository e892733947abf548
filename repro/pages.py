"""The notebooks, executed from the committed records, as pages in results/notebooks/: python -m repro.pages [NAME ...]"""

import sys
from collections.abc import Sequence

from repro import endings, notebooks, paths
from repro.errors import ReproError


def make(only: Sequence[str] = ()) -> None:
    """Executes all notebooks, or those named, one after the other, and writes their pages.

    The pages go to results/notebooks/, what else the notebooks write to data/pages/. One that fails is named at the end, when the
    others are done, and keeps the page that it had.
    """
    from repro.report import executed  # takes a second

    failed = []
    for name in notebooks.chosen(only):
        place = paths.data() / "pages"
        try:
            with paths.moved(REPRO_OUT=place):
                copy = notebooks.execute(name, {}, place / "executed", quiet=True)
            print(executed.write(name, copy))
        except ReproError as error:
            failed.append(str(error))
    if failed:
        raise ReproError(f"{len(failed)} notebooks failed, the others have their pages: {'; '.join(failed)}")


if __name__ == "__main__":
    with endings.in_one_line():
        make(sys.argv[1:])
