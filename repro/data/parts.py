"""The validation part, carved from the training part in whole groups, and training on a few clips of each class."""

import hashlib
import heapq
import os
from collections import Counter, defaultdict

from repro.data.annotations.small import Clip
from repro.errors import ReproError


def carve(clips: list[Clip], fraction: float) -> list[Clip]:
    """Moves whole groups from train to val until val has as nearly `fraction` of the training clips as they allow.

    The class with the smallest share in val gives next, its groups in the order of their hashes, so that the outcome
    depends on names only. Groups that hold more than twice its due of a class come last: 41 of the 70 training clips
    of HMDB51's smile (split 1) are one source. At least one group moves and every class keeps a training clip, else
    ReproError.
    """
    train = [clip for clip in clips if clip.part == "train"]
    total, moved, val = Counter(clip.cls for clip in train), Counter(), set()
    if not fraction:
        return clips
    members = defaultdict(Counter)  # clips of each class in a group
    for clip in train:
        members[clip.group][clip.cls] += 1

    def order(group: str) -> tuple[bool, bytes]:
        large = any(n > max(1, 2 * fraction * total[cls]) for cls, n in members[group].items())
        return large, _hash(group)

    waiting = {cls: [] for cls in sorted(total)}
    for group in sorted(members, key=order, reverse=True):  # popped from the end
        for cls in members[group]:
            waiting[cls].append(group)
    goal, turns = fraction * len(train), [(0.0, cls) for cls in waiting]  # a heap, the smallest share first
    while turns and (not val or goal - moved.total() > 0.5):  # from there no clip brings it nearer
        share, cls = turns[0]
        if share < moved[cls] / total[cls]:
            heapq.heapreplace(turns, (moved[cls] / total[cls], cls))
        elif not waiting[cls]:
            heapq.heappop(turns)
        else:
            group, here = waiting[cls].pop(), moved.total()
            nearer = not val or abs(here + members[group].total() - goal) < abs(here - goal)
            if group not in val and nearer and all(moved[c] + n < total[c] for c, n in members[group].items()):
                val.add(group)
                moved.update(members[group])
    if not val:
        raise ReproError(
            f"no validation part can be carved from {len(train)} training clips in {len(members)} groups: some class "
            "would lose all of its clips; set val_fraction to 0, or bring more groups"
        )
    return [clip._replace(part="val") if clip.part == "train" and clip.group in val else clip for clip in clips]


def few(clips: list[Clip], each: int) -> list[Clip]:
    """Leaves `each` training clips of every class (0: all), taken from as many groups as possible.

    Groups give in the order of their hashes, so that classes which share groups keep the same ones, and fewer clips are
    always some of more. ReproError where a class has not as many.
    """
    if not each:
        return clips
    count = Counter(clip.cls for clip in clips if clip.part == "train")
    short = [f"{cls} has {n}" for cls, n in sorted(count.items()) if n < each]
    if short:
        raise ReproError(f"train_per_class is {each}, but {'; '.join(short[:5])}: lower it")
    turns: Counter[tuple[str, str]] = Counter()
    waiting = defaultdict(list)  # of a class: (how many its group gave before, hash of the group, clip)
    for clip in clips:
        if clip.part == "train":
            waiting[clip.cls].append((turns[clip.cls, clip.group], _hash(clip.group), clip))
            turns[clip.cls, clip.group] += 1
    kept = {entry[2] for entries in waiting.values() for entry in sorted(entries)[:each]}
    return [clip for clip in clips if clip.part != "train" or clip in kept]


def _hash(group: str) -> bytes:
    return hashlib.sha256(os.fsencode(group)).digest()
