"""An experiment: one folder that a recipe's verbs fill, stage by stage.

    runs/<name>/set/         images.jsonl, conversations.jsonl, card.json      (build)
    runs/<name>/             recipe.yaml, run.json, losses.jsonl, model/       (tune)
    runs/<name>/evaluation/  base/ and tuned/: predictions.jsonl, scores.json  (evaluate)
    runs/<name>/report.html                                                    (report)

Each verb reads what the one before left there and can be run again.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swath.annotations.gather import gather
from swath.annotations.lint import Finding, lint
from swath.annotations.readers import check_classes
from swath.errors import AnnotationError, EvaluationError, FormatError
from swath.evaluation import baselines
from swath.evaluation.predictions import Prediction, read_predictions, write_predictions
from swath.evaluation.report import ReportRun, write_report
from swath.evaluation.runner import predict
from swath.evaluation.score import read_scores, score, write_scores
from swath.files import read_json
from swath.imagery.scene import open_scene
from swath.instructions.builder import InstructionSet, build, read_set, write_set
from swath.models.engine import LocalEngine
from swath.models.loading import RUN_FILE, load, load_base
from swath.recipe import Recipe, dump, load_recipe
from swath.tuning.plan import Plan, plan
from swath.tuning.run import Parts, another_run, read_losses, tune
from swath.tuning.trainer import Report

Progress = Callable[[int, int], None]
SIDES = ("base", "tuned")
MANY_SCENES = 4000
"""More scenes than this are drawn by a process a core; fewer are not worth the processes."""


@dataclass(frozen=True)
class Checked:
    """What `swath check` found.

    Args:
        images: split to number of images.
        findings: of lint and leakage.
        leaks: how many of them put the same picture into train and test.
    """

    images: dict[str, int]
    findings: tuple[Finding, ...]
    leaks: int


class Experiment:
    """One recipe's folder.

    Args:
        recipe: what is done.
        folder: `runs/<name>`.
    """

    def __init__(self, recipe: Recipe, folder: Path | str) -> None:
        self.recipe = recipe
        self.folder = Path(folder)

    @classmethod
    def of_run(cls, folder: Path | str) -> Experiment:
        """The experiment in a folder that `tune` has filled.

        Raises:
            FormatError: there is no run in it.
        """
        folder = Path(folder)
        if not (folder / RUN_FILE).is_file():
            raise FormatError(f"{folder}: no run here; `swath tune RECIPE` makes one.")
        return cls(load_recipe(folder / "recipe.yaml"), folder)

    def check(self, progress: Progress | None = None) -> Checked:
        """Lint and leakage of the recipe's images.

        Raises:
            AnnotationError: nothing usable is there.
        """
        images = self._gather(None).images
        findings = lint(images, progress)
        return Checked(
            dict(Counter(str(image.split) for image in images)),
            tuple(findings),
            sum(finding.kind == "leak" for finding in findings),
        )

    def plan(self, progress: Progress | None = None) -> Plan:
        """What tuning would train here, how long it would take and what it would hold."""
        return plan(self.set(progress), self.recipe)

    def build(self, progress: Progress | None = None) -> InstructionSet:
        """Make the instruction set and write it to `set/`.

        Raises:
            AnnotationError: nothing usable is there, or the same picture is in train and test.
        """
        recipe = self.recipe
        gathered = self._gather(progress)
        images = gathered.images
        notes: dict[str, Any] = {
            **gathered.notes,
            "annotations": recipe.annotations.model_dump(mode="json"),
        }
        if recipe.annotations.drawn is None:
            if "classify" in recipe.instructions.tasks and any(image.label for image in images):
                check_classes(images)
            findings = lint(images, progress)
            leaks = [finding for finding in findings if finding.kind == "leak"]
            if leaks and not recipe.annotations.allow_leakage:
                raise AnnotationError(
                    f"{len(leaks)} pictures stand in train and test alike, first {leaks[0].where} "
                    f"({leaks[0].what}); `swath check` lists them. Remove them, or say "
                    f"annotations.allow_leakage=true, which every report will repeat."
                )
            notes["findings"] = [asdict(finding) for finding in findings]
            notes["leaks"] = len(leaks)
        built = build(images, recipe.instructions, recipe.seed, notes)
        write_set(self.folder / "set", images, built)
        return built

    def set(self, progress: Progress | None = None) -> InstructionSet:
        """The set as it was built, built now if it was not or the recipe asks for another."""
        if (self.folder / "set" / "card.json").is_file():
            built = read_set(self.folder / "set")
            asked = self.recipe.model_dump(mode="json")
            if all(
                built.card[key] == asked[key] for key in ("annotations", "instructions", "seed")
            ):
                return built
        return self.build(progress)

    def tune(
        self,
        report: Report | None = None,
        parts: Parts | None = None,
        progress: Progress | None = None,
        fresh: bool = False,
    ) -> Path:
        """Tune the model; an interrupted run continues. See `swath.tuning.run.tune`.

        Args:
            fresh: forget a run that is in the folder; the set stays.
        """
        if fresh:
            for name in ("model", "adapter", "stages", "evaluation"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            for name in (RUN_FILE, "losses.jsonl", "report.html"):
                (self.folder / name).unlink(missing_ok=True)
        elif (self.folder / RUN_FILE).is_file():
            self._refuse_another()
        return tune(self.set(progress), self.recipe, self.folder, report, parts)

    def _refuse_another(self) -> None:
        """Before the set is built anew under a run that was tuned on the old one."""
        old, new = load_recipe(self.folder / "recipe.yaml"), self.recipe
        if (old.annotations, old.instructions, old.seed) != (
            new.annotations,
            new.instructions,
            new.seed,
        ):
            raise another_run(self.folder)

    @property
    def sides(self) -> tuple[str, ...]:
        """What can be compared: "base" too, unless the recipe starts from nothing."""
        return SIDES if self.recipe.models.weights == "pretrained" else ("tuned",)

    def evaluate(self, side: str, progress: Progress | None = None) -> list[Prediction]:
        """Ask the test questions of the base or the tuned model; write answers and scores."""
        recipe, section, built = self.recipe, self.recipe.evaluation, self.set()
        loaded = load(self.folder) if side == "tuned" else load_base(recipe.models, (), recipe.seed)
        engine = LocalEngine(
            loaded,
            batch_size=section.batch_size,
            views=section.views,
            threads=recipe.tuning.threads,
        )
        answers = predict(
            engine,
            self.questions(built),
            built.labels,
            built.choices if section.closed else {},
            section.max_new_tokens,
            progress,
        )
        folder = self.folder / "evaluation" / side
        write_predictions(folder / "predictions.jsonl", answers)
        scores = score(answers, built.labels, section.resamples, recipe.seed)
        write_scores(folder / "scores.json", answers, built.labels, scores, section.resamples)
        return answers

    def questions(self, built: InstructionSet) -> list[Any]:
        """The conversations that evaluation asks.

        Raises:
            EvaluationError: the split holds none.
        """
        section = self.recipe.evaluation
        asked = built.split(section.split)
        if not asked:
            raise EvaluationError(
                f"the set has no '{section.split}' rows; see annotations.split or evaluation.split."
            )
        if section.captions_limit is not None:
            captions = [one for one in asked if one.task == "caption"]
            dropped = {one.id for one in captions[section.captions_limit :]}
            asked = [one for one in asked if one.id not in dropped]
        return asked

    def runs(self) -> list[ReportRun]:
        """Base and tuned as they were evaluated.

        Raises:
            EvaluationError: `evaluate` has not been run.
        """
        runs = []
        for side in self.sides:
            folder = self.folder / "evaluation" / side
            if not (folder / "scores.json").is_file():
                raise EvaluationError(
                    f"{folder}: not evaluated yet; run `swath evaluate {self.folder}` first."
                )
            tuned = side == "tuned"
            stages = read_json(self.folder / RUN_FILE)["stages"] if tuned else []
            runs.append(
                ReportRun(
                    name=side,
                    predictions=list(read_predictions(folder / "predictions.jsonl")),
                    scores=read_scores(folder / "scores.json"),
                    losses=read_losses(self.folder) if tuned else (),
                    seconds=sum(stage["seconds"] for stage in stages) if tuned else None,
                )
            )
        return runs

    def baselines(self) -> dict[str, Sequence[Prediction]]:
        """What asks nothing of any picture: the commonest class, the mean box and the like."""
        built = self.set()
        return dict(baselines.blind(built.split("train"), self.questions(built)))

    def report(self, command: str) -> Path:
        """Write `report.html` from what evaluation left."""
        built = self.set()
        path = self.folder / "report.html"
        write_report(
            path,
            self.recipe.name,
            self.runs(),
            built.labels,
            self.baselines(),
            recipe=dump(self.recipe),
            card=built.card,
            versions=read_json(self.folder / RUN_FILE)["versions"],
            command=command,
            open_image=_rgb,
            resamples=self.recipe.evaluation.resamples,
        )
        return path

    def _gather(self, progress: Progress | None) -> Any:
        recipe = self.recipe
        drawn = recipe.annotations.drawn
        many = drawn is not None and drawn.count > MANY_SCENES
        workers = len(os.sched_getaffinity(0)) if many and hasattr(os, "sched_getaffinity") else 1
        return gather(recipe.annotations, recipe.seed, self.folder / "drawn", progress, workers)


def _rgb(path: str) -> Any:
    from PIL import Image

    return Image.fromarray(open_scene(path).read_rgb())
