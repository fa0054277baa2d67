"""Annotations a second and peak memory of swath's readers and builder, beside a plain loop.

    python benchmarks/reading.py [--folder DIR] [--images N] [--captions N] [--out JSON]

Writes N DOTA-like label files of 10 objects, and N captions, five a picture, as JSON Lines and in
Karpathy's JSON, with empty files in the pictures' place, which readers never open. The plain loop
splits lines or parses JSON, checks nothing and keeps all it read in lists, as loaders of papers do.
`build` makes instructions from the boxes as `swath build` writes them, pictures given as measured;
`attributes` singles the objects out by size, place, direction and neighbours as well, no colours.
--old FOLDER measures another checkout's builder in the same run, each in turn.
Each runs in a process of its own, on a tenth of the files and on all, so that memory which grows
with them shows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from measured import finish, machine

OBJECTS = 10
NAMES = ("small-vehicle", "ship", "plane", "harbor")
SENTENCES = 5
BUILDS = {"build": "varied", "attributes": "geochat"}  # and their phrasing
READER = {"dota": "dota", "captions": "table", "karpathy": "captions"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="Where the files go; else a temporary folder.")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--old", type=Path, help="Checkout whose builder is measured as well.")
    parser.add_argument(
        "--only", choices=tuple(READER), help="Read and build of these files alone."
    )
    parser.add_argument("--one", nargs=3, metavar=("READER", "KIND", "PLACE"), help="Internal.")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(read(*asked.one)))
        return
    home = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        rows = []
        for share in (10, 1):
            for kind, total in (
                ("dota", asked.images),
                ("captions", asked.captions),
                ("karpathy", asked.captions),
            ):
                if asked.only not in (None, kind):
                    continue
                place = home / f"{kind}-{share}"
                write(kind, place, total // share)
                for reader in ("plain", "swath", *(BUILDS if kind == "dota" else ())):
                    olds = [asked.old] if asked.old and reader in BUILDS else []
                    for checkout in (None, *olds):
                        rows.append(in_a_process(reader, kind, place, checkout))
                        print(shown(rows[-1]), file=sys.stderr)
                shutil.rmtree(place)
    finally:
        shutil.rmtree(home)
    finish({"machine": machine(), "rows": rows}, asked.out)


def write(kind: str, place: Path, total: int) -> None:
    """The files that are read."""
    rng = random.Random(0)
    pictures = place / "images"
    pictures.mkdir(parents=True)
    if kind == "dota":
        (place / "labelTxt").mkdir()
        for number in range(total):
            lines = ["imagesource:none", "gsd:0.3"]
            for _ in range(OBJECTS):
                x, y, size = rng.uniform(0, 900), rng.uniform(0, 900), rng.uniform(5, 60)
                corners = (x, y, x + size, y, x + size, y + size, x, y + size)
                lines.append(
                    " ".join(f"{value:.1f}" for value in corners) + f" {rng.choice(NAMES)} 0"
                )
            (place / "labelTxt" / f"P{number:06d}.txt").write_text("\n".join(lines) + "\n")
            (pictures / f"P{number:06d}.png").touch()
        return
    with (place / ("rows.jsonl" if kind == "captions" else "rows.json")).open("w") as stream:
        stream.write("" if kind == "captions" else '{"images": [')
        for number in range(total // SENTENCES):
            name = f"images/P{number:06d}.png"
            (place / name).touch()
            said = [
                f"Picture {number} shows {rng.randrange(100)} ships and a pier, {place_in}."
                for place_in in range(SENTENCES)
            ]
            if kind == "captions":
                stream.writelines(
                    json.dumps({"image": name, "caption": one}) + "\n" for one in said
                )
            else:
                row = {"filename": name, "split": "train", "sentences": [{"raw": o} for o in said]}
                stream.write(("," if number else "") + json.dumps(row))
        stream.write("" if kind == "captions" else "]}")


def in_a_process(
    reader: str, kind: str, place: Path, checkout: Path | None = None
) -> dict[str, Any]:
    """What one reader measured of itself, in this checkout or another."""
    command = [sys.executable, __file__, "--one", reader, kind, str(place)]
    environment = os.environ | ({"PYTHONPATH": str(checkout)} if checkout else {})
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured | ({"checkout": str(checkout)} if checkout else {})


def read(reader: str, kind: str, place: str) -> dict[str, Any]:
    """Read everything once; rows, seconds and the memory above that before the first row."""
    import inflect  # noqa: F401  # loaded by the first plural, which takes seconds

    import swath.instructions.builder  # noqa: F401
    from swath.annotations import readers
    from swath.annotations.source import Source

    before = peak_mb()
    start, rows = time.perf_counter(), 0
    start_cpu = time.process_time()
    if reader == "plain":
        rows = plain(kind, Path(place))
    elif reader in BUILDS:
        rows = built(Path(place), BUILDS[reader])
    else:
        for image in readers.unmeasured(Source(Path(place)), READER[kind]):
            rows += len(image.names) + len(image.captions)
    seconds = time.perf_counter() - start
    return {
        "reader": reader,
        "kind": kind,
        "rows": rows,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(time.process_time() - start_cpu, 2),
        "rows_per_second": round(rows / seconds),
        "peak_mb": round(peak_mb() - before, 1),
    }


def plain(kind: str, place: Path) -> int:
    """A loop over the same files."""
    kept: list[Any] = []
    if kind == "dota":
        for file in sorted((place / "labelTxt").iterdir()):
            with file.open() as stream:
                for line in stream:
                    fields = line.split()
                    if len(fields) > 8:
                        kept.append((file.name, [float(field) for field in fields[:8]], fields[8]))
    elif kind == "captions":
        with (place / "rows.jsonl").open() as stream:
            kept += (json.loads(line) for line in stream)
    else:
        for row in json.loads((place / "rows.json").read_bytes())["images"]:
            kept += [(row["filename"], sentence["raw"]) for sentence in row["sentences"]]
    return len(kept)


def built(place: Path, phrasing: str) -> int:
    """Write the set of four tasks on boxes; how many instructions there are."""
    from swath.annotations import readers
    from swath.annotations.source import Source
    from swath.instructions.builder import build_into
    from swath.recipe import Instructions

    read = readers.unmeasured(Source(place), "dota")
    images = [replace(image, size_wh=(1024, 1024), split="train") for image in read]
    tasks = ["refer", "count", "ground", "identify"]
    section = Instructions(tasks=tasks, phrasing=phrasing, colours=False)
    card = build_into(place / "set", images, section, 0).card
    return sum(card["conversations"]["train"].values())


def peak_mb() -> float:
    """Most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def shown(row: dict[str, Any]) -> str:
    return (
        f"{row['kind']:9}{row['reader']:11}{'old' if 'checkout' in row else 'here':5}"
        f"{row['rows']:>10,} rows in {row['cpu_seconds']} s of CPU, {row['rows_per_second']:>9,} a "
        f"second, {row['peak_mb']:,.1f} MB more at the peak"
    )


if __name__ == "__main__":
    main()
