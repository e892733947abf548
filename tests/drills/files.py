"""One file of each kind that the project reads, and what reading or healing it gives: the targets of `mutations`."""

import dataclasses
import itertools
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny

from drills import bare, outcome
from drills.bare import Target
from drills.mutations import mutated
from drills.outcome import Outcome, Tally
from repro import execute, make, networks, paths, records, train
from repro.config import Data, Run
from repro.data import catalog, prepare, store
from repro.data.clips import recipe_of, store_folder
from repro.data.embedded import files, options, videos
from repro.models.tools import checkpoints

DATA = Data("synthetic", "tiny", frames=8, size=28, side=36, bound=4.0, flip=False, val_fraction=0.0)


def damage_files(tally: Tally, rng: random.Random, home: Path, attempts: int, until: float) -> None:
    """Damages the targets in turn, `attempts` times or until the clock says so, and counts what came of it."""
    made = outcome.attempt(_make, home)
    with pytest.MonkeyPatch.context() as patch:  # this process forgets the edition and the folder again
        patch.setenv("REPRO_DATA", "")
        patch.setitem(options.EDITIONS, "tiny", tiny.EDITION)
        targets = _targets(home)
    whole = {name: _tried(home, name, target.path) for name, target in targets.items()}
    if wrong := {name: text for name, (found, text) in whole.items() if found is not Outcome.ACCEPTED}:
        raise AssertionError(f"the whole files are not read: {made} {wrong}")
    for name in itertools.islice(itertools.cycle(targets), attempts):
        if time.monotonic() > until:
            return
        path = targets[name].path
        data, damage = mutated(path.read_bytes(), rng)
        found, text = _tried(home, name, path, data)
        if found is Outcome.ACCEPTED and targets[name].fixed:
            found = Outcome.HEALED if text == whole[name][1] else Outcome.WRONG
        tally.add(name, found, f"{damage}: {text}")


def _tried(home: Path, name: str, path: Path, data: bytes | None = None) -> tuple[Outcome, str]:
    """What comes of a target whose file holds `data`, or what it holds; its folder is as before afterwards."""
    before = {file: (file.read_bytes(), file.stat()) for file in path.parent.iterdir() if file.is_file()}
    if data is not None:
        path.write_bytes(data)
    found = outcome.attempt(_act, home, name)
    _restore(path.parent, before)
    return found


def _restore(folder: Path, before: dict[Path, tuple[bytes, os.stat_result]]) -> None:
    """The files of a folder as they were, with their times; what is new is removed."""
    for file in folder.iterdir():
        if file.is_file() and file not in before:
            file.unlink()
    for file, (data, status) in before.items():
        file.write_bytes(data)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def _act(home: Path, name: str) -> Any:
    return _targets(home)[name].act()


def _run() -> Run:
    run = tiny.run(DATA)
    return dataclasses.replace(run, optimisation=dataclasses.replace(run.optimisation, epochs=3, batch=4))


def _make(home: Path) -> None:
    """Everything that is damaged later: a small set, drawn and packed, a run, and files as a user brings them."""
    run, data = _enter(home), paths.data()
    execute.execute([run], jobs=1)
    records.write(records.get(run), records.path_in(data, run.id))
    _keep_a_checkpoint(run)
    bare.make(home / "bare", records.get(run), min(data.rglob("*.avi")))


def _enter(home: Path) -> Run:
    """Moves this process's data below `home`, where the edition `tiny` is known."""
    os.environ["REPRO_DATA"] = str(home / "data")
    options.EDITIONS["tiny"] = tiny.EDITION
    return _run()


def _keep_a_checkpoint(run: Run) -> None:
    """Leaves the checkpoint that a run has after its first epoch beside its record and weights."""
    folder, original = paths.runs() / run.id, train.Training.save
    saved, finished = folder / "saved", {file: file.read_bytes() for file in folder.iterdir()}

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
    saved.rename(folder / "checkpoint.pt")


def _targets(home: Path) -> dict[str, Target]:
    run = _enter(home)
    root = catalog.data_root(DATA)
    clip = catalog.load("synthetic", root, val_fraction=0.0).table.iloc[[0]]
    return {
        **_of_clips(root, clip),
        **_of_the_embedded_set(root),
        **_of_a_run(run),
        **bare.of_results(home / "bare"),
        **bare.of_the_user(home / "bare", root),
    }


def _of_clips(root: Path, row: pd.DataFrame) -> dict[str, Target]:
    recipe = recipe_of(DATA)
    path = store.packed_path(store_folder(DATA), row["clip"].item())

    def read() -> list[np.ndarray]:
        clip = store.open_packed(path, recipe)
        return [*clip.rgb(range(clip.frames)), *clip.flow(range(clip.frames - 1))]

    def heal() -> list[np.ndarray]:
        prepare.require_all(prepare.prepare(row, DATA.dataset, root, recipe, jobs=1))
        return read()

    return {"packed clip, read": Target(path, read), "packed clip, prepare": Target(path, heal)}


def _of_the_embedded_set(root: Path) -> dict[str, Target]:
    movie = min(root.rglob("*.avi"))

    def heal() -> bytes:
        videos.write(root, tiny.EDITION)
        return movie.read_bytes()

    return {"embedded video, write": Target(movie, heal), "synthetic.json, write": Target(root / files.MARKER, heal)}


def _of_a_run(run: Run) -> dict[str, Target]:
    path, weights = records.path_here(run.id), networks.weights_path(run)

    def read() -> list:
        return _plain(records.get(run))

    def tensors() -> list:
        state = checkpoints.read_weights(weights)["state_dict"]
        return [(name, state[name].numpy()) for name in sorted(state)]

    def resume() -> list:
        path.unlink(missing_ok=True)
        make.make(run)
        return read()

    begun, compressed = path.with_name("checkpoint.pt"), records.path_in(paths.data(), run.id)
    return {
        "record, read": Target(path, read),
        "compressed record, read": Target(compressed, lambda: _plain(records.read(compressed))),
        "weights, read": Target(weights, tensors),
        "checkpoint, resume": Target(begun, resume),
    }


def _plain(record: records.Record) -> list:
    """A record as values that compare, without what may differ between equal runs."""
    plain = {**dataclasses.asdict(record), "provenance": None, "scores": record.scores.tolist()}
    return sorted(plain.items())
