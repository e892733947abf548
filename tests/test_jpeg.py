"""Decoding a part of a JPEG gives the pixels of the whole one."""

import cv2
import numpy as np
import pytest

from repro.data import jpeg


def picture(height: int, width: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(height)
    noise = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.2), None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize(("height", "width"), [(256, 341), (48, 64), (37, 53), (16, 16), (9, 200)])
def test_any_crop_equals_the_crop_of_the_whole(height, width, channels):
    image = picture(height, width, channels)
    data = np.frombuffer(jpeg.encode(image, 95), np.uint8)
    flag = cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE
    whole = cv2.imdecode(data, flag)
    rng = np.random.default_rng(0)
    crops = [(0, 0, height, width), (height - 1, width - 1, 1, 1), (0, 0, 1, 1)]
    for _ in range(40):
        h, w = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
        crops.append((int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w))
    for top, left, h, w in crops:
        part = jpeg.decode(data, flag, top, left, h, w)
        np.testing.assert_array_equal(part, whole[top : top + h, left : left + w])


def test_the_cells_change_no_pixel_and_cost_few_bytes():
    image = picture(256, 341, 3)
    plain = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 95))[1]
    ours = np.frombuffer(jpeg.encode(image, 95), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(ours, cv2.IMREAD_COLOR), cv2.imdecode(plain, cv2.IMREAD_COLOR))
    assert len(plain) < len(ours) < 1.1 * len(plain)
