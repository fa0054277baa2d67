"""Building: from a recipe's images to its instruction set, without loading a model.

runs/<name>/set/         images.jsonl, conversations.jsonl, card.json
runs/<name>/looks.sqlite what the pictures looked like when they were last decoded
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.annotations.findings import LEAKS, Finding
from swath.annotations.fingerprints import MEMORY, looks_of
from swath.annotations.image import AnnotatedImage
from swath.annotations.leaks import kept_together
from swath.annotations.licences import ledger, verdict
from swath.annotations.lint import lint, readable, usable
from swath.annotations.prepare import Gathered, gather
from swath.annotations.readers import check_classes
from swath.errors import AnnotationError, RecipeError
from swath.evaluation.reading import Labels
from swath.files import RUN_FILE, read_record
from swath.inference.context import Documented
from swath.instructions import review
from swath.instructions.builder import InstructionSet, build_into, read_set, same_pictures
from swath.instructions.conversation import Conversation
from swath.instructions.reviewed_tiles import reviewed_images, reviewed_state
from swath.instructions.tasks.words import ASKED_BY, unused
from swath.recipe import Recipe
from swath.serving.jobs.training_files import Conversing

if TYPE_CHECKING:
    from swath.instructions.writing import Estimate

Progress = Callable[[int, int], None]

_TOLD = ("annotations", "instructions", "rendering", "seed", "documents", "reviewed")
"""What a set's card tells of its recipe."""

MANY_SCENES = 4000
"""More scenes than this are drawn by a process a core; fewer are not worth the processes."""


@dataclass(frozen=True)
class Checked:
    """What `swath check` found.

    Args:
        images: split to number of images.
        findings: of lint and leakage.
        leaks: how many of them put what is tested into what is trained on.
        shown: of images that findings name, path and boxes.
        licences: a row a source and licence, see `swath.annotations.licences.ledger`.
        use: what the result may be used for.
    """

    images: dict[str, int]
    findings: tuple[Finding, ...]
    leaks: int
    shown: dict[str, dict[str, Any]]
    licences: list[dict[str, object]]
    use: str


def _linted(
    gathered: Gathered, progress: Progress | None, folder: Path
) -> tuple[tuple[AnnotatedImage, ...], list[Finding]]:
    """The images, copies that swath had dealt apart in one split, and what lint says of them."""
    looks = looks_of(gathered.images, progress, folder / MEMORY)
    images = kept_together(gathered.images, looks, gathered.dealt, gathered.given)
    findings = lint(images, looks)
    pairs = zip(images, gathered.images, strict=True)
    if moved := [image.id for image, before in pairs if image.split != before.split]:
        change = f"{len(moved)} images were dealt anew, to share a split with those they look like"
        findings.append(Finding("moved together", moved[0], change, "nothing", len(moved)))
    return tuple(images), findings


class Building:
    """The set of one recipe's folder.

    Args:
        recipe: what is done.
        folder: `runs/<name>`.
    """

    def __init__(self, recipe: Recipe, folder: Path | str) -> None:
        self.recipe = recipe
        self.folder = Path(folder)
        self.notes: list[str] = []
        """What could not be checked; for whoever reads the result."""

    def check(self, progress: Progress | None = None) -> Checked:
        """Lint and leakage of the recipe's images.

        Raises:
            AnnotationError: nothing usable is there.
        """
        conversing = self._conversing()
        gathered = conversing.gathered if conversing else self._gather(None)
        images, found = _linted(gathered, progress, self.folder)
        findings = [*found, *gathered.found, *self._unused(images)]
        places = {finding.where for finding in findings}
        chosen = [image for image in images if image.id in places]
        licences = ledger(images)
        return Checked(
            dict(Counter(str(image.split) for image in images)),
            tuple(findings),
            sum(finding.kind in LEAKS for finding in findings),
            {one.id: {"path": one.path, "boxes": one.boxes.to_rows()} for one in chosen},
            licences,
            verdict(licences),
        )

    def build(self, progress: Progress | None = None) -> InstructionSet:
        """Make the instruction set and write it to `set/`.

        Raises:
            AnnotationError: nothing usable is there, or the same picture is in train and test.
        """
        recipe = self.recipe
        conversing = self._conversing()
        gathered = conversing.gathered if conversing else self._gather(progress)
        images = gathered.images
        notes: dict[str, Any] = {
            **gathered.notes,
            "annotations": recipe.annotations.model_dump(mode="json"),
            "rendering": recipe.imagery.rendering.model_dump(mode="json"),
        }
        if recipe.annotations.drawn is None:
            if "classify" in recipe.instructions.tasks and any(image.label for image in images):
                check_classes(images)
            images, found = _linted(gathered, progress, self.folder)
            idle = self._unused(images)
            self.notes += [f"{finding.what}; {finding.action}" for finding in idle]
            findings = [*found, *gathered.found, *idle]
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
            from swath.instructions import rewriting as writer

            section, cache = recipe.instructions.writer, self.folder / "writer.jsonl"
            if section.steps:
                images = tuple(writer.rewrite_captions(images, section, cache, progress))
                notes["captions"] = writer.note(section)
        notes["ledger"] = rows = ledger(images)
        notes["use"] = verdict(rows)
        reviewed = review.Review(self.folder / review.FILE)
        documented = Documented(recipe.instructions.documents)
        notes["documents"] = documented.digest
        notes["reviewed"] = reviewed_state(recipe.instructions.reviewed)

        def completed(rows: list[Conversation]) -> list[Conversation]:
            return documented(reviewed.replayed(rows))  # verdicts are on rows without documents

        def check(built: InstructionSet) -> None:
            if state := review.state(reviewed.path):
                built.card["review"] = {**reviewed.counts, "digest": state}
            Labels(built.labels)  # refuses classes that no answer could tell apart
            if self._run_of_another(built):
                from swath.tuning.run import another_run

                raise another_run(self.folder)

        built = build_into(
            self.folder / "set",
            images,
            recipe.instructions,
            recipe.seed,
            notes,
            completed,
            check,
            recipe.imagery.rendering,
            conversing.of if conversing else None,
            self._written(images, progress, notes),
        )
        reviewed.close()
        return built

    def estimate(self) -> Estimate:
        """What the recipe's writer will be asked, before anything is."""
        from swath.instructions.writing import estimate

        section = self.recipe.instructions.writer
        if section is None:
            raise RecipeError(f"{self.recipe.name}: instructions.writer is not set.")
        return estimate(self._gather(None).images, section)

    def _written(
        self, images: Sequence[AnnotatedImage], progress: Progress | None, notes: dict[str, Any]
    ) -> dict[str, list[Conversation]]:
        """What a language model writes about the images, by their id, where the recipe asks."""
        section = self.recipe.instructions.writer
        if section is None or not section.conversations:
            return {}
        from swath.instructions.attributes import Looks
        from swath.instructions.writing import training_images, write_conversations_about

        training = [image for image in images if image.split == "train"]
        looks = Looks(training, self.recipe.imagery.rendering, self.recipe.instructions.colours)
        rows = write_conversations_about(images, section, looks, self.folder, progress)
        notes["written"] = {
            "model": section.model,
            "asked": len(training_images(images)) * len(section.conversations),
            "kept": sum(map(len, rows.values())),
        }
        return rows

    def set(self, progress: Progress | None = None) -> InstructionSet:
        """The set as it was built, built now if it was not or the recipe asks for another.

        Raises:
            AnnotationError: its pictures have changed since; `build` begins anew with them.
        """
        if (self.folder / "set" / "card.json").is_file():
            built = read_set(self.folder / "set")
            settings = self.recipe.model_dump(mode="json")
            verdicts = built.card.get("review", {}).get("digest", "")
            settings["rendering"] = settings["imagery"]["rendering"]
            settings["documents"] = Documented(self.recipe.instructions.documents).digest
            settings["reviewed"] = reviewed_state(self.recipe.instructions.reviewed)
            if verdicts == review.state(self.folder / review.FILE) and all(
                built.card.get(key) == settings[key] for key in _TOLD
            ):
                self.same_pictures(built.conversations)
                return built
        return self.build(progress)

    def same_pictures(self, conversations: Iterable[Conversation]) -> None:
        """Refuse pictures that changed since the set was built; note what could not be compared.

        Raises:
            AnnotationError: some were replaced, changed places, or are gone.
        """
        note = same_pictures(self.folder / "set", conversations)
        if note and note not in self.notes:
            self.notes.append(note)

    def _unused(self, images: Sequence[AnnotatedImage]) -> list[Finding]:
        """What the images hold and no task of the recipe asks for."""
        if self.recipe.annotations.drawn is not None or self.recipe.instructions.conversations:
            return []
        return [
            Finding(
                "unused",
                images[0].source,
                f"{count} {kind} that no task asks for",
                f"add {' or '.join(ASKED_BY[kind][:3])} to instructions.tasks",
                count,
            )
            for kind, count in unused(images, self.recipe.instructions.tasks).items()
        ]

    def _run_of_another(self, built: InstructionSet) -> bool:
        if not (self.folder / RUN_FILE).is_file():
            return False
        from swath.tuning.run import fingerprint, started

        run = read_record(self.folder)
        return started(self.folder, run) and run["fingerprint"] != fingerprint(built, self.recipe)

    def _conversing(self) -> Conversing | None:
        """The recipe's training files, read; None where its images are annotated."""
        section = self.recipe.instructions.conversations
        return Conversing(section, self.folder / "pictures") if section else None

    def _gather(self, progress: Progress | None) -> Any:
        recipe = self.recipe
        drawn = recipe.annotations.drawn
        many = drawn is not None and drawn.count > MANY_SCENES
        workers = len(os.sched_getaffinity(0)) if many and hasattr(os, "sched_getaffinity") else 1
        drawings, frames = self.folder / "drawn", recipe.imagery.frames
        gathered = gather(recipe.annotations, recipe.seed, drawings, progress, workers, frames)
        images = list(gathered.images)
        names = {name for image in images for name in image.names}
        for folder in recipe.instructions.reviewed:
            images += reviewed_images(folder, names)
        return replace(gathered, images=tuple(images))
