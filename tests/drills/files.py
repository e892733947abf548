"""One file of each kind that the project reads, and what reading or healing it gives: the targets of `mutations`."""

import dataclasses
import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

import drills.outcome as outcome
from drills.mutations import mutated
from drills.outcome import Tally
from repro import execute, make, networks, paths, records, train
from repro.config import Run
from repro.data import catalog, prepare, store, video
from repro.data.clips import recipe_of, store_folder
from repro.data.embedded import videos
from repro.evidence import results
from repro.maps import measurements
from repro.models.tools import checkpoints


@dataclass(frozen=True)
class Target:
    """A file, what is done with it, and what that must give; None where the user may give any content."""

    name: str
    path: Path
    act: Callable[[], Any]
    expected: Any = None


def damage_files(tally: Tally, rng: random.Random, home: Path, attempts: int, until: float) -> None:
    """Damages the targets in turn, `attempts` times or until the clock says so, and counts what came of it."""
    with pytest.MonkeyPatch.context() as patch:
        targets = _targets(home, patch)
        for i in range(attempts):
            if time.monotonic() > until:
                return
            target = targets[i % len(targets)]
            before = {file: (file.read_bytes(), file.stat()) for file in target.path.parent.iterdir() if file.is_file()}
            data, damage = mutated(before[target.path][0], rng)
            target.path.write_bytes(data)
            found, text = outcome.attempt(target.act, target.expected)
            tally.add(target.name, found, f"{damage}: {text}")
            _restore(target.path.parent, before)


def _restore(folder: Path, before: dict[Path, tuple[bytes, os.stat_result]]) -> None:
    """The files of a folder as they were, with their times; what is new is removed."""
    for file in folder.iterdir():
        if file.is_file() and file not in before:
            file.unlink()
    for file, (data, status) in before.items():
        file.write_bytes(data)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def _targets(home: Path, patch: pytest.MonkeyPatch) -> list[Target]:
    data = tiny.stored(home, patch)
    run = tiny.run(data)
    run = dataclasses.replace(run, optimisation=dataclasses.replace(run.optimisation, epochs=3, batch=4))
    (record,) = execute.execute([run], jobs=1)
    return [*_of_clips(data), *_of_the_embedded_set(data), *_of_a_run(run, record), *_of_results(), *_of_the_user(home)]


def _of_clips(data) -> list[Target]:
    found, recipe, root = catalog.of(data), recipe_of(data), catalog.data_root(data)
    row = found.table.iloc[[0]]
    path = store.packed_path(store_folder(data), row["clip"].item())

    def read() -> str:
        clip = store.open_packed(path, recipe)
        images = [*clip.rgb(range(clip.frames)), *clip.flow(range(clip.frames - 1))]
        return hashlib.sha256(np.concatenate([image.ravel() for image in images])).hexdigest()

    def heal() -> str:
        prepare.require_all(prepare.prepare(row, data.dataset, root, recipe, jobs=1))
        return read()

    return [Target("packed clip, read", path, read, read()), Target("packed clip, prepare", path, heal, read())]


def _of_the_embedded_set(data) -> list[Target]:
    root = catalog.data_root(data)
    movie = next(iter(sorted(root.rglob("*.avi"))))
    whole = movie.read_bytes()

    def heal() -> bytes:
        videos.write(root, tiny.EDITION)
        return movie.read_bytes()

    return [
        Target("embedded video, write", movie, heal, whole),
        Target("synthetic.json, write", root / "synthetic.json", heal, whole),
    ]


def _of_a_run(run: Run, record: records.Record) -> list[Target]:
    path, weights = records.path_here(run.id), networks.weights_path(run)
    begun = path.with_name("checkpoint.pt")

    def read() -> dict:
        return _plain(records.find(run))

    def tensors() -> str:
        state = checkpoints.read_weights(weights)["state_dict"]
        return hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state))).hexdigest()

    def resume() -> dict:
        path.unlink(missing_ok=True)
        return _plain(make.make(run))

    _keep_a_checkpoint(run, begun)
    return [
        Target("record, read", path, read, _plain(record)), Target("weights, read", weights, tensors, tensors()),
        Target("checkpoint, resume", begun, resume, _plain(record)),
    ]  # fmt: skip


def _keep_a_checkpoint(run: Run, checkpoint: Path) -> None:
    """Leaves the checkpoint that a run has after its first epoch beside its record and weights."""
    saved, finished = (
        checkpoint.with_suffix(".saved"),
        {file: file.read_bytes() for file in checkpoint.parent.iterdir()},
    )
    original = train.Training.save

    def save(self, path: Path) -> None:
        original(self, path)
        if len(self.history) == 1:
            shutil.copy2(path, saved)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Training, "save", save)
        records.path_here(run.id).unlink()
        make.make(run)
    for file, data in finished.items():
        file.write_bytes(data)
    saved.rename(checkpoint)


def _plain(record: records.Record) -> dict:
    """A record as values that compare, without what may differ between equal runs."""
    return {**dataclasses.asdict(record), "provenance": None, "scores": record.scores.tolist()}


def _of_results() -> list[Target]:
    table, measured = paths.data() / "imrs_table3.json", next((paths.committed() / "small" / "maps").glob("*.json"))
    shutil.copy2(paths.committed() / "small" / "synthetic" / table.name, table)
    kept = paths.data() / measured.name
    shutil.copy2(measured, kept)

    def read() -> str:
        return repr(measurements.read(kept))

    return [
        Target("table, read", table, lambda: results.read(table) and None),
        Target("measurement of maps, read", kept, read, read()),
    ]


def _of_the_user(home: Path) -> list[Target]:
    """Lists and videos in the forms that users bring; the lists name clips that are there."""
    movie = home / "user.avi"
    shutil.copy2(next(iter(sorted(home.rglob("*.avi")))), movie)
    folder = home / "people"
    for name in ("wave", "walk"):
        for person in "abc":
            (folder / name).mkdir(parents=True, exist_ok=True)
            shutil.copy2(movie, folder / name / f"{person}_{name}.avi")
    groups = folder / "groups.csv"
    groups.write_text("".join(f"{path.relative_to(folder)},{path.name[0]}\n" for path in sorted(folder.rglob("*.avi"))))
    split = next(iter(sorted(home.rglob("*_test_split1.txt"))))
    root = split.parent.parent

    def decode() -> None:
        for _ in video.frames(movie):
            pass

    return [
        Target("video of a user, decode", movie, decode),
        Target("groups.csv, catalog", groups, lambda: catalog.load("folder", folder, group="groups.csv") and None),
        Target("split list, catalog", split, lambda: catalog.load("synthetic", root) and None),
    ]  # fmt: skip
