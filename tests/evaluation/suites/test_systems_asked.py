"""Suites asked of every system of a model, in shards, and again after a stop."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swath.cli import app
from swath.errors import RequestError
from swath.evaluation.suites.running import ask, read_results
from swath.evaluation.suites.systems_asked import evaluate, shots, systems_asked
from swath.evaluation.suites.table import Suite, shipped
from swath.experiment import Experiment
from swath.models.engine import LocalEngine
from swath.recipes import overridden
from tests.making import BLUE, GREEN, RED, rectangle, tiny_recipe

pytestmark = pytest.mark.numeric

COLOURS = [("red", RED), ("green", GREEN), ("blue", BLUE)]


def recipe(*overrides):
    return overridden(
        {"name": "suites"},
        ["evaluation.max_new_tokens=4", "evaluation.resamples=20", *overrides],
        "test",
    )


@pytest.fixture
def captions(tmp_path):
    """Nine captioned pictures, six of them in the test split; the words differ by colour."""
    rows = []
    for number in range(9):
        name, colour = COLOURS[number % 3]
        rectangle(tmp_path / "data" / "rsicd" / f"{number}.png", (number, 4, number + 9, 20),
                  (32, 32), colour)  # fmt: skip
        rows.append({"filename": f"{number}.png", "split": "train" if number > 5 else "test",
                     "sentences": [{"raw": f"a {name} field number {number}"}]})  # fmt: skip
    (tmp_path / "data" / "rsicd" / "dataset.json").write_text(json.dumps({"images": rows}))
    return tmp_path / "data"


@pytest.fixture
def scenes(tmp_path):
    """Scenes of three colours, two of each to be asked and one to learn of."""
    for number in range(9):
        name, colour = COLOURS[number % 3]
        rectangle(tmp_path / "data" / "aid" / name / f"{number}.png", (number, 4, number + 9, 20),
                  (32, 32), colour)  # fmt: skip
    lists = tmp_path / "data" / "aid" / "splits"
    lists.mkdir()
    for split, some in (("test", range(6)), ("train", range(6, 9))):
        names = (f"{COLOURS[number % 3][0]}/{number}.png" for number in some)
        (lists / f"{split}.txt").write_text("\n".join(names))
    return tmp_path / "data"


@pytest.fixture
def run(tiny_base, tmp_path):
    """A tuned run of four kinds of systems."""
    values = {
        "annotations": {"source": str(tmp_path / "own"), "split": {"train": 0.5, "test": 0.5}},
        "tuning": {
            "stages": [{"train": ["projector"], "steps": 2, "batch_size": 4}],
            "precision": "fp32",
            "threads": 1,
        },
        "evaluation": {
            "systems": ["tuned", "blind", "few-shot", "base"],
            "shots": 2,
            "max_new_tokens": 4,
            "resamples": 20,
        },
    }
    for number in range(6):
        name, colour = COLOURS[number % 2]
        rectangle(tmp_path / "own" / name / f"{number}.png", (1, 2, 9 + number, 9), (32, 32),
                  colour)  # fmt: skip
    experiment = Experiment(tiny_recipe(tiny_base, **values), tmp_path / "runs" / "own")
    experiment.tune()
    return experiment.folder


def said(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False).stdout


def test_every_system_of_a_run_answers_a_suite_and_is_paired_with_the_tuned(run, scenes):
    shown = json.loads(said("evaluate", run, "--suite", "aid", "--data", scenes, "--json"))["aid"]
    assert shown["scores"]["accuracy"]["n"] == 6
    (result,) = read_results(run / "evaluation" / "suites")
    assert result.name == "tuned"
    assert list(result.others) == ["base", "blind", "few-shot"]
    assert {name: one["accuracy"].n for name, one in result.others.items()} == dict.fromkeys(
        result.others, 6
    )
    for name, gap in result.gaps.items():
        tuned = result.scores["classify"]["accuracy"].value
        assert gap["accuracy"].value == pytest.approx(tuned - result.others[name]["accuracy"].value)
        assert gap["accuracy"].p_mcnemar is not None
    # Three classes, two scenes each: whoever always says one of them is right for a third.
    assert result.floors["majority class"]["accuracy"].value == pytest.approx(1 / 3)
    home = run / "evaluation" / "suites" / "aid"
    assert {path.parent.name for path in home.glob("*/predictions.jsonl")} == {
        "base", "blind", "few-shot"}  # fmt: skip
    table = said("evaluate", run, "--suite", "aid", "--data", scenes)
    assert "few-shot" in table
    assert "paired" in table


def test_few_shot_examples_are_of_the_train_part_and_show_no_picture_that_is_asked(scenes):
    asked = ask(shipped()["aid"], scenes / "aid")
    examples = shots(asked, scenes / "aid")
    assert sorted(one.text("assistant") for one in examples) == ["blue", "green", "red"]
    names = {Path(one.images[0].path).name for one in examples}
    assert names == {"6.png", "7.png", "8.png"}
    (scenes / "aid" / "splits" / "train.txt").unlink()
    (scenes / "aid" / "splits" / "test.txt").unlink()
    assert shots(ask(shipped()["aid"], scenes / "aid"), scenes / "aid") == []


def test_a_side_without_examples_is_said_and_the_others_go_on(tmp_path, scenes):
    (scenes / "aid" / "splits" / "train.txt").unlink()
    (scenes / "aid" / "splits" / "test.txt").unlink()
    chosen = recipe('evaluation.systems=["few-shot", "tuned"]')
    wanted = [(shipped()["aid"], scenes / "aid")]
    (result,) = evaluate("swath-nano", chosen, wanted, tmp_path / "out", limit=2)
    assert result.others == {}
    assert result.notes["not asked"] == {
        "few-shot swath-nano": "no training example of task 'classify'"
    }


def test_shards_put_together_are_the_whole_to_the_byte(tmp_path, captions):
    wanted = [(shipped()["rsicd"], captions / "rsicd")]
    evaluate("swath-nano", recipe(), wanted, tmp_path / "whole")
    for shard in ("1/4", "2/4", "3/4", "4/4"):
        assert evaluate("swath-nano", recipe(), wanted, tmp_path / "parts", shard=shard) == []
    assert not (tmp_path / "parts" / "rsicd" / "scores.json").exists()
    replies = sorted((tmp_path / "parts" / "rsicd").glob("replies-*"))
    # Six questions: 1, 2, 1 and 2 of them, each file under a first line of its own.
    assert [len(file.read_text().splitlines()) - 1 for file in replies] == [1, 2, 1, 2]
    evaluate("swath-nano", recipe(), wanted, tmp_path / "parts")
    for name in ("predictions.jsonl", "scores.json"):
        one, two = (tmp_path / folder / "rsicd" / name for folder in ("whole", "parts"))
        assert one.read_bytes() == two.read_bytes()
    # Nothing was asked again: the whole's own journal stays empty, but for its first line.
    assert len((tmp_path / "parts" / "rsicd" / "replies.jsonl").read_text().splitlines()) <= 1


def test_a_stopped_evaluation_goes_on_where_it_stopped(tmp_path, captions, monkeypatch):
    asked, real = [], LocalEngine._generate

    def counting(self, batch, *rest):
        if len(asked) == 1 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt
        asked.append(len(batch))
        return real(self, batch, *rest)

    stopped = []
    monkeypatch.setattr(LocalEngine, "_generate", counting)
    wanted = [(shipped()["rsicd"], captions / "rsicd")]
    small = recipe("evaluation.batch_size=2")
    with pytest.raises(KeyboardInterrupt):
        evaluate("swath-nano", small, wanted, tmp_path / "out")
    (result,) = evaluate("swath-nano", small, wanted, tmp_path / "out")
    assert len(asked) > 1 and sum(asked) == len(result.predictions)


@pytest.mark.parametrize(
    ("model", "names", "titles"),
    [
        ("swath-nano", ["tuned"], ["swath-nano"]),
        ("/models/mine", ["tuned", "blind"], ["blind mine", "mine"]),
        ("http://h/v1#m", ["tuned", "blind"], ["blind m (h)", "m (h)"]),
        ("mine", ["http://h/v1#m", "tuned"], ["m (h)", "mine"]),
    ],
)
def test_what_is_no_run_has_its_own_sides(model, names, titles):
    found = systems_asked(model, recipe(f"evaluation.systems={json.dumps(names)}"))
    assert [one.title for one in found] == titles
    with pytest.raises(RequestError, match=r"is no run, so there is no base.*swath report A B"):
        systems_asked(model, recipe('evaluation.systems=["base"]'))


def test_boxes_of_the_train_part_become_examples_with_boxes(tmp_path):
    row = {"image": "a.png", "phrase": "ship", "bbox": [1, 2, 3, 4], "ground_truth": "ship"}
    rectangle(tmp_path / "a.png")
    rectangle(tmp_path / "b.png")
    rows = [row, {**row, "image": "b.png", "split": "train"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    suite = Suite(name="mine", title="Mine", task="refer", reader="rows", prompt="{phrase}?",
                  metric="acc@0.5", split="test")  # fmt: skip
    (one,) = shots(ask(suite, tmp_path), tmp_path)
    (box,) = one.turns[-1].parts
    assert box.boxes.hbb.tolist() == [[1, 2, 3, 4]]
