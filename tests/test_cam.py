"""Class activation maps: against equations written out, on networks whose evidence is known, with time folded and not."""

import copy

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom
from torch import nn

from repro.errors import ReproError
from repro.maps.cam import METHODS, _Logits, _unfolded, cam, deepest, grids, temporal_curve
from repro.models.layers.output import Output
from repro.models.resnext3d import resnext3d

T, SIDE, CLASSES = 8, 32, 5


class PerFrame(nn.Module):
    """Two convolutions a frame and a mean over the clip: `folded` into a 2-D network, or the same in three dimensions."""

    def __init__(self, folded: bool, channels: int = 3):
        super().__init__()
        self.folded = folded
        generator = torch.Generator().manual_seed(0)
        self.one, self.two = (
            nn.Conv2d(i, o, 3, 2, 1) if folded else nn.Conv3d(i, o, (1, 3, 3), (1, 2, 2), (0, 1, 1))
            for i, o in ((channels, 8), (8, 12))
        )
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(12, CLASSES)
        for p in self.parameters():
            p.data = torch.randn(p.numel(), generator=generator).view(p.shape) / p[0].numel() ** 0.5

    def forward(self, x):
        b, _, t, _, _ = x.shape
        x = x.float() / 60 - 2
        if self.folded:
            x = x.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
        x = self.relu(self.two(self.relu(self.one(x))))
        frames = x.mean((2, 3)).unflatten(0, (b, t)) if self.folded else x.mean((3, 4)).transpose(1, 2)  # (B, T, 12)
        # squared: the gradient differs from place to place, which tells the methods apart
        features = frames.square().mean(1)
        return Output(self.fc(features), features)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    shape = {"depths": (1, 1, 1, 1), "width": 8, "cardinality": 4, "stem_kernel": (3, 5, 5), "std": 60.0}
    model = resnext3d(CLASSES, excitation="ce", **shape).eval()
    with torch.no_grad():  # statistics of some data, for at their initial values activations vanish with depth
        model.train()(clips(8, 1))
    return model.eval()


def clips(count: int = 2, seed: int = 0, channels: int = 3) -> torch.Tensor:
    """Smooth random clips, uint8, in the memory layout of the loader."""
    coarse = torch.rand(count, channels, 5, 8, 8, generator=torch.Generator().manual_seed(seed))
    fine = nn.functional.interpolate(coarse, (T, SIDE, SIDE), mode="trilinear")
    return (255 * fine).to(torch.uint8).permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_maps_have_the_size_of_the_clips_and_are_the_same_each_time(network, method):
    x = clips()
    maps = cam(network, x, "excite3", method)
    assert maps.shape == (2, T, SIDE, SIDE)
    assert maps.dtype == np.float32
    assert maps.min() == 0
    assert maps.max(axis=(1, 2, 3)) == pytest.approx(1)
    assert np.array_equal(maps, cam(network, x, "excite3", method))
    alone = np.concatenate([cam(network, x[i : i + 1], "excite3", method) for i in range(2)])
    np.testing.assert_allclose(maps, alone, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("channels", [3, 10])
def test_folded_time_gives_the_map_of_the_same_network_in_three_dimensions(method, channels):
    x = clips(2, 3, channels)
    folded, whole = PerFrame(True, channels), PerFrame(False, channels)
    for p, q in zip(folded.parameters(), whole.parameters(), strict=True):
        q.data = p.data.view(q.shape)
    torch.testing.assert_close(folded(x).logits, whole(x).logits)
    maps = cam(whole, x, "two", method)
    assert len(np.unique(maps.argmax(axis=1))) > 1, "the map must move, or the order of frames is not tested"
    np.testing.assert_allclose(cam(folded, x, "two", method), maps, atol=1e-4)


def written_out(method: str, a: np.ndarray, g: np.ndarray) -> np.ndarray:
    """(t, h, w) from activations and gradients (c, t, h, w), channel by channel, as the methods' papers have it."""
    total = np.zeros(a.shape[1:])
    for c in range(len(a)):
        if method == "gradcam":
            total += g[c].mean() * a[c]
        elif method == "gradcam++":
            alpha = np.where(g[c] != 0, g[c] ** 2 / (2 * g[c] ** 2 + a[c].sum() * g[c] ** 3 + 1e-6), 0)
            total += (alpha * np.maximum(g[c], 0)).sum() * a[c]
        elif method == "xgradcam":
            total += (g[c] * a[c]).sum() / (a[c].sum() + 1e-7) * a[c]
        elif method == "hirescam":
            total += g[c] * a[c]
        elif method == "layercam":
            total += np.maximum(g[c], 0) * a[c]
        else:  # fem: the share of cells above mean + 2 deviations weighs a channel
            total += (a[c] > a[c].mean() + 2 * a[c].std()).mean() * a[c]
    return np.maximum(total, 0)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "segeigencam"])
def test_maps_are_those_of_the_equations(network, method):
    x = clips(1, 5)
    kept = []
    handle = network.excite3.register_forward_hook(lambda module, inputs, output: kept.append(output))
    logits = network(x).logits
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[0, 3], kept)
    coarse = written_out(method, kept[0][0].detach().double().numpy(), gradient[0].double().numpy())
    coarse = (coarse - coarse.min()) / np.ptp(coarse)
    fine = np.maximum(zoom(coarse, np.divide((T, SIDE, SIDE), coarse.shape)), 0)
    fine = (fine - fine.min()) / np.ptp(fine)
    np.testing.assert_allclose(cam(network, x, "excite3", method, target=3)[0], fine, atol=1e-3)


class Bright(nn.Module):
    """Class 1 is brightness; the class scores are the mean of a convolution that only passes it on."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool2d(4)

    def forward(self, x):
        b, _, t, _, _ = x.shape
        frames = self.pool(x.float().transpose(1, 2).flatten(0, 1) * self.one)  # (B * T, C, H / 4, W / 4)
        features = frames.mean((1, 2, 3)).unflatten(0, (b, t)).mean(1, keepdim=True)  # (B, 1)
        return Output(torch.cat([-features, features], 1), features)


def test_a_map_peaks_where_and_when_the_evidence_is():
    model = Bright()
    model.one = nn.Parameter(torch.ones(()))
    x = torch.zeros(2, 3, T, SIDE, SIDE, dtype=torch.uint8)
    x[0, :, 5, 4:8, 24:28] = 200
    x[1, :, 2, 20:24, 0:4] = 90
    maps = cam(model, x, "pool", "hirescam", target=1)
    t, y, w = np.unravel_index(maps.reshape(2, -1).argmax(1), maps.shape[1:])
    assert t.tolist() == [5, 2]
    assert abs(y[0] - 5.5) <= 2
    assert abs(w[0] - 25.5) <= 2
    assert abs(y[1] - 21.5) <= 2
    assert abs(w[1] - 1.5) <= 2
    assert temporal_curve(maps).argmax(1).tolist() == [5, 2]
    assert (cam(model, x, "pool", "hirescam", target=0) == 0).all(), "evidence against a class is none for it"


def test_the_target_is_the_predicted_class_unless_told(network):
    x = clips()
    predicted = network(x).logits.argmax(1).tolist()
    free = cam(network, x, "excite3")
    assert np.array_equal(free, cam(network, x, "excite3", target=predicted))
    other = (predicted[0] + 1) % CLASSES
    assert not np.allclose(free[0], cam(network, x, "excite3", target=other)[0], atol=0.05)


def test_the_model_stays_as_it_was():
    torch.manual_seed(0)
    model = resnext3d(CLASSES, depths=(1, 1, 1, 1), width=8, cardinality=4).train()
    model.layer2.eval()
    model.layer1.requires_grad_(False)
    model.fc.bias.grad = torch.full((CLASSES,), 7.0)
    before = copy.deepcopy(model)
    cam(model, clips(), "excite3")
    with pytest.raises(ReproError):
        cam(model, clips(), "excite3", target=99)
    for (name, old), new in zip(before.named_modules(), model.modules(), strict=True):
        assert old.training == new.training, name
        assert not new._forward_hooks, name
    for (name, old), new in zip(before.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(old, new), name
        assert old.requires_grad == new.requires_grad
        assert (new.grad is None) == (name != "fc.bias"), name
    assert (model.fc.bias.grad == 7).all()
    for (name, old), new in zip(before.named_buffers(), model.buffers(), strict=True):
        assert torch.equal(old, new), name


def test_frozen_parameters_and_inference_mode_make_no_difference(network):
    x = clips()
    expected = cam(network, x, "excite3")
    frozen = copy.deepcopy(network).requires_grad_(False)
    with torch.inference_mode():
        assert np.array_equal(cam(frozen, x, "excite3"), expected)


def test_what_follows_a_layer_in_place_does_not_reach_its_map():
    model = PerFrame(True)
    x = clips()
    maps = cam(model, x, "two", "gradcam")
    model.relu.inplace = False
    np.testing.assert_array_equal(maps, cam(model, x, "two", "gradcam"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "gradcan"}, "unknown CAM method 'gradcan'; did you mean 'gradcam'"),
        ({"layer": "exite3"}, "unknown layer 'exite3'; did you mean 'excite3'"),
        ({"layer": ""}, "unknown layer ''"),
        ({"layer": "fc"}, "layer 'fc' has no grid to map for clips of 8x32x32; TxHxW: conv1 8x16x16"),
        ({"layer": "excite5"}, "excite3 2x4x4"),
        ({"target": CLASSES}, "target is class 5, but the network has classes 0 to 4"),
        ({"target": -1}, "target is class -1"),
        ({"target": [0, 1, 2]}, "3 target classes for 2 clips"),
    ],
)
def test_a_wrong_name_is_one_clear_error(network, given, words):
    with pytest.raises(ReproError) as error:
        cam(network, clips(), **{"layer": "excite3", **given})
    assert words in str(error.value)


def test_scores_that_are_not_finite_are_an_error(network):
    broken = copy.deepcopy(network)
    broken.fc.weight.data.fill_(float("nan"))
    with pytest.raises(ReproError, match="not finite"):
        cam(broken, clips(), "excite3")


def test_grids(network):
    found = grids(network, clips())
    assert found["conv1"] == (8, 16, 16)
    assert found["excite2"] == found["layer1.0"] == (4, 8, 8)
    assert found["excite5"] == (1, 1, 1)
    assert "fc" not in found
    folded = grids(PerFrame(True), clips())
    assert folded["two"] == (8, 8, 8)
    assert folded["relu"] == folded["one"] == (8, 16, 16), "of a module that works twice, the first time"


def test_deepest(network):
    assert deepest(network, clips()) == "excite2"
    assert deepest(network, clips(), steps=2) == "excite3"
    assert deepest(PerFrame(True), clips()) == "two"
    with pytest.raises(ReproError, match="no stage keeps 9 steps in time of clips of 8x32x32"):
        deepest(network, clips(), steps=9)


def test_what_is_left_out_fails_or_means_nothing_on_clips(network):
    """The reasons in the module's docstring; where one no longer holds, the list of methods can grow."""
    import pytorch_grad_cam as library
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    x = clips().float()
    for name in ("ScoreCAM", "AblationCAM", "FullGrad", "SESS"):
        model = copy.deepcopy(network)
        with pytest.raises((ValueError, RuntimeError)):
            getattr(library, name)(_Logits(model), [model.excite3])(x, None)
        assert (type(model.excite3).__name__ == "AblationLayer") == (name == "AblationCAM")
    folded = PerFrame(True)
    with pytest.raises(ValueError, match="broadcast"):
        library.ShapleyCAM(_Logits(folded), [folded.two], lambda o: _unfolded(o, 2))(x, None)
    rng = np.random.default_rng(0)
    channels = np.maximum(rng.normal(size=(20, 16, 2, 4, 4)) + rng.normal(size=(20, 16, 1, 1, 1)), 0)
    maps, shuffled = get_2d_projection(channels), get_2d_projection(channels[:, rng.permutation(16)])
    signs = [np.sign(np.corrcoef(m.ravel(), s.ravel())[0, 1]) for m, s in zip(maps, shuffled, strict=True)]
    assert {-1.0, 1.0} <= set(signs), "EigenCAM's map turns over when its channels are renumbered"
