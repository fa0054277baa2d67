"""A task that only a plugin knows is built, tuned, asked, scored, reported and reviewed."""

import pytest

from swath import registry
from swath.evaluation.metrics.base import share_of
from swath.evaluation.predictions import read_predictions
from swath.evaluation.scored_tasks import SCORED, ScoredTask
from swath.evaluation.scoring import read_scores
from swath.experiment import Experiment
from swath.files import read_json
from swath.instructions.conversation import assistant
from swath.instructions.review import Review
from swath.instructions.tasks.base import Task, ask
from swath.instructions.tasks.truths import OtherTruth
from swath.instructions.tasks.words import TASKS
from swath.recipes import validate
from tests.making import BLUE, RED, rectangle

# The plugin: one file, two entry points.


def warmth(image, setting, rng):
    """Whether the colour of an image's class is a warm one."""
    warm = "warm" if image.label == "red" else "cold"
    yield ask(
        image, "warmth", setting, "Warm or cold?", assistant(warm), OtherTruth({"warmth": warm})
    )


def right(prediction):
    return prediction.answer.strip() == prediction.truth.get("warmth")


def measures(predictions, labels=()):
    scenes = [prediction.scene for prediction in predictions]
    return {"accuracy": share_of([right(prediction) for prediction in predictions], scenes)}


def add_task(table):
    table.add("warmth", Task(warmth))


def add_score(table):
    goodness = lambda predictions: [float(right(prediction)) for prediction in predictions]  # noqa: E731
    table.add("warmth", ScoredTask("Warmth", "warmth", measures, "accuracy", goodness))


class Entry:
    def __init__(self, function):
        self.load = lambda: function


@pytest.fixture
def plugin(monkeypatch):
    """The plugin as installed; afterwards the tables are as they were."""
    entries = {"swath.tasks": [Entry(add_task)], "swath.scored_tasks": [Entry(add_score)]}
    monkeypatch.setattr(registry, "entry_points", lambda group: entries.get(group, []))
    for table in (TASKS, SCORED):
        monkeypatch.setattr(table, "_rows", dict(table._rows))
        monkeypatch.setattr(table, "_plugged", False)


def test_a_task_of_a_plugin_is_built_tuned_asked_scored_reported_and_reviewed(
    plugin, tiny_base, tmp_path
):
    for number in range(8):
        name, colour = [("red", RED), ("blue", BLUE)][number % 2]
        path = tmp_path / "own" / name / f"{number}.png"
        rectangle(path, (number, 4, number + 9, 20), (32, 32), colour)
    values = {
        "name": "own",
        "annotations": {"source": str(tmp_path / "own"), "split": {"train": 0.5, "test": 0.5}},
        "instructions": {"tasks": ["warmth"]},
        "models": {"base": str(tiny_base)},
        "tuning": {
            "stages": [{"train": ["projector"], "steps": 2, "batch_size": 4}],
            "precision": "fp32",
            "threads": 1,
        },
        "evaluation": {"max_new_tokens": 4, "resamples": 20},
    }
    experiment = Experiment(validate(values, "own.yaml"), tmp_path / "runs" / "own")
    built = experiment.build()
    assert {row.task for row in built.conversations} == {"warmth"}
    assert {row.truth.get("warmth") for row in built.conversations} == {"warm", "cold"}

    experiment.tune()
    for system in experiment.systems:
        experiment.evaluate(system)
    folder = experiment.folder / "evaluation" / "tuned"
    predictions = list(read_predictions(folder / "predictions.jsonl"))
    score = read_scores(folder / "scores.json")["warmth"]["accuracy"]
    assert score.n == len(predictions) == len(built.split("test"))
    assert score.value == sum(map(right, predictions)) / score.n

    page = experiment.report("swath report own").read_text()
    assert "Warmth" in page and "Warm or cold?" in page
    report = read_json(experiment.folder / "report.json")
    assert set(report["runs"]["tuned"]["tasks"]) == {"warmth"}

    review = Review(tmp_path / "review.jsonl")
    row = built.conversations[0]
    review.give(row, "correct", [{"text": "hot"}])
    assert review.replayed([row])[0].text("assistant") == "hot"
    review.close()
