"""Compiled kernels of TV-L1 optical flow: one pyramid level on the CPU, float32, one thread.

Zach, Pock, Bischof, "A duality based approach for realtime TV-L1 optical flow" (DAGM 2007), and Sanchez,
Meinhardt-Llopis, Facciolo, "TV-L1 optical flow estimation" (IPOL 2013). The order of every float operation is
the one that reproduces OpenCV 5's contrib module bit for bit, found by comparing outputs: where a sum is added up
in another order, a warp now and then stops one iteration earlier or later and the flow differs by 0.01 px.

What makes it fast: a row's planes lie side by side in one array; the dual step of row y-1 runs right behind the
primal step of row y, while both are in the cache; branches are selections; rows are padded to whole vectors. The
hot loops are written 16 pixels at a time (`Lanes`), because numba's own vectoriser spends as long on proving that
a row's planes do not overlap as on a row's arithmetic. `fastmath` holds only the flags that keep rounding.
All in one file: numba's cache on disk notices changes of the cached function's file alone.
"""

import warnings

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

f32 = np.float32
uint = np.uintp
ONE = uint(1)
INDEX = ir.IntType(64)
LEFT = 16  # empty columns left of a row, so that x - 1 exists and rows start on a cache line
BORDER = 4  # zero pixels around the packed image: every tap of a clamped position falls inside
FLAT = f32(np.finfo(np.float32).eps)  # squared gradients up to this count as none
U, V, P11, P12, P21, P22, RHO, IX, IY = range(9)  # the planes of a row: flow, dual variables, linearised residual

OPTIONS = {"fastmath": {"nnan", "ninf", "nsz"}, "error_model": "numpy", "nogil": True}
jit = numba.njit(**OPTIONS)


def cached(function):
    """Compiles with numba's cache on disk; where no folder is writable, compiles once a process and says so."""
    try:
        return numba.njit(cache=True, **OPTIONS)(function)
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
        warnings.warn(
            "no writable folder for the compiled optical flow, so every process compiles it again (seconds); "
            "set NUMBA_CACHE_DIR to a writable folder",
            stacklevel=2,
        )
        return jit(function)


def aligned(*shape: int) -> np.ndarray:
    """Zeroed float32 array that starts on a cache line of 64 bytes."""
    size = int(np.prod(shape))
    flat = np.zeros(size + 32, f32)
    start = (-flat.ctypes.data // 4) % 16
    return flat[start : start + size].reshape(shape)


@intrinsic
def fma(typing, a, b, c):
    """a * b + c, rounded once."""

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return numba.float32(numba.float32, numba.float32, numba.float32), generate


# ---------------------------------------------------------------- one iteration, 16 pixels at a time


class Lanes:
    """A vector of floats in code under construction; the operators emit exactly the operation they name."""

    def __init__(self, b, value):
        self.b, self.value = b, value

    def __add__(self, other):
        return Lanes(self.b, self.b.fadd(self.value, other.value))

    def __sub__(self, other):
        return Lanes(self.b, self.b.fsub(self.value, other.value))

    def __mul__(self, other):
        return Lanes(self.b, self.b.fmul(self.value, other.value))

    def __truediv__(self, other):
        return Lanes(self.b, self.b.fdiv(self.value, other.value))

    def __neg__(self):
        return Lanes(self.b, self.b.fneg(self.value))

    def fma(self, factor, addend):
        kind = self.value.type
        name = f"llvm.fma.v{kind.count}f32"
        function = self.b.module.declare_intrinsic(name, (), ir.FunctionType(kind, [kind] * 3))
        return Lanes(self.b, self.b.call(function, [self.value, factor.value, addend.value]))

    def where(self, relation, other, yes, no):
        """yes where `self relation other` holds, else no."""
        chosen = self.b.fcmp_ordered(relation, self.value, other.value)
        return Lanes(self.b, self.b.select(chosen, yes.value, no.value))

    def length(self, other):
        """sqrt(self^2 + other^2), correctly rounded by way of double precision."""
        wide = ir.VectorType(ir.DoubleType(), self.value.type.count)
        x, y = (Lanes(self.b, self.b.fpext(lanes.value, wide)) for lanes in (self, other))
        name = f"llvm.sqrt.v{wide.count}f64"
        root = self.b.module.declare_intrinsic(name, (), ir.FunctionType(wide, [wide]))
        return Lanes(self.b, self.b.fptrunc(self.b.call(root, [(x * x + y * y).value]), self.value.type))

    def store(self, pointer):
        self.b.store(self.value, self.b.bitcast(pointer, self.value.type.as_pointer()), align=4)


def load(b, pointer, count):
    kind = ir.VectorType(ir.FloatType(), count)
    return Lanes(b, b.load(b.bitcast(pointer, kind.as_pointer()), align=4))


def spread(b, value, count):
    """The same float in every lane."""
    empty = ir.Constant(ir.VectorType(ir.FloatType(), count), ir.Undefined)
    one = b.insert_element(empty, value, ir.IntType(32)(0))
    return Lanes(b, b.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)))


def operands(context, b, signature, arguments):
    """Arrays as pointers to their data, the other arguments as they are."""
    return [
        context.make_array(kind)(context, b, argument).data if isinstance(kind, numba.types.Array) else argument
        for kind, argument in zip(signature.args, arguments, strict=True)
    ]


@intrinsic
def primal16(typing, s, here, above, pitch, change, first, x, lt, theta):
    """Thresholding (lt = lambda theta) and primal step of 16 pixels; adds up their squared change.

    here, above: where the row and the row above start in s; pitch: floats a plane. `first` marks the first
    column, whose divergence is added up in another order.
    """

    def generate(context, b, signature, arguments):
        s, here, above, pitch, change, first, x, lt, theta = operands(context, b, signature, arguments)

        def place(row, plane, shift=0):
            return b.gep(s, [b.add(b.add(row, b.mul(pitch, INDEX(plane))), b.add(x, INDEX(shift)))])

        def read(row, plane, shift=0):
            return load(b, place(row, plane, shift), 16)

        def constant(value):
            return spread(b, ir.FloatType()(value), 16)

        def divergence(p, q):
            at, down, up = read(here, p), read(here, q), read(above, q)
            marks = load(b, b.gep(first, [x]), 16)
            return marks.where("!=", zero, (at + down) - up, (at - read(here, p, -1)) + (down - up))

        zero, lt, theta = constant(0.0), spread(b, lt, 16), spread(b, theta, 16)
        u, v, ix, iy = (read(here, plane) for plane in (U, V, IX, IY))
        squared = ix * ix + iy * iy
        residual = read(here, RHO) + (ix * u + iy * v)
        limit = lt * squared
        d = squared.where(">", constant(FLAT), residual / squared, zero)
        d = residual.where("<", -limit, -lt, residual.where(">", limit, lt, d))
        new_u = u - d * ix + theta * divergence(P11, P12)
        new_v = v - d * iy + theta * divergence(P21, P22)
        new_u.store(place(here, U))
        new_v.store(place(here, V))
        du, dv, column = new_u - u, new_v - v, b.gep(change, [x])
        (load(b, column, 16) + (du * du + dv * dv)).store(column)
        return context.get_dummy_value()

    return numba.void(s, here, above, pitch, change, first, x, lt, theta), generate


@intrinsic
def dual16(typing, s, here, below, pitch, inner, x, step):
    """Dual step (step = tau / theta) of 16 pixels. `inner` is 1 where a pixel has a right neighbour, else 0."""

    def generate(context, b, signature, arguments):
        s, here, below, pitch, inner, x, step = operands(context, b, signature, arguments)

        def place(row, plane, shift=0):
            return b.gep(s, [b.add(b.add(row, b.mul(pitch, INDEX(plane))), b.add(x, INDEX(shift)))])

        step, one = spread(b, step, 16), spread(b, ir.FloatType()(1.0), 16)
        inner = load(b, b.gep(inner, [x]), 16)
        for flow, p, q in ((U, P11, P12), (V, P21, P22)):
            at = load(b, place(here, flow), 16)
            gx = (load(b, place(here, flow, 1), 16) - at) * inner
            gy = load(b, place(below, flow), 16) - at
            n = one + step * gx.length(gy)
            inverse = one / n
            for plane, slope in ((p, gx), (q, gy)):
                # a / n correctly rounded from the correctly rounded 1 / n (Markstein 1990): one division for two
                a = load(b, place(here, plane), 16) + step * slope
                quotient = a * inverse
                (-quotient).fma(n, a).fma(inverse, quotient).store(place(here, plane))
        return context.get_dummy_value()

    return numba.void(s, here, below, pitch, inner, x, step), generate


@numba.njit(fastmath=True, nogil=True)
def total(values):
    result = f32(0)
    for x in range(values.size):
        result += values[x]
    return result


@jit
def iterate(s, inner, first, change, lt, theta, step):
    """One primal and one dual step everywhere; returns the sum of squared updates. Row 0 of s is empty."""
    rows, planes, pitch = s.shape
    flat, pitch, row = s.reshape(-1), uint(pitch), uint(planes * pitch)
    change[:] = 0
    for y in range(uint(1), uint(rows)):
        here, above = y * row, (y - ONE) * row
        for x in range(uint(LEFT), pitch, uint(16)):
            primal16(flat, here, above, pitch, change, first, x, lt, theta)
        if y > ONE:
            for x in range(uint(LEFT), pitch, uint(16)):
                dual16(flat, above, here, pitch, inner, x, step)
    last = uint(rows - 1) * row
    for x in range(uint(LEFT), pitch, uint(16)):
        dual16(flat, last, last, pitch, inner, x, step)
    return total(change)


# ---------------------------------------------------------------- warping


@intrinsic
def sample(typing, image, start, stride, wx, wy, pitch, x, out):
    """out[4x : 4x+4] = sum_j wy[j, x] sum_k wx[k, x] image[start + j stride + 4k :][:4], four channels at once.

    Written in vector instructions because numba does not form them from straight-line code.
    """

    def generate(context, b, signature, arguments):
        image, start, stride, wx, wy, pitch, x, out = operands(context, b, signature, arguments)

        def weights(plane):
            places = (b.add(b.mul(pitch, INDEX(k)), x) for k in range(4))
            return [spread(b, b.load(b.gep(plane, [place])), 4) for place in places]

        across, result = weights(wx), None
        for j, down in enumerate(weights(wy)):
            line = b.add(start, b.mul(stride, INDEX(j)))
            taps = [load(b, b.gep(image, [b.add(line, INDEX(4 * k))]), 4) for k in range(4)]
            row = taps[0] * across[0]
            for tap, weight in zip(taps[1:], across[1:], strict=True):
                row = tap.fma(weight, row)
            result = row.fma(down, result) if j else row * down
        result.store(b.gep(out, [b.mul(x, INDEX(4))]))
        return context.get_dummy_value()

    return numba.void(image, start, stride, wx, wy, pitch, x, out), generate


@jit
def pack(image, packed):
    """Image and its centred differences, four floats a pixel, inside a border of zeros."""
    h, w = image.shape
    packed[:] = 0
    for y in range(h):
        o = ((y + BORDER) * (w + 2 * BORDER) + BORDER) * 4
        up, down = max(y - 1, 0), min(y + 1, h - 1)
        for x in range(w):
            packed[o + 4 * x] = image[y, x]
            packed[o + 4 * x + 1] = (image[y, min(x + 1, w - 1)] - image[y, max(x - 1, 0)]) * f32(0.5)
            packed[o + 4 * x + 2] = (image[down, x] - image[up, x]) * f32(0.5)


@jit
def cubic(weights, x, t):
    """Keys' cubic weights, a = -0.75, of a position t in [0, 1) between the second and the third tap."""
    a, r = f32(-0.75), f32(1) - t
    first, last = a * (t * (r * r)), a * (r * (t * t))
    second = fma(fma(a + f32(2), t, -(a + f32(3))), t * t, f32(1))
    weights[0, x], weights[1, x], weights[3, x] = first, second, last
    weights[2, x] = ((f32(1) - first) - second) - last


@jit
def positions(s, y, h, w, starts, wx, wy):
    """Where the 16 taps of each pixel of image row y - 1 start in the packed image, and their weights."""
    for x in range(uint(wx.shape[1])):
        px = min(max(f32(x) + s[y, U, x + uint(LEFT)], f32(1 - BORDER)), f32(w + 1))
        py = min(max(f32(y - ONE) + s[y, V, x + uint(LEFT)], f32(1 - BORDER)), f32(h + 1))
        left, top = np.floor(px), np.floor(py)
        row = (np.int32(top) + np.int32(BORDER - 1)) * np.int32(w + 2 * BORDER)
        starts[x] = (row + np.int32(left) + np.int32(BORDER - 1)) * np.int32(4)
        cubic(wx, x, px - left)
        cubic(wy, x, py - top)


@jit
def warp(packed, s, target, starts, wx, wy, out):
    """Linearises the residual around the present flow: planes RHO, IX, IY of every row; outside the image is 0."""
    h, w = target.shape
    stride, pitch = uint((w + 2 * BORDER) * 4), uint(wx.shape[1])
    for i in range(h):
        y = uint(i + 1)
        positions(s, y, h, w, starts, wx, wy)
        for x in range(uint(w)):
            sample(packed, uint(starts[x]), stride, wx, wy, pitch, x, out)
        for x in range(uint(w)):
            z, q = x + uint(LEFT), x * uint(4)
            ix, iy = out[q + ONE], out[q + uint(2)]
            s[y, RHO, z] = ((out[q] - ix * s[y, U, z]) - iy * s[y, V, z]) - target[i, x]
            s[y, IX, z] = ix
            s[y, IY, z] = iy


# ---------------------------------------------------------------- median

# Comparators (low wire, high wire). Wire size * r + c of SELECT is rank r of sorted column c; comparators of a
# sorting network were dropped as long as every zero-one input with sorted columns still gave the median.
SORT = {3: ((0, 1), (1, 2), (0, 1)), 5: ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2))}
SELECT5 = (
    (0, 3), (1, 4), (0, 2), (1, 3), (2, 4), (2, 3), (5, 8), (6, 9), (6, 8), (5, 6), (7, 9), (6, 7), (8, 9),
    (7, 8), (10, 13), (11, 14), (10, 12), (11, 13), (10, 11), (12, 14), (11, 12), (13, 14), (12, 13), (15, 18),
    (16, 19), (15, 17), (16, 18), (15, 16), (17, 19), (16, 17), (17, 18), (20, 23), (21, 24), (21, 23),
    (20, 21), (22, 24), (21, 22), (8, 16), (4, 3), (12, 15), (21, 20), (15, 9), (17, 3), (4, 11), (15, 17),
    (20, 16), (17, 20), (8, 7), (21, 15), (11, 7), (12, 21), (7, 15), (13, 17), (21, 7), (13, 15), (7, 13),
)  # fmt: skip
SELECT3 = ((0, 1), (1, 2), (3, 4), (4, 5), (3, 4), (7, 8), (6, 7), (2, 4), (4, 6), (2, 4))
SELECT = {3: (SELECT3, 4), 5: (SELECT5, 13)}  # comparators, wire of the median


def compare(wires, network):
    for low, high in network:
        a, b = wires[low], wires[high]
        wires[low], wires[high] = a.where("<", b, a, b), a.where("<", b, b, a)


def median_filter(size):
    """The compiled median filter of one plane, in place, border repeated; `size` 3 or 5."""
    reach, ring_size = size // 2, uint(size)

    @intrinsic
    def sort16(typing, ring, ranks, pitch, x):
        """Sorts 16 columns of `size` pixels; the windows that hold a column share it."""

        def generate(context, b, signature, arguments):
            ring, ranks, pitch, x = operands(context, b, signature, arguments)
            places = [b.add(b.mul(pitch, INDEX(k)), x) for k in range(size)]
            wires = [load(b, b.gep(ring, [place]), 16) for place in places]
            compare(wires, SORT[size])
            for wire, place in zip(wires, places, strict=True):
                wire.store(b.gep(ranks, [place]))
            return context.get_dummy_value()

        return numba.void(ring, ranks, pitch, x), generate

    @intrinsic
    def select16(typing, ranks, pitch, x, s, start):
        """Medians of the 16 windows that begin at column x, to s[start + x]."""

        def generate(context, b, signature, arguments):
            ranks, pitch, x, s, start = operands(context, b, signature, arguments)
            wires = [
                load(b, b.gep(ranks, [b.add(b.mul(pitch, INDEX(r)), b.add(x, INDEX(c)))]), 16)
                for r in range(size)
                for c in range(size)
            ]
            network, middle = SELECT[size]
            compare(wires, network)
            wires[middle].store(b.gep(s, [b.add(start, x)]))
            return context.get_dummy_value()

        return numba.void(ranks, pitch, x, s, start), generate

    @jit
    def fill(s, y, plane, w, ring):
        k, y = uint(y + size) % ring_size, uint(min(max(y, 1), s.shape[0] - 1))
        for x in range(uint(w)):
            ring[k, x + uint(reach)] = s[y, plane, x + uint(LEFT)]
        ring[k, :reach] = s[y, plane, LEFT]
        ring[k, reach + w : 2 * reach + w] = s[y, plane, LEFT + w - 1]

    @jit
    def run(s, plane, w, ring, ranks):
        rows, planes, pitch = s.shape
        flat, ring_pitch = s.reshape(-1), uint(ring.shape[1])
        for y in range(1 - reach, 1 + reach):
            fill(s, y, plane, w, ring)
        for y in range(1, rows):
            fill(s, y + reach, plane, w, ring)
            for x in range(uint(0), ring_pitch, uint(16)):
                sort16(ring, ranks, ring_pitch, x)
            start = uint((y * planes + plane) * pitch + LEFT)
            for x in range(uint(0), uint(pitch - LEFT), uint(16)):
                select16(ranks, ring_pitch, x, flat, start)
            s[y, plane, LEFT + w :] = 0

    return run


median3, median5 = median_filter(3), median_filter(5)


# ---------------------------------------------------------------- one level


@cached
def level(target, image, s, packed, inner, first, change, wx, wy, starts, out, ring, ranks, constants, counts):
    """Flow from `target` (h, w) to `image` (h, w) at one level; returns the number of iterations done.

    s (h + 1, 9, LEFT + columns) holds the initial flow in planes U and V, and then the result; the arrays after
    it are the scratch of `workspace`. constants: (lambda theta, theta, tau / theta, stop), float32; an iteration
    whose summed squared update is no more than stop ends the warp. counts: (warps, outer, inner, median size).
    """
    w = target.shape[1]
    lt, theta, step, stop = constants[0], constants[1], constants[2], constants[3]
    pack(image, packed)
    s[:, P11 : P22 + 1] = 0
    done = 0
    for _ in range(counts[0]):
        warp(packed, s, target, starts, wx, wy, out)
        moving = True
        for _ in range(counts[1]):
            if not moving:
                break
            for plane in range(2 if counts[3] > 1 else 0):
                if counts[3] == 3:
                    median3(s, plane, w, ring, ranks)
                else:
                    median5(s, plane, w, ring, ranks)
            for _ in range(counts[2]):
                moving = iterate(s, inner, first, change, lt, theta, step) > stop
                done += 1
                if not moving:
                    break
    return done


def workspace(h: int, w: int) -> tuple[np.ndarray, ...]:
    """The arrays `level` needs for images (h, w), in its order."""
    columns = -(-w // 16) * 16
    inner = aligned(LEFT + columns)
    inner[LEFT : LEFT + w - 1] = 1
    first = aligned(LEFT + columns)
    first[LEFT] = 1
    return (
        aligned(h + 1, 9, LEFT + columns),
        aligned((h + 2 * BORDER) * (w + 2 * BORDER) * 4),
        inner,
        first,
        aligned(LEFT + columns),
        aligned(4, columns),
        aligned(4, columns),
        np.zeros(columns, np.int32),
        aligned(4 * columns),
        aligned(5, columns + 16),
        aligned(5, columns + 16),
    )
