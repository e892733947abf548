"""Who is in a video, guessed from the names of the files: for a warning, never for a split."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from repro.data.annotations.small import Clip

PATTERNS = (  # in the order of trust
    r"^(?P<group>[^_ -]+)[_ -]",  # lyova_walk.avi, seq01_02_hug.avi: all before the first _
    r"^(?P<group>.+)[_ -]\D*[0-9]+\D*\.[^.]+$",  # v_Kick_g01_c02.avi: all before the last number and its _
    r"^(?P<group>.*\D)[0-9]+\.[^.]+$",  # rooftop12.avi
)
SHOWN = 3  # names of groups in a sentence


def likely(clips: Sequence[Clip]) -> tuple[str, list[str]]:
    """The first pattern that groups all clips by their file names, and the names of its groups; ("", []) where none does.

    A pattern groups the clips where it finds a group in every name, three groups or more (`folds` makes three folds), fewer
    groups than clips, and every class in two groups or more, so that one can be left out.
    """
    for pattern in PATTERNS:
        found = [re.search(pattern, clip.path.name) for clip in clips]
        if not all(found):
            continue
        groups: Mapping[str, set[str]] = defaultdict(set)  # of each class
        for clip, match in zip(clips, found, strict=True):
            groups[clip.cls].add(match["group"])
        names = sorted(set().union(*groups.values()))
        if 3 <= len(names) < len(clips) and all(len(each) >= 2 for each in groups.values()):
            return pattern, names
    return "", []


def warning(clips: Sequence[Clip]) -> str:
    """What one line can say of clips that have no groups, with the option that would give them some."""
    said = (
        f"warning: each of {len(clips)} clips is a group of its own, so a person or a recording may be in training and in "
        "test, and the accuracy too high"
    )
    pattern, names = likely(clips)
    if not pattern:
        return f"{said}; the file names show no groups: list them in a CSV file for --group, or all parts for --split"
    some = ", ".join(names[:SHOWN]) + (", ..." if names[SHOWN:] else "")
    return f"{said}; the file names suggest --group '{pattern}' ({len(names)} groups: {some})"
