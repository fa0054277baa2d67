"""Mutations of files: of their bytes, their numbers, and the values they hold."""

import json
import random
import re
from functools import partial

import yaml

HOSTILE = [
    None, True, False, 0, -1, 1, 0.5, 2**31, 2**63, 10**30, 1e308, -1e308, float("nan"),
    float("inf"), "", " ", "x", "0", "nan", "1e999", "\ud800", "\x00", "../../x", "/dev/zero",
    "９", "١", "9" * 400, "a" * 3000, [], {}, [[]], [{}], {"": None}, [None], [0, 0, 0, 0],
    [0.1, "x", None, 3], {"x": {"x": []}}, [[[[[[[[1]]]]]]]],
]  # fmt: skip
"""Values that stand where others belong."""

TOKENS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b'"', b",",
    b"\n", b"\r\n", b"\t", b"NaN", b"Infinity", b"1e999", b"-0", b"9" * 60, b"null", b"<box>",
    b"{<1><2><3><4>|<5>}", b"[0,0,0,0]", b"[" * 300, b"{%", b"&a", b"*a", b"<!DOCTYPE x>", b"<x>",
    b"POLYGON EMPTY", b"#frame=1", b"#tile=0,0,1,1", "共12".encode(), "é".encode("latin-1"),
]  # fmt: skip
"""Pieces that stand anywhere."""

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_NUMBERS = [b"0", b"-1", b"1e308", b"1e-320", b"9" * 30, b"NaN", b"0.0", b"2147483648", b"1."]


def mutated(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """A file's content, changed in one to three places."""
    for _ in range(rng.randint(1, 3)):
        if suffix in _VALUES and rng.random() < 0.6:
            content = _with_other_value(content, suffix, rng)
        else:
            content = rng.choice(_BYTES)(content, rng)
    return content


def _with_other_value(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """A value or key replaced, removed or doubled, where the content can still be read."""
    lines = content.split(b"\n") if suffix == ".jsonl" else [content]
    place = rng.randrange(len(lines))
    load, dump = _VALUES[suffix]
    try:
        value = load(lines[place])
        lines[place] = dump(_changed(value, rng)).encode("utf-8", "surrogatepass")
    except (ValueError, yaml.YAMLError, RecursionError):
        return rng.choice(_BYTES)(content, rng)
    return b"\n".join(lines)


def _changed(value, rng: random.Random):
    holders = [holder for holder in _holders(value) if holder]
    if not holders or rng.random() < 0.02:
        return rng.choice(HOSTILE)
    holder = rng.choice(holders)
    key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    action = rng.random()
    if action < 0.7:
        holder[key] = rng.choice(HOSTILE)
    elif action < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[rng.choice(["x", "id", "image", "boxes", "answer", "format"])] = holder[key]
    else:
        holder.append(holder[key])
    return value


def _holders(value):
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _holders(inner)


def _flipped(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) or 1)
    flipped = bytes([content[place] ^ 1 << rng.randrange(8)]) if content else b""
    return content[:place] + flipped + content[place + 1 :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _without(content: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(content) + 1)
    return content[:begin] + content[begin + rng.randint(1, 40) :]


def _doubled(content: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(content) + 1)
    piece = content[begin : begin + rng.randint(1, 200)]
    return content[:begin] + piece * rng.randint(2, 4) + content[begin:]


def _with_token(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(TOKENS) + content[place:]


def _with_number(content: bytes, rng: random.Random) -> bytes:
    numbers = list(_NUMBER.finditer(content))
    if not numbers:
        return _with_token(content, rng)
    number = rng.choice(numbers)
    return content[: number.start()] + rng.choice(_NUMBERS) + content[number.end() :]


_BYTES = [_flipped, _cut, _without, _doubled, _with_token, _with_number]
_JSON = (json.loads, json.dumps)
_YAML = (partial(yaml.load, Loader=yaml.CSafeLoader), partial(yaml.dump, Dumper=yaml.CSafeDumper))
_VALUES = {".json": _JSON, ".jsonl": _JSON, ".geojson": _JSON, ".yaml": _YAML}
