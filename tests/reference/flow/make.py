"""Makes reference.npz: OpenCV contrib's TV-L1 flow of the scenes below, for the agreement test.

Run once in a throwaway environment, which must not be the project's (the two OpenCV wheels overwrite each other):

    python -m venv v && v/bin/pip install opencv-contrib-python-headless && v/bin/python make.py

The scenes are analytic (sums of cosines, moved exactly), so the test makes the same frames again without OpenCV.
"""

from pathlib import Path

import numpy as np

UNIT = 1 / 1024  # pixels: the flows are stored as whole multiples of it
# name: height, width, shift x, shift y, degrees, zoom
SCENES = {
    "shift": (56, 56, 1.3, -0.7, 0, 1),
    "far": (97, 121, 5.5, 3.0, 0, 1),
    "rotation": (64, 64, 0, 0, 3, 1),
    "zoom": (57, 71, 0, 0, 0, 1.05),
    "all": (112, 112, -1.0, 0.5, 2, 0.97),
    "two levels": (20, 61, 1.0, 0.0, 0, 1),
    "square": (48, 65, 2, 1, 0, 1),
    "brighter": (33, 40, 0, 0, 0, 1),
}


def scene(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two grey frames (H, W) uint8 and the true flow (H, W, 2) of the textured ones."""
    h, w, dx, dy, degrees, zoom = SCENES[name]
    y, x = np.mgrid[:h, :w].astype(float)
    angle, cx, cy = np.deg2rad(degrees), (w - 1) / 2, (h - 1) / 2
    # a point p of frame 1 is at zoom R (p - c) + c + d in frame 2; `back` is where a pixel of frame 2 came from
    c, s = np.cos(angle), np.sin(angle)
    truth = np.stack(
        [zoom * (c * (x - cx) - s * (y - cy)) + cx + dx - x, zoom * (s * (x - cx) + c * (y - cy)) + cy + dy - y], -1
    )
    px, py = x - dx - cx, y - dy - cy
    back = (c * px + s * py) / zoom + cx, (c * py - s * px) / zoom + cy
    if name == "square":

        def paint(x, y):
            return np.where((abs(x - 20) < 8) & (abs(y - 22) < 9), 200.0, 60.0)

    elif name == "brighter":
        return np.full((h, w), 80, np.uint8), np.full((h, w), 100, np.uint8), truth
    else:
        waves = np.random.default_rng(len(name)).uniform(-1, 1, (24, 3)) * (0.6, 0.6, np.pi)

        def paint(x, y):
            return 128 + 14 * sum(np.cos(a * x + b * y + phase) for a, b, phase in waves)

    return *(np.clip(np.rint(paint(*place)), 0, 255).astype(np.uint8) for place in ((x, y), back)), truth


if __name__ == "__main__":
    import cv2

    cv2.setNumThreads(1)
    flows = {}
    for name in SCENES:
        prev, following, _ = scene(name)
        # a new object each time: after a small image OpenCV's keeps the smaller number of scales
        method = cv2.optflow.createOptFlow_DualTVL1()
        flows[name] = np.rint(method.calc(prev, following, None) / UNIT).astype(np.int16)
    np.savez_compressed(Path(__file__).with_name("reference.npz"), opencv=cv2.__version__, **flows)
