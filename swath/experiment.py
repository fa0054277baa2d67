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
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from swath.building import Building, Progress
from swath.endpoint import is_address
from swath.errors import EvaluationError, ModelError, RequestError
from swath.evaluation.answering import answers_from, evenly, held_questions, part_of, stop_score
from swath.evaluation.metrics.certainty import threshold
from swath.evaluation.predictions import Prediction, read_predictions, write_predictions
from swath.evaluation.report.gallery import rendered
from swath.evaluation.report.record import ReportRun
from swath.evaluation.scored_tasks import guessed
from swath.evaluation.scoring import read_scores, score, write_scores
from swath.evaluation.slices import gsd_of
from swath.evaluation.suites.running import read_results
from swath.evaluation.systems import engine, system_named, systems_of, unmeasured
from swath.files import (
    LOSSES,
    MARK,
    RUN_FILE,
    claim,
    lock,
    read_losses,
    read_record,
    refuse_foreign,
    refuse_no_run,
    write_text,
)
from swath.folder_kinds import refuse_no_runs_folder
from swath.instructions.builder import InstructionSet, read_set
from swath.instructions.conversation import Conversation
from swath.instructions.turns import CONVERSE
from swath.recipes import dump, load_recipe
from swath.tuning import processes
from swath.tuning.plan import Plan, plan, plan_on
from swath.tuning.run import Parts, another_run, fingerprint, tune
from swath.tuning.samples import SAMPLES, sampler
from swath.tuning.trainer import Report

LATE_SECTIONS = ("evaluation.", "export.")
"""Sections that do not change a finished run."""

VALIDATION = "validation.jsonl"
"""Closed answers and boxes on the validation split, beside a system's predictions."""


LOCK = ".lock"
"""Held in a run's folder while it is tuned; the system opens it when the process ends."""


class Experiment(Building):
    """One recipe's folder, from its set to its report.

    Args:
        recipe: what is done.
        folder: `runs/<name>`.
    """

    unnamed: frozenset[str] = frozenset()
    """Addresses that a run's own recipe names and the user did not: they are sent no key."""

    @classmethod
    def of_run(cls, folder: Path | str, overrides: Sequence[str] = ()) -> Experiment:
        """The experiment in a folder that `tune` has filled.

        Args:
            folder: `runs/<name>`.
            overrides: keys of `evaluation` or `export`, kept in the run's recipe; the others
                made the model what it is.

        Raises:
            RequestError: there is no run in it, or an override is of another section.
        """
        folder = Path(folder)
        refuse_no_run(folder)
        for override in overrides:
            if not override.startswith(LATE_SECTIONS):
                raise RequestError(
                    f"'{override}': a run is tuned already; only {' and '.join(LATE_SECTIONS)} "
                    f"keys can still change. Tune anew under another name."
                )
        recipe = load_recipe(folder / "recipe.yaml", overrides)
        if overrides:
            systems_of(recipe)  # a mistyped one is not kept
            write_text(folder / "recipe.yaml", dump(recipe))
        experiment = cls(recipe, folder)
        unnamed = set()
        for name in systems_of(recipe):
            who = system_named(name).who
            if is_address(who) and not any(who in text for text in overrides):
                unnamed.add(who)
        experiment.unnamed = frozenset(unnamed)
        return experiment

    def refuse_unnamed(self, name: str) -> None:
        """Send no key to an address that only the run's recipe names: it may be someone else's.

        Args:
            name: of the system that is about to be asked.

        Raises:
            RequestError: the environment holds the key that the recipe says to send there.
        """
        who = system_named(name).who
        variable = self.recipe.evaluation.remote.key
        if who in self.unnamed and os.environ.get(variable):
            raise RequestError(
                f"{self.folder}/recipe.yaml, not you, says to send {variable} to {who}; if you "
                f"want that, name the address: "
                f"swath evaluate {self.folder} 'evaluation.systems={list(self.systems)}'"
            )

    def plan(
        self, progress: Progress | None = None, card: str | None = None, cards: int = 1
    ) -> Plan:
        """What tuning would train here or on cards, how long it would take and what it holds."""
        if card is not None:
            return plan_on(card, cards, self.recipe, self.set(progress))
        return plan(self.set(progress), self.recipe)

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

        Raises:
            RequestError: another process tunes this run.
        """
        processes.join()
        if not processes.first():
            return self._tune(report, parts, progress, fresh)
        if not self.folder.is_dir():
            claim(self.folder)
        refusal = f"{self.folder}: another process tunes this run; wait for it, or end it."
        with closing(lock(self.folder / LOCK, refusal)):
            return self._tune(report, parts, progress, fresh)

    def _tune(
        self, report: Report | None, parts: Parts | None, progress: Progress | None, fresh: bool
    ) -> Path:
        built = None
        if processes.first():
            if fresh:
                self.forget()
            elif (self.folder / RUN_FILE).is_file():
                self._refuse_another()
            built = self.set(progress)
        processes.wait()
        built = built or self.set()
        score = stop_score(built, self.recipe, self.folder / "evaluation" / "features")
        return tune(
            built,
            self.recipe,
            self.folder,
            report,
            parts,
            sampler(built, self.recipe.tuning, self.folder),
            score,
        )

    def forget(self) -> None:
        """Remove the run, its answers and its report; the set stays.

        Raises:
            RequestError: there is something else in its folder, and no run.
        """
        refuse_no_runs_folder(self.folder)
        refuse_foreign(self.folder, RUN_FILE, MARK, "*/card.json")
        for name in ("model", "adapter", "stages", "evaluation"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in (RUN_FILE, LOSSES, SAMPLES, "report.html", "report.json"):
            (self.folder / name).unlink(missing_ok=True)

    def tuned_set(self) -> InstructionSet:
        """The set that the run was tuned on.

        Raises:
            ModelError: the run has not finished.
            EvaluationError: the set was built anew since; what was trained on may now be in test.
        """
        run = read_record(self.folder)
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
    def systems(self) -> tuple[str, ...]:
        """What is compared: "base" too, unless the recipe starts from nothing or says others."""
        return systems_of(self.recipe)

    def evaluate(
        self, name: str, progress: Progress | None = None, shard: str | None = None
    ) -> list[Prediction]:
        """Ask a system the test questions; write answers and scores.

        Replies are kept as they come, so what was stopped is continued, and what was answered is
        not asked again.

        Args:
            name: of the system, see `swath.evaluation.systems`.
            shard: "1/3" asks the first third alone and writes replies only; once all are there,
                evaluating without it puts them together.
        """
        self.refuse_unnamed(name)
        recipe, section, built = self.recipe, self.recipe.evaluation, self.tuned_set()
        questions = self.questions(built)
        read = {section.split, "train" if system_named(name).how == "few-shot" else "val"}
        self.same_pictures(row for row in built.conversations if row.split in read)
        folder = self.folder / "evaluation" / system_named(name).folder
        replies = folder / (
            f"replies-{shard.replace('/', '-of-')}.jsonl" if shard else "replies.jsonl"
        )
        if shard:
            questions = part_of(questions, shard)
        answering = engine(system_named(name), recipe, self.folder, replies, built.split("train"))
        answers = answers_from(answering, questions, built, recipe, progress)
        if shard:
            return answers
        write_predictions(folder / "predictions.jsonl", answers)
        if name == "tuned" and section.split == "test":
            held = held_questions(built, section.closed)
            if held:  # sureness is learned on what is not judged by it
                validation = answers_from(answering, held, built, recipe)
                write_predictions(folder / VALIDATION, validation)
        scores = score(answers, built.labels, section.resamples, recipe.seed)
        write_scores(folder / "scores.json", answers, built.labels, scores, section.resamples)
        return answers

    def questions(self, built: InstructionSet) -> list[Conversation]:
        """The conversations that evaluation asks.

        Raises:
            EvaluationError: the split holds none.
        """
        section = self.recipe.evaluation
        rows = [row for row in built.split(section.split) if row.task != CONVERSE]
        if not rows:
            raise EvaluationError(
                f"the set has no '{section.split}' rows; see annotations.split or evaluation.split."
            )
        if section.captions_limit is not None:
            captions = [row for row in rows if row.task == "caption"]
            chosen = {row.id for row in evenly(captions, section.captions_limit)}
            rows = [row for row in rows if row.task != "caption" or row.id in chosen]
        return rows

    def runs(self) -> list[ReportRun]:
        """The systems as they were evaluated.

        Raises:
            EvaluationError: `evaluate` has not been run.
        """
        runs = []
        for name in self.systems:
            folder = self.folder / "evaluation" / system_named(name).folder
            if not (folder / "scores.json").is_file():
                raise EvaluationError(
                    f"{folder}: not evaluated yet; run `swath evaluate {self.folder}` first."
                )
            tuned = name == "tuned"
            stages = read_record(self.folder)["stages"] if tuned else []
            validation = folder / VALIDATION
            runs.append(
                ReportRun(
                    name=system_named(name).title,
                    predictions=list(read_predictions(folder / "predictions.jsonl")),
                    scores=read_scores(folder / "scores.json"),
                    losses=read_losses(self.folder) if tuned else (),
                    seconds=sum(stage["seconds"] for stage in stages) if tuned else None,
                    validation=list(read_predictions(validation)) if validation.is_file() else (),
                )
            )
        return runs

    def sure_from(self, aim: float, choices: Sequence[str] = ()) -> tuple[list[str], float]:
        """The answers the run chooses among, and the confidence from which on they are sure.

        Args:
            aim: accuracy that the sure ones reach on the validation split.
            choices: answers asked for; nothing: the run's own.

        Raises:
            RequestError: other answers are asked for, whose confidence is another.
            EvaluationError: there are no validation answers, or none are right so often.
        """
        built, validation = self.tuned_set(), self.folder / "evaluation" / "tuned" / VALIDATION
        classes = [*built.choices.get("classify", {}).values()]
        if choices and {*choices} != {*classes}:
            raise RequestError(
                f"how sure an answer is was learned among {', '.join(classes) or 'no answers'}; "
                f"leave --choice away, or --unsure."
            )
        if not validation.is_file():
            raise EvaluationError(
                f"{validation}: no answers to choose a confidence by; "
                f"`swath evaluate {self.folder}` "
                f"writes them where the set has classes and a 'val' split."
            )
        predictions = read_predictions(validation)
        closed = [prediction for prediction in predictions if prediction.task == "classify"]
        limit = threshold(closed, built.labels, aim)
        if limit is None:
            raise EvaluationError(
                f"{validation}: no confidence reaches {aim:.0%} accuracy on {len(closed)} answers; "
                f"ask for less."
            )
        return classes, limit

    def baselines(self, built: InstructionSet | None = None) -> dict[str, Sequence[Prediction]]:
        """What asks nothing of any picture: the commonest class, the mean box and the like."""
        built = built or self.set()
        return dict(guessed(built.split("train"), self.questions(built)))

    def report(self, command: str, to: Path | None = None) -> Path:
        """Write `report.html`, or the file `to`, from what evaluation left."""
        from swath.evaluation.report.page import Report, write_report  # brings matplotlib

        built = self.tuned_set()
        self.same_pictures(self.questions(built))
        path = to or self.folder / "report.html"
        report = Report(
            title=self.recipe.name,
            runs=self.runs(),
            labels=built.labels,
            baselines=self.baselines(built),  # built anew, a run's own writer would be asked
            recipe=dump(self.recipe),
            card=built.card,
            versions=read_record(self.folder)["versions"],
            command=command,
            open_image=partial(rendered, rendering=self.recipe.imagery.rendering),
            resamples=self.recipe.evaluation.resamples,
            suites=read_results(self.folder / "evaluation" / "suites"),
            gsd_of=gsd_of,
            notes=[*unmeasured(self.recipe, self.folder), *self.notes],
        )
        write_report(path, report)
        return path
