"""How accuracy grows with time: a recipe from its base's weights and from random ones.

    python benchmarks/curve.py RECIPE [key=value ...] --out PNG [--points N] [--weights W ...]
    python benchmarks/curve.py CURVE.json --out PNG        draws a measured curve again

The recipe is tuned once from each weights; both times the tokeniser is the base's, unless an
override says otherwise. The model is asked the test images' classes before its first step and N
times on its way, evenly over the steps of each stage. That time is not counted. A stage's rate only
reaches 0 at its end, so points before it are lower than a shorter run would have reached. The
numbers are written beside the PNG, as JSON, after each run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import Any

from measured import finish, machine

from swath.errors import EvaluationError, SwathError
from swath.evaluation.predicting import predict
from swath.evaluation.scoring import score
from swath.experiment import Experiment
from swath.files import read_json
from swath.instructions.builder import InstructionSet
from swath.models.engine import LocalEngine
from swath.models.loaded import Loaded
from swath.models.loading import load_base
from swath.recipe import Recipe
from swath.recipes import load_recipe
from swath.tuning.run import tune

TITLES = {"pretrained": "from the base", "random": "from random weights"}
COLOURS = {"pretrained": "#1f6f8b", "random": "#c96a20"}


class Points:
    """Scores the live model at chosen steps: the `probe` of a run.

    Args:
        recipe: how it is evaluated.
        built: with the questions.
        points: how often, over all stages.
    """

    def __init__(self, recipe: Recipe, built: InstructionSet, points: int) -> None:
        section = recipe.evaluation
        self.recipe, self.built = recipe, built
        self.asked = [one for one in built.split(section.split) if one.task == "classify"]
        if not self.asked:
            raise EvaluationError(f"{recipe.name}: no '{section.split}' image has a class to name.")
        self.each = ceil(points / len(recipe.tuning.stages))
        self.rows: list[dict[str, Any]] = []
        self._engine: LocalEngine | None = None
        self._before = 0.0
        self._last: dict[str, Any] = {"seconds": 0.0}

    def __call__(self, loaded: Loaded, row: dict[str, Any]) -> None:
        if row["step"] == 1:
            self._before += self._last["seconds"]  # of the stage that has ended
        self._last = row
        steps = row["steps"]
        if row["step"] in {ceil(k * steps / self.each) for k in range(1, self.each + 1)}:
            self.take(loaded, row["stage"], row["step"], self._before + row["seconds"])

    def take(self, loaded: Loaded, stage: str, step: int, seconds: float) -> None:
        """Score the model and keep the point."""
        recipe, section = self.recipe, self.recipe.evaluation
        if self._engine is None or self._engine.loaded is not loaded:
            self._engine = LocalEngine(
                loaded,
                batch_size=section.batch_size,
                views=section.views,
                threads=recipe.tuning.threads,
            )
        labels = self.built.labels
        choices = self.built.choices if section.closed else {}
        answers = predict(self._engine, self.asked, labels, choices, section.max_new_tokens)
        accuracy = score(answers, labels, section.resamples, recipe.seed)["classify"]["accuracy"]
        self.rows.append(
            {"stage": stage, "step": step, "seconds": round(seconds, 2), **asdict(accuracy)}
        )
        said = f"{stage}, step {step}, {seconds:.0f} s: {accuracy.value:.3f}"
        print(f"{recipe.models.weights}: {said}", file=sys.stderr)


def main() -> None:
    """Read the arguments, measure or read, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="a recipe's name or YAML, or the JSON of an earlier curve")
    parser.add_argument("overrides", nargs="*", help="recipe keys, as in tuning.threads=1")
    parser.add_argument("--out", type=Path, required=True, help="PNG to draw")
    parser.add_argument("--points", type=int, default=12, help="how often accuracy is measured")
    parser.add_argument("--weights", nargs="+", choices=list(TITLES), default=list(TITLES))
    args = parser.parse_intermixed_args()
    if args.points < 1:
        parser.error("--points counts from 1")
    try:
        drawn_again = args.recipe.endswith(".json")
        result = read_json(args.recipe) if drawn_again else measure(args)
    except SwathError as error:
        sys.exit(f"{parser.prog}: {error}")
    draw(result, args.out)
    print(f"{args.out}: drawn")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Tune once from each weights; the points of both."""
    result: dict[str, Any] = {"curves": {}}
    for weights in args.weights:
        recipe = load_recipe(args.recipe, [*args.overrides, f"models.weights={weights}"])
        with tempfile.TemporaryDirectory() as folder:
            built = Experiment(recipe, folder).set()
            points = Points(recipe, built, args.points)
            if recipe.models.tokenizer == "base":
                points.take(load_base(recipe.models, (), recipe.seed), "start", 0, 0.0)
            run = tune(built, recipe, Path(folder) / "run", probe=points)
            threads = read_json(run / "run.json")["threads"]
        truths = Counter(one.truth.label for one in points.asked)
        result |= {
            "recipe": recipe.name,
            "overrides": args.overrides,
            "stages": [stage.name for stage in recipe.tuning.stages],
            "split": recipe.evaluation.split,
            "views": recipe.evaluation.views,
            "images": len(points.asked),
            "commonest_class": max(truths.values()) / len(points.asked),
            "machine": {**machine(), "threads": threads},
        }
        result["curves"][weights] = [
            {**row, "core_seconds": round(row["seconds"] * threads, 2)} for row in points.rows
        ]
        finish(result, args.out.with_suffix(".json"))
    return result


def draw(result: dict[str, Any], path: Path) -> None:
    """Accuracy over core-minutes, a line a run, with 95 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ink, soft, rule = "#22252a", "#6b6d70", "#e3dfd7"
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "text.color": ink})
    figure, axes = pyplot.subplots(figsize=(8, 4.6), dpi=160, facecolor="#fbfaf7")
    axes.set_facecolor("#fbfaf7")
    longest = max(rows[-1]["core_seconds"] for rows in result["curves"].values()) / 60
    labels = []
    for weights, rows in result["curves"].items():
        minutes = [row["core_seconds"] / 60 for row in rows]
        shares = [100 * row["value"] for row in rows]
        low, high = ([100 * row[end] for row in rows] for end in ("low", "high"))
        colour = COLOURS[weights]
        axes.fill_between(minutes, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(
            minutes, shares, color=colour, linewidth=2.2, marker="o", markersize=4, clip_on=False
        )
        labels.append((shares[-1], f"{TITLES[weights]}\n{shares[-1]:.1f} %", colour))
    _beside_lines(axes, labels, longest)
    floor = 100 * result["commonest_class"]
    axes.axhline(floor, color=soft, linewidth=0.9, linestyle=(0, (2, 3)))
    axes.text(longest, floor + 1, "always the commonest class", ha="right", fontsize=8, color=soft)
    _stage_ends(axes, result, soft)
    axes.set_xlim(0, longest * 1.02)
    axes.set_ylim(0, 100)
    axes.set_xlabel("core-minutes of tuning (threads × minutes)", color=soft)
    axes.set_ylabel(f"accuracy on {result['images']} {result['split']} images, %", color=soft)
    axes.grid(axis="y", color=rule, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(rule)
    axes.tick_params(colors=soft, length=0)
    axes.set_title(
        f"{result['recipe']}: accuracy over tuning time", loc="left", fontsize=13, pad=26
    )
    on = f"{result['machine']['cpu']}, {result['machine']['threads']} thread(s)"
    axes.text(
        0, 1.03, f"{on}; bands: 95 % intervals over scenes",
        transform=axes.transAxes, fontsize=8.5, color=soft,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", pad_inches=0.25, facecolor=figure.get_facecolor())
    pyplot.close(figure)


def _beside_lines(axes: Any, labels: list[tuple[float, str, str]], x: float) -> None:
    """Name each line at its end, the names kept apart."""
    below = -100.0
    for height, text, colour in sorted(labels):
        below = max(height, below + 11)
        axes.annotate(
            text, (x, below), (10, 0), textcoords="offset points", va="center",
            color=colour, fontsize=10, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def _stage_ends(axes: Any, result: dict[str, Any], colour: str) -> None:
    """A thin line where the first run went from one stage to the next."""
    rows = next(iter(result["curves"].values()))
    for stage in result["stages"][:-1]:
        end = max(row["core_seconds"] for row in rows if row["stage"] == stage) / 60
        axes.axvline(end, color=colour, linewidth=0.7, linestyle=(0, (2, 4)))
        axes.text(end, 97, f"stage '{stage}' ends ", ha="right", fontsize=8, color=colour)


if __name__ == "__main__":
    main()
