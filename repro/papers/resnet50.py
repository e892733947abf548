"""What the ResNet-50 systems share: TSN's sampling with RGB frames, their presets, and the baselines TSN and TSM.

Only the abstracts of SMNet, STME, STMSA and STDDCN are known. Their protocol here is that of TSM's code for
Something-Something: 8 frames, one test clip, ImageNet weights, rate 0.01 with drops at epochs 20 and 40 of 50, weight
decay 5e-4, gradients clipped at 20, dropout 0.5; no horizontal flip where direction is the label. In profile paper groups of
parameters have rates and weight decays of their own (`repro.models.tools.groups`), and Kinetics-400 has TSM's recipe for it.
The same holds for the baselines TSN and TSM, so that the rows of a table differ in their networks alone.

Training crops are TSN's. The test crop is the whole short-side square, which TSM's code calls full resolution. The best
epoch is chosen on a tenth of the training videos, held out; profiles other than paper test the last epoch.
"""

from dataclasses import replace
from typing import Any

from repro.config import CrossEntropy, Model, Objective, Optimisation, Run
from repro.papers import recipes
from repro.parameters import Parameters

SMALL = {"depths": (1, 1, 1, 1), "width": 8, "stem_kernel": 5, "stem_stride": 2, "stem_pool": False, "dropout": 0.1}
GATES = {"reduction": 4}  # eight channels cannot be reduced by 16
SMALL_CLIPS = {"frames": 6, "size": 28, "side": 48, "bound": 4.0, "stack": 3, "smallest_scale": 0.875}
TSN = {"sampling": "segments", "views": "centre", "crop": "tsn"}
# the order of frames is learned late and suddenly, and later still behind a gate; a bound on the gradient helps
ONECYCLE = {"schedule": "onecycle", "select": "last", "lr": 0.1, "batch": 16, "clip_gradient": 2.0}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {  # "streams": what differs for two streams in one network
    "smoke": {
        "data": {**TSN, **SMALL_CLIPS},
        "model": SMALL,
        "gates": GATES,
        "optimisation": {"epochs": 1, **ONECYCLE},
        "streams": {"data": {"frames": 4}, "optimisation": {}},
    },
    # 24 videos of each class: from 12, no network of the family learns the direction of time; from 12 and flow, two streams do
    "small": {
        "data": {**TSN, **SMALL_CLIPS, "val_fraction": 0.0, "train_per_class": 24},
        "model": SMALL,
        "gates": GATES,
        # the bound is TSM's and acts at the start alone; few videos want more weight decay than TSM's 5e-4
        "optimisation": {"epochs": 60, **ONECYCLE, "clip_gradient": 20.0, "weight_decay": 2e-3},
        "streams": {
            "data": {"frames": 4, "train_per_class": 12},
            "optimisation": {"epochs": 40, "lr": 0.05, "weight_decay": 5e-4},
        },
        "pretext": {
            "data": {"frames": 4}, "optimisation": {"epochs": 25, "clip_gradient": 2.0, "weight_decay": 5e-4},
        },
    },
    "small real": {
        "data": {**TSN, "frames": 6, "size": 48, "side": 64, "bound": 5.0, "stack": 5, "smallest_scale": 0.75},
        "model": SMALL,
        "gates": GATES,
        "optimisation": {"epochs": 80, **ONECYCLE, "batch": 8, "lr": 0.05},
        "streams": {"data": {"frames": 4}, "optimisation": {"epochs": 40}},
    },
    "gpu": {
        "data": {**TSN, "frames": 8, "size": 112, "side": 128, "bound": 10.0, "stack": 5, "smallest_scale": 0.75},
        "model": {},
        "gates": {},
        "optimisation": {"epochs": 30, **ONECYCLE, "batch": 32, "lr": 0.05, "clip_gradient": 20.0},
        "streams": {"data": {}, "optimisation": {}},
    },
    "paper": {
        "data": {**TSN, "frames": 8, "size": 224, "stack": 5, "smallest_scale": 0.66},
        "model": {},
        "gates": {},
        "optimisation": {
            "epochs": 50, "batch": 64, "lr": 0.01, "schedule": "steps", "steps": (20, 40), "clip_gradient": 20.0,
            "rates": "tsm",
        },
        "streams": {"data": {}, "optimisation": {}},
    },
}  # fmt: skip
KINETICS = {"batch": 128, "lr": 0.02, "weight_decay": 1e-4}  # what TSM's code changes there; profile paper
BASELINES = {"TSN": ("tsn_resnet", {}), "TSM": ("tsm", {})}


def run(
    parameters: Parameters, split: int, seed: int, network: str,
    arguments: dict[str, Any] | None = None, modality: str = "rgb", objective: Objective | None = None,
) -> Run:  # fmt: skip
    """One network of the family, trained end to end."""
    preset = recipes.preset(parameters, PRESETS)
    streams = preset["streams"] if modality == "rgb+flow" else {"data": {}, "optimisation": {}}
    clips = recipes.clips(parameters, split, modality, **{**preset["data"], **streams["data"]})
    there = parameters.profile == "paper" and parameters.dataset == "kinetics400"
    optimisation = {**preset["optimisation"], **(KINETICS if there else {})}
    start = recipes.pretrained(parameters, modality, optimisation["lr"], "torchvision's ResNet-50 of ImageNet")
    gates = preset["gates"] if network in ("smnet", "stme") else {}
    plain = Run(
        parameters.profile, seed, recipes.clips(parameters, split, "rgb", **preset["data"]),
        Model("tsn_resnet", preset["model"]), CrossEntropy(), Optimisation(**{**optimisation, **start}),
        recipes.precision(parameters),
    )  # fmt: skip
    return replace(
        plain, data=clips, model=Model(network, {**preset["model"], **gates, **(arguments or {})}),
        objective=objective or CrossEntropy(), start=recipes.start(parameters, PRESETS, plain),
        optimisation=replace(plain.optimisation, **streams["optimisation"]),
    )  # fmt: skip


def systems(parameters: Parameters, networks: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """{label: (network, arguments)} in the form that `recipes.rows` takes."""
    return {
        label: lambda split, seed, name=name, given=given: [run(parameters, split, seed, name, given)]
        for label, (name, given) in networks.items()
    }
