"""An experiment: one folder that a recipe's verbs fill, stage by stage.

    runs/<name>/set/         images.jsonl, conversations.jsonl, card.json      (build)
    runs/<name>/             recipe.yaml, run.json, losses.jsonl, model/       (tune)
    runs/<name>/evaluation/  base/, tuned/: replies, predictions, scores       (evaluate)
    runs/<name>/report.html                                                    (report)

Each verb reads what the one before left there and can be run again.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from swath.annotations.finding import LEAKS, Finding
from swath.annotations.gather import gather
from swath.annotations.ledger import ledger, verdict
from swath.annotations.lint import lint, readable, usable
from swath.annotations.readers import check_classes
from swath.errors import AnnotationError, EvaluationError, FormatError, ModelError, RequestError
from swath.evaluation import baselines
from swath.evaluation.asking import answers_from, part_of, stop_score
from swath.evaluation.predictions import Prediction, read_predictions, write_predictions
from swath.evaluation.reading import Labels
from swath.evaluation.report import ReportRun, write_report
from swath.evaluation.score import read_scores, score, write_scores
from swath.evaluation.sides import engine, side, sides
from swath.evaluation.suites.running import read_results
from swath.files import read_json, write_text
from swath.imagery.scene import open_scene
from swath.instructions import review
from swath.instructions.builder import InstructionSet, build, read_set, write_set
from swath.instructions.conversation import Conversation
from swath.instructions.mixing import CONVERSE
from swath.models.loading import RUN_FILE
from swath.recipe import Recipe, Rendering
from swath.recipes import dump, load_recipe
from swath.tuning.plan import Plan, plan
from swath.tuning.run import Parts, another_run, fingerprint, read_losses, started, tune
from swath.tuning.trainer import Report

Progress = Callable[[int, int], None]
LATE_SECTIONS = ("evaluation.", "export.")
"""Sections that do not change a finished run."""

PICTURE_PX = 720
"""Longest side of a picture in the report before it is made small."""

MANY_SCENES = 4000
"""More scenes than this are drawn by a process a core; fewer are not worth the processes."""


@dataclass(frozen=True)
class Checked:
    """What `swath check` found.

    Args:
        images: split to number of images.
        findings: of lint and leakage.
        leaks: how many of them put what is tested into what is trained on.
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
    def of_run(cls, folder: Path | str, overrides: Sequence[str] = ()) -> Experiment:
        """The experiment in a folder that `tune` has filled.

        Args:
            folder: `runs/<name>`.
            overrides: keys of `evaluation` or `export`, kept in the run's recipe; the others
                made the model what it is.

        Raises:
            FormatError: there is no run in it.
            RequestError: an override is of another section.
        """
        folder = Path(folder)
        if not (folder / RUN_FILE).is_file():
            raise FormatError(f"{folder}: no run here; `swath tune RECIPE` makes one.")
        for override in overrides:
            if not override.startswith(LATE_SECTIONS):
                raise RequestError(
                    f"'{override}': a run is tuned already; only {' and '.join(LATE_SECTIONS)} "
                    f"keys can still change. Tune anew under another name."
                )
        recipe = load_recipe(folder / "recipe.yaml", overrides)
        if overrides:
            sides(recipe)  # a mistyped one is not kept
            write_text(folder / "recipe.yaml", dump(recipe))
        return cls(recipe, folder)

    def check(self, progress: Progress | None = None) -> Checked:
        """Lint and leakage of the recipe's images.

        Raises:
            AnnotationError: nothing usable is there.
        """
        gathered = self._gather(None)
        images = gathered.images
        findings = [*lint(images, progress), *gathered.found]
        return Checked(
            dict(Counter(str(image.split) for image in images)),
            tuple(findings),
            sum(finding.kind in LEAKS for finding in findings),
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
            findings = [*lint(images, progress), *gathered.found]
            images = readable(images, findings, recipe.annotations.unreadable)
            leaks = [finding for finding in findings if finding.kind in LEAKS]
            if leaks and not recipe.annotations.allow_leakage:
                raise AnnotationError(
                    f"{len(leaks)} pictures stand in train and test alike, first {leaks[0].where} "
                    f"({leaks[0].what}); `swath check` lists them. Now {leaks[0].action}, or say "
                    f"annotations.allow_leakage=true, which every report will repeat."
                )
            images = tuple(map(usable, images))
            notes["findings"] = [asdict(finding) for finding in findings]
            notes["leaks"] = len(leaks)
        if recipe.instructions.writer is not None:
            from swath.instructions import writer

            section, cache = recipe.instructions.writer, self.folder / "writer.jsonl"
            images = tuple(writer.rewrite_captions(images, section, cache, progress))
            notes["captions"] = writer.note(section)
        notes["ledger"] = rows = ledger(images)
        notes["use"] = verdict(rows)
        reviewed = review.Review(self.folder / review.FILE)
        built = build(images, recipe.instructions, recipe.seed, notes, reviewed.replayed)
        reviewed.close()
        if state := review.state(reviewed.path):
            built.card["review"] = {**reviewed.counts, "digest": state}
        Labels(built.labels)  # refuses classes that no answer could tell apart
        if self._run_of_another(built):
            raise another_run(self.folder)
        write_set(self.folder / "set", images, built)
        return built

    def set(self, progress: Progress | None = None) -> InstructionSet:
        """The set as it was built, built now if it was not or the recipe asks for another."""
        if (self.folder / "set" / "card.json").is_file():
            built = read_set(self.folder / "set")
            asked = self.recipe.model_dump(mode="json")
            said = built.card.get("review", {}).get("digest", "")
            if said == review.state(self.folder / review.FILE) and all(
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
            self.forget()
        elif (self.folder / RUN_FILE).is_file():
            self._refuse_another()
        built = self.set(progress)
        score = stop_score(built, self.recipe)
        return tune(built, self.recipe, self.folder, report, parts, score=score)

    def forget(self) -> None:
        """Remove the run, its answers and its report; the set stays."""
        for name in ("model", "adapter", "stages", "evaluation"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in (RUN_FILE, "losses.jsonl", "report.html"):
            (self.folder / name).unlink(missing_ok=True)

    def tuned_set(self) -> InstructionSet:
        """The set that the run was tuned on.

        Raises:
            ModelError: the run has not finished.
            EvaluationError: the set was built anew since; what was trained on may now be in test.
        """
        run = read_json(self.folder / RUN_FILE)
        if not run["finished"]:
            raise ModelError(
                f"{self.folder}: this run has not finished; `swath tune` continues it."
            )
        built = read_set(self.folder / "set")
        if fingerprint(built, self.recipe) != run["fingerprint"]:
            raise EvaluationError(
                f"{self.folder}/set is not the set this model was tuned on, so its test pictures "
                f"may have been trained on; build the old one again or tune anew with --fresh."
            )
        return built

    def _run_of_another(self, built: InstructionSet) -> bool:
        if not (self.folder / RUN_FILE).is_file():
            return False
        run = read_json(self.folder / RUN_FILE)
        return started(self.folder, run) and run["fingerprint"] != fingerprint(built, self.recipe)

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
        """What is compared: "base" too, unless the recipe starts from nothing or says others."""
        return sides(self.recipe)

    def evaluate(
        self, name: str, progress: Progress | None = None, shard: str | None = None
    ) -> list[Prediction]:
        """Ask a side the test questions; write answers and scores.

        Replies are kept as they come, so what was stopped is continued, and what was answered is
        not asked again.

        Args:
            name: of the side, see `swath.evaluation.sides`.
            shard: "1/3" asks the first third alone and writes replies only; once all are there,
                evaluating without it puts them together.
        """
        recipe, section, built = self.recipe, self.recipe.evaluation, self.tuned_set()
        asked = self.questions(built)
        folder = self.folder / "evaluation" / side(name).folder
        replies = folder / (
            f"replies-{shard.replace('/', '-of-')}.jsonl" if shard else "replies.jsonl"
        )
        if shard:
            asked = part_of(asked, shard)
        answering = engine(side(name), recipe, self.folder, replies, built.split("train"))
        answers = answers_from(answering, asked, built, recipe, progress)
        if shard:
            return answers
        write_predictions(folder / "predictions.jsonl", answers)
        scores = score(answers, built.labels, section.resamples, recipe.seed)
        write_scores(folder / "scores.json", answers, built.labels, scores, section.resamples)
        return answers

    def questions(self, built: InstructionSet) -> list[Conversation]:
        """The conversations that evaluation asks.

        Raises:
            EvaluationError: the split holds none.
        """
        section = self.recipe.evaluation
        asked = [one for one in built.split(section.split) if one.task != CONVERSE]
        if not asked:
            raise EvaluationError(
                f"the set has no '{section.split}' rows; see annotations.split or evaluation.split."
            )
        if section.captions_limit is not None:
            captions = [one for one in asked if one.task == "caption"]
            # Evenly over the set, whose order is often that of the classes.
            limit = min(section.captions_limit, len(captions))
            kept = {captions[place * len(captions) // limit].id for place in range(limit)}
            asked = [one for one in asked if one.task != "caption" or one.id in kept]
        return asked

    def runs(self) -> list[ReportRun]:
        """The sides as they were evaluated.

        Raises:
            EvaluationError: `evaluate` has not been run.
        """
        runs = []
        for name in self.sides:
            folder = self.folder / "evaluation" / side(name).folder
            if not (folder / "scores.json").is_file():
                raise EvaluationError(
                    f"{folder}: not evaluated yet; run `swath evaluate {self.folder}` first."
                )
            tuned = name == "tuned"
            stages = read_json(self.folder / RUN_FILE)["stages"] if tuned else []
            runs.append(
                ReportRun(
                    name=side(name).title,
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

    def report(self, command: str, to: Path | None = None) -> Path:
        """Write `report.html`, or the file `to`, from what evaluation left."""
        built = self.tuned_set()
        path = to or self.folder / "report.html"
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
            open_image=partial(_rgb, rendering=self.recipe.imagery.rendering),
            resamples=self.recipe.evaluation.resamples,
            suites=read_results(self.folder / "evaluation" / "suites"),
        )
        return path

    def _gather(self, progress: Progress | None) -> Any:
        recipe = self.recipe
        drawn = recipe.annotations.drawn
        many = drawn is not None and drawn.count > MANY_SCENES
        workers = len(os.sched_getaffinity(0)) if many and hasattr(os, "sched_getaffinity") else 1
        drawings, frames = self.folder / "drawn", recipe.imagery.frames
        return gather(recipe.annotations, recipe.seed, drawings, progress, workers, frames)


def _rgb(path: str, rendering: Rendering) -> Any:
    from PIL import Image

    scene = open_scene(path)
    scale = min(1.0, PICTURE_PX / max(scene.size_wh))
    width, height = (max(1, round(side * scale)) for side in scene.size_wh)
    return Image.fromarray(scene.read_rgb(size_wh=(width, height), rendering=rendering))
