"""Sound files that mutations begin from, and what reads each of them."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

from swath.annotations.contents import refuse_changed
from swath.annotations.image import read_images
from swath.annotations.lint import lint
from swath.annotations.readers import read_sound
from swath.dialect import DIALECTS, holds_boxes, recognised
from swath.evaluation.external.answer_files import read_answers
from swath.evaluation.external.detections import read_detections, score_detections
from swath.evaluation.external.matching_questions import match
from swath.evaluation.external.stated_truths import from_file
from swath.evaluation.predictions import read_predictions, unanswered, write_predictions
from swath.evaluation.scoring import score, write_scores
from swath.evaluation.suites.table import chosen
from swath.experiment import Experiment
from swath.files import read_losses, write_json, write_jsonl
from swath.models.templates import TEMPLATES, ending, serves
from swath.recipes import load_recipe, shipped_recipes
from tests.making import annotated, small_set, tiny_recipe, write_set
from tests.test_docs import EXAMPLES, lay_out

SIZE_WH = (800, 600)

TEXTS = [
    "{<10><20><30><40>|<5>}", "[0.10, 0.25, 0.40, 0.38]", "<box>(100,250),(400,375)</box>",
    '[{"bbox_2d": [10, 20, 40, 30], "label": "ship"}]', "<loc0010><loc0020><loc0300><loc0400>",
    "<loc_1><loc_2><loc_3><loc_4>", "[[10, 20, 30, 40, 90]]", "[[010,020,300,400]]",
]  # fmt: skip

ANSWERS = {
    "aid": ("a.jsonl", {"question_id": "1", "image": "p.jpg", "answer": "port",
                        "ground_truth": "port"}),
    "rsvqa-lr": ("q.jsonl", {"question_id": 2, "image": "i.tif", "question": "how many?",
                             "answer": "yes", "ground_truth": "no", "type": "presence"}),
    "geochat-refer": ("r.jsonl", {"image_id": "p", "question": "[refer] the ship", "question_id": 1,
                                  "answer": "{<10><20><30><40>|<5>}", "dataset": "SOTA",
                                  "ground_truth": [[10, 20, 30, 20, 30, 40, 10, 40]]}),
    "dior-rsvg": ("g.json", {"id": "7", "image": "p.jpg", "answer": "[0.1,0.2,0.3,0.4]",
                             "ground_truth": [10, 20, 30, 40]}),
    "vrsbench-refer": ("v.jsonl", {"question_id": 1, "image_id": "p.png",
                                   "answer": "{<1><2><3><4>}",
                                   "ground_truth": "{<1><2><3><4>}", "question": "the ship"}),
    "fmow-wilds": ("b.json", {"image_id": "1.png", "answer": "zoo", "caption0": "zoo"}),
}  # fmt: skip
"""By suite: a file's name and one of its rows."""


@dataclass(frozen=True)
class Target:
    """Something that reads files from outside.

    Args:
        name: for messages.
        folder: that holds the sound files.
        read: reads the folder.
        endings: of the files that are changed.
    """

    name: str
    folder: Path
    read: Callable[[Path], object]
    endings: tuple[str, ...] = ()

    @cached_property
    def contents(self) -> dict[Path, bytes]:
        """Every file as it was when this was first asked for."""
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        return {path: path.read_bytes() for path in files}

    @cached_property
    def files(self) -> list[Path]:
        """What is changed."""
        return [path for path in self.contents if not self.endings or path.suffix in self.endings]


def targets(home: Path) -> Iterator[Target]:
    """Every kind of file that may come from outside, laid out below a folder."""
    yield from _annotations(home / "annotations")
    yield from _answers(home / "answers")
    yield _dialects(home / "dialects")
    yield from _recipes(home / "recipes")
    yield _detections(home / "detections")
    yield _run(home / "run")
    yield _templates(home / "templates")


def _annotations(home: Path) -> Iterator[Target]:
    for example in EXAMPLES:
        _page, block = example.values
        folder = home / str(example.id)
        lay_out(block, folder, side=80 if "masks" in example.id else 800)
        yield Target(f"annotations {example.id}", folder, _read_annotations)


def _read_annotations(folder: Path) -> None:
    images = read_sound(folder).images
    lint(images, ["not looked at"] * len(images))


def _answers(home: Path) -> Iterator[Target]:
    for suite, (name, row) in ANSWERS.items():
        folder = home / suite
        folder.mkdir(parents=True)
        rows = [row | {key: f"{row[key]}{n}" for key in ("question_id", "id", "custom_id")
                       if key in row} for n in range(4)]  # fmt: skip
        text = json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows))
        (folder / name).write_text(text)
        yield Target(f"answers {suite}", folder, _scored(suite))


def _scored(suite: str) -> Callable[[Path], object]:
    ((row, _),) = chosen([suite])

    def read(folder: Path) -> None:
        (file,) = folder.iterdir()
        if read_detections(file):
            return
        asked, replies = from_file(row, read_answers(file)[1])
        matched = match(asked, replies)
        score(matched.predictions, asked.labels, resamples=0)

    return read


def _dialects(folder: Path) -> Target:
    folder.mkdir()
    (folder / "answer.txt").write_text(" ".join(TEXTS), "utf-8")

    def read(folder: Path) -> None:
        text = (folder / "answer.txt").read_bytes().decode("utf-8", "replace")
        holds_boxes(text)
        for _, dialect in DIALECTS.items():
            dialect.read(text, SIZE_WH)
        recognised([text])

    return Target("dialects", folder, read)


def _recipes(home: Path) -> Iterator[Target]:
    from swath.recipes import find_recipe

    for name in random.Random(0).sample(shipped_recipes(), 4):
        folder = home / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_bytes(find_recipe(name).read_bytes())
        yield Target(f"recipe {name}", folder, lambda folder: load_recipe(folder / "recipe.yaml"))


def _detections(folder: Path) -> Target:
    folder.mkdir()
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}],
        "categories": [{"id": 1, "name": "ship"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 15],
                         "iscrowd": 0, "area": 450, "segmentation": []}],
    }  # fmt: skip
    rows = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 15], "score": 0.9}] * 3
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(rows))

    def read(folder: Path) -> None:
        ((row, place),) = chosen([f"boxes={folder / 'truth.json'}"])
        detections = read_detections(folder / "results.json")
        if detections:
            score_detections(row, place, *detections)

    return Target("detections", folder, read)


def _run(folder: Path) -> Target:
    images = annotated(folder / "pictures", count=6, test=3)
    built = small_set(folder / "pictures", count=6, test=3)
    write_set(folder / "set", images, built)
    asked = [row for row in built.split("test") if row.task != "converse"]
    predictions = [unanswered(row) for row in asked]
    place = folder / "evaluation" / "tuned"
    write_predictions(place / "predictions.jsonl", predictions)
    scores = score(predictions, built.labels, resamples=0)
    write_scores(place / "scores.json", predictions, built.labels, scores, 0)
    recipe = tiny_recipe("swath-nano", models={"weights": "random"})
    from swath.recipes import dump
    from swath.tuning.run import fingerprint

    (folder / "recipe.yaml").write_text(dump(recipe))
    stages = [{"name": "all", "steps": 2, "seconds": 1.0}]
    record = {"base": "swath-nano", "finished": True, "fingerprint": fingerprint(built, recipe)}
    write_json(folder / "run.json", record | {"stages": stages, "versions": {"swath": "0"}})
    step = {"stage": "all", "step": 1, "steps": 2, "text": 1.0, "seconds": 0.5}
    write_jsonl(folder / "losses.jsonl", "losses", [step, step | {"step": 2}])

    def read(folder: Path) -> None:
        list(read_images(folder / "set" / "images.jsonl"))
        refuse_changed(folder / "set" / "images.jsonl", [])
        predictions = list(read_predictions(place / "predictions.jsonl"))
        score(predictions, built.labels, resamples=0)
        read_losses(folder)
        experiment = Experiment.of_run(folder)
        experiment.runs()
        experiment.questions(experiment.tuned_set())

    return Target("run", folder, read, (".json", ".jsonl", ".yaml"))


class _Tokenizer:
    """As much of a tokenizer as its chat template needs."""

    all_special_tokens = ("</s>", "<|im_end|>")

    def __init__(self, template: str) -> None:
        self.chat_template = template
        self.name_or_path = "changed"
        self.special_tokens_map = {"bos_token": "<s>", "eos_token": "</s>"}

    def get_chat_template(self) -> str:
        return self.chat_template

    def apply_chat_template(self, messages, tokenize, add_generation_prompt) -> str:
        (text,), _ = render_jinja_template(
            conversations=[messages],
            chat_template=self.chat_template,
            add_generation_prompt=add_generation_prompt,
            **self.special_tokens_map,
        )
        return text


def _templates(folder: Path) -> Target:
    folder.mkdir()
    for name in ("qwen", "vicuna"):
        (folder / f"{name}.jinja").write_text(TEMPLATES.get(name).jinja + "\n")

    def read(folder: Path) -> None:
        for file in folder.iterdir():
            tokenizer = _Tokenizer(file.read_bytes().decode("utf-8", "replace"))
            if serves(tokenizer):
                ending(tokenizer)

    return Target("templates", folder, read)
