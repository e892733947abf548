"""Public checkpoints and our own: what is taken, what is refused, and that a refusal changes nothing."""

import copy
import io
import pickle
import struct
import tarfile

import pytest
import torch
from torch import nn

from repro.errors import ReproError
from repro.models import build
from repro.models.tools import files
from repro.models.tools.checkpoints import FORMAT, cross_modality, load_public, load_weights, read_weights, save_weights

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


def test_a_pointer_of_git_lfs_says_what_it_is(tmp_path):
    path = tmp_path / "k.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    refused(path, network(), "a pointer of Git LFS, not the checkpoint itself; run `git lfs pull`")
    refused(path, network(), "a pointer of Git LFS", load_weights, ["a"])


def write_first_format(path, state) -> None:
    """The tar that torch wrote in 2016: storages, tensors over them, and the object that names the tensors."""
    values = list(state.values())
    storages, tensors, names = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pickle.dump(len(values), storages, 2)
    for key, value in enumerate(values):
        pickle.dump((key, "cpu", torch.FloatStorage), storages, 2)
        storages.write(struct.pack("<q", value.numel()) + value.numpy().tobytes())
    pickle.dump([], storages, 2)  # views
    pickle.dump(len(values), tensors, 2)
    for key, value in enumerate(values):
        pickle.dump((key, key, torch.FloatTensor), tensors, 2)
        tensors.write(struct.pack("<i", value.dim()) + bytes(4))
        tensors.write(struct.pack(f"<{2 * value.dim()}q", *value.shape, *value.stride()) + struct.pack("<q", 0))
    by_id = {id(value): str(key) for key, value in enumerate(values)}
    pickler = pickle.Pickler(names, 2)
    pickler.persistent_id = lambda value: by_id.get(id(value))
    pickler.dump(state)
    with tarfile.open(path, "w") as tar:
        for name, content in (("sys_info", storages), ("storages", storages), ("tensors", tensors), ("pickle", names)):
            member = tarfile.TarInfo(name)
            member.size = len(content.getvalue())
            tar.addfile(member, io.BytesIO(content.getvalue()))


def test_torch_s_first_format_is_named_and_the_remedy_works(tmp_path):
    theirs, path = network(), tmp_path / "resnet50-19c8e357.pth"
    state = {k: v for k, v in theirs.state_dict().items() if v.dim()}  # without BatchNorm's counters, as then
    write_first_format(path, state)
    refused(
        path, network(seed=1), r"torch's first format, .*resnet50-0676ba61\.pth.*torch\.load\(FILE, weights_only=False"
    )
    torch.save(torch.load(path, weights_only=False), tmp_path / "new.pth")
    ours = network(seed=1)
    load_public(ours, tmp_path / "new.pth")
    assert all(torch.equal(v, ours.state_dict()[k]) for k, v in state.items())


def test_a_tar_archive_is_to_be_unpacked(tmp_path):
    whole, path = publish(tmp_path / "whole.pth", network()), tmp_path / "weights.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(whole, "whole.pth")
    refused(path, network(), "a tar archive, not a checkpoint; unpack it")


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


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "conv1.weight",
            torch.full((8, 3, 3, 5, 5), torch.nan),
            r"conv1.weight \(torch.float32\) has values that are not",
        ),
        ("bn1.running_var", torch.full((8,), torch.inf), "bn1.running_var .* not finite or of another kind; delete it"),
        ("bn1.weight", torch.ones(8, dtype=torch.int64), r"bn1.weight \(torch.int64\) has values .* of another kind"),
        ("bn1.weight", torch.ones(8, dtype=torch.complex64), r"bn1.weight \(torch.complex64\) has values"),
        ("bn1.weight", torch.tensor(1.0), r"bn1.weight is \(\), but \(8,\)"),
        ("bn1.weight", [1.0] * 8, "no state_dict of tensors"),
        (7, torch.ones(8), "no state_dict of tensors"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_without_sound_values_are_one_error(tmp_path, name, value, message):
    state = {**network().state_dict(), name: value}
    refused(publish(tmp_path / "a.pth", network(), state_dict=state), network(seed=1), message)
    if isinstance(name, str) and isinstance(value, torch.Tensor):  # as if a run had ended so, checksum included
        own = tmp_path / "w.pt"
        content = {"format": FORMAT, "labels": ["a"] * 400, "meta": {}, "state_dict": state}
        files.write(content, own)
        refused(own, network(seed=1), message, load_weights, ["a"] * 400)


@pytest.mark.parametrize(
    "changes", [{"arch": torch.ones(2)}, {"arch": 3}, {"state_dict": 3}, {"state_dict": [torch.ones(2)]}], ids=str
)
def test_odd_entries_are_one_error(tmp_path, changes):
    refused(publish(tmp_path / "a.pth", network(), **changes), network(), "holds a|no state_dict of tensors")


def test_an_odd_stem_is_one_error(tmp_path):
    file = public_inception(tmp_path / "a.pth", inception(), "imagenet")
    for value in (torch.ones(4), torch.ones(4, 3, 7, 7, dtype=torch.int64)):
        torch.save({**torch.load(file, weights_only=True), "conv1_7x7_s2.weight": value}, file)
        refused(file, inception(in_channels=10), "conv1_7x7_s2.weight")


# -- BN-Inception, for TSN and T-STAM

INCEPTION = {"width": 4, "blocks": ("3a", "3c", "5b"), "stem_pools": 0}


def inception(name="tsn", seed=0, **changes) -> nn.Module:
    torch.manual_seed(seed)
    model = build(name, **{"num_classes": 7, **INCEPTION, **changes})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return model


def public_inception(path, model, style):
    """A file as the collections publish BN-Inception: ImageNet's, plain; ported from Caffe, old; TSN's, wrapped."""
    state = {}
    for name, value in model.state_dict().items():
        plain = name.removeprefix("base_model.")
        if style == "imagenet":
            state[plain.replace("fc.", "last_linear.")] = value
        elif style == "old" and not name.endswith("num_batches_tracked"):
            state[plain] = value[None] if "_bn." in name else value
        elif style == "tsn":
            state["module." + name.replace("fc.", "new_fc.")] = value
        elif style == "plain tsn":
            state[name.replace("fc.", "new_fc.")] = value
    wrapped = {"epoch": 1, "arch": "BNInception", "state_dict": state, "best_prec1": 70.0}
    torch.save(wrapped if style == "tsn" else state, path)
    return path


@pytest.mark.parametrize("style", ["imagenet", "old", "tsn", "plain tsn"])
def test_bn_inception_files_of_every_style(tmp_path, style):
    theirs, ours = inception(seed=0), inception(seed=1)
    report = load_public(ours, public_inception(tmp_path / "bn_inception.pth", theirs, style))
    expected = {k: v for k, v in theirs.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert all(torch.equal(v, ours.state_dict()[k]) for k, v in expected.items())
    assert set(expected) <= set(report.taken)
    assert report.fresh == report.ignored == ()
    assert "head taken: 7 classes in both" in str(report)
    assert "stem" not in str(report)
    x = torch.randint(0, 256, (1, 3, 2, 16, 16), dtype=torch.uint8)
    assert torch.equal(ours.eval()(x).logits, theirs.eval()(x).logits)


def test_excitations_and_attention_start_fresh_on_bn_inception(tmp_path):
    file = public_inception(tmp_path / "bn_inception.pth", inception(seed=0), "imagenet")
    se, attentive = inception(seed=1, excitation="se", num_classes=5), inception("tstam", seed=1)
    before = copy.deepcopy(attentive.state_dict())
    report = load_public(se, file)
    assert {k for k in report.fresh if "_excite." not in k} == {"fc.weight", "fc.bias"}
    line = str(report)
    assert "fresh: inception_3a_excite 4, inception_3c_excite 4, inception_5b_excite 4, fc 2" in line
    assert "head fresh: 5 classes, the file's 7 ignored" in line
    report = load_public(attentive, file)  # as many classes, but a head on other features
    assert report.ignored == ("fc.weight", "fc.bias")
    assert "embed 2, score 2, spatial 12, fc 2; ignored: fc 2; head fresh: 7 classes, the file's 7 ignored" in str(
        report
    )
    after = attentive.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in report.fresh)
    assert not torch.equal(after["base_model.inception_3a_3x3.weight"], before["base_model.inception_3a_3x3.weight"])


def test_a_flow_stream_starts_from_rgb_by_cross_modality(tmp_path):
    theirs, ours = inception(seed=0), inception(seed=1, in_channels=10)
    file = public_inception(tmp_path / "bn_inception.pth", theirs, "imagenet")
    report = load_public(ours, file)
    kernel, flow = theirs.base_model.conv1_7x7_s2.weight, ours.base_model.conv1_7x7_s2.weight
    assert flow.shape[1] == 10
    for channel in range(10):
        torch.testing.assert_close(flow[:, channel], (kernel[:, 0] + kernel[:, 1] + kernel[:, 2]) / 3)
    assert torch.equal(ours.base_model.conv1_7x7_s2.bias, theirs.base_model.conv1_7x7_s2.bias)
    assert str(report).endswith("stem by cross-modality: mean over the file's 3 input channels, repeated for 10")
    assert cross_modality(torch.ones(2, 3, 1, 1), 4).shape == (2, 4, 1, 1)
    flows = public_inception(tmp_path / "flow.pth", inception(seed=2, in_channels=10), "tsn")
    assert load_public(ours, flows).stem == ""
    refused(flows, inception(), r"conv1_7x7_s2.weight is \(4, 10, .*but \(4, 3")
    refused(flows, inception(in_channels=2), r"conv1_7x7_s2.weight is \(4, 10, .*but \(4, 2")


def test_bn_inception_that_does_not_fit_is_refused(tmp_path):
    wider = public_inception(tmp_path / "wider.pth", inception(width=8), "imagenet")
    refused(wider, inception(), r"conv1_7x7_s2.weight is \(8, 3")
    deeper = public_inception(tmp_path / "deeper.pth", inception(blocks=("3a", "3b", "3c", "5b")), "tsn")
    refused(deeper, inception(), r"has, and this network has not, \d+ tensors \(inception_3b_1x1.weight")
    refused(publish(tmp_path / "r.pth", network()), inception(), "holds a 'resnext-14', but .* 'BNInception'")
    torch.save(network().state_dict(), tmp_path / "plain.pth")
    refused(tmp_path / "plain.pth", inception(blocks=("3a",)), r"lacks \d+ tensors")


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
    public = publish(tmp_path / "public.pth", network())
    refused(public, model, "no checkpoint of this version of the project; delete it", load_weights, LABELS)


def test_every_missing_part_of_a_network_of_ours_is_one_error(tmp_path):
    path, model = tmp_path / "w.pt", network(num_classes=3)
    save_weights(path, model, LABELS, {})
    whole = {k: v for k, v in torch.load(path, weights_only=True).items() if k != files.CHECKSUM}
    for name in whole:
        files.write({k: v for k, v in whole.items() if k != name}, path)
        refused(path, model, "no checkpoint of this version of the project", load_weights, LABELS)
    torch.save(whole, path)  # as earlier versions wrote it
    refused(path, model, "no checkpoint of this version of the project; delete it", load_weights, LABELS)


def test_a_changed_weight_of_ours_is_noticed(tmp_path):
    path, model = tmp_path / "w.pt", network(num_classes=3)
    save_weights(path, model, LABELS, {})
    data = bytearray(path.read_bytes())
    place = data.find(model.fc.weight.detach().numpy().tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    refused(path, model, r"is damaged: .*data/\d+ in it does not have its checksum; delete it", load_weights, LABELS)
    refused(path, model, "is damaged", load_public)  # as the start of another run
    assert place > 0


def test_a_failed_save_keeps_the_old_file(tmp_path):
    path = tmp_path / "w.pt"
    save_weights(path, network(num_classes=3), LABELS, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save_weights(path, network(num_classes=3), LABELS, {"epoch": lambda: 2})
    assert read_weights(path)["meta"] == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["w.pt"]
