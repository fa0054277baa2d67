"""The five systems from end to end: each recipe's true architecture, small and random.

`swath quickstart --recipe NAME --tiny` is the longer form of the same.
"""

import shutil

import pytest

import swath
from swath.experiment import Experiment
from swath.export.huggingface import export
from swath.files import read_json, read_losses
from swath.recipes import load_recipe
from tests.making import annotated, rectangle

SHORT = [
    "annotations.drawn.count=16",
    "annotations.limit=16",
    "tuning.threads=1",
    "tuning.precision=fp32",
    "evaluation.split=train",
    "evaluation.max_new_tokens=24",
    "evaluation.resamples=10",
    "evaluation.captions_limit=4",
    "export.prove_on=4",
]
SYSTEMS = {
    # recipe: (steps of each stage, tasks it is evaluated on, a question)
    "satgpt": ((80,), {"caption", "question", "classify"}, "What kind of scene is this?"),
    "pixtral-aid": ((40, 6), {"classify"}, "What kind of scene is this?"),
    "geochat": (
        (60, 8, 8),
        {"classify", "question", "refer", "ground", "identify", "region", "describe", "caption"},
        "[refer] where is <p>the ship</p> ?",
    ),
    "skyeyegpt": (
        (60, 8, 8),
        {"classify", "caption", "question", "refer", "ground", "identify", "region", "count"},
        "[caption] describe this image briefly.",
    ),
    "remoteglm": ((60, 8), {"caption", "classify", "count"}, "请描述这张遥感图像。"),
}


def tuned(name, folder, *more) -> Experiment:
    """A short tiny run of a recipe."""
    stages = []
    for number, steps in enumerate(SYSTEMS[name][0]):
        stages += [f"tuning.stages.{number}.steps={steps}", f"tuning.stages.{number}.batch_size=4"]
    recipe = load_recipe(name, [*SHORT, *stages, *more], tiny=True)
    experiment = Experiment(recipe, folder / recipe.name)
    experiment.tune()
    return experiment


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_builds_tunes_evaluates_answers_and_exports(name, tmp_path):
    _, tasks, question = SYSTEMS[name]
    experiment = tuned(name, tmp_path)
    losses = [row["text"] for row in read_losses(experiment.folder)]
    assert sum(losses[-5:]) / 5 < 0.3 * losses[0]
    run = read_json(experiment.folder / "run.json")
    assert run["proof"] == {"questions": 8, "same": 8}
    answers = experiment.evaluate("tuned")
    assert {one.task for one in answers} == tasks
    reply = swath.load(experiment.folder).ask(rectangle(tmp_path / "a.png"), question)
    exported = tmp_path / "exported"
    asked = len(experiment.set().split("test"))
    assert asked > 2 and export(experiment.folder, exported, prove_on=4) == min(4, asked)
    again = swath.load(exported).ask(tmp_path / "a.png", question)
    assert (again.text, again.boxes is None) == (reply.text, reply.boxes is None)


def test_skyeyegpt_reads_frame_sequences(tmp_path):
    experiment = tuned(
        "skyeyegpt",
        tmp_path,
        "annotations.drawn.frames=3",
        "instructions.tasks=[caption]",
        "tuning.stages.0.steps=4",
        "tuning.stages.1.steps=2",
        "tuning.stages.2.steps=2",
    )
    (one, *_) = experiment.set().split("train")
    assert len(one.images) == 3
    assert experiment.evaluate("tuned")
    pictures = [rectangle(tmp_path / f"{n}.png", (n, n, n + 9, n + 9)) for n in range(3)]
    assert swath.load(experiment.folder).ask(pictures, "[caption] what happens?").text is not None


def test_pixtral_answers_with_valid_labels_by_construction(tmp_path):
    images = annotated(tmp_path / "images", 12)
    folder = tmp_path / "classes"
    for image in images:
        target = folder / image.label / f"{image.id}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image.path, target)
    experiment = tuned(
        "pixtral-aid",
        tmp_path,
        f"annotations.source={folder}",
        "tuning.stages.0.steps=2",
        "tuning.stages.1.steps=2",
    )
    answers = experiment.evaluate("tuned")
    assert {one.label for one in answers} <= {"red land", "green land", "blue land"}
    assert not any(one.unreadable for one in answers)
    assert all(
        one.answer.startswith('```json\n{"image_description": "An aerial') for one in answers
    )
