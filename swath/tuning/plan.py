"""The plan: what a tuning would train, hold and take, on this machine or on a named card."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from swath.errors import TuningError
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Conversation, Text
from swath.models.family import Family, family_row
from swath.models.tiny import config_of
from swath.models.vision_cache import keeping_pays, picture_bytes, tower_name
from swath.recipe import Models, Recipe, Stage
from swath.registry import Registry
from swath.tuning.batches import Batcher
from swath.tuning.rehearsal import Memory, Rehearsed, Shape, rehearse
from swath.tuning.sampling import Groups
from swath.tuning.setup import Batches, Prepared, largest_batch, repeats_views, stage_groups
from swath.tuning.stages import PartCount, prepare
from swath.tuning.trainer import Watch

TRIED = 6
"""Steps that are run; the fastest counts, as the first ones warm up and others may be disturbed."""

CONTEXT = 0.8e9
"""Bytes of a card that its driver and the libraries' kernels take, about."""

FRAGMENTED = 1.06
"""What the allocator holds for each byte asked for, about."""

REACHED = 0.35
"""Share of a card's matrix rate that tuning reaches, about; the time on a card stands on it."""

LETTERS = 3.0
"""Latin letters a token, on the safe side; other scripts are counted a token a letter."""

UNKNOWN_WORDS = 512
"""Tokens of words in a row, where neither a set nor `models.longest` says how many."""


@dataclass(frozen=True)
class Card:
    """A graphics card.

    Args:
        mib: memory, 2^20 bytes.
        tflops: 10^12 operations a second in half precision, as its maker says.
        bf16: whether it multiplies bf16 itself.
    """

    mib: int
    tflops: float
    bf16: bool


CARDS: Registry[Card] = Registry("card", "swath.cards")
for _name, _row in yaml.safe_load(Path(__file__).with_name("cards.yaml").read_text()).items():
    CARDS.add(str(_name), Card(**_row))


@dataclass(frozen=True)
class StagePlan:
    """One stage as it would run.

    Args:
        name: of the stage.
        steps: it would take.
        seconds: it would take: from steps tried here, or from a card's rate.
        parts: what would learn.
        memory: of one process, by the model's configuration.
        rows: pictures of a batch, on one device.
        batches: of a step, on one device.
        tokens: it would read in all, padding too.
        tower_counted: whether `memory` has the vision tower's activations.
        features_mb: kept of a frozen tower that sees each training picture once, megabytes; 0
            where keeping does not pay, None where pictures change from epoch to epoch.
    """

    name: str
    steps: int
    seconds: float
    parts: tuple[PartCount, ...]
    memory: Memory
    rows: int
    batches: int
    tokens: int
    tower_counted: bool
    features_mb: float | None


@dataclass(frozen=True)
class Plan:
    """A tuning as it would run.

    Args:
        stages: in order.
        memory_mb: of the stage that holds most, megabytes of 10^6 bytes; on a card with what its
            driver and allocator take.
        disk_mb: of weights, heads and optimiser in one checkpoint, megabytes.
        features_mb: that an evaluation keeps of a frozen tower, megabytes.
        card: what it was planned for; None for this machine.
        cards: how many of them share a step.
        room_mb: memory of one, megabytes.
        advice: keys under which it would fit, where it does not.
    """

    stages: tuple[StagePlan, ...]
    memory_mb: float
    disk_mb: float
    features_mb: float
    card: str | None = None
    cards: int = 1
    room_mb: float | None = None
    advice: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the card's memory suffices."""
        return self.room_mb is None or self.memory_mb <= self.room_mb

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(stage.seconds for stage in self.stages)


def plan(built: InstructionSet, recipe: Recipe) -> Plan:
    """Memory by the configuration, time by a few steps on a throw-away copy of the model.

    Raises:
        TuningError: there is nothing to train on.
        ModelError: the base is not there.
    """
    prepared = Prepared(built, recipe, stage_groups(built, recipe))
    model, stages, disk = prepared.loaded.model, [], 0.0
    dtype, quantized = prepared.loaded.dtype or torch.float32, recipe.models.quantize
    config = prepared.loaded.model.config
    keeps = tower_name(prepared.inputs) is not None
    size = partial(_features_mb, built, picture_bytes(prepared.inputs) if keeps else 0)
    for number, stage in enumerate(recipe.tuning.stages):
        model = prepare(model, prepared.loaded, stage)
        rows: list[dict[str, Any]] = []
        watch = Watch(stage.name, None, rows)
        with tempfile.TemporaryDirectory() as folder:
            batches = prepared.batches(model, number)
            watch.trainer = prepared.trainer(model, number, batches, Path(folder), TRIED)
            watch.trainer.add_callback(watch)
            watch.trainer.train()
            batcher: Any = watch.trainer.data_collator
            files = [file for file in Path(folder).rglob("*") if file.is_file()]
            disk = max(disk, sum(file.stat().st_size for file in files) / 1e6)
        ends = [row["seconds"] for row in rows]
        each = min(after - before for before, after in itertools.pairwise(ends))
        steps = prepared.steps(number, batches)
        shape = batch_shape(batcher, batches.rows)
        half = prepared.format != "fp32"
        rehearsed = rehearse(config, stage, shape, dtype, half, quantized)
        stages.append(_stage_plan(stage, rehearsed, shape, steps, steps * each, batches, size))
    memory = max(stage.memory.total for stage in stages) / 1e6
    return Plan(tuple(stages), memory, disk, size("test"))


def batch_shape(batcher: Batcher, rows: int) -> Shape:
    """The shape of the longest of a few real batches."""
    longest = Shape(0, 0, 0, 0)
    for first in range(0, 4 * rows, rows):
        batch = batcher(range(first, first + rows))
        ids = batch.get("input_ids", batch.get("decoder_input_ids"))
        images = len(batch["pixel_values"])
        if ids is None:
            return Shape(images, 0, 0, 0)
        answers = int((batch["labels"] != -100).sum()) // len(ids)
        if ids.shape[1] > longest.tokens:
            longest = Shape(images, len(ids), ids.shape[1], max(1, answers))
    return longest


def plan_on(
    card: str,
    cards: int,
    recipe: Recipe,
    built: InstructionSet | None = None,
) -> Plan:
    """A tuning on so many cards of a kind, by configuration and recipe alone; nothing is loaded.

    Args:
        card: row of `CARDS`.
        cards: how many share each step.
        built: the set, for the length of its rows; nothing: as long as the recipe allows.

    Raises:
        RequestError: there is no such card.
        TuningError: the cards cannot share a step evenly.
        ModelError: the configuration is not at hand.
    """
    row = CARDS.get(card)
    planned = _planned(row, card, cards, recipe, built)
    if planned.fits:
        return planned
    return Plan(**{**vars(planned), "advice": _advice(row, card, cards, recipe, built)})


def _planned(
    row: Card, card: str, cards: int, recipe: Recipe, built: InstructionSet | None
) -> Plan:
    config = config_of(recipe.models, recipe.imagery, recipe.seed)
    family = family_row(config, recipe.models.name)
    side = recipe.imagery.image_px or family.side(config)
    dtype = _format(recipe.models, row)
    groups = stage_groups(built, recipe) if built else [[] for _ in recipe.tuning.stages]
    stages: list[StagePlan] = []
    needs, disk = 0.0, 0.0
    patches = (side // family.patch(config)) ** 2
    vision = getattr(config, "vision_config", None) or getattr(config, "encoder", None)
    picture = patches * getattr(vision, "hidden_size", 0) * dtype.itemsize
    for stage, stage_rows in zip(recipe.tuning.stages, groups, strict=True):
        image_tokens = family.image_tokens(config, side)
        shape = _longest_row(stage, stage_rows, family, image_tokens, recipe.models.longest)
        batches = _batches(stage, cards)
        whole = Shape(
            shape.images * batches.rows, shape.rows * batches.rows, shape.tokens, shape.answers
        )
        half = dtype != torch.float32 or recipe.tuning.precision in ("bf16", "fp16")
        rehearsed = rehearse(config, stage, whole, dtype, half, recipe.models.quantize)
        step_images = batches.share * cards
        steps = stage.steps or max(1, round(stage.epochs * len(stage_rows) / step_images))
        seconds = steps * batches.count * rehearsed.flops / (row.tflops * 1e12 * REACHED)
        tower = sum(part.total for part in rehearsed.parts if part.part == "vision")
        pays = keeping_pays(tower, patches, picture, "cuda")
        size = partial(_features_mb, built, picture if pays else 0)
        stages.append(_stage_plan(stage, rehearsed, whole, steps, seconds, batches, size, cards))
        needs = max(needs, _held(rehearsed.memory, cards))
        disk = max(disk, (rehearsed.memory.gradients + rehearsed.memory.optimizer) / 1e6)
    room = row.mib * 2**20 / 1e6
    return Plan(tuple(stages), needs / 1e6, disk, size("test"), card, cards, room)


def _held(memory: Memory, cards: int) -> float:
    """Bytes of a card that a process of so many takes."""
    # AdamW on a GPU takes one more copy of what learns, once the activations are gone.
    passing = max(memory.activations, memory.gradients)
    buckets = memory.gradients if cards > 1 else 0  # in which the cards average them
    total = memory.weights + memory.gradients + memory.optimizer + passing + buckets
    return FRAGMENTED * total + CONTEXT


def _advice(
    row: Card, card: str, cards: int, recipe: Recipe, built: InstructionSet | None
) -> tuple[str, ...]:
    """The first few changes, one added to the other, under which it fits; empty if none does."""
    changes: list[str] = []
    for change in ("checkpointing", "rows", "quantize"):
        values = recipe.model_dump(mode="json")
        for number, stage in enumerate(values["tuning"]["stages"]):
            place = f"tuning.stages.{number}"
            if change == "checkpointing" and not stage["checkpointing"]:
                stage["checkpointing"] = True
                changes.append(f"{place}.checkpointing=true")
            elif change == "rows" and stage["batch_size"] not in ("auto", 1):
                stage["accumulate"] *= stage["batch_size"]
                stage["batch_size"] = 1
                changes.append(f"{place}.batch_size=1")
                changes.append(f"{place}.accumulate={stage['accumulate']}")
        adapts = all("lora" in stage["train"] for stage in values["tuning"]["stages"])
        if change == "quantize" and adapts and values["models"]["quantize"] == "none":
            values["models"]["quantize"] = "4bit"
            changes.append("models.quantize=4bit")
        recipe = Recipe.model_validate(values)
        if _planned(row, card, cards, recipe, built).fits:
            return tuple(changes)
    return ()


def _batches(stage: Stage, cards: int) -> Batches:
    """How one of so many cards learns its share of a step's rows.

    Raises:
        TuningError: the cards cannot share a step evenly.
    """
    if stage.batch_size == "auto":  # the smallest that can be tried
        return Batches(1, stage.accumulate)
    rows = stage.batch_size * stage.accumulate
    if rows % cards:
        raise TuningError(
            f"tuning.stages: a step of '{stage.name}' has {rows} rows (batch_size x accumulate), "
            f"which {cards} cards cannot share evenly; name a number that divides it, or change "
            f"batch_size or accumulate."
        )
    share = rows // cards
    most = largest_batch(share, stage.batch_size)
    return Batches(most, share // most)


def _longest_row(
    stage: Stage, groups: Groups, family: Family, image_tokens: int, longest: int | None
) -> Shape:
    """What one picture's questions become, counted in letters where there is a set."""
    if not stage.text_loss:
        return Shape(1, 0, 0, 0)
    together = family.shared_prefix
    count = stage.rows_per_image
    tokens, answers = image_tokens + UNKNOWN_WORDS, UNKNOWN_WORDS // 2
    if longest is not None:
        tokens, answers = longest, min(answers, longest // 2)
    images = 1
    if groups:
        tokens = answers = 0
        for group in groups:
            sizes = sorted((_words(row, None), _words(row, "assistant")) for row in group)
            sizes = sizes[-count:] if together else sizes[-1:]
            pictures = max(len(row.images) for row in group)
            words = sum(size[0] for size in sizes) + pictures * image_tokens
            if words > tokens:
                tokens, answers, images = words, sum(size[1] for size in sizes), pictures
        tokens = min(tokens, longest or tokens)
    return Shape(images, 1 if together else count, tokens, max(1, answers))


def _words(row: Conversation, role: str | None) -> int:
    """Tokens of a conversation's words, about; boxes are taken as forty letters."""
    latin = foreign = 0
    for turn in row.turns:
        if role not in (None, turn.role):
            continue
        for part in turn.parts:
            text = part.text if isinstance(part, Text) else " " * 40
            plain = sum(letter.isascii() for letter in text)
            latin += plain
            foreign += len(text) - plain
    return int(latin / LETTERS) + foreign + 8


def _format(section: Models, card: Card) -> torch.dtype:
    """Of frozen weights on a card."""
    if section.dtype != "auto":
        return getattr(torch, section.dtype)
    return torch.bfloat16 if card.bf16 else torch.float16


def _features_mb(built: InstructionSet | None, picture: int, split: str) -> float:
    """Megabytes of a tower's features of a split's pictures, of so many bytes each."""
    pictures: set[str] = set()
    for row in built.split(split) if built else ():
        pictures |= {image.path for image in row.images}
    return len(pictures) * picture / 1e6


def _stage_plan(
    stage: Stage,
    rehearsed: Rehearsed,
    shape: Shape,
    steps: int,
    seconds: float,
    batches: Batches,
    size: Callable[[str], float],
    cards: int = 1,
) -> StagePlan:
    tokens = steps * batches.count * shape.rows * shape.tokens * cards
    return StagePlan(
        stage.name,
        steps,
        seconds,
        rehearsed.parts,
        rehearsed.memory,
        batches.rows,
        batches.count,
        tokens,
        rehearsed.tower_counted,
        size("train") if repeats_views(stage) else None,
    )
