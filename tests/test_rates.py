"""Groups of parameters with rates of their own: which parameter is in which, what an update does, and who trains so."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
import toy
from torch import nn

from repro import train
from repro.config import Optimisation
from repro.data.clips import batches
from repro.models import build
from repro.models.tools.freeze import freeze_batchnorm_except_first
from repro.models.tools.groups import multiples
from repro.papers import imrs, resnet50, smnet, stddcn, stme, stmsa, tstam
from repro.parameters import Parameters

SMALL = {"num_classes": 3, "depths": (1, 1, 1, 1), "width": 8}
INCEPTION = {"num_classes": 3, "width": 4, "blocks": ("3a", "5b")}
FILES = {"pretrained_rgb": "/no/such/rgb.pth", "pretrained_flow": "/no/such/flow.pth"}


def grouped(model: nn.Module, rates: str) -> dict[str, tuple[int, int]]:
    """{name of a parameter: times the rate, times the weight decay}; each parameter is in one group alone."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [(names[id(p)], times) for times, group in multiples(model, rates).items() for p in group]
    assert len(dict(found)) == len(found)
    return dict(found)


def kinds(model: nn.Module) -> dict[str, tuple[int, int]]:
    """What TSN's code gives the parameters of an RGB network, by the kind of their layer."""
    norms = [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)]
    return {
        name: (1, 0) if name.rpartition(".")[0] in norms else (2, 0) if name.endswith("bias") else (1, 1)
        for name, _ in model.named_parameters()
    }


@pytest.mark.parametrize("name", ["tsn_resnet", "tsm", "smnet", "stme", "stmsa"])
def test_the_classifier_is_quick_as_in_tsm(name):
    model = build(name, **SMALL, **({"reduction": 4} if name in ("smnet", "stme") else {}))
    assert grouped(model, "tsm") == kinds(model) | {"fc.weight": (5, 1), "fc.bias": (10, 0)}
    assert grouped(model, "tsn") == kinds(model)
    assert grouped(model, "one") == dict.fromkeys(kinds(model), (1, 1))
    assert next(iter(multiples(model, "tsm"))) == (1, 1)  # whose rate the history shows


@pytest.mark.parametrize("name", ["tsn", "tstam"])
def test_the_first_layer_of_a_flow_network_is_quick_as_in_tsn(name):
    first = "base_model.conv1_7x7_s2"
    rgb, flow = build(name, **INCEPTION), build(name, **INCEPTION, in_channels=10)
    assert grouped(rgb, "tsn") == kinds(rgb)
    assert grouped(flow, "tsn") == kinds(flow) | {f"{first}.weight": (5, 1), f"{first}.bias": (10, 0)}


def test_each_pathway_has_a_first_layer():
    model = build("stddcn", **SMALL)
    heads = [f"{head}fc.{kind}" for head in ("", "appearance.", "motion.") for kind in ("weight", "bias")]
    quick = {head: (5, 1) if head.endswith("weight") else (10, 0) for head in heads} | {"motion.conv1.weight": (5, 1)}
    assert grouped(model, "tsm") == kinds(model) | quick


def test_frozen_parameters_are_in_no_group():
    model = build("tsn", **INCEPTION)
    freeze_batchnorm_except_first(model)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained < set(kinds(model))
    assert set(grouped(model, "tsn")) == set(grouped(model, "one")) == trained


def test_an_update_has_the_rate_and_the_decay_of_its_group():
    model, opt = toy.Network(), Optimisation(lr=0.1, weight_decay=0.5, rates="tsm")
    batch = next(iter(batches(toy.Clips(), 8)))
    weight, bias = (p.detach().clone() for p in (model.fc.weight, model.fc.bias))
    F.cross_entropy(model(batch["rgb"]).logits, batch["label"]).backward()
    train.sgd(model, opt).step()
    torch.testing.assert_close(model.fc.weight, weight - 5 * 0.1 * (model.fc.weight.grad + 0.5 * weight))
    torch.testing.assert_close(model.fc.bias, bias - 10 * 0.1 * model.fc.bias.grad)


@pytest.mark.parametrize("given", [{"schedule": "onecycle"}, {"schedule": "steps", "steps": (1, 2)}, {"patience": 1}])
def test_every_schedule_keeps_the_ratios(given):
    opt = Optimisation(epochs=4, lr=0.1, rates="tsm", **given)
    optimiser = train.sgd(build("tsm", **SMALL), opt)
    schedule = train.scheduler(optimiser, opt, steps=1)
    seen = []
    for _ in range(4):
        seen.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        schedule.step(*([1.0] if "patience" in given else []))
    assert len({rates[0] for rates in seen}) > 1
    for rates in seen:
        assert rates == pytest.approx([times * rates[0] for times in (1, 1, 5, 10)])


def optimisations(plan, **given) -> set[Optimisation]:
    runs = plan(Parameters(**{"seeds": (0,), **given})).runs()
    return {dataclasses.replace(run.optimisation, init="", init_file="") for run in runs}


@pytest.mark.parametrize("plan", [smnet.ablation, stme.ablation, stmsa.ablation, stddcn.ablation])
def test_the_resnet50_systems_train_as_tsm_does(plan):
    of_something = Optimisation(
        epochs=50, batch=64, lr=0.01, schedule="steps", steps=(20, 40), clip_gradient=20.0, rates="tsm"
    )
    of_kinetics = dataclasses.replace(of_something, batch=128, lr=0.02, weight_decay=1e-4)
    for dataset in ("something_v1", "something_v2", "ucf101"):
        assert optimisations(plan, profile="paper", dataset=dataset, **FILES) == {of_something}
    assert optimisations(plan, profile="paper", dataset="kinetics400", **FILES) == {of_kinetics}
    gpu = [optimisations(plan, profile="gpu", dataset=dataset) for dataset in ("kinetics400", "something_v1")]
    assert gpu[0] == gpu[1]


def test_the_other_protocols():
    for plan, rates in ((tstam.systems, {"tsn"}), (imrs.streams, {"one"})):
        assert {opt.rates for opt in optimisations(plan, profile="paper", dataset="ucf101", **FILES)} == rates
    assert {name for name, preset in resnet50.PRESETS.items() if "rates" in preset["optimisation"]} == {"paper"}
    assert {name for name, preset in tstam.PRESETS.items() if "rates" in preset["optimisation"]} == {"paper"}
