"""Optical flow: agreement with OpenCV's TV-L1, known motion, bad input, the cache of compiled code, torch batches."""

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from repro.data.flow import median_networks, tvl1, tvl1_steps, tvl1_vector
from repro.data.flow import methods as flow
from repro.data.flow import tvl1_torch as flow_torch
from repro.data.flow.parameters import METHODS, Farneback, identity
from repro.errors import ReproError

FOLDER = Path(__file__).parent / "reference" / "flow"
_spec = importlib.util.spec_from_file_location("reference_flow", FOLDER / "make.py")
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)
TEXTURED = [name for name in reference.SCENES if name not in ("square", "brighter")]


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    """The issue's bar: mean end-point error <= 0.01 px, 99.9 % of the values at bound 20 within one level."""
    assert ours.dtype == np.float32
    assert np.isfinite(ours).all()
    levels = abs(flow.quantise(ours).astype(int) - flow.quantise(theirs).astype(int))
    assert np.linalg.norm(ours - theirs, axis=-1).mean() <= 0.01
    assert (levels <= 1).mean() >= 0.999


def live(prev: np.ndarray, following: np.ndarray) -> np.ndarray:
    return cv2.optflow.createOptFlow_DualTVL1().calc(prev, following, None)


@pytest.fixture
def contrib() -> None:
    if not hasattr(cv2, "optflow"):
        pytest.skip("no cv2.optflow here: run this test in an environment with opencv-contrib-python-headless")
    if int(cv2.__version__.split(".")[0]) < 5:
        pytest.skip(f"OpenCV {cv2.__version__} rounds sample positions to 1/32 pixel; the reference is OpenCV 5")


# ---------------------------------------------------------------- agreement


@pytest.mark.parametrize("name", reference.SCENES)
def test_agrees_with_the_stored_flow(name):
    prev, following, _ = reference.scene(name)
    with np.load(FOLDER / "reference.npz") as stored:
        agree(flow.tvl1(prev, following), stored[name] * np.float32(reference.UNIT))


@pytest.mark.parametrize("name", reference.SCENES)
def test_agrees_live(name, contrib):
    prev, following, _ = reference.scene(name)
    agree(flow.tvl1(prev, following), live(prev, following))


@pytest.mark.parametrize(
    "changed", [{"median": 3}, {"median": 1}, {"scales": 9, "step": 0.7}, {"lambda_": 0.3, "warps": 2}]
)
def test_agrees_live_with_other_parameters(changed, contrib):
    prev, following, _ = reference.scene("all")
    method = cv2.optflow.createOptFlow_DualTVL1()
    setters = {"median": "MedianFiltering", "scales": "ScalesNumber", "step": "ScaleStep", "lambda_": "Lambda"}
    for name, value in changed.items():
        getattr(method, "set" + setters.get(name, "WarpingsNumber"))(value)
    agree(flow.tvl1(prev, following, flow.TVL1(**changed)), method.calc(prev, following, None))


@pytest.mark.parametrize(
    "clip",
    [
        "hmdb51/hmdb51_org/wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
        "ucf101/UCF-101/BaseballPitch/v_BaseballPitch_g01_c01.avi",
        "weizmann/walk/denis_walk.avi",
    ],
)
def test_agrees_live_on_real_frames(clip, contrib, real_data):
    path = next(real_data.glob(f"**/{Path(clip).name}"))
    video, greys = cv2.VideoCapture(str(path)), []
    while len(greys) < 10:
        greys.append(cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2GRAY))
    agree(flow.tvl1(*greys[-2:]), live(*greys[-2:]))


@pytest.mark.parametrize("name", TEXTURED)
@pytest.mark.parametrize(("method", "error"), [("tvl1", 0.1), ("dis", 0.2), ("farneback", 0.2)])
def test_finds_the_true_motion(name, method, error):
    prev, following, truth = reference.scene(name)
    found = flow.extract(np.stack([prev, following]), method)[0]
    inner = np.s_[8:-8, 8:-8] if min(prev.shape) > 20 else np.s_[:, 8:-8]
    assert np.linalg.norm(found - truth, axis=-1)[inner].mean() < error


@pytest.mark.parametrize("size", [3, 5])
def test_median_networks(size):
    """A network that is right for all zeros and ones is right for all numbers (the 0-1 principle)."""

    def compare(wires, network):
        for low, high in network:
            wires[low], wires[high] = min(wires[low], wires[high]), max(wires[low], wires[high])

    for column in itertools.product((0, 1), repeat=size):
        wires = list(column)
        compare(wires, median_networks.SORT[size])
        assert wires == sorted(column)
    network, middle = median_networks.SELECT[size]
    for ones in itertools.product(range(size + 1), repeat=size):  # ones in each sorted column
        wires = [int(ones[c] >= size - r) for r in range(size) for c in range(size)]
        compare(wires, network)
        assert wires[middle] == (sum(ones) > size * size // 2)


# ---------------------------------------------------------------- the fast steps against the plain ones


def spaces(h: int, w: int) -> list[tvl1.Space]:
    """Two spaces with the same random planes inside the image; three pixels in a hundred have no gradient."""
    rng = np.random.default_rng(h * w)
    both = [tvl1.Space(h, w, np.empty(9 * h * w, np.float32)) for _ in range(2)]
    inside = rng.normal(0, 1, (9, h, w)) * (rng.uniform(size=(1, h, w)) > 0.03)
    inside[[2, 4], :, -1] = 0  # p of the last column has no x component, as in the algorithm
    for space in both:
        space.planes[:, 1:, tvl1_steps.PAD : tvl1_steps.PAD + w] = inside
    return both


def same_bits(first: np.ndarray, second: np.ndarray) -> None:
    np.testing.assert_array_equal(first.view(np.int32), second.view(np.int32))


SIZES = pytest.mark.parametrize(("h", "w"), [(16, 16), (17, 33), (41, 23), (24, 64), (37, 79)])


@SIZES
def test_fast_iterations_are_the_plain_ones(h, w):
    plain, fast = spaces(h, w)
    numbers = np.float32(0.045), np.float32(0.3), np.float32(0.25 / 0.3)
    for _ in range(3):
        tvl1_steps.iteration(plain.planes, w, plain.change, *numbers)
        tvl1_vector.iteration(fast.planes, w, fast.change, *numbers)
        assert plain.change.any()
        same_bits(plain.change, fast.change)
        same_bits(plain.planes, fast.planes)
    assert not fast.planes[:, 0].any()
    assert not fast.planes[:, :, tvl1_steps.PAD + w :].any()


@SIZES
def test_fast_samples_are_the_plain_ones(h, w):
    plain, fast = spaces(h, w)
    image = np.random.default_rng(0).uniform(0, 255, (h, w)).astype(np.float32)
    for space, sample in ((plain, tvl1_steps.sample), (fast, tvl1_vector.sample)):
        space.flow[:] *= 5  # some positions are outside the image
        tvl1_steps.pack(image, space.packed)
        tvl1_steps.positions(space.planes, space.starts, space.weights)
        sample(space.packed, space.starts, space.weights, space.planes)
    same_bits(plain.planes, fast.planes)
    assert fast.planes[6:].any()


@SIZES
def test_fast_median_is_that_of_opencv(h, w):
    plain, fast = spaces(h, w)
    tvl1.median(fast, 5)
    for plane in plain.flow:
        cv2.medianBlur(plane, 5, dst=plane)
    np.testing.assert_array_equal(plain.planes, fast.planes)  # zeros may differ in sign
    assert not np.array_equal(fast.flow, spaces(h, w)[0].flow)


# ---------------------------------------------------------------- interface


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("first", "second"), [(0, 0), (255, 255), (40, 90)])
def test_constant_frames_do_not_move(method, first, second):
    frames = np.stack([np.full((24, 31, 3), value, np.uint8) for value in (first, second)])
    found = flow.extract(frames, method)
    assert found.shape == (1, 24, 31, 2)
    assert not found.any()


def test_grey_colour_and_float_frames():
    prev, following, _ = reference.scene("shift")
    expected = flow.tvl1(prev, following)
    np.testing.assert_array_equal(flow.tvl1(prev.astype(np.float32), following.astype(np.float32)), expected)
    colour = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in colour]
    np.testing.assert_array_equal(flow.tvl1(*colour), flow.tvl1(*grey))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_extract_is_pair_by_pair(method):
    prev, following, _ = reference.scene("rotation")
    frames = np.stack([prev, following, prev[::-1]])
    flows = flow.extract(frames, method)
    assert flows.shape == (2, 64, 64, 2)
    assert flows.dtype == np.float32
    for t in range(2):
        np.testing.assert_array_equal(flows[t], flow.extract(frames[t : t + 2], method)[0])
    if method == "tvl1":
        np.testing.assert_array_equal(flows[1], flow.tvl1(frames[1], frames[2]))


BLANK = np.zeros((20, 24), np.uint8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flow.tvl1(BLANK, BLANK[:, 1:]), r"frame 0 is uint8 \(20, 24\), frame 1 is uint8 \(20, 23\)"),
        (lambda: flow.tvl1(BLANK, BLANK.astype(np.float32)), "frame 1 is float32"),
        (lambda: flow.tvl1(BLANK, BLANK.astype(np.int64)), "got int64"),
        (lambda: flow.tvl1(BLANK[None], BLANK[None]), r"got shape \(1, 20, 24\)"),
        (lambda: flow.tvl1(BLANK[:15], BLANK[:15]), "at least 16x16 pixels, got 24x15"),
        (lambda: flow.tvl1(*(np.full((20, 24), np.nan, np.float32),) * 2), "NaN"),
        (lambda: flow.tvl1(*(np.full((20, 24), 300, np.float32),) * 2), r"0\.\.255"),
        (lambda: flow.tvl1(BLANK, BLANK, flow.DIS()), "takes TVL1 parameters"),
        (lambda: flow.extract(BLANK[None]), "at least two frames, got 1"),
        (lambda: flow.extract([BLANK, BLANK, BLANK[1:]]), "frame 2"),
        (lambda: flow.extract(np.zeros((2, 20, 20), np.float32)), "must be uint8"),
        (lambda: flow.extract(np.stack([BLANK] * 2), "tvl2"), "did you mean 'tvl1'"),
        (lambda: flow.extract(np.stack([BLANK] * 2), "dis", flow.TVL1()), "takes DIS parameters"),
        (lambda: flow.TVL1(tau=0), "TVL1.tau is 0, but must be positive"),
        (lambda: flow.TVL1(theta=float("nan")), "theta is nan, but must be a finite number"),
        (lambda: flow.TVL1(step=1), "step is 1, but must be between 0 and 1"),
        (lambda: flow.TVL1(scales=2.0), "scales is 2.0, but must be a whole number"),
        (lambda: flow.TVL1(warps=0), "warps"),
        (lambda: flow.TVL1(median=4), "median is 4, but must be 1, 3 or 5"),
        (lambda: flow.TVL1(epsilon="small"), "epsilon is 'small', but must be a finite number"),
        (lambda: flow.DIS(preset=3), "preset is 3, but must be 0, 1 or 2"),
        (lambda: Farneback(neighbours=6), "neighbours is 6, but must be 5 or 7"),
        (lambda: flow.quantise(np.zeros((2, 2, 2)), 0), "bound"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ReproError, match=message):
        call()


def test_identity_names_the_method_and_every_parameter():
    plain = identity("tvl1")
    assert plain == json.loads(json.dumps(identity("tvl1", flow.TVL1())))
    assert plain == {
        "method": "tvl1", "tau": 0.25, "lambda_": 0.15, "theta": 0.3, "scales": 5, "step": 0.8, "warps": 5,
        "epsilon": 0.01, "inner": 30, "outer": 10, "median": 5,
    }  # fmt: skip
    assert identity("tvl1", replace(flow.TVL1(), warps=4)) != plain
    assert identity("dis") == {"method": "dis", "preset": 2}


def test_quantised_flow():
    values = np.array([-30, -20, 0, 10, 20, 31], np.float32)
    levels = flow.quantise(values)
    assert levels.dtype == np.uint8
    assert levels.tolist() == [0, 0, 128, 191, 255, 255]  # 127.5 and 191.25 are rounded
    inside = np.linspace(-20, 20, 1001, dtype=np.float32)
    assert abs(flow.dequantise(flow.quantise(inside)) - inside).max() <= 20 / 255 + 1e-5
    assert flow.dequantise(levels).dtype == np.float32


def test_colours():
    directions = np.array([[[1, 0], [0, 1], [-1, 0], [0, -1], [0, 0], [2, 0]]], np.float32)
    right, down, left, up, still, fast = flow.colour(directions, limit=1)[0].tolist()
    assert right == [255, 0, 0]
    assert still == [255, 255, 255]
    assert fast == [191, 0, 0]  # past the limit: darker
    assert len({tuple(c) for c in (right, down, left, up)}) == 4
    np.testing.assert_array_equal(flow.colour(directions), flow.colour(directions, limit=2))
    wheel = flow.colour_wheel(41)
    assert wheel.shape == (41, 41, 3)
    assert wheel.dtype == np.uint8
    assert wheel[20, 40].tolist() == right
    assert wheel[40, 20].tolist() == down
    assert wheel[0, 0].tolist() == wheel[20, 20].tolist() == still
    assert not (flow.colour(np.zeros((4, 4, 2))) != 255).any()


# ---------------------------------------------------------------- compiled code on disk

ASK = """
import numpy as np
from repro.data.flow import methods as flow, tvl1_vector
print(flow.tvl1(np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)).any())
print(sum(tvl1_vector.iteration.stats.cache_hits.values()))
"""


def ask(code: str, **environment: str) -> subprocess.CompletedProcess:
    root = environment.pop("root", str(Path(flow.__file__).parents[3]))
    environment = {**os.environ, "PYTHONPATH": root, **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd="/")


@pytest.mark.slow
def test_compiled_code_survives_the_process(tmp_path):
    for hits in (0, 1):
        answer = ask(ASK, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_OPT="1")
        assert answer.stdout.split() == ["False", str(hits)], answer.stderr
    assert list(tmp_path.rglob("tvl1_vector.iteration*.nbi"))


@pytest.mark.slow
def test_unwritable_cache_is_no_failure(tmp_path):
    """No folder at all can be written: __pycache__ is a file, home and the numba folder lie below another file."""
    package = tmp_path / "repro"
    source = Path(flow.__file__).parents[2]
    shutil.copytree(source, package, ignore=lambda folder, names: [n for n in names if n == "__pycache__"])
    taken = package / "data" / "flow" / "__pycache__"
    taken.write_text("")
    below = str(taken / "x")
    places = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME"), below)
    answer = ask(ASK, root=str(tmp_path), NUMBA_OPT="0", PYTHONDONTWRITEBYTECODE="1", **places)
    assert answer.stdout.split() == ["False", "0"], answer.stderr
    assert "set NUMBA_CACHE_DIR to a writable folder" in answer.stderr


# ---------------------------------------------------------------- torch


def batch(size: int) -> list[np.ndarray]:
    """Four pairs that stop at different iterations, one of them constant: two arrays (4, size, size + 7)."""
    pairs = [reference.scene(name)[:2] for name in ("all", "far", "rotation")]
    crops = [[frame[8 : 8 + size, 5 : 12 + size] for frame in pair] for pair in pairs]
    return [np.stack([*(pair[k] for pair in crops), np.full((size, size + 7), 7, np.uint8)]) for k in range(2)]


def check_batch(size: int, params: flow.TVL1, device: str) -> None:
    prev, following = batch(size)
    found = flow_torch.tvl1_batch(*(torch.tensor(x, device=device) for x in (prev, following)), params).cpu().numpy()
    assert found.dtype == np.float32
    assert not found[-1].any()
    for ours, *pair in zip(found, prev, following, strict=True):
        assert np.linalg.norm(ours - flow.tvl1(*pair, params), axis=-1).mean() <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("params", [flow.TVL1(), flow.TVL1(median=3, inner=7, scales=2), flow.TVL1(median=1, warps=2)])
def test_torch_batch_agrees_with_the_compiled_kernels(params):
    check_batch(26, params, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the torch flow is tested on the CPU only")
def test_torch_batch_agrees_on_cuda():
    check_batch(48, flow.TVL1(), "cuda")


@pytest.mark.slow
def test_torch_batch_neither_depends_on_company_nor_on_the_questions():
    prev, following = (torch.tensor(x, dtype=torch.float32) for x in batch(20))
    quick = flow.TVL1(scales=2, warps=2)
    together = flow_torch.tvl1_batch(prev, following, quick)
    torch.testing.assert_close(flow_torch.tvl1_batch(prev, following, quick, check_every=3), together, rtol=0, atol=0)
    alone = torch.cat([flow_torch.tvl1_batch(prev[k : k + 1], following[k : k + 1], quick) for k in range(4)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: (x, x[:1]), "two batches differ"),
        (lambda x: (x, x.byte()), "two batches differ"),
        (lambda x: (x[0], x[0]), r"must be \(B, H, W\)"),
        (lambda x: (x[:, :9], x[:, :9]), "at least 16x16"),
        (lambda x: (x, x / 0), "NaN"),
        (lambda x: (x, x, flow.DIS()), "takes TVL1 parameters"),
        (lambda x: (x, x, None, 0), "check_every"),
    ],
)
def test_torch_bad_input(change, message):
    with pytest.raises(ReproError, match=message):
        flow_torch.tvl1_batch(*change(torch.zeros(2, 16, 20)))
