"""The training loop on toy clips: rates, updates, selection, checkpoints and errors, against numbers worked out by hand."""

import copy
import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
import toy
from lightning_fabric import Fabric
from torch.optim.optimizer import register_optimizer_step_pre_hook

from repro import losses, networks, train
from repro.config import Distillation, Model, Optimisation
from repro.data.clips import batches
from repro.errors import ReproError
from repro.models.tools import files
from repro.papers import imrs
from repro.parameters import Parameters


@pytest.fixture
def checkpoint(tmp_path):
    return tmp_path / "checkpoint.pt"


def fit(run, model, checkpoint, training=None, validation=None, teacher=None, say=lambda line: None):
    fabric = Fabric(accelerator="cpu", devices=1)
    return train.fit(run, fabric, model, teacher, training or toy.Clips(), validation, checkpoint, say=say)


@pytest.fixture
def rates():
    """The learning rate of every update, in order."""
    found = []
    handle = register_optimizer_step_pre_hook(lambda optimiser, *_: found.append(optimiser.param_groups[0]["lr"]))
    yield found
    handle.remove()


@dataclasses.dataclass
class GivenLoss:
    """Replaces the scores of a validation part."""

    value: float

    def loss(self) -> float:
        return self.value

    def video_top1(self) -> float:
        return 0.5


@pytest.fixture
def validation_losses(monkeypatch):
    """Call it with the validation losses of the epochs to come."""

    def of_epochs(*values):
        remaining = iter(values)
        monkeypatch.setattr(train.evaluate, "predict", lambda *_, **__: GivenLoss(next(remaining)))
        return toy.Clips(part="val")

    return of_epochs


# -- the learning rate


def test_onecycle_changes_after_every_step(checkpoint, rates):
    fit(toy.run(epochs=10, schedule="onecycle", lr=0.5), toy.Network(), checkpoint)  # two steps per epoch
    down = 19 - 5  # of 20 rates, number 5 is the highest: 30 % of the steps
    up = [0.02 + (0.5 - 0.02) * (1 - math.cos(math.pi * i / 5)) / 2 for i in range(5)]
    low = 0.5 / 250_000
    fall = [low + (0.5 - low) * (1 + math.cos(math.pi * i / down)) / 2 for i in range(down + 1)]
    assert rates == pytest.approx(up + fall)


def test_steps_divide_by_ten_after_the_named_epochs(checkpoint, rates):
    history = fit(toy.run(epochs=5, schedule="steps", steps=(1, 3)), toy.Network(), checkpoint)
    assert rates == pytest.approx([0.1] * 2 + [0.01] * 4 + [0.001] * 4)  # two steps per epoch
    assert [line["lr"] for line in history] == pytest.approx([0.1, 0.01, 0.01, 0.001, 0.001])


def test_plateau_divides_by_ten_after_patience_and_one_more_epoch(checkpoint, rates, validation_losses):
    run = toy.run(epochs=8, batch=16, schedule="plateau", patience=2)
    #                              best  1  2  3: drop   better  1  2
    validation = validation_losses(2.0, 2.0, 2.5, 1.9999, 1.5, 1.5, 1.5, 1.5)  # a gain below 1e-4 of the best is none
    fit(run, toy.Network(), checkpoint, validation=validation)
    assert rates == pytest.approx([0.1] * 4 + [0.01] * 4)


# -- the update


def by_hand(run, model):
    """The weights after one epoch, from SGD's equations."""
    opt, training = run.optimisation, toy.Clips()
    parameters, momenta = list(model.parameters()), None
    for batch in batches(training, opt.batch):
        gradients = torch.autograd.grad(F.cross_entropy(model(batch["rgb"]).logits, batch["label"]), parameters)
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        scale = min(1.0, opt.clip_gradient / norm) if opt.clip_gradient else 1.0
        full = [scale * g + opt.weight_decay * p.detach() for g, p in zip(gradients, parameters, strict=True)]
        momenta = [
            g if momenta is None else opt.momentum * m + (1 - opt.dampening) * g
            for g, m in zip(full, momenta or full, strict=True)
        ]
        with torch.no_grad():
            for p, m in zip(parameters, momenta, strict=True):
                p -= opt.lr * m
    return model.state_dict()


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.0, "weight_decay": 0.0},
        {"momentum": 0.9, "weight_decay": 0.0},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.0},
        {"weight_decay": 0.2},
        {"clip_gradient": 0.1},
        {"clip_gradient": 100.0},
    ],
    ids=str,
)
def test_updates_are_those_of_sgd(checkpoint, changes):
    run, model = toy.run(batch=4, **changes), toy.Network()
    expected, plain = by_hand(run, copy.deepcopy(model)), by_hand(toy.run(batch=4), copy.deepcopy(model))
    fit(run, model, checkpoint)
    torch.testing.assert_close(model.state_dict(), expected)
    same = torch.allclose(expected["fc.weight"], plain["fc.weight"])
    assert same == (changes == {"clip_gradient": 100.0})  # each of the others makes a difference


def test_the_history_says_how_often_the_bound_on_the_gradient_acted(checkpoint):
    norms, still = [], {"batch": 4, "lr": 1e-9}  # four steps of one epoch, from nearly the same weights

    def measure(optimiser, *_):
        gradients = [p.grad for group in optimiser.param_groups for p in group["params"]]
        norms.append(torch.sqrt(sum(g.square().sum() for g in gradients)).item())

    handle = register_optimizer_step_pre_hook(measure)
    (free,) = fit(toy.run(**still), toy.Network(), checkpoint)
    handle.remove()
    assert len(set(norms)) == 4
    assert "clipped" not in free  # no bound, nothing to say
    between = sum(sorted(norms)[1:3]) / 2
    for limit, share in ((min(norms) / 2, 1.0), (between, 0.5), (2 * max(norms), 0.0)):
        checkpoint.unlink()
        (line,) = fit(toy.run(clip_gradient=limit, **still), toy.Network(), checkpoint)
        assert line["clipped"] == share


def test_weight_decay_shrinks_a_weight_of_zero_gradient_and_spares_a_frozen_one(checkpoint):
    model = toy.Network()
    model.fc.bias.requires_grad_(False)
    weight, bias = model.fc.weight.detach().clone(), model.fc.bias.detach().clone()
    fit(toy.run(batch=16, weight_decay=0.5), model, checkpoint)  # one step
    black = [c * toy.SIDE**2 for c in range(3)]  # inputs that are always zero
    assert torch.equal(model.fc.weight[:, black], weight[:, black] - 0.1 * (0.5 * weight[:, black]))
    assert not torch.equal(model.fc.weight, weight - 0.1 * (0.5 * weight))
    assert torch.equal(model.fc.bias, bias)


def test_a_small_fit_learns(checkpoint):
    history = fit(toy.run(epochs=10, schedule="onecycle"), toy.Network(norm=True), checkpoint, toy.Clips(64))
    assert history[0]["clip_top1"] < 0.9
    assert history[-1]["clip_top1"] == 1.0  # chance: 0.25
    assert history[-1]["loss"] < history[0]["loss"] / 2


def test_training_mode_does_not_depend_on_the_mode_before(checkpoint):
    models = toy.Network(norm=True), toy.Network(norm=True).eval()
    for model in models:
        fit(toy.run(), model, checkpoint)
        checkpoint.unlink()
    assert all(torch.equal(value, models[0].state_dict()[name]) for name, value in models[1].state_dict().items())
    assert models[1].norm.num_batches_tracked == 2


def test_a_student_sees_its_teacher_on_the_same_clips(checkpoint):
    taught = toy.run(modality="flow")
    run = toy.run(Distillation(3.0, 5.0), dataclasses.replace(taught), batch=16)
    clips = toy.Clips(modalities=("rgb", "flow"))
    student, teacher = toy.Network(norm=True), toy.Network(norm=True, seed=1).eval().requires_grad_(False)
    batch, before = next(batches(clips, 16)), copy.deepcopy(teacher.state_dict())
    expected = losses.distillation(
        run.objective, copy.deepcopy(student)(batch["rgb"]), batch["label"], teacher(batch["flow"])
    )
    (line,) = fit(run, student, checkpoint, clips, teacher=teacher)
    assert list(line) == ["epoch", "lr", "loss", "cross_entropy", "feature", "kl", "imitation", "clip_top1"]
    assert {name: line[name] for name in expected} == pytest.approx({k: v.item() for k, v in expected.items()})
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_a_student_of_an_rgb_teacher_shows_it_its_own_clips(checkpoint):
    run = toy.run(Distillation(3.0, 5.0), toy.run(seed=1), batch=16)
    clips = toy.Clips(modalities=("rgb", "rgb"))
    student, teacher = toy.Network(norm=True), toy.Network(norm=True, seed=1).eval().requires_grad_(False)
    batch = next(batches(clips, 16))
    expected = losses.distillation(
        run.objective, copy.deepcopy(student)(batch["rgb"]), batch["label"], teacher(batch["rgb"])
    )
    (line,) = fit(run, student, checkpoint, clips, teacher=teacher)
    assert {name: line[name] for name in expected} == pytest.approx({k: v.item() for k, v in expected.items()})
    assert line["imitation"] != 1


# -- selection, checkpoints, errors


def test_best_keeps_the_epoch_of_lowest_validation_loss_and_last_the_last(checkpoint, validation_losses):
    found = {}
    for select, epochs in (("best", 4), ("last", 4), ("last", 2)):
        model, validation = toy.Network(norm=True), validation_losses(3.0, 1.0, 2.0, 1.0)
        fit(toy.run(epochs=epochs, select=select), model, checkpoint, validation=validation)
        found[select, epochs] = model.state_dict()
        checkpoint.unlink()
    best, last, second = found.values()
    assert all(torch.equal(best[name], second[name]) for name in best)  # BatchNorm's statistics included
    assert not torch.equal(best["fc.weight"], last["fc.weight"])


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "onecycle"},
        {"schedule": "steps", "steps": (2, 4), "rates": "tsm"},
        {"patience": 1, "select": "best"},
    ],
    ids=str,
)
def test_a_killed_fit_resumes_and_ends_with_the_same_bits(checkpoint, changes):
    run = toy.run(epochs=6, weight_decay=0.01, **changes)

    def once(seed, say=lambda line: None):
        model = toy.Network(norm=True, dropout=0.5, seed=seed)
        history = fit(run, model, checkpoint, toy.Clips(20), toy.Clips(8, "val", seed=7), say=say)
        return history, model.state_dict()

    whole = once(seed=0)
    checkpoint.unlink()

    def kill(line):
        if "epoch 4," in line:
            raise Killed

    with pytest.raises(Killed):
        once(seed=0, say=kill)
    said = []
    resumed = once(seed=1, say=said.append)  # other initial weights: all must come from the checkpoint
    assert said[0] == f"{run.id}: goes on after epoch 3 of 6"
    assert resumed[0] == whole[0]
    assert all(torch.equal(value, whole[1][name]) for name, value in resumed[1].items())


def test_the_best_epoch_survives_a_resume(checkpoint, validation_losses):
    best = toy.Network()
    fit(toy.run(), best, checkpoint)
    checkpoint.unlink()
    model, run = toy.Network(), toy.run(epochs=3, select="best")
    with pytest.raises(StopIteration):  # in the third epoch
        fit(run, model, checkpoint, validation=validation_losses(1.0, 2.0))
    fit(run, model, checkpoint, validation=validation_losses(3.0))
    assert torch.equal(model.fc.weight, best.fc.weight)


def test_a_checkpoint_holds_no_code(checkpoint):
    fit(toy.run(), toy.Network(), checkpoint)
    parts = {"run", "model", "optimiser", "schedule", "history", "best", "sha256"}
    assert set(torch.load(checkpoint, weights_only=True)) == parts


def change(**parts):
    """A function that writes a checkpoint anew, with some parts changed, and the checksum that fits."""

    def write(path):
        saved = {k: v for k, v in torch.load(path, weights_only=True).items() if k != "sha256"}
        files.write({k: v for k, v in (saved | parts).items() if v is not None}, path)

    return write


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path):
    data, weight = bytearray(path.read_bytes()), torch.load(path, weights_only=True)["model"]["fc.weight"]
    data[data.index(weight.numpy().tobytes())] ^= 1
    path.write_bytes(data)


GROUPS = train.sgd(toy.Network(), toy.run().optimisation).state_dict()["param_groups"]
MOMENTA = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": GROUPS}
WEIGHTS = {"fc.weight": torch.zeros(4, 48), "fc.bias": torch.zeros(4)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("<html>"),
        cut,
        flip,
        change(history=None),
        change(run="0" * 12),
        change(model=WEIGHTS | {"fc.weight": torch.zeros(5, 48)}),
        change(model=WEIGHTS | {"fc.weight": torch.full((4, 48), torch.nan)}),
        change(model={}),
        change(model=3),
        change(optimiser={"state": {}}),
        change(optimiser=MOMENTA),
        change(schedule={}),
        change(schedule=[]),
        change(history=3),
        change(history=[{"epoch": 2}]),
        change(best={"val_loss": 1.0, "model": {}}),
        change(best=None),
        lambda path: torch.save({"model": WEIGHTS}, path),
    ],
)
def test_a_damaged_checkpoint_is_set_aside_and_the_run_starts_again(checkpoint, damage, capsys):
    """It ends with the bits of a run that was never stopped, whatever the damaged file had put into the network."""
    run, validation = toy.run(epochs=4, select="best"), toy.Clips(8, "val", seed=7)

    def once(seed, epochs=4, say=lambda line: None):
        model = toy.Network(seed=seed)
        history = fit(run, model, checkpoint, toy.Clips(20), validation, say=say)
        return history, model.state_dict()

    whole = once(seed=0)
    checkpoint.unlink()

    def kill(line):
        if "epoch 3," in line:
            raise Killed

    with pytest.raises(Killed):
        once(seed=0, say=kill)
    damage(checkpoint)
    broken, said = checkpoint.read_bytes(), []
    again = once(seed=0, say=said.append)
    aside = checkpoint.with_name("checkpoint.damaged.pt")
    assert aside.read_bytes() == broken
    assert said[0] == capsys.readouterr().err.strip()
    assert said[0].startswith(f"{run.id}: starts again, and its checkpoint is set aside as {aside}: {checkpoint}")
    assert "weights_only" not in said[0]
    assert "\n" not in said[0]
    assert again[0] == whole[0]
    assert all(torch.equal(value, whole[1][name]) for name, value in again[1].items())


def test_a_device_without_room_for_a_checkpoint_is_no_damage(checkpoint, monkeypatch):
    fit(toy.run(), toy.Network(), checkpoint)

    def full(*_):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(train.Training, "_take", full)
    with pytest.raises(torch.OutOfMemoryError):
        fit(toy.run(), toy.Network(), checkpoint)
    assert [each.name for each in checkpoint.parent.iterdir()] == ["checkpoint.pt"]


def test_a_loss_that_is_not_finite_names_run_epoch_and_step(checkpoint):
    run = toy.run(lr=1e38, batch=4, momentum=0.0)
    with pytest.raises(ReproError, match=rf"^run {run.id} stopped in epoch 1, step 2: the loss .*\(loss (nan|inf)\)"):
        fit(run, toy.Network(), checkpoint)
    assert not checkpoint.exists()


def test_a_gradient_that_is_not_finite_is_an_error(checkpoint):
    class Steep(toy.Network):
        def forward(self, clips):
            output = super().forward(clips)
            return output._replace(
                logits=output.logits * (1 + (self.fc.bias - self.fc.bias.detach()).square().sum().sqrt())
            )

    run = toy.run(clip_gradient=1.0)
    with pytest.raises(ReproError, match=rf"run {run.id} stopped in epoch 1, step 1: the gradient is not finite"):
        fit(run, Steep(), checkpoint)


def test_a_validation_loss_that_is_not_finite_is_an_error(checkpoint, validation_losses):
    run = toy.run(epochs=2)
    with pytest.raises(ReproError, match=f"run {run.id} stopped after epoch 2: the validation loss"):
        fit(run, toy.Network(), checkpoint, validation=validation_losses(1.0, math.nan))


# -- from the configuration to the network


def built(**changes):
    """The small network of IMRS, or TSN's ResNet, with frozen parts, after a forward pass in training mode."""
    run = imrs.single(Parameters(profile="smoke"), 1, 0)
    if "partial_batchnorm" in changes:
        run = dataclasses.replace(run, model=Model("tsn_resnet", {"depths": (1, 1, 1, 1), "width": 8}))
    run = dataclasses.replace(run, optimisation=Optimisation(**changes))
    model = networks.build(run, toy.CLASSES)
    before = copy.deepcopy(model.state_dict())
    model.train()(torch.randint(0, 255, (2, 3, 8, 32, 32), dtype=torch.uint8))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    return {name for name, p in model.named_parameters() if p.requires_grad}, {n.rsplit(".", 1)[0] for n in moved}


def test_trained_parts_reach_the_network():
    trains, moves = built(trained=("layer4", "fc"))
    gates = {"excite2", "excite3", "excite4", "excite5"}  # they always train
    assert {name.split(".")[0] for name in trains} == {"layer4", "fc"} | gates
    assert {name.split(".")[0] for name in moves} == {"layer4"}


def test_partial_batchnorm_reaches_the_network():
    trains, moves = built(partial_batchnorm=True)
    assert moves == {"bn1"}
    assert "bn1.weight" in trains
    assert "layer1.0.bn1.weight" not in trains
    assert "layer1.0.conv1.weight" in trains
    assert len(built(partial_batchnorm=False)[1]) > 1
