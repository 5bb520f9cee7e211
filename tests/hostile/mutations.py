"""Seeded damage: to bytes as such, and to EXIF blocks, JSON and tables with their structure in mind."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

from hostile import exif_blocks

#: Bytes and numbers on which readers trip.
BYTES = (0, 1, 127, 128, 255)
NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
#: Where the headers of small files are.
HEAD = 400
WORDS = (
    "", "nan", "inf", "-inf", "1e999", "0x10", "1_0", "91", "-181", "48,85", "\0", "\ufeff", "\u2028", "'",
    '"', '"""', "a" * 5000, "=cmd|' /C calc'!A0", "<script>", "../../etc/passwd", "\udc80", "\x1b[2J",
    "١٢", "9" * 400,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x",
    "a" * 5000, "\ud800", "\0", [], {}, [[]], [None], {"": None}, "nan", "12", [1, 2, 3],
)  # fmt: skip


def mutated(data: bytes, generator: random.Random) -> bytes:
    """A few places changed, most of them in headers near the start; sometimes cut, doubled or moved."""
    changed = bytearray(data)
    for _ in range(generator.randint(1, 12)):
        reach = len(changed) if generator.random() < 0.3 else min(len(changed), HEAD)
        if not reach:
            break
        at, way = generator.randrange(reach), generator.random()
        if way < 0.6:
            changed[at] = generator.choice((*BYTES, generator.randrange(256)))
        elif way < 0.75:
            changed[at] ^= 1 << generator.randrange(8)
        else:
            form = generator.choice(("<H", ">H", "<I", ">I"))
            size = struct.calcsize(form)
            number = generator.choice(NUMBERS) & (2 ** (8 * size) - 1)
            changed[at : at + size] = struct.pack(form, number)
    if generator.random() < 0.2 and changed:
        del changed[generator.randrange(len(changed)) :]
    if generator.random() < 0.1:
        changed += changed[generator.randrange(len(changed) + 1) :]
    if generator.random() < 0.1 and changed:
        start, length, to = (generator.randrange(len(changed)) for _ in range(3))
        piece = changed[start : start + length % 64]
        if generator.random() < 0.5:
            del changed[start : start + length % 64]
        changed[to:to] = piece
    return bytes(changed)


def exif_block(generator: random.Random) -> bytes:
    """A block of directories, mostly well laid out, whose tags, types, counts and values are anything."""
    order = generator.choice("<>")

    def rational() -> tuple[int, int]:
        numbers = (0, 1, 59, 60, 89, 90, 180, 181, 1000, 2**31, 2**32 - 1)
        return generator.choice(numbers), generator.choice(numbers)

    def value() -> exif_blocks.Value:
        way = generator.random()
        if way < 0.35:
            made = exif_blocks.rationals(*(rational() for _ in range(generator.randint(0, 5))), order=order)
        elif way < 0.5:
            texts = (
                b"N",
                b"s",
                b"W ",
                b"E\0E",
                b"2020:01:01 00:00:00",
                b"0000:00:00 00:00:00",
                b"+14:00",
                b"",
            )
            made = exif_blocks.ascii_text(generator.choice(texts))
        elif way < 0.6:
            numbers = (0.0, -0.0, 43.5, 1e308, float("nan"), float("inf"))
            made = exif_blocks.doubles(*generator.choices(numbers, k=generator.randint(0, 4)), order=order)
        elif way < 0.7:
            made = exif_blocks.short(generator.randrange(2**16), order=order)
        else:
            data = generator.randbytes(generator.choice((0, 1, 4, 8, 24, 300)))
            made = exif_blocks.Value(generator.randrange(0, 15), generator.randrange(0, 30), data)
        if generator.random() < 0.15:  # a count or a type that lies
            kind = generator.choice((made.type, generator.randrange(2**16)))
            made = exif_blocks.Value(kind, generator.choice((*NUMBERS, made.count)), made.data)
        return made

    good = {
        1: exif_blocks.ascii_text(generator.choice((b"N", b"S"))),
        2: exif_blocks.degrees(43, 28, 2.8, order=order),
        3: exif_blocks.ascii_text(generator.choice((b"E", b"W"))),
        4: exif_blocks.degrees(11, 53, 6.4, order=order),
        0x9003: exif_blocks.ascii_text(b"2020:02:29 23:59:59"),
        0x9011: exif_blocks.ascii_text(b"+14:00"),
    }

    def directory(tags: tuple[int, ...]) -> dict[int, exif_blocks.Value]:
        chosen = generator.sample(tags, max(generator.randint(0, len(tags)), generator.randint(0, len(tags))))
        if generator.random() < 0.2:
            chosen.append(generator.randrange(2**16))
        return {tag: good[tag] if tag in good and generator.random() < 0.8 else value() for tag in chosen}

    block = exif_blocks.Block(
        order,
        directory((0x0112, 0x0132, 0x010F, 0x014A)),
        directory((0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x927C, 0xA005)),
        directory((1, 2, 3, 4)),
    ).build()
    if generator.random() < 0.3:
        block = mutated(block, generator)
    return block.removeprefix(b"Exif\0\0") if generator.random() < 0.3 else block


def json_text(value: Any, generator: random.Random) -> bytes:
    """A JSON text with some of its values replaced, left out or nested; at times damaged as bytes too."""
    changed = json.loads(json.dumps(value))
    for _ in range(generator.randint(1, 3)):
        changed = _changed(changed, generator)
    text = json.dumps(changed, ensure_ascii=generator.random() < 0.5)
    if generator.random() < 0.02:
        depth = generator.choice((100, 100_000))
        text = generator.choice(("[", '{"a":')) * depth + text
    data = text.encode("utf-8", "surrogatepass")
    return mutated(data, generator) if generator.random() < 0.2 else data


def _changed(value: Any, generator: random.Random) -> Any:
    if isinstance(value, dict) and value and generator.random() < 0.9:
        key = generator.choice([*value])
        way = generator.random()
        if way < 0.15:
            return {name: item for name, item in value.items() if name != key}
        if way < 0.2:
            return {**value, generator.choice(WORDS): generator.choice(VALUES)}
        return {**value, key: _changed(value[key], generator)}
    if isinstance(value, list) and value and generator.random() < 0.9:
        at = generator.randrange(len(value))
        return [*value[:at], _changed(value[at], generator), *value[at + (generator.random() < 0.9) :]]
    return generator.choice(VALUES)


def table(text: str, generator: random.Random) -> bytes:
    """A table with some of its cells replaced, its rows too short or long; at times damaged as bytes too."""
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(generator.randint(1, 5)):
        row = generator.choice(rows[:1] if generator.random() < 0.2 else rows)
        way, at = generator.random(), generator.randrange(len(row) or 1)
        if way < 0.6 and row:
            row[at] = generator.choice(WORDS)
        elif way < 0.75:
            del row[at:]
        else:
            row[at:at] = [generator.choice(WORDS)]
    joint = generator.choice((",", ",", ",", ";", "\t", "|"))
    end = generator.choice(("\n", "\n", "\r\n", "\r", "\n\n"))
    data = end.join(joint.join(row) for row in rows).encode(
        generator.choice(("utf-8", "utf-8", "utf-16")), "surrogatepass"
    )
    return mutated(data, generator) if generator.random() < 0.3 else data


def either(make: Callable[[random.Random], bytes], base: bytes) -> Callable[[random.Random], bytes]:
    """Damage with the structure in mind three times out of four, else to the bytes as such."""
    return lambda generator: make(generator) if generator.random() < 0.75 else mutated(base, generator)
