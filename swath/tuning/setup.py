"""What the stages of a recipe share, and each one's rows, trainer and checks made from it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel

from swath.errors import ModelError, TuningError
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Box, Conversation, Text
from swath.models.encoding import batches as pieces
from swath.models.encoding import by_image
from swath.models.generating.image_prefix import Seen
from swath.models.inputs import Inputs, head_of, last_mlp
from swath.models.loaded import Loaded
from swath.models.loading import load_base, models_of
from swath.models.pixels import PixelStore, View
from swath.models.vision_cache import Features
from swath.recipe import Augment, ImageLoss, Recipe, Stage
from swath.tuning import processes
from swath.tuning.batches import Batcher, Targets
from swath.tuning.checks import Checks
from swath.tuning.losses import ImageHeads
from swath.tuning.memory import fitting
from swath.tuning.sampling import Groups, epoch_length, groups_for
from swath.tuning.stages import adapter_holds_all, check_rates, part_of
from swath.tuning.tracking import check_trackers
from swath.tuning.trainer import StageTrainer, arguments, computing_format

Score = Callable[[Loaded], float]
"""The score of the live model on a task; more is better."""

VALIDATED = 128
"""Images of the val split at most whose loss is taken; they are spread evenly over it."""


def stage_groups(built: InstructionSet, recipe: Recipe) -> list[Groups]:
    """What each stage learns from, every stage's wishes checked before the first begins.

    Raises:
        TuningError: a stage wishes for what is not there.
    """
    for stage in recipe.tuning.stages:
        check_rates(stage)
        share_of(stage)
    check_trackers(recipe.tuning.track)
    train = built.split("train")
    if recipe.tuning.validate_every and not built.split("val"):
        raise TuningError(
            "tuning.validate_every: the set has no val rows; see annotations.split, or leave the "
            "key out."
        )
    return [groups_for(stage, train) for stage in recipe.tuning.stages]


@dataclass(frozen=True)
class Batches:
    """How a process learns its share of a step's rows.

    Args:
        rows: of one batch.
        count: batches whose gradients make one step.
    """

    rows: int
    count: int

    @property
    def share(self) -> int:
        """Rows of a step that this process learns from."""
        return self.rows * self.count

    @property
    def smaller(self) -> Batches | None:
        """The same share in batches of at most half the rows; None where a batch is one row."""
        if self.rows == 1:
            return None
        rows = largest_batch(self.share, self.rows // 2)
        return Batches(rows, self.share // rows)


def share_of(stage: Stage) -> int | None:
    """Rows of a step that each process learns from; None where memory decides.

    The recipe says what a step is, and however many processes share it, it stays the same.

    Raises:
        TuningError: the processes cannot share a step evenly.
    """
    if stage.batch_size == "auto":
        return None
    rows = stage.batch_size * stage.accumulate
    if rows % processes.count():
        raise TuningError(
            f"tuning.stages: a step of '{stage.name}' has {rows} rows (batch_size x accumulate), "
            f"which {processes.count()} processes cannot share evenly; start a number that "
            f"divides it, or change batch_size or accumulate."
        )
    return rows // processes.count()


def largest_batch(share: int, most: int) -> int:
    """The largest batch of at most so many rows of which some make up a share."""
    return max(rows for rows in range(1, min(share, most) + 1) if share % rows == 0)


def conversations_of(stages: Sequence[Groups], left_out: Sequence[str] = ()) -> list[Conversation]:
    """What the stages learn from, each once, but for those left out."""
    by_id = {}
    for groups in stages:
        for group in groups:
            for conversation in group:
                by_id[conversation.id] = conversation
    for name in left_out:
        by_id.pop(name, None)
    return list(by_id.values())


def _without(groups: Groups, unfit: set[str]) -> Groups:
    """Groups without some conversations, and without groups of those alone."""
    kept_groups = []
    for group in groups:
        fitting_ones = [conversation for conversation in group if conversation.id not in unfit]
        if fitting_ones:
            kept_groups.append(fitting_ones)
    return kept_groups


def repeats_views(stage: Stage) -> bool:
    """Whether each epoch shows a frozen tower the same views, so that its features can be kept."""
    still = stage.augment.crop == 1 and not (stage.augment.turn or stage.augment.colour)
    learns_words = stage.text_loss > 0 and not stage.image_loss.wanted
    return still and learns_words and "vision" not in stage.train


def computed_anew(stage: Stage) -> bool:
    """Whether a pass is repeated, or chance takes part in it, so that no place may be left out."""
    return stage.checkpointing or ("lora" in stage.train and stage.lora.dropout > 0)


class Prepared:
    """What all stages of a recipe share: the model, the rows' groups, encoder and pixels.

    Args:
        built: the set.
        recipe: seeds, threads, precision and stages.
        groups: of each stage, from `stage_groups`.
        features: folder that keeps what a frozen tower makes of pictures; None: none does.

    Raises:
        ModelError: the base is not there.
    """

    def __init__(
        self,
        built: InstructionSet,
        recipe: Recipe,
        groups: Sequence[Groups],
        features: Path | None = None,
    ) -> None:
        if recipe.tuning.threads:
            torch.set_num_threads(recipe.tuning.threads)
        torch.manual_seed(recipe.seed)
        self.built, self.recipe, self.groups = built, recipe, groups
        self.features = features
        self.loaded = load_base(models_of(recipe), _texts(built), recipe.seed, recipe.imagery)
        if self.loaded.quantized and not adapter_holds_all(recipe, self.loaded):
            raise TuningError(
                f"models.quantize: {self.loaded.quantized} matrices cannot learn, nor take what "
                f"was learnt; let every stage train lora, with projector if the first one does."
            )
        self.format = computing_format(recipe.tuning.precision, self.loaded.dtype)
        self.inputs = Inputs(self.loaded)
        imagery = recipe.imagery
        self.store = PixelStore(
            self.loaded.image_size, imagery.cache_px, fit=imagery.fit, rendering=imagery.rendering
        )
        self.left_out = self._leave_out()

    @property
    def conversations(self) -> list[Conversation]:
        """What the stages learn from, each once."""
        return conversations_of(self.groups)

    def _leave_out(self) -> list[str]:
        """Leave out rows longer than the model reads, and those about what is not seen.

        A row cut short may lose half an image.

        Returns:
            The ids of their conversations.

        Raises:
            TuningError: a stage is left with nothing.
            ModelError: the family cannot read several images, and a row shows them.
        """
        loaded, conversations = self.loaded, self.conversations
        for conversation in conversations:
            if len(conversation.images) > 1 and not loaded.family.many_images:
                raise ModelError(
                    f"{conversation.id}: {len(conversation.images)} images, and {loaded.base} "
                    f"reads one at a time; set imagery.frames or annotations.drawn.frames to 1, "
                    f"or take another model."
                )
        with torch.no_grad(), loaded.computing():
            Seen(self.inputs, {"": self.blank}, 1)  # a tower that does not go with it is known now
        unfit = [conversation.id for conversation in conversations if not self._fits(conversation)]
        if not unfit:
            return []
        self.groups = [_without(groups, set(unfit)) for groups in self.groups]
        for stage, groups in zip(self.recipe.tuning.stages, self.groups, strict=True):
            if not groups:
                raise TuningError(
                    f"stage '{stage.name}': every row is longer than the {loaded.longest} tokens "
                    f"that {loaded.base} reads (models.longest), or names boxes that "
                    f"imagery.fit=centre_crop cuts off, first {unfit[0]}; shorten the system "
                    f"instruction, the answers or imagery.image_px, or pad."
                )
        return unfit

    @property
    def blank(self) -> View:
        """A black picture."""
        size = self.loaded.image_size
        return View(np.zeros((size, size, 3), dtype=np.uint8), np.eye(2, 3))

    def _fits(self, conversation: Conversation) -> bool:
        """Whether a row is short enough, and the middles of its boxes are in what is seen."""
        if self.recipe.imagery.fit == "centre_crop":
            for part in conversation.parts:
                if isinstance(part, Box):
                    size_wh = np.asarray(conversation.images[part.image].size_wh)
                    middles = part.boxes.quads.mean(axis=1)
                    if (abs(middles - size_wh / 2) > size_wh.min() / 2).any():
                        return False
        return self.inputs.encoder.fits(conversation, self.blank)

    def steps(self, number: int, batches: Batches) -> int:
        """Steps of stage `number`."""
        stage = self.recipe.tuning.stages[number]
        rows = stage.epochs * epoch_length(self.groups[number], stage)
        return stage.steps or max(1, round(rows / (batches.share * processes.count())))

    def batches(self, model: Any, number: int) -> Batches:
        """How stage `number` learns a step's rows; `auto` is tried here, which leaves no trace.

        Raises:
            TuningError: not even one row fits.
        """
        stage, groups = self.recipe.tuning.stages[number], self.groups[number]
        share = share_of(stage)
        if share is not None and stage.batch_size != "auto":
            rows = largest_batch(share, stage.batch_size)
            return Batches(rows, share // rows)
        longest = max(groups, key=lambda group: _length(group, stage))
        any_task = stage.model_copy(update={"mix": {}, "balance": "none"})
        batcher = self._batcher(number, any_task, [longest])
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        with tempfile.TemporaryDirectory() as place, torch.random.fork_rng():
            trainer = self.trainer(model, number, Batches(1, 1), Path(place), 1)
            trainer.current_gradient_accumulation_steps = 1

            def step(size: int) -> None:
                with trainer.accelerator.autocast():
                    trainer.training_step(model, batcher([0] * size))

            learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
            trained = sum(parameter.numel() for parameter in learning)
            size = fitting(step, len(groups), reserved=2 * 4 * trained)
        model.zero_grad()
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
        return Batches(min(processes.gathered(size)), stage.accumulate)

    def trainer(
        self,
        model: Any,
        number: int,
        batches: Batches,
        place: Path,
        steps: int,
    ) -> StageTrainer:
        """The trainer of stage `number`, checkpointing below `place`."""
        recipe, loaded = self.recipe, self.loaded
        stage = recipe.tuning.stages[number]
        return StageTrainer(
            model=model,
            args=arguments(
                place,
                stage,
                (batches.rows, batches.count),
                recipe.tuning,
                steps,
                recipe.seed,
                self.format,
            ),
            # `Order` deals images to these numbers.
            train_dataset=range(steps * batches.share * processes.count()),
            data_collator=self._batcher(number, stage, self.groups[number]),
            stage=stage,
            inputs=self.inputs,
            tower=model.get_submodule(_inside(model, loaded.family.vision)),
            head=head_of(model, loaded),
            mlp=None if computed_anew(stage) else last_mlp(model, loaded),
            heads=_heads(self.inputs, stage, self._targets(stage)),
            part=partial(part_of, loaded=loaded),
        )

    def checks(
        self,
        trainer: StageTrainer,
        number: int,
        batch_size: int,
        losses: list[dict[str, Any]],
        score: Score | None,
    ) -> Checks:
        """The checks of stage `number`; where it learns no words there is nothing to check."""
        stage = self.recipe.tuning.stages[number]
        tasks = {conversation.task for group in self.groups[number] for conversation in group}
        held_out = [
            conversation
            for conversation in self.built.split("val")
            if conversation.task in tasks and self._fits(conversation)
        ]
        groups = by_image(held_out)
        count = min(len(groups), VALIDATED)
        groups = [groups[place * len(groups) // count] for place in range(count)]
        plain = {"mix": {}, "balance": "none", "epoch_of": "images", "image_loss": ImageLoss()}
        plain["augment"] = Augment(turn=False, crop=1, colour=0)
        batcher = self._batcher(number, stage.model_copy(update=plain), groups)

        def validate() -> float:
            places = pieces(range(count), batch_size)
            own = places[processes.number() :: processes.count()]
            shares = processes.gathered(trainer.measure(map(batcher, own)))
            return sum(map(sum, shares)) / len(places)

        words = stage.text_loss > 0
        return Checks(
            self.recipe.tuning,
            Path(str(trainer.args.output_dir)),
            losses,
            stage.name,
            validate if words and groups else None,
            partial(score, self.loaded) if words and score else None,
        )

    def _batcher(self, number: int, stage: Stage, groups: Groups) -> Batcher:
        seed = self.recipe.seed * 1000 + number
        features = Features(self.features) if self.features and repeats_views(stage) else None
        return Batcher(groups, self.inputs, self.store, stage, self._targets(stage), seed, features)

    def _targets(self, stage: Stage) -> Targets:
        words = self.built.card["words"][: stage.image_loss.vocabulary]
        return Targets(tuple(self.built.labels), tuple(words))


def _heads(inputs: Inputs, stage: Stage, targets: Targets) -> ImageHeads | None:
    if not stage.image_loss.wanted:
        return None
    loaded = inputs.loaded
    tower = loaded.model.get_submodule(loaded.family.vision)
    blank = torch.zeros(1, 3, loaded.image_size, loaded.image_size)
    with torch.no_grad(), loaded.computing():
        width = inputs.features(tower, blank).shape[-1]
    return ImageHeads(width, targets, stage.image_loss)


def _inside(model: Any, name: str) -> str:
    return f"base_model.model.{name}" if isinstance(model, PeftModel) else name


def _length(group: Sequence[Conversation], stage: Stage) -> int:
    """Characters of the longest row of an image, about."""
    lengths = []
    for conversation in group:
        lengths.append(sum(len(str(part)) for part in conversation.parts))
    return sum(sorted(lengths)[-stage.rows_per_image :])


def _texts(built: InstructionSet) -> list[str]:
    texts = []
    for conversation in built.split("train"):
        texts += [part.text for part in conversation.parts if isinstance(part, Text)]
    return texts
