"""The drawn person of the embedded set: exercises, clothes, and the drawing.

Lengths are in statures (1 = the person's height), x to the right and y downwards, the origin at the standing person's
pelvis. A pose is a dict of angles and offsets. Angles of arms and legs are in degrees, measured outwards from hanging
straight down, so that the same numbers on both sides make a symmetric pose.
"""

import colorsys
import math

import cv2
import numpy as np

from repro.errors import unknown

SUPERSAMPLING = 2  # frames are drawn this much larger, then averaged; there is no other anti-aliasing
SIDES = ("left ", "right ")
PROGRAMS = ("clap", "crouch", "lean_right", "raise_arms", "sit_clap", "sit_wave", "step_right", "wave")
PRETEXT_PROGRAMS = (
    "arms_open", "hop", "jack", "kick_left", "kick_right", "lift_left", "lift_right", "squat", "wave_left", "wave_right",
)  # fmt: skip
_FRACTION = 4  # binary digits of sub-pixel position that cv2 draws with
_STANDING = ((7.0, 5.0), (7.0, 5.0))  # hip and knee, left and right


def poses(program: str, count: int, rng: np.random.Generator, action: float = 1.0) -> list[dict]:
    """`count` poses of one performance of a program; limbs that take no part in it keep a random position.

    action: the least share of the frames in which the person moves, at a random place in the clip. Before and after, the
    person holds the first and the last pose of the movement.
    """
    if program not in PROGRAMS + PRETEXT_PROGRAMS:
        raise unknown("program", program, PROGRAMS + PRETEXT_PROGRAMS)
    length = round(count * rng.uniform(action, min(1.0, 1.3 * action)))
    begins = rng.integers(0, count - length + 1)
    moment = np.clip(np.arange(count) - begins, 0, length - 1)  # frames since the movement began
    span = rng.uniform(0.6, 0.95)  # share of a one-way movement that the clip shows
    progress = rng.uniform(0, 1 - span) + span * moment / (length - 1)
    phase = 2 * np.pi * (moment / rng.uniform(6, 10) + rng.random())  # of a movement to and fro
    size = rng.uniform(0.75, 1.0)
    upper = rng.uniform(8, 70)
    held = (upper, upper + rng.uniform(-20, 60))
    lean = rng.uniform(-4, 4) + rng.uniform(-3, 3) * np.sin(np.arange(count) / 4 + phase[0])
    return [
        {"arms": (held, held), "legs": _STANDING, "x": 0.0, "y": 0.0, "seated": False, "lean": tilt}
        | (_move if program in PROGRAMS else _pretext_move)(program, u, size * math.sin(p), held)
        for u, p, tilt in zip(progress, phase, lean, strict=True)
    ]


def _move(program: str, u: float, swing: float, held: tuple[float, float]) -> dict:
    """The pose entries of a program at progress `u` (0..1) of a one-way movement, or at `swing` (-1..1) to and fro.

    held: the angles of an arm that does not take part.
    """
    if program == "raise_arms":
        return {"arms": ((15 + 150 * u, 25 + 150 * u),) * 2}
    if program == "crouch":
        return _bent(75 * u)
    if program == "step_right":
        apart = 4 + 16 * swing**2
        return {"x": 0.55 * (u - 0.5), "legs": ((apart, apart - 4),) * 2}
    if program == "lean_right":
        return {"lean": 70 * (u - 0.5)}
    seated = {"legs": _bent(62)["legs"], "seated": True} if program.startswith("sit_") else {}
    spread = (1 + swing) / 2
    if program.endswith("clap"):
        return {"arms": ((50 + 45 * spread, 230 - 135 * spread),) * 2, **seated}
    return {"arms": ((105 + 15 * spread, 140 + 70 * spread),) * 2, **seated}  # wave, sit_wave


def _pretext_move(program: str, u: float, swing: float, held: tuple[float, float]) -> dict:
    """The same as `_move`, for the programs of the pretext set."""
    spread = (1 + swing) / 2
    if program == "arms_open":
        return {"arms": ((50 + 45 * u, 230 - 135 * u),) * 2}
    if program == "hop":
        return {"y": -0.14 * abs(swing)}
    if program == "jack":
        return {
            "arms": ((20 + 130 * spread, 20 + 140 * spread),) * 2,
            "legs": ((4 + 22 * spread, 2 + 22 * spread),) * 2,
        }
    if program == "squat":
        return _bent(55 * spread)
    what, side = program.split("_")
    if what == "kick":
        moving, still = (10 + 65 * spread, 5 + 45 * spread), _STANDING[0]
    else:  # lift, wave
        up = (15 + 150 * u, 25 + 150 * u) if what == "lift" else (105 + 15 * spread, 140 + 70 * spread)
        moving, still = up, held
    return {"legs" if what == "kick" else "arms": (moving, still) if side == "left" else (still, moving)}


def _bent(degrees: float) -> dict:
    """Knees bent outwards by `degrees`, the feet staying on the ground."""
    thigh, shin = 7 + degrees, 5 - 0.6 * degrees
    return {
        "legs": ((thigh, shin),) * 2,
        "y": 0.417 - 0.21 * (math.cos(math.radians(thigh)) + math.cos(math.radians(shin))),
    }


def colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """RGB in 0..255 of a hue in turns (any real number wraps), saturation and value in 0..1."""
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def clothes(hue: float, rng: np.random.Generator) -> dict:
    """Colours in the palette of `hue`, and whether the sleeves are long. Skin and hair do not follow the palette.

    All but marks and hair are lighter than most of the scene. With hues alone to find the person by, a network needs
    many more clips.
    """
    return {
        "shirt": colour(hue + 0.5, rng.uniform(0.3, 0.7), rng.uniform(0.8, 1.0)),
        "trousers": colour(hue + 0.62, rng.uniform(0.2, 0.5), rng.uniform(0.65, 0.9)),
        "mark": colour(hue + 0.35, rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.6)),
        "skin": colour(0.07, rng.uniform(0.25, 0.45), rng.uniform(0.75, 1.0)),
        "hair": colour(0.07, rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.45)),
        "stool": colour(0.08, 0.5, rng.uniform(0.2, 0.45)),
        "long": bool(rng.random() < 0.5),
    }


def joints(pose: dict) -> dict[str, np.ndarray]:
    """The points to draw through, (x, y) in statures, by name."""
    pelvis = np.array([pose["x"], pose["y"]])
    lean = np.radians(pose["lean"])
    up, across = np.array([np.sin(lean), -np.cos(lean)]), np.array([np.cos(lean), np.sin(lean)])
    points = {"pelvis": pelvis, "neck": pelvis + 0.29 * up, "head": pelvis + 0.42 * up, "face": pelvis + 0.4 * up}
    for side, sign, arm, leg in zip(SIDES, (-1, 1), pose["arms"], pose["legs"], strict=True):
        for names, start, angles, length in (
            (("shoulder", "elbow", "hand"), pelvis + 0.25 * up + sign * 0.12 * across, arm, 0.17),
            (("hip", "knee", "foot"), pelvis + sign * 0.065 * across, leg, 0.21),
        ):
            points[side + names[0]] = end = start
            for name, angle in zip(names[1:], angles, strict=True):
                turned = math.radians(angle)
                end = end + length * np.array([sign * math.sin(turned), math.cos(turned)])
                points[side + name] = end
    return points


def draw(canvas: np.ndarray, pose: dict, place: np.ndarray, wears: dict | None) -> None:
    """Draws the person onto a supersampled canvas (H, W, 3), in place.

    `place` is the (2, 3) affine map from statures to canvas pixels, `wears` comes from `clothes`; None paints the bare
    silhouette in 255, for a mask.
    """
    points = joints(pose)
    scale = np.hypot(place[0, 0], place[1, 0])
    placed = np.stack(list(points.values())) @ place[:, :2].T + place[:, 2]
    at = dict(zip(points, np.rint(placed * 2**_FRACTION).astype(int).tolist(), strict=True))
    skin, hair, shirt, trousers, mark = (
        (255, 255, 255) if wears is None else wears[part] for part in ("skin", "hair", "shirt", "trousers", "mark")
    )

    def line(a: list[int], b: list[int], width: float, paint: tuple[int, int, int]) -> None:
        cv2.line(canvas, a, b, paint, max(1, round(width * scale)), cv2.LINE_8, _FRACTION)

    def disc(centre: list[int], radius: float, paint: tuple[int, int, int]) -> None:
        cv2.circle(canvas, centre, round(radius * scale * 2**_FRACTION), paint, -1, cv2.LINE_8, _FRACTION)

    if pose["seated"] and wears:
        x, y = at["pelvis"]
        reach = round(0.2 * scale * 2**_FRACTION)
        line([x, y + reach // 2], [x, y + reach], 0.3, wears["stool"])
    for side in SIDES:
        line(at[side + "hip"], at[side + "knee"], 0.115, trousers)
        line(at[side + "knee"], at[side + "foot"], 0.105, trousers)
        disc(at[side + "foot"], 0.06, hair)
        line(at[side + "shoulder"], at["pelvis"], 0.13, shirt)
    line(at["left shoulder"], at["right shoulder"], 0.12, shirt)
    line(at["neck"], at["pelvis"], 0.19, shirt)
    for t in (0.3, 0.75):  # stripes across the chest
        ends = (np.array(at[side + "shoulder"]) * (1 - t) + np.array(at["pelvis"]) * t for side in SIDES)
        line(*(np.rint(end).astype(int).tolist() for end in ends), 0.045, mark)
    line(at["neck"], at["head"], 0.07, skin)
    disc(at["head"], 0.115, hair)
    disc(at["face"], 0.095, skin)
    for side in SIDES:
        line(at[side + "shoulder"], at[side + "elbow"], 0.105, shirt)
        line(at[side + "elbow"], at[side + "hand"], 0.095, shirt if wears and wears["long"] else skin)
        disc(at[side + "elbow"], 0.055, mark)
        disc(at[side + "hand"], 0.075, skin)


def thing(canvas: np.ndarray, kind: int, hue: float, place: np.ndarray, radius: float) -> None:
    """Draws an object onto (H, W, 3), in place: kind modulo 4 is its outline, kind // 4 its pattern of stripes.

    place: (x, y) of its centre, and radius, in pixels.
    """
    corners = (3, 4, 6, 40)[kind % 4]
    angles = 2 * np.pi * (np.arange(corners) / corners + 0.125)
    outline = np.rint(place + radius * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.int32)
    shape = cv2.fillPoly(np.zeros(canvas.shape[:2], np.uint8), [outline], 255) > 0
    y, x = np.indices(shape.shape)
    stripes = (x, y, x + y)[kind // 4 % 3] // max(round(radius / 3), 1) % 2 == 0
    canvas[shape & stripes] = colour(hue + 0.5, 0.7, 0.95)
    canvas[shape & ~stripes] = colour(hue, 0.5, 0.25)


def backdrop(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A textured scene in grey, float32 (H, W) in 0..1: noise of several grain sizes, some bars and some discs."""
    height, width = size
    scene = np.zeros(size, np.float32)
    for cells, weight in ((3, 0.5), (6, 0.35), (12, 0.25), (24, 0.2)):
        grain = rng.random((cells, cells * 4 // 3), dtype=np.float32)
        scene += weight * cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(8):
        x, y, r = rng.integers(0, width), rng.integers(0, height), int(rng.uniform(0.03, 0.12) * height)
        lift = float(rng.uniform(-0.35, 0.35))
        shape = np.zeros(size, np.float32)
        if rng.random() < 0.5:
            cv2.circle(shape, (int(x), int(y)), r, lift, -1)
        else:
            cv2.rectangle(shape, (int(x), int(y)), (int(x) + r, int(y) + 3 * r), lift, -1)
        scene += shape
    return (scene - scene.min()) / (scene.max() - scene.min())
