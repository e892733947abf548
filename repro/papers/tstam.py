"""T-STAM: Shi, Li, Liu, Dai 2020, "T-STAM: an end-to-end action recognition model based on two-stream spatio-temporal
attention mechanism". Its four ablations and its comparison with TSN as functions that return runs.

Only the text is left: the values of its figures and tables are lost, and no code is public. So a table shows what the
text states: gains where it gives them, else which row is better. How we read it (`repro.models.tstam`: the equations):

- The appearance stream's learning rate is missing; we take 0.001, the motion stream's and TSN's.
- Frames are resized to 240x320 there; here the short side is stored at 256, as TSN stores it, and crops are TSN's.
- "Averaging over these 10 samples" must mean 25 frames x 10 crops: all frames of a crop pass through the attention at
  once, and the probabilities of the crops are averaged.
- TSN's dropout (0.8 and 0.7), its bound on the gradient (40 and 20) and its partial BatchNorm are kept, since the
  paper builds on TSN. So are, in profile paper, its larger learning rates for biases and for the motion stream's first
  layer, and its weight decay, which spares biases and BatchNorm.
- The stream of Fig. 7 is not named: the appearance stream, as in Fig. 6. TSN with and without SE is compared with both
  streams fused 1 : 3 and 6 segments, "using identical experimental parameters".
- Profile paper: the best epoch is chosen on a tenth of the training videos, held out by group. The other profiles test
  the last epoch.
- Public weights start both streams: ImageNet's for RGB, and the same, averaged over RGB, for flow (cross-modality).
"""

from dataclasses import replace
from functools import partial
from typing import Any

from repro.config import CrossEntropy, Model, Optimisation, Run
from repro.papers import recipes
from repro.papers.table import Claim, Table, beats, ladder
from repro.parameters import Parameters

SEGMENTS, HEADS = 6, 4
SHARES = (1.0, 3.0)  # RGB : flow, section 4.3.3
RATIOS = ((1, 0), (3, 1), (2, 1), (1, 1), (1, 2), (1, 3), (1, 4), (0, 1))  # RGB : flow
weighted_rows = partial(recipes.rows, weighted=True)  # section 4.1: each split counts by its number of test videos

SMALL = {
    "width": 8, "blocks": ("3c", "4e", "5b"), "stem_stride": 2, "stem_pools": 0, "std": 60.0, "dropout": 0.2,
}  # fmt: skip
SMALL_CLIPS = {"size": 28, "side": 48, "bound": 4.0, "stack": 3, "smallest_scale": 0.875}
TSN = {"sampling": "segments", "views": "centre", "crop": "tsn", "average": "probabilities"}
ONECYCLE = {"schedule": "onecycle", "select": "last", "lr": 0.1, "batch": 32, "clip_gradient": 10.0}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": {
        "data": {**TSN, **SMALL_CLIPS},
        "model": SMALL,
        "attention": {"embedding": 64},
        "optimisation": {"epochs": 1, **ONECYCLE},
    },
    "small": {
        "data": {**TSN, **SMALL_CLIPS, "crops": "ten", "test_frames": 8, "val_fraction": 0.0, "train_per_class": 12},
        "model": SMALL,
        "attention": {"embedding": 64},
        "optimisation": {"epochs": 40, **ONECYCLE, "lr": 0.05},
        "pretext": {"data": {"frames": 3}, "optimisation": {"epochs": 12, "lr": 0.1}},
    },
    "small real": {
        "data": {
            **TSN, "size": 48, "side": 64, "bound": 5.0, "stack": 5, "smallest_scale": 0.75, "crops": "ten",
            "test_frames": 15,
        },
        "model": SMALL,
        "attention": {"embedding": 64},
        "optimisation": {"epochs": 80, **ONECYCLE, "lr": 0.05, "batch": 8},
    },
    "gpu": {
        "data": {
            **TSN, "size": 112, "side": 128, "bound": 10.0, "stack": 5, "smallest_scale": 0.75, "crops": "ten",
            "test_frames": 15,
        },
        "model": {"std": 60.0, "dropout": 0.5},
        "attention": {},
        "optimisation": {"epochs": 30, **ONECYCLE, "lr": 0.02},
    },
    "paper": {
        "data": {**TSN, "size": 224, "stack": 5, "crops": "ten", "test_frames": 25},
        "model": {},
        "attention": {},
        "optimisation": {"batch": 32, "lr": 0.001, "schedule": "steps", "partial_batchnorm": True, "rates": "tsn"},
    },
}  # fmt: skip
PAPER_STREAMS = {  # section 4.2; dropout, scales and bounds as TSN
    "rgb": ({"smallest_scale": 0.66}, {"dropout": 0.8}, {"epochs": 80, "steps": (30, 60), "clip_gradient": 40.0}),
    "flow": ({"smallest_scale": 0.75}, {"dropout": 0.7}, {"epochs": 340, "steps": (190, 300), "clip_gradient": 20.0}),
}


def _run(
    parameters: Parameters, split: int, seed: int, modality: str, segments: int, network: str, more: dict[str, Any]
) -> Run:
    preset = recipes.preset(parameters, PRESETS)
    data, model, optimisation = PAPER_STREAMS[modality] if parameters.profile == "paper" else ({}, {}, {})
    start = recipes.pretrained(parameters, modality, preset["optimisation"]["lr"], "a public BN-Inception of ImageNet")
    clips = recipes.clips(parameters, split, modality, **{**preset["data"], **data, "frames": segments})
    plain = Run(
        parameters.profile, seed, clips, Model("tsn", {**preset["model"], **model}), CrossEntropy(),
        Optimisation(**{**preset["optimisation"], **optimisation, **start}), recipes.precision(parameters),
    )  # fmt: skip
    network = Model(network, {**preset["model"], **model, **more})
    return replace(plain, model=network, start=recipes.start(parameters, PRESETS, plain))


def stream(
    parameters: Parameters, split: int, seed: int, modality: str = "rgb",
    segments: int = SEGMENTS, heads: int = HEADS, excitation: str = "se",
) -> Run:  # fmt: skip
    """One stream of T-STAM, trained with cross-entropy."""
    attention = recipes.preset(parameters, PRESETS)["attention"]
    return _run(
        parameters, split, seed, modality, segments, "tstam", {**attention, "heads": heads, "excitation": excitation}
    )


def tsn(parameters: Parameters, split: int, seed: int, modality: str = "rgb", excitation: str = "none") -> Run:
    """One stream of the baseline, TSN on BN-Inception, trained and tested as T-STAM is."""
    return _run(parameters, split, seed, modality, SEGMENTS, "tsn", {"excitation": excitation})


def both(of: Any, **options: Any) -> Any:
    """The two streams of a system, RGB first, as a function of split and seed."""
    return lambda split, seed: [of(split=split, seed=seed, modality=m, **options) for m in ("rgb", "flow")]


def segments(parameters: Parameters) -> Table:
    """Fig. 6, HMDB51-1, appearance stream: accuracy grows from 3 to 6 segments. Its values are not available."""
    rows = weighted_rows(
        parameters,
        {f"{n} segments": lambda split, seed, n=n: [stream(parameters, split, seed, segments=n)] for n in (3, 4, 5, 6)},
    )
    return Table(
        "tstam_segments", "tstam", "T-STAM, Figure 6: how many segments a video is sampled in.",
        "Six segments are better than fewer.",
        "6 segments", rows, ("tstam", "segments", "1"), "ablation_segments",
    )  # fmt: skip


def attention_heads(parameters: Parameters) -> Table:
    """Fig. 7, HMDB51-1: accuracy grows up to 4 spatial attention models and falls with 5. No values available."""
    rows = weighted_rows(
        parameters,
        {f"l = {n}": lambda split, seed, n=n: [stream(parameters, split, seed, heads=n)] for n in (1, 2, 3, 4, 5)},
    )
    return Table(
        "tstam_heads", "tstam", "T-STAM, Figure 7: how many spatial attention models look at a frame.",
        "Four are better than fewer, and than five.",
        "l = 4", rows, ("tstam", "heads", "1"), "ablation_attention_heads",
    )  # fmt: skip


def fusion_weights(parameters: Parameters) -> Table:
    """Section 4.3.3: the weights of the two streams' probabilities; needs no training beyond the two streams."""
    of = both(lambda **given: stream(parameters, **given))
    labels = {f"{a} : {b}": (a, b) for a, b in RATIOS}
    rows = weighted_rows(parameters, {label: of for label in labels}, shares=labels)
    return Table(
        "tstam_fusion", "tstam", "T-STAM, section 4.3.3: weights of the appearance and the motion stream (RGB : flow).",
        "1 : 3 is better than the other weights; flow alone is better than RGB alone.",
        "1 : 3", rows, ("tstam", "fusion", "1"), "ablation_fusion_weights",
    )  # fmt: skip


def channel_attention(parameters: Parameters) -> Table:
    """Section 4.3.4: SE on TSN gains 0.2 points on UCF101 and 1.3 on HMDB51."""
    rows = weighted_rows(
        parameters,
        {
            "TSN": both(lambda **given: tsn(parameters, **given)),
            "TSN+SE": both(lambda **given: tsn(parameters, excitation="se", **given)),
        },
        shares={"TSN": SHARES, "TSN+SE": SHARES},
    )  # fmt: skip
    return Table(
        "tstam_channel_attention", "tstam", "T-STAM, section 4.3.4: squeeze-and-excitation in TSN.",
        "SE makes TSN better: by 0.2 points on UCF101 and 1.3 on HMDB51.",
        "TSN", rows, ("tstam", "channel_attention", "mean"), "ablation_channel_attention",
    )  # fmt: skip


def systems(parameters: Parameters) -> Table:
    """Sections 4.3.4 and 4.3.5: the streams, their fusion, the parts that make T-STAM, and TSN."""
    shares = {label: SHARES for label in ("TSN", "TSN+SE", "T-STAM without SE", "T-STAM")}
    rows = weighted_rows(
        parameters,
        {
            "RGB": lambda split, seed: [stream(parameters, split, seed)],
            "Flow": lambda split, seed: [stream(parameters, split, seed, "flow")],
            "TSN": both(lambda **given: tsn(parameters, **given)),
            "TSN+SE": both(lambda **given: tsn(parameters, excitation="se", **given)),
            "T-STAM without SE": both(lambda **given: stream(parameters, excitation="none", **given)),
            "T-STAM": both(lambda **given: stream(parameters, **given)),
        },
        shares=shares,
    )
    return Table(
        "tstam_systems", "tstam", "T-STAM, section 4.3.5: its streams, its parts, and TSN.",
        "T-STAM is better than TSN, and SE adds to both (the paper: means over three splits).",
        "TSN", rows, ("tstam", "systems", "mean"), "tstam",
        ladders=(("RGB", "Flow", "T-STAM"), ("TSN", "TSN+SE"), ("T-STAM without SE", "T-STAM"), ("TSN", "T-STAM")),
    )  # fmt: skip


CLAIMS = (
    Claim("Six segments are better than three, four or five.", "T-STAM", "section 4.3.1, Figure 6",
           segments, beats("6 segments", "3 segments", "4 segments", "5 segments")),
    Claim("Each further segment, up to six, makes it better.", "T-STAM", "section 4.3.1, Figure 6",
           segments, ladder("3 segments", "4 segments", "5 segments", "6 segments")),
    Claim("Four spatial attention heads are better than one, two, three or five.", "T-STAM", "section 4.3.2, Figure 7",
           attention_heads, beats("l = 4", "l = 1", "l = 2", "l = 3", "l = 5")),
    Claim("Each further head, up to four, makes it better.", "T-STAM", "section 4.3.2, Figure 7",
           attention_heads, ladder("l = 1", "l = 2", "l = 3", "l = 4")),
    Claim("The flow stream is better than the appearance stream.", "T-STAM", "section 4.3.3",
           fusion_weights, beats("0 : 1", "1 : 0")),
    Claim("Both streams fused are better than either alone.", "T-STAM", "section 4.3.3",
           fusion_weights, beats("1 : 3", "1 : 0", "0 : 1")),
    Claim("1 : 3 (RGB : flow) are better weights of the two streams than the others.", "T-STAM", "section 4.3.3",
           fusion_weights, beats("1 : 3", "3 : 1", "2 : 1", "1 : 1", "1 : 2", "1 : 4")),
    Claim("Squeeze-and-excitation makes TSN better.", "T-STAM", "section 4.3.4",
           channel_attention, beats("TSN+SE", "TSN")),
    Claim("Spatio-temporal attention makes TSN better.", "T-STAM", "section 4.3.5, implied",
           systems, beats("T-STAM without SE", "TSN")),
    Claim("Squeeze-and-excitation makes T-STAM better.", "T-STAM", "section 4.3.5",
           systems, beats("T-STAM", "T-STAM without SE")),
    Claim("T-STAM is better than TSN.", "T-STAM", "section 4.3.5", systems, beats("T-STAM", "TSN")),
)  # fmt: skip
