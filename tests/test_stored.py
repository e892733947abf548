"""The file of a record: what comes back from it, and what is refused."""

import dataclasses
import gzip
import json
import lzma
import tracemalloc

import finished
import numpy as np
import pytest

from repro import metrics, packed, paths, records, stored
from repro.config import CrossEntropy, Data, Model, Optimisation, Run
from repro.errors import ReproError
from repro.packed import Texts

RUN = Run("small", 0, Data("synthetic", "small"), Model("resnext3d"), CrossEntropy(), Optimisation())
SCORES = metrics.rounded(np.random.default_rng(0).normal(size=(5, 3)))


def record(**given) -> records.Record:
    """A record of five videos and three classes."""
    return dataclasses.replace(finished.record(RUN, SCORES, [0, 1, 2, 2, 1], ["a", "b", "c"]), **given)


def test_what_is_written_is_read(home):
    before = record(
        history=[{"loss": 0.123456789, "epoch": 1}], clips=["a/1", "é/2", "a\n3", "\udce9", "5"], excluded=["a/3"]
    )
    path = records.path_here(RUN.id)
    records.write(before, path)
    after = records.read(path)
    np.testing.assert_array_equal(after.scores, before.scores)
    assert after.history == [{"loss": 0.123457, "epoch": 1}]
    plain = {f.name for f in dataclasses.fields(after)} - {"scores", "history"}
    assert {name: getattr(after, name) for name in plain} == {name: getattr(before, name) for name in plain}
    text = path.read_text()
    records.write(after, path)
    assert path.read_text() == text
    assert len(text.splitlines()) == len(dataclasses.fields(after)) + 3  # one line per field, and the checksum's


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5, 3)])
@pytest.mark.parametrize("kind", ["rounded", "float16"])
def test_scores_survive_their_packing(shape, kind):
    """On the grid of `metrics.rounded`, and off it, as records had them before: the smallest and the largest float16 too."""
    scores = np.zeros(shape, np.float16)
    if shape[0]:
        scores = 20 * np.random.default_rng(0).normal(size=shape)
        scores = metrics.rounded(scores) if kind == "rounded" else scores.astype(np.float16)
        scores[0, 0] = 0 if kind == "rounded" else 2.0**-24
    found = stored.pack_scores(scores)
    assert found["steps"] == (2**24 if kind == "float16" and shape[0] else 16)
    back = stored.unpack_scores(stored.Scores(**found))
    np.testing.assert_array_equal(back, scores)
    assert back.dtype == np.float16


@pytest.mark.parametrize("scores", [[[200.0, 2.0**-24]], [[0.0, 1e-9]]])
def test_scores_that_cannot_come_back_are_not_stored(scores):
    with pytest.raises(ValueError, match="not whole numbers of 32 bits"):
        stored.pack_scores(np.array(scores))


@pytest.mark.parametrize("texts", [[], [""], ["class/clip_1", "two\nlines", "\udce9", "é"]])
def test_texts_survive_their_packing(texts):
    assert packed.unpack_texts(Texts(**packed.pack_texts(texts))) == texts


def test_a_history_is_stored_by_column_and_read_by_epoch(home):
    history = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    path = records.path_here(RUN.id)
    for lines in (history, history[:1], []):
        records.write(record(history=lines), path)
        assert records.read(path).history == lines


# -- what is refused


def change(**fields) -> dict:
    """The fields of a record's file, some of them changed, with the checksum that fits them."""
    return stored.pack(record()) | fields


def refused(words: str, fields: dict) -> None:
    path = records.path_here(RUN.id)
    packed.write(fields, path)
    with pytest.raises(ReproError, match=rf"(?s)record\.json: not a record \(.*{words}.*\); delete it"):
        records.read(path)


def test_a_record_is_believed_as_it_was_written_alone(home):
    path = records.path_here(RUN.id)
    records.write(record(), path)
    whole = path.read_text()
    for old, new, words in (
        ('"video_top1":0', '"video_top1":1', "does not have its checksum"),
        ('"sha256": "', '"sha256": "0', "does not have its checksum"),
        ('"sha256"', '"sha255"', "no checksum in it"),
        ('"', "'", "Expecting property name"),
    ):
        path.write_text(whole.replace(old, new, 1))
        with pytest.raises(ReproError, match=rf"record\.json: not a record \(.*{words}.*\); delete it and execute"):
            records.read(path)
    path.write_text(whole.replace("\n", "\r\n"))  # another spacing is no other content
    assert records.read(path).clips == record().clips


PACKED = packed.pack_numbers(np.zeros((5, 3)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": packed.pack_numbers(np.array([0, 1, 2, 2]))}, r"scores \(5, 3\), but 3 classes, 4 labels, 5 clips"),
        ({"labels": packed.pack_numbers(np.array([0, 1, 2, 2, 3]))}, "labels 0 to 3, but 3 classes"),
        ({"labels": packed.pack_numbers(np.array([-1, 1, 2, 2, 1]))}, "labels -1 to 2, but 3 classes"),
        ({"labels": packed.pack_numbers(np.array([2, 1, 0, 1, 2]))}, "its metrics are not those of its scores"),
        ({"labels": PACKED}, "3 classes, 15 labels"),
        ({"clips": packed.pack_texts(["one"])}, "5 labels, 1 clips"),
        ({"clips": packed.pack_texts([1, 2, 3, 4, 5])}, "no list of texts"),
        ({"clips": {"bytes": 3, "data": "no base64"}}, "base64|padding|Only"),
        ({"clips": {"bytes": 3}}, "clips.data: Field required"),
        ({"classes": ["a", "b"]}, "but 2 classes"),
        ({"scores": {**PACKED, "steps": 0}}, "scores.steps: Input should be greater than or equal to 1, not 0"),
        ({"scores": {**PACKED, "steps": 16, "shape": [3, 5]}}, r"scores \(3, 5\)"),
        ({"scores": {**PACKED, "steps": 16, "shape": [4, 3]}}, "not the 48 bytes that were packed"),
        ({"scores": {**PACKED, "steps": 16, "shape": [15]}}, r"scores \(15,\)"),
        ({"scores": {"steps": 16, **packed.pack_numbers(np.full((5, 3), 2**21))}}, "scores that are not finite"),
        ({"metrics": {}}, "its metrics are not those of its scores"),
        ({"metrics": {**record().metrics, "clip_top1": 2}}, "its metrics are not those of its scores"),
        ({"metrics": {**record().metrics, "per_class": {"0": [[]]}}}, "its metrics are not those of its scores"),
        ({"history": {"loss": [1.0], "epoch": [1, 2]}}, "shorter|longer"),
        ({"history": {"loss": ["much"]}}, "history.loss.0"),
        ({"provenance": {}}, "provenance.versions: Field required"),
        ({"provenance": {**finished.PROVENANCE, "seconds": float("nan")}}, "provenance.seconds: .* not nan"),
        ({"provenance": {**finished.PROVENANCE, "date": "../../x"}}, "provenance.date: String should match"),
        ({"config": {}}, "not the configuration of a run"),
        ({"config": {"data": 3}}, "not the configuration of a run"),
        (
            {"config": {k: v for k, v in record().config.items() if k != "teacher"}},
            "its configuration leaves out fields",
        ),
        ({"id": 3}, "id: Input should be a valid string, not 3"),
        ({"more": 3}, "more: Unexpected keyword argument"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_parts_that_do_not_fit_are_one_error(home, given, words):
    refused(words, change(**given))


def test_a_bomb_is_refused_before_it_fills_the_memory(home):
    """100 MB of zeros in 15 kB, said to be the labels, the clips, or the scores of as many videos as are allowed."""
    bomb = packed.base64.b64encode(lzma.compress(bytes(100_000_000), preset=0)).decode()
    tracemalloc.start()
    refused("not the 20 bytes that were packed", change(labels={"shape": [5], "data": bomb}))
    refused("not the 30 bytes that were packed", change(clips={"bytes": 30, "data": bomb}))
    refused(
        "bytes packed, but 67108864 are the most", change(scores={"shape": [2**20, 100], "steps": 16, "data": bomb})
    )
    refused("less than or equal to 67108864", change(clips={"bytes": 10**9, "data": bomb}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    wide = [{**packed.XZ, "dict_size": 2**28}]  # a dictionary that is allocated whole
    data = packed.base64.b64encode(lzma.compress(bytes(20), filters=wide)).decode()
    refused("[Mm]emory", change(labels={"shape": [5], "data": data}))


def test_a_file_that_is_too_large_is_not_read(home, monkeypatch):
    monkeypatch.setattr(packed, "LARGEST", 1000)
    path = records.path_here(RUN.id)
    records.write(record(classes=["x" * 1000, "b", "c"]), path)
    with pytest.raises(ReproError, match="bytes, but 1000 are the most"):
        records.read(path)


def test_deep_json_is_one_error(tmp_path):
    path = tmp_path / "0123456789ab.json"
    for text in ("[" * 100_000, '{"a":' * 100_000):
        path.write_text(text)
        with pytest.raises(ReproError, match=r"not a record \(nested too deeply\)"):
            records.read(path)


def test_every_committed_record_has_its_checksum():
    results = paths.ROOT / "results"
    texts = {path: path.read_bytes() for path in results.glob("*/maps/*.json")}
    texts |= {path: gzip.decompress(path.read_bytes()) for path in results.glob("*/records/*.json.gz")}
    assert len(texts) > 100
    for path, text in texts.items():
        fields = json.loads(text)
        assert fields.pop("sha256") == packed.checksum(fields), path.name


def test_a_compressed_record_that_is_damaged_or_a_bomb_is_one_error(tmp_path):
    path = records.path_in(tmp_path, RUN.id)
    records.write(record(), path)
    whole = path.read_bytes()
    assert records.equal(records.read(path), record())
    bomb = gzip.compress(b"[" + b" " * 2**27)  # 131 kB
    for content, words in {
        whole[:-1]: "cut",
        whole + b"\0": "followed by something",
        b"{}": "incorrect header",
        whole[:40] + b"\xff\xff\xff" + whole[43:]: "",
        bomb: "more than 67108864 bytes",
    }.items():
        path.write_bytes(content)
        with pytest.raises(ReproError, match=rf"json\.gz: not a record \(.*{words}.*\); delete it"):
            records.read(path)
