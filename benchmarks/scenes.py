"""Is the model worth its words? A plain CNN on the same pixels for the same time, beside a run.

    python benchmarks/scenes.py RUN [--tower] [--core-seconds N] [--seed S] [--threads T] [--out F]

RUN is a finished and evaluated run folder. A residual CNN of the shape of swath-nano's vision
tower, with a linear head and random weights, learns the classes of RUN's training images from the
views that tuning makes of them (same size, crops, turns and colours), for as many core-seconds as
RUN was tuned; with --tower, RUN's own tower does with the weights that its base brings. Both then
name the classes of the test images, from one view and from as many as the recipe averages. The
CNN's time is the processor's, so that it gets its share on a machine that others use too. Reading
the images counts; timing the first steps of a throw-away CNN, to know how many make up the time,
does not, nor does what a pretrained base cost.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import core_seconds, described, finish, machine, rows, tuned_predictions
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup

from swath.errors import EvaluationError, SwathError
from swath.evaluation.predicting import predict, unanswered
from swath.evaluation.predictions import Prediction
from swath.evaluation.scoring import compare, score
from swath.experiment import Experiment
from swath.instructions.builder import InstructionSet, read_set
from swath.instructions.conversation import Conversation
from swath.models.architectures.nano import NanoConfig, NanoTower
from swath.models.encoding import batches, by_image
from swath.models.engine import LocalEngine
from swath.models.inputs import Inputs, tower_features
from swath.models.loaded import Loaded
from swath.models.loading import load, load_base, models_of
from swath.models.pixels import PixelStore, to_tensor
from swath.recipe import ImageLoss, Recipe, Stage
from swath.tuning.batches import Batcher, Targets
from swath.tuning.losses import ImageHeads
from swath.tuning.trainer import computes_bf16

TIMED_STEPS = 20
"""Steps on a throw-away model that tell how many fit into the time."""


@dataclass
class Classifier:
    """A tower and a linear head while they learn."""

    cnn: nn.Module
    head: ImageHeads
    optimizer: torch.optim.Optimizer

    @classmethod
    def fresh(
        cls, tower: Callable[[], tuple[nn.Module, int]], stage: Stage, targets: Targets, seed: int
    ) -> Classifier:
        """With the optimiser that `StageTrainer` would make.

        Args:
            tower: makes it, and says how wide its features are.
        """
        torch.manual_seed(seed)
        cnn, width = tower()
        head = ImageHeads(width, targets, stage.image_loss)
        learnt = [*cnn.parameters(), *head.label.parameters()]
        groups = [
            {"params": [p for p in learnt if p.ndim > 1], "weight_decay": stage.weight_decay},
            {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=stage.learning_rate, betas=(0.9, stage.beta2))
        return cls(cnn, head, optimizer)

    def learn(self, batch: dict[str, Any], clip: float, bf16: bool) -> float:
        """One step; its loss."""
        self.cnn.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = self.head(self.features(batch["pixel_values"]), batch["scenes"], None)
        self.optimizer.zero_grad()
        loss.backward()
        learnt = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(learnt, clip)
        self.optimizer.step()
        return float(loss.detach())

    @torch.inference_mode()
    def log_shares(self, pixels: Tensor) -> np.ndarray:
        """Log-probability of each class, (images, classes)."""
        self.cnn.eval()
        logits = self.head.label(self.features(pixels).mean(dim=1))
        return torch.log_softmax(logits, dim=1).double().numpy()

    def features(self, pixels: Tensor) -> Tensor:
        """(images, tokens, width) of pictures."""
        return tower_features(self.cnn(pixels), len(pixels))


def nano_tower(size: int, widths: tuple[int, int, int]) -> tuple[nn.Module, int]:
    """swath-nano's tower with random weights."""
    cnn = NanoTower(NanoConfig(image_size=size, widths=widths))
    for module in cnn.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return cnn, widths[-1]


def base_tower(recipe: Recipe) -> tuple[nn.Module, int]:
    """A run's own tower as its base brings it, a convolutional one."""
    loaded = load_base(models_of(recipe), (), recipe.seed, recipe.imagery)
    tower: Any = loaded.model.get_submodule(loaded.family.vision)
    return tower, int(tower.config.hidden_size)


def main() -> None:
    """Read the arguments, train, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished and evaluated run folder")
    parser.add_argument("--tower", action="store_true", help="the run's own, from its base")
    parser.add_argument("--core-seconds", type=float, help="instead of as long as the run took")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and views")
    parser.add_argument("--threads", type=int, help="instead of as many as the run had")
    parser.add_argument("--learning-rate", type=float, default=1.2e-3, help="peak of the cosine")
    parser.add_argument("--batch-size", type=int, default=32, help="images a step")
    parser.add_argument("--widths", type=int, nargs=3, default=(64, 128, 256), help="of the CNN")
    parser.add_argument("--out", type=Path, help="JSON to write, instead of printing it")
    args = parser.parse_args()
    try:
        result = measure(args)
        summarise(result)
        finish(result, args.out)
    except SwathError as error:
        sys.exit(f"{parser.prog}: {error}")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Both accuracies and their difference, as they stand in the result."""
    run: Path = args.run
    recipe = Experiment.of_run(run).recipe
    answers = tuned_predictions(run, "classify")
    told = described(run)
    torch.set_num_threads(args.threads or told["threads"])
    budget = args.core_seconds or core_seconds(run)
    built, loaded = read_set(run / "set"), load(run)
    asked = {one.id: one for one in built.split(recipe.evaluation.split)}
    tested = [asked[one.id] for one in answers]
    store = PixelStore(loaded.image_size, recipe.imagery.cache_px)
    classifier, training = train(args, recipe, built, loaded, store, budget)
    result: dict[str, Any] = {
        "swath": {**told, "core_seconds": budget, "weights": recipe.models.weights},
        "cnn": {
            "model": "the run's tower from its base + linear head"
            if args.tower
            else f"NanoTower {tuple(args.widths)} + linear head, random weights",
            "parameters": sum(p.numel() for p in classifier.cnn.parameters()),
            **training,
        },
        "note": "equal core-seconds of tuning; what a pretrained base cost is not in them",
        "images": len(tested),
        "machine": machine(),
    }
    section = recipe.evaluation
    for views in sorted({1, section.views}):
        ours = answers if views == section.views else once(loaded, recipe, built, tested)
        theirs = classified(classifier, tested, built, loaded, store, views)
        result[f"views_{views}"] = beside(ours, theirs, built, section.resamples, recipe.seed)
    return result


def train(
    args: argparse.Namespace,
    recipe: Recipe,
    built: InstructionSet,
    loaded: Loaded,
    store: PixelStore,
    budget: float,
) -> tuple[Classifier, dict[str, Any]]:
    """A CNN trained to the end of its cosine in about `budget` core-seconds, and what it took."""
    groups = [
        group
        for group in by_image(built.split("train"))
        if any(one.truth.get("label") for one in group)
    ]
    if not groups:
        raise EvaluationError(f"{args.run}: no training image has a class.")
    # The stage that teaches the run's tower says how images are changed; the rest is the CNN's own.
    teaching = next((s for s in recipe.tuning.stages if "vision" in s.train), None)
    teaching = teaching or recipe.tuning.stages[0]
    stage = Stage(
        name="cnn",
        train=["vision"],
        learning_rate=args.learning_rate,
        batch_size=args.batch_size,
        text_loss=0,
        image_loss=ImageLoss(label=1, mixup=teaching.image_loss.mixup),
        augment=teaching.augment,
    )
    targets = Targets(tuple(built.labels), ())
    batcher = Batcher(groups, Inputs(loaded), store, stage, targets, args.seed)
    precision = recipe.tuning.precision
    bf16 = computes_bf16() if precision == "auto" else precision == "bf16"

    def learn(classifier: Classifier, steps: int, timed_from: int = 0) -> tuple[float, float]:
        """Take all steps of a schedule; the last one's loss, and core-seconds from a step on."""
        rate = get_cosine_schedule_with_warmup(
            classifier.optimizer, int(stage.warmup * steps), steps
        )
        begin, loss = time.process_time(), 0.0
        for step in range(steps):
            if step == timed_from:
                begin = time.process_time()
            batch = batcher(range(step * stage.batch_size, (step + 1) * stage.batch_size))
            loss = classifier.learn(batch, stage.clip, bf16)
            rate.step()
        return loss, time.process_time() - begin

    begin = time.process_time()
    for group in groups:
        store.plain(group[0].images[0].path)
    reading = time.process_time() - begin
    if args.tower:
        tower = partial(base_tower, recipe)
    else:
        tower = partial(nano_tower, loaded.image_size, tuple(args.widths))
    fresh = (tower, stage, targets, args.seed)
    warm = 3
    _, seconds = learn(Classifier.fresh(*fresh), warm + TIMED_STEPS, timed_from=warm)
    steps = max(1, round((budget - reading) / seconds * TIMED_STEPS))
    classifier = Classifier.fresh(*fresh)
    loss, seconds = learn(classifier, steps)
    seconds += reading
    return classifier, {
        "steps": steps,
        "epochs": round(steps * stage.batch_size / len(groups), 2),
        "core_seconds": round(seconds, 1),
        "share_of_budget": round(seconds / budget, 3),
        "last_loss": round(loss, 4),
        "bf16": bf16,
        "seed": args.seed,
        "stage": stage.model_dump(mode="json", exclude={"lora", "epochs", "steps"}),
    }


def classified(
    classifier: Classifier,
    tested: list[Conversation],
    built: InstructionSet,
    loaded: Loaded,
    store: PixelStore,
    views: int,
) -> list[Prediction]:
    """What the CNN calls each test image, log-probabilities averaged over views as swath does."""
    predictions = []
    for some in batches(tested, 64):
        logs = np.zeros((len(some), len(built.labels)))
        for orientation in range(views):
            seen = [store.plain(one.images[0].path, orientation) for one in some]
            logs += classifier.log_shares(to_tensor(seen, loaded.mean, loaded.std)) / views
        shares = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
        for one, row in zip(some, shares, strict=True):
            label = built.labels[int(row.argmax())]
            named = replace(unanswered(one), answer=label, label=label, closed=True, problem=None)
            predictions.append(replace(named, confidence=float(row.max())))
    return predictions


def once(
    loaded: Loaded, recipe: Recipe, built: InstructionSet, tested: list[Conversation]
) -> list[Prediction]:
    """The run's model asked again, about one view of each image."""
    section = recipe.evaluation
    engine = LocalEngine(loaded, batch_size=section.batch_size)
    choices = built.choices if section.closed else {}
    return predict(engine, tested, built.labels, choices, section.max_new_tokens)


def beside(
    ours: list[Prediction],
    theirs: list[Prediction],
    built: InstructionSet,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Scores of both, and swath minus CNN on the same images."""
    sides = {"swath": ours, "cnn": theirs}
    shown = {
        name: rows(score(side, built.labels, resamples, seed)["classify"])
        for name, side in sides.items()
    }
    gaps = compare(theirs, ours, built.labels, resamples, seed)["classify"]
    return {**shown, "swath_minus_cnn": rows(gaps)}


def summarise(result: dict[str, Any]) -> None:
    """The accuracies in a few lines, beside the JSON."""
    for views in (name for name in result if name.startswith("views_")):
        sides = {name: result[views][name]["accuracy"] for name in ("swath", "cnn")}
        sides["swath minus cnn"] = gap = result[views]["swath_minus_cnn"]["accuracy"]
        shown = (
            f"{n} {v['value']:.3f} ({v['low']:.3f} to {v['high']:.3f})" for n, v in sides.items()
        )
        said = f"{', '.join(shown)}, McNemar p {gap['p_mcnemar']:.3g}"
        print(f"{views}: {said}", file=sys.stderr)


if __name__ == "__main__":
    main()
