import os
import subprocess
import sys

import pytest

from swath.annotations.readers import read, stream


def labelled(folder, count, lines=3):
    for number in range(count):
        folder.picture(f"images/{number}.png")
        folder.text(f"labelTxt/{number}.txt", *["0 0 4 0 4 4 0 4 ship 0"] * lines)
    return folder.path


def test_what_is_streamed_is_what_is_read(folder):
    path = labelled(folder, 3)
    held = {one.id: one.boxes.quads.tolist() for one in read(path, "dota")}
    assert {one.id: one.boxes.quads.tolist() for one in stream(path)} == held
    assert len(held) == 3


def test_rows_of_one_image_that_follow_one_another_are_joined(folder):
    for name in "ab":
        folder.picture(f"{name}.png")
    order = ["a", "a", "b", "a"]
    rows = [f'{{"image": "{name}.png", "caption": "{n}"}}' for n, name in enumerate(order)]
    path = folder.text("captions.jsonl", *rows)
    assert [(one.id, one.captions) for one in stream(path)] == [
        ("a", ("0", "1")),
        ("b", ("2",)),
        ("a", ("3",)),
    ]
    assert [(one.id, one.captions) for one in read(path)] == [("a", ("0", "1", "3")), ("b", ("2",))]


def test_a_format_read_whole_can_be_streamed_too(folder):
    folder.picture("a.png")
    path = folder.json("captions.json", [{"image": "a.png", "captions": ["a port"]}])
    assert [one.captions for one in stream(path)] == [("a port",)]


@pytest.mark.parametrize("form", ["dota", "rows"])
def test_memory_does_not_grow_with_the_files(folder, form):
    """Twenty times the images add less than a quarter of what holding them would."""
    code = (
        "import sys, tracemalloc\n"
        "from swath.annotations.readers import stream\n"
        "warm = sum(1 for _ in stream(sys.argv[1], sys.argv[3]))\n"
        "tracemalloc.start()\n"
        "count = sum(1 for _ in stream(sys.argv[2], sys.argv[3]))\n"
        "print(count, tracemalloc.get_traced_memory()[1])"
    )
    few, many = folder.path / "few", folder.path / "many"
    for place, count in ((few, 5), (many, 1000)):
        for inner in ("images", "labelTxt"):
            (place / inner).mkdir(parents=True)
        for number in range(count):
            (place / "images" / f"{number}.png").touch()
            (place / "labelTxt" / f"{number}.txt").write_text("0 0 4 0 4 4 0 4 ship 0\n" * 40)
        lines = [
            f'{{"image": "images/{n}.png", "caption": "{n} {"x" * 2000}"}}\n' for n in range(count)
        ]
        (place / "rows.jsonl").write_text("".join(lines))
    done = subprocess.run([sys.executable, "-c", code, str(few), str(many), form], check=True,
                          capture_output=True, text=True, env=os.environ)  # fmt: skip
    count, peak = map(int, done.stdout.split())
    assert count == 1000
    assert peak < 700_000  # held, the boxes or captions alone are 2.5 MB and 2 MB
