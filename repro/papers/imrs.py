"""IMRS: Hu, Mao, Yao, Bi 2023, "3D network with channel excitation and knowledge distillation for action recognition".

Its Tables 2, 3 and 4 and Figure 4 as functions that return runs. What the paper leaves open, and how we read it:

- f in eq. (8) is the 2048-d feature before the last layer (section 1, Figure 1, MARS), not the scores of section 3.1.
- The norm is MARS's mean squared error, P a softmax over the features, KL in the printed direction (student||teacher),
  summed over features and averaged over the batch: see `repro.losses`.
- There is one CE per stage, behind its last block: only that gives Table 3's parameters.
- Training from scratch uses the paper's weight decay, 5e-4; fine-tuning has its lr of 1e-3. All layers train by default:
  the paper does not say that only some do (MARS trains the last stage and the classifier).
- Profile paper: the best epoch is chosen on a validation part of the training videos. The paper does not say where it
  chose; MARS looked at the test split. The other profiles test the last epoch.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from repro.config import CrossEntropy, Distillation, Model, Optimisation, Run
from repro.errors import ReproError
from repro.papers import recipes
from repro.papers.table import Claim, Table, beats
from repro.parameters import Parameters

STAGES = (2, 3, 4, 5)
PAIRS = ((1, 1), (10, 10), (50, 50), (50, 100), (50, 200), (50, 300))  # Table 4
BEST_PAIR = (50, 200)

NARROW = {"depths": (1, 1, 1, 1), "width": 16, "cardinality": 8, "stem_kernel": (3, 5, 5), "std": 60.0}
# without pooling the last map of a clip of 8 x 28 x 28 keeps 1 x 2 x 2 positions (the full network's: 1 x 4 x 4)
SMALL = {**NARROW, "stem_stride": (2, 2, 2), "stem_pool": False}
SMALL_CLIPS = {"frames": 8, "size": 28, "side": 48, "bound": 4.0, "smallest_scale": 0.8}  # 20 px at 256 is 4 px at 48
ONECYCLE = {"schedule": "onecycle", "select": "last", "lr": 0.02, "batch": 16}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": {
        "data": {**SMALL_CLIPS, "views": "centre"},
        "model": SMALL,
        "optimisation": {"epochs": 1, **ONECYCLE, "clip_gradient": 10.0},
    },
    "small": {
        "data": {**SMALL_CLIPS, "val_fraction": 0.0, "train_per_class": 12},
        "model": SMALL,
        "optimisation": {"epochs": 40, **ONECYCLE},
        "student": {"epochs": 100, "lr": 0.05},  # features that follow a teacher move further than a new head
        "pretext": {"data": {}, "optimisation": {"epochs": 25, "lr": 0.1}},
    },
    "small real": {  # the small profile on real videos, which are few
        "data": {"frames": 16, "size": 48, "side": 64, "bound": 5.0, "smallest_scale": 0.7},
        "model": NARROW,
        "optimisation": {"epochs": 100, **ONECYCLE, "batch": 8, "clip_gradient": 10.0},
    },
    "gpu": {
        "data": {"frames": 16, "size": 112, "side": 128, "bound": 10.0, "smallest_scale": 0.8},
        "model": {},
        "optimisation": {"epochs": 30, **ONECYCLE, "clip_gradient": 10.0},
    },
    "paper": {"data": {}, "model": {}, "optimisation": {}},  # the fields' defaults are the paper's
}

WEIGHTS = {  # that all numbers of the paper start from
    "rgb": "Hara's 3D ResNeXt-101 of Kinetics-400",
    "flow": "MARS's flow network, a 3D ResNeXt-101 of Kinetics-400",
}


def single(
    parameters: Parameters,
    split: int,
    seed: int,
    modality: str = "rgb",
    excitation: str = "ce",
    stages: Sequence[int] = STAGES,
) -> Run:
    """One stream trained with cross-entropy, eqs. (6) and (7): the teacher when its modality is flow."""
    preset = recipes.preset(parameters, PRESETS)
    data = recipes.clips(parameters, split, modality, **preset["data"])
    gate = {"excitation": excitation, "excitation_stages": tuple(stages)} if excitation != "none" else {}
    model = Model("resnext3d", {**preset["model"], **gate})
    # fine-tuning, section 4.2.2
    wanted = "" if parameters.dataset == "kinetics400" else WEIGHTS[modality]
    fine_tuning = recipes.pretrained(parameters, modality, lr=1e-3, wanted=wanted)
    optimisation = Optimisation(**{**preset["optimisation"], **fine_tuning})
    precision = recipes.precision(parameters)
    plain = Run(
        parameters.profile, seed, data, Model("resnext3d", preset["model"]), CrossEntropy(), optimisation, precision
    )
    return replace(plain, model=model, start=recipes.start(parameters, PRESETS, plain))


def student(
    parameters: Parameters, split: int, seed: int, lambda1: float = 50, lambda2: float = 200, excitation: str = "ce"
) -> Run:
    """The RGB stream of eq. (8), with the flow stream of the same split and seed as its teacher.

    MARS is lambda2 = 0 and no excitation, in student and teacher.
    """
    base = single(parameters, split, seed, excitation=excitation)
    teacher = single(parameters, split, seed, "flow", excitation=excitation)
    optimisation = replace(base.optimisation, **recipes.preset(parameters, PRESETS).get("student", {}))
    objective = Distillation(lambda1=lambda1, lambda2=lambda2)
    return replace(base, objective=objective, optimisation=optimisation, teacher=teacher)


def table2(parameters: Parameters) -> Table:
    """Table 2: CE after one stage or after all four, RGB, HMDB51-1: 65.9, 65.8, 67.0, 66.2, all four 67.6."""
    places = {f"Res{s}": (s,) for s in STAGES} | {"Res2-Res5": STAGES}
    rows = recipes.rows(
        parameters, {k: lambda split, seed, v=v: [single(parameters, split, seed, stages=v)] for k, v in places.items()}
    )
    return Table(
        "imrs_table2", "imrs", "IMRS, Table 2: where channel excitation is placed.",
        "CE after all four stages is better than after any one of them.",
        "Res2-Res5", rows, ("imrs", "table2", "1"), "ablation_ce_position",
    )  # fmt: skip


def table3(parameters: Parameters) -> Table:
    """Table 3: no excitation, SE, CE, RGB, UCF101-1 / HMDB51-1: 90.7/63.8, 91.0/65.4, 91.8/67.6."""
    kinds = {"plain": "none", "SE": "se", "CE": "ce"}
    rows = recipes.rows(
        parameters,
        {k: lambda split, seed, v=v: [single(parameters, split, seed, excitation=v)] for k, v in kinds.items()},
    )
    return Table(
        "imrs_table3", "imrs", "IMRS, Table 3: channel excitation against squeeze-and-excitation.",
        "CE is better than SE, and both are better than the plain network.",
        "plain", rows, ("imrs", "table3", "1"), "ablation_ce_se",
        ladders=(("plain", "SE", "CE"),),
    )  # fmt: skip


def table4(parameters: Parameters, pairs: Sequence[Sequence[float]] = PAIRS) -> Table:
    """Table 4: (lambda1, lambda2) of eq. (8), HMDB51-1: 73.1, 73.3, 72.1, 73.3, 74.1, 73.0 for `PAIRS`.

    Two more rows: the first term alone, and MARS, which has neither the second term nor CE (72.3 in Table 5).
    """
    if BEST_PAIR not in [tuple(pair) for pair in pairs]:
        raise ReproError(f"pairs must hold {BEST_PAIR}, the paper's best, which the others are compared with")
    named = {f"({a:g}, {b:g})": (a, b) for a, b in pairs} | {"(50, 0)": (50, 0), "MARS": (50, 0, "none")}
    rows = recipes.rows(
        parameters, {k: lambda split, seed, v=v: [student(parameters, split, seed, *v)] for k, v in named.items()}
    )
    return Table(
        "imrs_table4", "imrs", "IMRS, Table 4: the weights of the two distillation terms.",
        "(50, 200) is better than the other pairs.",
        "(50, 200)", rows, ("imrs", "table4", "1"), "ablation_lambda",
        () if tuple(pairs) == PAIRS else (("pairs", ", ".join(f"{a:g}:{b:g}" for a, b in pairs)),),
    )  # fmt: skip


def streams(parameters: Parameters) -> Table:
    """Figure 4 and section 4.4: RGB, flow, the student, and RGB + flow averaged (two networks and flow at test)."""
    rows = recipes.rows(parameters, {
        "RGB": lambda split, seed: [single(parameters, split, seed)],
        "Flow": lambda split, seed: [single(parameters, split, seed, "flow")],
        "IMRS": lambda split, seed: [student(parameters, split, seed)],
        "IMRS, (50, 0)": lambda split, seed: [student(parameters, split, seed, 50, 0)],
        "RGB+Flow": lambda split, seed: [single(parameters, split, seed), single(parameters, split, seed, "flow")],
    })  # fmt: skip
    split = "mean" if len(parameters.splits) == 3 else "1"
    return Table(
        "imrs_streams", "imrs", "IMRS, Figure 4: single streams, the student, and two streams.",
        "Flow is better than RGB, and the student, which sees RGB alone, is better than both.",
        "RGB", rows, ("imrs", "streams", split), "streams",
        ladders=(("RGB", "Flow", "IMRS"),),
    )  # fmt: skip


def pairs_of(value: Any) -> tuple[tuple[float, float], ...]:
    """The notebook's `pairs`: text such as "1:1, 50:200", or a list of pairs."""
    try:
        pairs = [pair.split(":") for pair in value.split(",")] if isinstance(value, str) else value
        return tuple((float(a), float(b)) for a, b in pairs)
    except (TypeError, ValueError):
        raise ReproError(f'pairs is {value!r}, but must be pairs of lambdas such as "1:1, 50:200"') from None


CLAIMS = (
    Claim("Channel excitation after all four stages is better than after any one.", "IMRS", "section 4.3.1, Table 2",
          table2, beats("Res2-Res5", "Res2", "Res3", "Res4", "Res5")),
    Claim("Channel excitation makes the 3D network better.", "IMRS", "abstract; Table 3", table3, beats("CE", "plain")),
    Claim("Squeeze-and-excitation makes the 3D network better.", "IMRS", "Table 3", table3, beats("SE", "plain")),
    Claim("Channel excitation is better than squeeze-and-excitation.", "IMRS", "abstract; section 4.3.1, Table 3",
          table3, beats("CE", "SE")),
    Claim("The flow stream is better than the RGB stream.", "IMRS", "section 4.4, Figure 4",
          streams, beats("Flow", "RGB")),
    Claim("The student is better than the RGB stream, which sees as much at test.", "IMRS", "abstract; section 4.4",
          streams, beats("IMRS", "RGB")),
    Claim("The student is better than the flow stream, its teacher.", "IMRS", "abstract; section 4.4",
          streams, beats("IMRS", "Flow")),
    Claim("With MARS's weights, (50, 0), the student is better than the RGB stream.", "IMRS", "section 2.3, implied",
          streams, beats("IMRS, (50, 0)", "RGB")),
    Claim("The student, without flow at test, keeps up with two streams (at most 1 point worse).", "IMRS", "section 1",
          streams, beats("IMRS", "RGB+Flow"), "not worse"),
    Claim("(50, 200) are better weights of the distillation terms than the other pairs.", "IMRS", "section 4.3.2, Table 4",
          table4, beats("(50, 200)", "(1, 1)", "(10, 10)", "(50, 50)", "(50, 100)", "(50, 300)")),
    Claim("Both distillation terms are better than the first alone.", "IMRS", "section 3.3, implied",
          table4, beats("(50, 200)", "(50, 0)")),
    Claim("IMRS is better than MARS.", "IMRS", "Tables 4 and 5, split 1; section 4.5 has +1.2, a mean of splits over split 1",
          table4, beats("(50, 200)", "MARS")),
)  # fmt: skip
