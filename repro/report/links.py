"""Links from the page to files of the project."""

import os
from pathlib import Path
from urllib.parse import quote


def link(file: Path, folder: Path) -> str:
    """A file as a link from a page in `folder`."""
    return quote(Path(os.path.relpath(file, folder)).as_posix())
