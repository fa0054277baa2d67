import json

import pytest

from swath.errors import FormatError
from swath.files import write_jsonl
from swath.serving.studio.loss_file import MOST_POINTS, LossFile


def row(step, steps, stage="all", **more):
    return {
        "stage": stage,
        "step": step,
        "steps": steps,
        "loss": 1.0,
        "text": 0.5,
        "seconds": 2.0 * step,
        **more,
    }


def append(folder, *rows):
    with (folder / "losses.jsonl").open("a") as file:
        for one in rows:
            file.write(json.dumps(one) + "\n")


def test_lines_are_read_as_they_are_written(tmp_path):
    losses = LossFile(tmp_path)
    assert not losses.read() and losses.curve()["loss"] == []
    write_jsonl(tmp_path / "losses.jsonl", "losses", [row(1, 3)])
    assert losses.read() and losses.curve()["loss"] == [(1, 0.5)]
    append(tmp_path, row(2, 3, val=0.7))
    with (tmp_path / "losses.jsonl").open("a") as file:
        file.write('{"stage": "all", "st')  # a line that is still being written
    assert losses.read() and not losses.read()
    assert (losses.steps, losses.curve()["val"], losses.seconds_left) == (2, [(2, 0.7)], 2.0)


def test_a_continued_run_begins_anew_at_its_checkpoint(tmp_path):
    losses = LossFile(tmp_path)
    write_jsonl(tmp_path / "losses.jsonl", "losses", [row(step, 9) for step in range(1, 6)])
    losses.read()
    write_jsonl(tmp_path / "losses.jsonl", "losses", [row(step, 9) for step in range(1, 4)])
    losses.read()
    assert losses.steps == 3


def test_a_long_curve_has_few_points_and_ends_where_the_run_is(tmp_path):
    rows = [row(step, 100_000, text=float(step % 2), val=0.1) for step in range(1, 100_001)]
    write_jsonl(tmp_path / "losses.jsonl", "losses", rows)
    losses = LossFile(tmp_path)
    losses.read()
    curve = losses.curve()
    assert len(curve["loss"]) == len(curve["val"]) == MOST_POINTS
    assert curve["loss"][-1] == (100_000, 0.5)  # the mean of 200 neighbours
    assert curve["val"][-1] == (100_000, 0.1)
    assert len(json.dumps(curve)) < 30_000


def test_stages_follow_each_other_and_one_without_words_shows_its_whole_loss(tmp_path):
    wordless = {key: value for key, value in row(1, 1, "tower").items() if key != "text"}
    write_jsonl(tmp_path / "losses.jsonl", "losses", [wordless, row(1, 2, "all"), row(2, 2, "all")])
    losses = LossFile(tmp_path)
    losses.read()
    assert losses.curve()["stages"] == [("tower", 0), ("all", 1)]
    assert losses.curve()["loss"] == [(1, 1.0), (2, 0.5), (3, 0.5)]


def test_a_damaged_line_is_named(tmp_path):
    write_jsonl(tmp_path / "losses.jsonl", "losses", [{"stage": "all"}])
    with pytest.raises(FormatError, match=r"losses.jsonl: a line cannot be read"):
        LossFile(tmp_path).read()
