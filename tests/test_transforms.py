"""Sampling and transforms: what a training or test clip is cut from a video."""

import cv2
import numpy as np
import pytest

from repro.data import sampling, transforms
from repro.data.transforms import Crop
from repro.errors import ReproError


def test_windows_do_not_overlap_drop_the_tail_and_loop_short_videos():
    assert sampling.view_starts("windows", 50, 16) == [0, 16, 32]
    assert sampling.view_starts("windows", 48, 16) == [0, 16, 32]
    assert sampling.view_starts("windows", 47, 16) == [0, 16]
    assert sampling.view_starts("windows", 16, 16) == [0]
    assert sampling.view_starts("windows", 5, 16) == [0]
    assert sampling.clip_indices(0, 8, 5).tolist() == [0, 1, 2, 3, 4, 0, 1, 2]


def test_centre_is_the_middle():
    assert sampling.view_starts("centre", 50, 16) == [17]
    assert sampling.view_starts("centre", 10, 16) == [0]


def test_unknown_views_offer_the_nearest():
    with pytest.raises(ReproError, match="did you mean 'centre'"):
        sampling.view_starts("center", 10, 4)


def test_random_starts_reach_both_ends():
    rng = np.random.default_rng(0)
    drawn = {sampling.random_start(20, 16, rng) for _ in range(200)}
    assert drawn == {0, 1, 2, 3, 4}
    assert sampling.random_start(3, 16, rng) == 0


def test_multiscale_crops_have_five_sides_at_five_places_inside_the_frame():
    rng = np.random.default_rng(1)
    crops = [transforms.multiscale_corner_crop(256, 340, 0.5, rng, flip=True) for _ in range(400)]
    assert {c.height for c in crops} == {256, 215, 181, 152, 128}
    for side in (256, 215, 181, 152, 128):
        places = {(c.top, c.left) for c in crops if c.height == side}
        corners = {(top, left) for top in (0, 256 - side) for left in (0, 340 - side)}
        assert places == corners | {((256 - side) // 2, (340 - side) // 2)}
    assert 140 < sum(c.flip for c in crops) < 260
    assert not any(transforms.multiscale_corner_crop(256, 340, 0.5, rng, flip=False).flip for _ in range(50))


def test_random_crops_stay_inside():
    rng = np.random.default_rng(2)
    crops = [transforms.random_crop(20, 30, 12, rng, flip=False) for _ in range(500)]
    assert {c.top for c in crops} == set(range(9))
    assert {c.left for c in crops} == set(range(19))


@pytest.mark.parametrize("channels", [2, 3])
def test_apply_is_crop_resize_and_flip(channels):
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (40, 50, channels), dtype=np.uint8) for _ in range(3)]
    out = np.empty((3, 16, 16, channels), np.uint8)
    transforms.apply([Crop(4, 6, 24, 24).cut(image) for image in images], False, out, flow=channels == 2)
    for image, got in zip(images, out, strict=True):
        np.testing.assert_array_equal(got, cv2.resize(image[4:28, 6:30], (16, 16)))
    flipped = np.empty_like(out)
    transforms.apply([Crop(4, 6, 24, 24).cut(image) for image in images], True, flipped, flow=channels == 2)
    mirror = out[:, :, ::-1].copy()
    if channels == 2:
        mirror[..., 0] = 255 - mirror[..., 0]
    np.testing.assert_array_equal(flipped, mirror)


def test_a_mirrored_video_has_the_mirrored_flow():
    """The flow of the flipped frames is the flipped flow: the x component changes sign, y does not."""
    rng = np.random.default_rng(4)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (80, 80), dtype=np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    from repro.data.flow import methods as flow

    frames = np.stack([np.repeat(texture[10 + i : 66 + i, 10 - 2 * i : 66 - 2 * i, None], 3, axis=2) for i in range(2)])
    stored = flow.quantise(flow.extract(frames))[0]
    of_mirror = flow.quantise(flow.extract(frames[:, :, ::-1].copy()))[0]
    out = np.empty((1, 56, 56, 2), np.uint8)
    transforms.apply([stored], True, out, flow=True)
    middle = (slice(12, -12), slice(12, -12))
    difference = np.abs(out[0][middle].astype(int) - of_mirror[middle].astype(int))
    assert difference.mean() < 1
    assert abs(stored[middle][..., 0].astype(float).mean() - 127.5) > 8  # it does move in x


def test_segments_are_equal_intervals_and_testing_takes_their_middles():
    assert sampling.segment_starts(30, 1, 3, None).tolist() == [5, 15, 25]
    assert sampling.segment_starts(30, 5, 2, None).tolist() == [6, 19]  # 26 places for 5 flows at a stretch
    assert sampling.segment_starts(3, 1, 6, None).tolist() == [0, 0, 1, 1, 2, 2]
    assert sampling.segment_starts(2, 5, 3, None).tolist() == [0, 0, 0]  # the stack loops
    rng = np.random.default_rng(0)
    drawn = np.stack([sampling.segment_starts(12, 1, 3, rng) for _ in range(300)])
    assert [sorted(set(column)) for column in drawn.T] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_ten_crops_are_five_places_and_their_mirror_images():
    crops = transforms.ten_crops(256, 340, flip=True)
    assert [(c.top, c.left) for c in crops[:5]] == [(16, 58), (0, 0), (0, 116), (32, 0), (32, 116)]
    assert {(c.height, c.width) for c in crops} == {(224, 224)}
    assert [c.flip for c in crops] == [False] * 5 + [True] * 5
    assert [(c.top, c.left) for c in crops[5:]] == [(c.top, c.left) for c in crops[:5]]
    assert len(transforms.ten_crops(256, 340, flip=False)) == 5


def test_tsn_crops_have_near_scales_at_thirteen_places():
    rng = np.random.default_rng(5)
    crops = [transforms.tsn_crop(256, 340, 0.66, rng, flip=True) for _ in range(6000)]
    sides = (256, 224, 192, 169)
    assert {(c.height, c.width) for c in crops} == {
        (a, b) for i, a in enumerate(sides) for j, b in enumerate(sides) if abs(i - j) <= 1
    }
    places = {(c.top, c.left) for c in crops if (c.height, c.width) == (224, 224)}
    edges = {(t, left) for t in (0, 16, 32) for left in (0, 58, 116)}
    assert places == edges | {(t, left) for t in (8, 24) for left in (29, 87)}
    flow = [transforms.tsn_crop(256, 340, 0.75, rng, flip=False) for _ in range(500)]
    assert min(c.height for c in flow) == 192  # TSN's flow stream takes no 0.66
    assert not any(c.flip for c in flow)


def test_a_mirrored_stack_changes_the_sign_of_every_x():
    stack = np.random.default_rng(6).integers(0, 256, (1, 16, 16, 10), dtype=np.uint8)
    out = np.empty_like(stack)
    transforms.apply(list(stack), True, out, flow=True)
    expected = stack[:, :, ::-1].copy()
    expected[..., [0, 2, 4, 6, 8]] = 255 - expected[..., [0, 2, 4, 6, 8]]
    np.testing.assert_array_equal(out, expected)
