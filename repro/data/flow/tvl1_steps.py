"""The compiled loops of TV-L1 over the pixels of one pyramid level, written plainly; tvl1.py has the algorithm.

`sample` and `iteration` take most of the time. tvl1.py calls faster versions of these two, in tvl1_vector.py, which a
test compares bit by bit with the ones here.

Planes are float32 (h + 1, PAD + columns), columns being the width w rounded up to a multiple of 16. Row 0 and all
columns outside the image stay zero, so that every pixel has an upper and a left neighbour.

Every float operation has the order that reproduces OpenCV 5's flow bit for bit. In another order, a warp now and then
stops one iteration earlier or later, and the flow differs by 0.01 px.
"""

import numba
import numpy as np
from numba.extending import intrinsic

from repro.data.compiled import cached, jit

f32 = np.float32
uint = np.uintp  # of every index: numba tests each signed one for a negative value, which wraps around
ONE = uint(1)
PAD = 16  # empty columns on the left: one vector of 512 bits
BORDER = 4  # zero pixels around the packed image: all taps of a clamped position are inside
FLAT = f32(np.finfo(np.float32).eps)  # squared gradients up to this count as none


@intrinsic
def fma(typing, a, b, c):
    """a * b + c, rounded once, as OpenCV samples; Python has no such function before 3.13."""

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return numba.float32(numba.float32, numba.float32, numba.float32), generate


# ---------------------------------------------------------------- warp


@cached
def pack(image, packed):
    """Image (h, w) and its central differences in x and y as channels 0, 1, 2 of packed (h + 8, w + 8, 4).

    The border and channel 3 stay as they are: zero.
    """
    h, w = image.shape
    for y in range(h):
        up, down = max(y - 1, 0), min(y + 1, h - 1)
        for x in range(w):
            pixel = packed[y + BORDER, x + BORDER]
            pixel[0] = image[y, x]
            pixel[1] = (image[y, min(x + 1, w - 1)] - image[y, max(x - 1, 0)]) * f32(0.5)
            pixel[2] = (image[down, x] - image[up, x]) * f32(0.5)


@jit
def cubic(t):
    """Keys' cubic weights, a = -0.75, of a position t in [0, 1) between the second and the third of four taps."""
    a, r = f32(-0.75), f32(1) - t
    first, last = a * (t * (r * r)), a * (r * (t * t))
    second = fma(fma(a + f32(2), t, -(a + f32(3))), t * t, f32(1))
    return first, second, ((f32(1) - first) - second) - last, last


@jit
def positions_of_row(y, h, w, u, v, starts, weights):
    for x in range(uint(w)):
        px = min(max(f32(x) + u[x], f32(1 - BORDER)), f32(w + 1))
        py = min(max(f32(y) + v[x], f32(1 - BORDER)), f32(h + 1))
        left, top = np.floor(px), np.floor(py)
        row = (np.int32(top) + np.int32(BORDER - 1)) * np.int32(w + 2 * BORDER)
        starts[x] = (row + np.int32(left) + np.int32(BORDER - 1)) * np.int32(4)
        weights[0, x], weights[1, x], weights[2, x], weights[3, x] = cubic(px - left)
        weights[4, x], weights[5, x], weights[6, x], weights[7, x] = cubic(py - top)


@cached
def positions(planes, starts, weights):
    """Where the 4 x 4 taps of the pixels start in the flat packed image, (h, w); their weights (h, 8, w), x then y."""
    h, w = starts.shape
    for y in range(uint(h)):
        u, v = planes[0, y + ONE, PAD:], planes[1, y + ONE, PAD:]
        positions_of_row(y, h, w, u, v, starts[y], weights[y])


@jit
def four_taps(image, at, a, b, c, d):
    """Weighted sum of four neighbours in a row, of one channel."""
    result = fma(image[at + uint(4)], b, image[at] * a)
    return fma(image[at + uint(12)], d, fma(image[at + uint(8)], c, result))


@jit
def bicubic(image, at, pitch, weights, x):
    """Weighted sum of the 4 x 4 taps that start at `at`, of one channel; pitch: floats per row."""
    a, b, c, d = weights[0, x], weights[1, x], weights[2, x], weights[3, x]
    result = four_taps(image, at, a, b, c, d) * weights[4, x]
    for k in range(1, 4):
        result = fma(four_taps(image, at + uint(k) * pitch, a, b, c, d), weights[4 + k, x], result)
    return result


@jit
def sample(packed, starts, weights, planes):
    """Samples the packed image and its gradient where the flow points: planes 6, 7 and 8. It is 0 outside."""
    image, pitch = packed.reshape(-1), uint(4 * packed.shape[1])
    for y in range(uint(starts.shape[0])):
        for x in range(uint(starts.shape[1])):
            for channel in range(uint(3)):
                value = bicubic(image, uint(starts[y, x]) + channel, pitch, weights[y], x)
                planes[uint(6) + channel, y + ONE, x + uint(PAD)] = value


@cached
def linearise(planes, target):
    """The residual linearised around the present flow: plane 6, in place of the sampled image."""
    u, v, rho, ix, iy = planes[0], planes[1], planes[6], planes[7], planes[8]
    for i in range(uint(target.shape[0])):
        y = i + ONE
        for x in range(uint(target.shape[1])):
            z = x + uint(PAD)
            rho[y, z] = ((rho[y, z] - ix[y, z] * u[y, z]) - iy[y, z] * v[y, z]) - target[i, x]


# ---------------------------------------------------------------- iteration


@jit
def primal(u, v, p11, p12, p21, p22, rho, ix, iy, change, limit, theta):
    """Thresholding (limit = lambda theta) and primal step; adds the squared updates up in `change`, by column."""
    for y in range(ONE, uint(u.shape[0])):
        up = y - ONE
        for x in range(uint(PAD), uint(change.size)):
            left = x - ONE
            gx, gy, old_u, old_v = ix[y, x], iy[y, x], u[y, x], v[y, x]
            squared = gx * gx + gy * gy
            residual = rho[y, x] + (gx * old_u + gy * old_v)
            d = residual / squared if squared > FLAT else f32(0)
            d = limit if residual > limit * squared else d
            d = -limit if residual < -(limit * squared) else d
            if x == uint(PAD):  # OpenCV adds the divergence of the first column up in another order
                div_u = (p11[y, x] + p12[y, x]) - p12[up, x]
                div_v = (p21[y, x] + p22[y, x]) - p22[up, x]
            else:
                div_u = (p11[y, x] - p11[y, left]) + (p12[y, x] - p12[up, x])
                div_v = (p21[y, x] - p21[y, left]) + (p22[y, x] - p22[up, x])
            u[y, x] = old_u - d * gx + theta * div_u
            v[y, x] = old_v - d * gy + theta * div_v
            du, dv = u[y, x] - old_u, v[y, x] - old_v
            change[x] += du * du + dv * dv


@jit
def dual(flow, p, q, w, columns, step):
    """Dual step (step = tau / theta) of one component of the flow of an image w pixels wide."""
    last, rightmost = uint(flow.shape[0] - 1), uint(PAD + w - 1)
    for y in range(ONE, last + ONE):
        below = min(y + ONE, last)
        for x in range(uint(PAD), uint(PAD + columns)):
            here = flow[y, x]
            gx = flow[y, x + ONE] - here if x < rightmost else f32(0)
            gy = flow[below, x] - here
            wide_x, wide_y = np.float64(gx), np.float64(gy)  # the length as OpenCV rounds it, in double precision
            n = f32(1) + step * f32(np.sqrt(wide_x * wide_x + wide_y * wide_y))
            p[y, x] = (p[y, x] + step * gx) / n
            q[y, x] = (q[y, x] + step * gy) / n


@jit
def iteration(planes, w, change, limit, theta, step):
    """One iteration on `planes` of an image w pixels wide; `change`: the sum of squared updates, by column."""
    u, v, p11, p12, p21 = planes[0], planes[1], planes[2], planes[3], planes[4]
    p22, rho, ix, iy = planes[5], planes[6], planes[7], planes[8]
    columns = change.size - PAD
    change[:] = 0
    primal(u, v, p11, p12, p21, p22, rho, ix, iy, change, limit, theta)
    dual(u, p11, p12, w, columns, step)
    dual(v, p21, p22, w, columns, step)


@jit
def fold(sums, count):
    """Adds the upper half to the lower half until the sum of `count` values, a power of two, is in sums[0]."""
    while count > 1:
        count //= 2
        for k in range(count):
            sums[k] += sums[k + count]


@cached
def total(values):
    """Sum in one fixed order on every processor: 64 interleaved sums, then 8 over the remainder (in all, 8 n values)."""
    sums = np.zeros(64, f32)
    whole = values.size // 64 * 64
    for start in range(0, whole, 64):
        for k in range(64):
            sums[k] += values[start + k]
    for k in range(16):
        sums[k] = (sums[k] + sums[k + 16]) + (sums[k + 32] + sums[k + 48])
    fold(sums, 16)
    sums[1:8] = 0
    for start in range(whole, values.size, 8):
        for k in range(8):
            sums[k] += values[start + k]
    fold(sums, 8)
    return sums[0]
