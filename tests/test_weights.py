"""Public checkpoints and our own: what is taken, what is refused, and that a refusal changes nothing."""

import copy
import pickle

import pytest
import torch
from torch import nn

from repro.errors import ReproError
from repro.models import build
from repro.models.weights import load_public, load_weights, read_weights, save_weights

ARGUMENTS = {"depths": (1, 1, 1, 1), "width": 8, "cardinality": 4, "stem_kernel": (3, 5, 5)}


def network(seed=0, **changes) -> nn.Module:
    torch.manual_seed(seed)
    return build("resnext3d", **{"num_classes": 400, **ARGUMENTS, **changes})


def publish(path, model, old=False, **changes):
    """A file as Hara and MARS publish them: DataParallel names, the optimiser beside; `old` as PyTorch 0.3 wrote it."""
    names = [k for k in model.state_dict() if not (old and k.endswith("num_batches_tracked"))]
    state = {f"module.{k}": model.state_dict()[k] for k in names}
    content = {"epoch": 3, "arch": "resnext-14", "state_dict": state, "optimizer": {"param_groups": [{"lr": 0.1}]}}
    torch.save(content | changes, path, _use_new_zipfile_serialization=not old)
    return path


def refused(path, model, message, load=load_public, *arguments):
    """Loading fails with one error that names the file, and the network is as before."""
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ReproError, match=message) as caught:
        load(*((model, path) if load is load_public else (path, model)), *arguments)
    assert str(path) in str(caught.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("channels", [3, 2])
@pytest.mark.parametrize("old", [False, True])
def test_everything_is_taken_from_a_fitting_file(tmp_path, channels, old):
    theirs, ours = network(seed=0, in_channels=channels), network(seed=1, in_channels=channels)
    report = load_public(ours, publish(tmp_path / "RGB_Kinetics_16f.pth", theirs, old=old))
    assert all(torch.equal(v, ours.state_dict()[k]) for k, v in theirs.state_dict().items())
    assert report.fresh == report.ignored == ()
    assert set(report.taken) >= {"conv1.weight", "bn1.running_mean", "layer4.0.downsample.0.weight", "fc.bias"}
    assert "RGB_Kinetics_16f.pth" in str(report)
    assert "fresh: none; ignored: none; head taken: 400 classes in both" in str(report)


def test_another_head_and_new_excitations_start_fresh(tmp_path):
    theirs, ours = network(seed=0), network(seed=1, num_classes=51, excitation="ce")
    before = copy.deepcopy(ours.state_dict())
    report = load_public(ours, publish(tmp_path / "k.pth", theirs))
    assert report.fresh == (*(f"excite{i}.conv.weight" for i in (2, 3, 4, 5)), "fc.weight", "fc.bias")
    assert report.ignored == ("fc.weight", "fc.bias")
    after = ours.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in report.fresh)
    assert all(torch.equal(after[k], theirs.state_dict()[k]) for k in report.taken)
    assert {*report.taken, *report.fresh} == set(after)
    line = str(report)
    assert "\n" not in line
    assert "fresh: excite2 1, excite3 1, excite4 1, excite5 1, fc 2; ignored: fc 2; head fresh: 51 classes" in line


def test_a_file_without_a_head(tmp_path):
    theirs = network()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    report = load_public(network(seed=1), publish(tmp_path / "k.pth", theirs, state_dict=state))
    assert report.fresh == ("fc.weight", "fc.bias")
    assert "the file has none" in report.head


def test_wrong_files_are_one_error_and_change_nothing(tmp_path):
    model = network(seed=1)
    refused(tmp_path / "none.pth", model, "no checkpoint at")
    text = tmp_path / "text.pth"
    text.write_text("<html>404</html>")
    refused(text, model, "not a checkpoint, or one that would run code")
    empty = tmp_path / "empty.pth"
    empty.touch()
    refused(empty, model, "cannot be read as a checkpoint")
    whole = publish(tmp_path / "whole.pth", network())
    cut = tmp_path / "cut.pth"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    refused(cut, model, "cannot be read as a checkpoint")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    refused(tmp_path / "tensor.pth", model, "holds a Tensor, not a checkpoint")
    torch.save({"weights": 1}, tmp_path / "dict.pth")
    refused(tmp_path / "dict.pth", model, "no state_dict")
    refused(publish(tmp_path / "arch.pth", network(), arch="resnet-101"), model, "holds a 'resnet-101'.*'resnext-14'")
    refused(publish(tmp_path / "names.pth", nn.Linear(2, 2)), model, "none of its 2 tensors has a name of this network")


def test_tensors_that_do_not_fit_are_named(tmp_path):
    model = network(seed=1)
    flow = publish(tmp_path / "flow.pth", network(in_channels=2))
    refused(flow, model, r"conv1.weight is \(8, 2, .*3 input channels, flow networks 2")
    wider = publish(tmp_path / "wider.pth", network(width=16))
    refused(wider, model, r"conv1.weight is \(16, 3")
    deeper = publish(tmp_path / "deeper.pth", network(depths=(1, 1, 2, 1)))  # claims the same architecture
    refused(deeper, model, r"has, and this network has not, \d+ tensors \(layer3.1.conv1.weight")
    state = network().state_dict()
    del state["layer2.0.conv2.weight"]
    refused(
        publish(tmp_path / "hole.pth", network(), state_dict=state), model, r"lacks 1 tensors \(layer2.0.conv2.weight\)"
    )


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("with_torch", [True, False])
def test_a_file_that_would_run_code_is_refused(tmp_path, with_torch):
    path, mark = tmp_path / "bomb.pth", tmp_path / "it_ran"
    content = {"arch": "resnext-14", "state_dict": {"module.conv1.weight": Bomb(mark)}}
    if with_torch:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    refused(path, network(), "would run code when read: refused")
    refused(path, network(), "would run code when read: refused", load_weights, ["a"])
    assert not mark.exists()


LABELS = ["clap", "wave", "jump"]


def test_own_checkpoint_round_trip(tmp_path):
    theirs, ours = (network(seed=s, num_classes=3, excitation="ce") for s in (0, 1))
    meta = {"run": "0123456789ab", "epoch": 7, "arguments": {"depths": [1, 1, 1, 1]}}
    save_weights(tmp_path / "w.pt", theirs.to(memory_format=torch.channels_last_3d), LABELS, meta)
    assert load_weights(tmp_path / "w.pt", ours, LABELS) == meta
    assert all(torch.equal(v, ours.state_dict()[k]) for k, v in theirs.state_dict().items())
    assert read_weights(tmp_path / "w.pt")["labels"] == LABELS
    assert [p.name for p in tmp_path.iterdir()] == ["w.pt"]


def test_own_checkpoint_of_other_classes_is_refused(tmp_path):
    model = network(num_classes=3)
    save_weights(tmp_path / "w.pt", network(seed=1, num_classes=3), LABELS, {})
    path = tmp_path / "w.pt"
    refused(path, model, r"class 2 is 'jump' there, 'run' here", load_weights, ["clap", "wave", "run"])
    refused(path, model, "class 0 is 'clap' there, 'wave' here", load_weights, ["wave", "clap", "jump"])
    refused(path, model, r"\(3, here 2: one list continues", load_weights, ["clap", "wave"])
    refused(path, network(num_classes=3, width=16), "conv1.weight is", load_weights, LABELS)
    refused(publish(tmp_path / "public.pth", network()), model, "no checkpoint of this project", load_weights, LABELS)


def test_a_failed_save_keeps_the_old_file(tmp_path):
    path = tmp_path / "w.pt"
    save_weights(path, network(num_classes=3), LABELS, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save_weights(path, network(num_classes=3), LABELS, {"epoch": lambda: 2})
    assert read_weights(path)["meta"] == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["w.pt"]
