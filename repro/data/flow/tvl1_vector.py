"""The three loops that take most of TV-L1's time, in vector instructions; the same bits as the plain versions.

The plain versions are `iteration` and `sample` in tvl1_steps.py, and OpenCV's medianBlur; tests compare the results.
Time for a pair of 256x256 frames (AMD EPYC with AVX-512, one thread; medians of interleaved processes):

    all three as here                           43 ms
    with the plain iteration                    48 ms
    with the plain sampling                     48 ms
    with OpenCV's median filter                 48 ms
    all three plain                             58 ms
    as here, AVX2 instead of AVX-512            50 ms
    as here, without AVX and fused operations  247 ms
    OpenCV contrib's TV-L1                     540 ms

Numba does not vectorise these loops well. In an iteration it first tests, for every row, whether the planes overlap;
in sampling it does not see that the four channels of a pixel are one vector; a sorting network has no plain loop.
Here LLVM's vectors are written out, 16 pixels or 4 channels long. LLVM lowers them to what the processor has, with the
same roundings on all of them.
"""

from functools import wraps

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from repro.data.compiled import cached
from repro.data.flow.median_networks import SELECT, SORT  # constants; numba's cache on disk does not notice a change

uint = np.uintp
PAD = LANES = 16  # PAD and FLAT as in tvl1_steps.py, repeated because the cache notices changes in this file only
FLAT = float(np.finfo(np.float32).eps)
U, V, P11, P12, P21, P22, RHO, IX, IY = range(9)  # planes
FLOAT, DOUBLE, INDEX = ir.FloatType(), ir.DoubleType(), ir.IntType(64)


def aligned(*shape: int) -> np.ndarray:
    """Zeros, float32, that start on a cache line of 64 bytes: 43.7 ms; 16 to 60 bytes behind its start: 44.7 ms."""
    size = int(np.prod(shape))
    flat = np.zeros(size + LANES, np.float32)
    start = -flat.ctypes.data % 64 // 4
    return flat[start : start + size].reshape(shape)


# ---------------------------------------------------------------- vectors in code under construction


class Vector:
    """A vector of floats; each operator emits exactly the instruction that it names, into the builder b."""

    def __init__(self, b, value):
        self.b, self.value, self.kind = b, value, value.type

    def __add__(self, other):
        return Vector(self.b, self.b.fadd(self.value, other.value))

    def __sub__(self, other):
        return Vector(self.b, self.b.fsub(self.value, other.value))

    def __mul__(self, other):
        return Vector(self.b, self.b.fmul(self.value, other.value))

    def __truediv__(self, other):
        return Vector(self.b, self.b.fdiv(self.value, other.value))

    def __neg__(self):
        return Vector(self.b, self.b.fneg(self.value))

    def call(self, name, bits, *others):
        """LLVM's function of that name in each lane."""
        kind = ir.FunctionType(self.kind, [self.kind] * (1 + len(others)))
        function = self.b.module.declare_intrinsic(f"llvm.{name}.v{self.kind.count}f{bits}", (), kind)
        return Vector(self.b, self.b.call(function, [self.value, *(other.value for other in others)]))

    def fma(self, factor, addend):
        """self * factor + addend, rounded once."""
        return self.call("fma", 32, factor, addend)

    def length(self, other):
        """sqrt(self^2 + other^2) in double precision, then rounded to single."""
        wide = ir.VectorType(DOUBLE, self.kind.count)
        x, y = (Vector(self.b, self.b.fpext(vector.value, wide)) for vector in (self, other))
        return Vector(self.b, self.b.fptrunc((x * x + y * y).call("sqrt", 64).value, self.kind))

    def where(self, relation, other, yes, no):
        """yes where `self relation other` is true, else no."""
        chosen = self.b.fcmp_ordered(relation, self.value, other.value)
        return Vector(self.b, self.b.select(chosen, yes.value, no.value))


def spread(b, value, lanes=LANES):
    """The same float in every lane."""
    value = FLOAT(value) if isinstance(value, float) else value
    empty = ir.Constant(ir.VectorType(FLOAT, lanes), ir.Undefined)
    one = b.insert_element(empty, value, ir.IntType(32)(0))
    return Vector(b, b.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)))


class Memory:
    """A flat float32 array; a place in it is the sum of `offsets`."""

    def __init__(self, b, data):
        self.b, self.data = b, data

    def at(self, *offsets):
        place = INDEX(0)
        for offset in offsets:
            place = self.b.add(place, INDEX(offset) if isinstance(offset, int) else offset)
        return self.b.gep(self.data, [place])

    def load(self, *offsets, lanes=LANES):
        kind = ir.VectorType(FLOAT, lanes).as_pointer()
        return Vector(self.b, self.b.load(self.b.bitcast(self.at(*offsets), kind), align=4))

    def store(self, vector, *offsets):
        self.b.store(vector.value, self.b.bitcast(self.at(*offsets), vector.kind.as_pointer()), align=4)


def emitted(body):
    """A function for compiled code: body(b, ...) emits its instructions. An array arrives as Memory."""

    @wraps(body)  # numba reads the arguments' names from the signature
    def typed(typing, *kinds):
        def generate(context, b, signature, arguments):
            operands = [
                Memory(b, context.make_array(kind)(context, b, value).data)
                if isinstance(kind, numba.types.Array)
                else value
                for kind, value in zip(signature.args, arguments, strict=True)
            ]
            body(b, *operands)
            return context.get_dummy_value()

        return numba.void(*kinds), generate

    return intrinsic(typed)


# ---------------------------------------------------------------- iteration


def primal(first):
    """The primal step of 16 pixels. OpenCV adds the divergence of the first column up in another order."""

    @emitted
    def step(b, planes, size, here, above, x, change, limit, theta):
        def read(plane, row=here, shift=0):
            return planes.load(b.mul(size, INDEX(plane)), row, x, shift)

        def divergence(p, q):
            total = (read(p) - read(p, shift=-1)) + (read(q) - read(q, above))
            if not first:
                return total
            lane0 = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [1] + [0] * (LANES - 1))
            return Vector(b, b.select(lane0, ((read(p) + read(q)) - read(q, above)).value, total.value))

        limit, theta, zero = spread(b, limit), spread(b, theta), spread(b, 0.0)
        u, v, gx, gy = read(U), read(V), read(IX), read(IY)
        squared = gx * gx + gy * gy
        residual = read(RHO) + (gx * u + gy * v)
        d = squared.where(">", spread(b, FLAT), residual / squared, zero)
        d = residual.where(">", limit * squared, limit, d)
        d = residual.where("<", -(limit * squared), -limit, d)
        new_u = u - d * gx + theta * divergence(P11, P12)
        new_v = v - d * gy + theta * divergence(P21, P22)
        planes.store(new_u, here, x)
        planes.store(new_v, size, here, x)
        du, dv = new_u - u, new_v - v
        change.store(change.load(x) + (du * du + dv * dv), x)

    return step


primal_first, primal_other = primal(True), primal(False)


@emitted
def dual(b, planes, size, here, below, x, inner, step):
    """The dual step of 16 pixels, of which the first `inner` have a right neighbour."""
    lane = Vector(b, ir.Constant(ir.VectorType(FLOAT, LANES), list(range(LANES))))
    inner, step, one, zero = spread(b, inner), spread(b, step), spread(b, 1.0), spread(b, 0.0)
    for flow, p, q in ((U, P11, P12), (V, P21, P22)):
        plane = b.mul(size, INDEX(flow))
        value = planes.load(plane, here, x)
        gx = lane.where("<", inner, planes.load(plane, here, x, 1) - value, zero)
        gy = planes.load(plane, below, x) - value
        n = one + step * gx.length(gy)
        inverse = one / n
        for target, slope in ((p, gx), (q, gy)):
            # a / n, correctly rounded from the correctly rounded 1 / n (Markstein 1990): one division for two.
            # 43.7 ms; with two divisions 45.8 ms.
            place = b.mul(size, INDEX(target)), here, x
            a = planes.load(*place) + step * slope
            quotient = a * inverse
            planes.store((-quotient).fma(n, a).fma(inverse, quotient), *place)


@cached
def iteration(planes, w, change, limit, theta, step):
    """`iteration` of tvl1_steps.py."""
    flat, pitch = planes.reshape(-1), uint(planes.shape[2])
    size, right, end = uint(planes.shape[1]) * pitch, uint(PAD + w - 1), uint(change.size)
    change[:] = 0
    for here in range(pitch, size, pitch):
        primal_first(flat, size, here, here - pitch, uint(PAD), change, limit, theta)
        for x in range(uint(2 * PAD), end, uint(LANES)):
            primal_other(flat, size, here, here - pitch, x, change, limit, theta)
    for here in range(pitch, size, pitch):
        below = min(here + pitch, size - pitch)
        for x in range(uint(PAD), end, uint(LANES)):
            dual(flat, size, here, below, x, np.float32(right - x), step)


# ---------------------------------------------------------------- warp


@emitted
def sample_pixel(b, image, start, pitch, weights, at, w, planes, size, place):
    """One pixel: its image, gradient and an empty channel are one vector of four floats."""

    def weight(k):
        return spread(b, b.load(weights.at(at, b.mul(w, INDEX(k)))), 4)

    result = None
    for j in range(4):
        taps = [image.load(start, b.mul(pitch, INDEX(j)), 4 * k, lanes=4) for k in range(4)]
        row = taps[0] * weight(0)
        for k in range(1, 4):
            row = taps[k].fma(weight(k), row)
        result = row.fma(weight(4 + j), result) if j else row * weight(4)
    for channel, plane in enumerate((RHO, IX, IY)):
        value = b.extract_element(result.value, ir.IntType(32)(channel))
        b.store(value, planes.at(b.mul(size, INDEX(plane)), place))


@cached
def sample(packed, starts, weights, planes):
    """`sample` of tvl1_steps.py."""
    h, w = starts.shape
    image, every, flat = packed.reshape(-1), weights.reshape(-1), planes.reshape(-1)
    pitch, columns = uint(4 * packed.shape[1]), uint(planes.shape[2])
    size = uint(planes.shape[1]) * columns
    for y in range(uint(h)):
        place, at = (y + uint(1)) * columns + uint(PAD), y * uint(8 * w)
        for x in range(uint(w)):
            sample_pixel(image, uint(starts[y, x]), pitch, every, at + x, uint(w), flat, size, place + x)


# ---------------------------------------------------------------- median


def compare(wires, network):
    for low, high in network:
        a, b = wires[low], wires[high]
        wires[low], wires[high] = a.where("<", b, a, b), a.where("<", b, b, a)


@emitted
def sort_columns(b, wide, pitch, top, x, ranks):
    """Sorts 16 columns of five pixels."""
    wires = [wide.load(top, b.mul(pitch, INDEX(k)), x) for k in range(5)]
    compare(wires, SORT[5])
    for k, wire in enumerate(wires):
        ranks.store(wire, b.mul(pitch, INDEX(k)), x)


@emitted
def select_medians(b, ranks, pitch, x, out, place):
    """The medians of 16 windows from their sorted columns."""
    wires = [ranks.load(b.mul(pitch, INDEX(k // 5)), x, k % 5) for k in range(25)]
    network, middle = SELECT[5]
    compare(wires, network)
    out.store(wires[middle], place, x)


@cached
def median(wide, ranks, plane, w):
    """Median of 5 x 5 pixels of `wide` (h + 4, columns + 16) to the image in `plane`; ranks (5, columns + 16): scratch.

    `wide` contains the image with its border repeated twice.
    """
    pitch, flat, scratch, out = uint(wide.shape[1]), wide.reshape(-1), ranks.reshape(-1), plane.reshape(-1)
    for y in range(uint(1), uint(plane.shape[0])):
        place, top = y * uint(plane.shape[1]) + uint(PAD), (y - uint(1)) * pitch
        for x in range(uint(0), pitch, uint(LANES)):
            sort_columns(flat, pitch, top, x, scratch)
        for x in range(uint(0), pitch - uint(LANES), uint(LANES)):
            select_medians(scratch, pitch, x, out, place)
        plane[y, PAD + w :] = 0
