"""Files of tensors: what comes back, and that damage, bombs and other people's objects are refused."""

import io
import resource
import tarfile
import zipfile

import pytest
import torch

from repro.errors import ReproError
from repro.models.tools import files

CONTENT = {
    "model": {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3), "none": torch.zeros(0)},
    "half": torch.ones(4, dtype=torch.bfloat16), "history": [{"epoch": 1, "loss": 0.5}], "steps": (1, 2), "name": "é", 7: None,
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pt"


def equal(one, other) -> bool:
    return files.checksum(one) == files.checksum(other)


def refused(path, words: str) -> None:
    with pytest.raises(ReproError, match=rf"a\.pt.*{words}"):
        files.read(path)


def read(path) -> dict | ReproError:
    try:
        return files.read(path)
    except ReproError as error:
        return error


def test_what_is_written_is_read(path):
    files.write(CONTENT, path)
    found = files.read(path)
    assert equal({k: v for k, v in found.items() if k != files.CHECKSUM}, CONTENT)
    assert torch.equal(found["model"]["weight"], CONTENT["model"]["weight"])
    assert found["half"].dtype == torch.bfloat16
    assert [each.name for each in path.parent.iterdir()] == ["a.pt"]


@pytest.mark.parametrize(
    "other",
    [
        {"model": CONTENT["model"] | {"weight": torch.arange(6.0).reshape(3, 2)}},
        {"model": CONTENT["model"] | {"weight": torch.arange(6.0).double().reshape(2, 3)}},
        {"model": CONTENT["model"] | {"count": torch.tensor(4)}},
        {"history": [{"epoch": 2, "loss": 0.5}]}, {"steps": (1, 2, None)}, {"name": "e"}, {7: 0}, {8: None},
    ],
    ids=str,
)  # fmt: skip
def test_the_checksum_is_that_of_the_content(other):
    assert equal(CONTENT, dict(CONTENT))
    assert equal(CONTENT, CONTENT | {"model": {k: v.clone() for k, v in CONTENT["model"].items()}})
    assert not equal(CONTENT, CONTENT | other)


def test_every_flipped_byte_is_noticed_or_harmless(path):
    """One byte after the other, through names, tensors and the zip's directory: never other content, never another error."""
    files.write(CONTENT, path)
    whole, noticed = path.read_bytes(), 0
    for at in range(0, len(whole), 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        found = read(path)
        if isinstance(found, ReproError):
            assert str(path) in str(found)
            noticed += 1
        else:
            assert equal({k: v for k, v in found.items() if k != files.CHECKSUM}, CONTENT)
    assert noticed > 50


def test_values_changed_with_their_zip_s_checksums_are_noticed(path):
    files.write(CONTENT, path)
    saved = torch.load(path, weights_only=True)
    saved["model"]["weight"][0, 0] = 1
    torch.save(saved, path)
    refused(path, "is damaged: its content does not have its checksum; delete it")


def test_cut_and_empty_files_are_one_error(path):
    files.write(CONTENT, path)
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(path, "delete it: a public file can be fetched again")


def test_a_bomb_is_refused_before_it_is_read(path):
    """20 MB of zeros as one deflated entry, and as a hundred directory entries of the same stored megabyte."""
    torch.save({"state_dict": {"weight": torch.zeros(5_000_000)}}, path)
    with zipfile.ZipFile(path) as stored:
        inside = {each: stored.read(each) for each in stored.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as deflated:
        for name, data in inside.items():
            deflated.writestr(name, data)
    assert path.stat().st_size < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "bytes and 20,00.* inside, so torch did not write it: refused")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data/0", bytes(1_000_000))
        file.filelist *= 100
    refused(path, "bytes and 100,000,000 inside")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 20_000  # kB


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(10**9), torch.eye(3).to_sparse(), torch.zeros(3, device="meta"),
    ],
    ids=["expanded", "sparse", "meta"],
)  # fmt: skip
def test_only_dense_tensors_with_values_of_their_own_are_read(path, tensor):
    torch.save({"state_dict": {"weight": tensor}}, path)
    refused(path, "state_dict.weight is no dense tensor with values of its own|cannot be read as a checkpoint")


def test_content_that_never_ends_is_one_error(path):
    endless: list = []
    endless.append(endless)
    torch.save({"state_dict": endless}, path)
    refused(path, "cannot be read as a checkpoint")


def test_a_cut_tar_is_one_error(path):
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
        tar.addfile(tarfile.TarInfo("x" * 200), io.BytesIO())
    path.write_bytes(path.read_bytes()[:1000])
    refused(path, "a tar archive, not a checkpoint|cannot be read")
