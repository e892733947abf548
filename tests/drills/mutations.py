"""Damage to the bytes of a file, drawn at random: what disks, networks, editors and attackers do to files."""

import random

HUGE = (b"99999999999999999999", b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"0")


def mutated(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """`data` with one damage, and its name."""
    damage = rng.choice(
        [empty, cut, stretched, hole, bit, byte, block, swapped, doubled, inserted, random_bytes, number]
    )
    return damage(data, rng), damage.__name__


def empty(data: bytes, rng: random.Random) -> bytes:
    return b""


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(max(len(data), 1))]


def stretched(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.choice((1, 100, 10_000)))


def hole(data: bytes, rng: random.Random) -> bytes:
    """The end cut off and replaced by zeros: the size stays, as after a crash of the machine."""
    kept = rng.randrange(max(len(data), 1))
    return data[:kept] + bytes(len(data) - kept)


def bit(data: bytes, rng: random.Random) -> bytes:
    return _changed(data, rng, lambda old: old ^ 1 << rng.randrange(8))


def byte(data: bytes, rng: random.Random) -> bytes:
    return _changed(data, rng, lambda old: rng.randrange(256))


def block(data: bytes, rng: random.Random) -> bytes:
    start, size = rng.randrange(max(len(data), 1)), rng.choice((16, 512, 4096))
    return (data[:start] + rng.randbytes(size) + data[start + size :])[: len(data)]


def swapped(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[b:] + data[a:b] + data[:a]


def doubled(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:b] + data[a:b] + data[b:]


def inserted(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((b"\0", b"\n", b"\xff\xfe", b"<script>", "é\u202e".encode(), b"../../")) + data[at:]


def random_bytes(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(min(len(data), 100_000))


def number(data: bytes, rng: random.Random) -> bytes:
    """A digit of a text replaced by something that is no such number."""
    digits = [i for i, value in enumerate(data[:100_000]) if 48 <= value < 58]
    if not digits:
        return byte(data, rng)
    at = rng.choice(digits)
    return data[:at] + rng.choice(HUGE) + data[at + 1 :]


def _changed(data: bytes, rng: random.Random, change) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([change(data[at]) & 255]) + data[at + 1 :]
