"""The model card: what went in, what may be done with it, how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swath.evaluation.report.charts import Series, as_file, loss_curve
from swath.files import read_json, read_losses, read_record
from swath.recipe import Recipe
from swath.recipes import load_recipe

CURVE_FILE = "losses.svg"


def model_card(run: Path) -> str:
    """Markdown with the Hub's header, written from a run's own files."""
    recipe = load_recipe(run / "recipe.yaml")
    card = read_json(run / "set" / "card.json")
    record = read_record(run)
    stages = "\n".join(
        f"| {stage['name']} | {', '.join(recipe.tuning.stages[number].train)} | {stage['steps']} "
        f"| {stage['seconds']:.0f} s |"
        for number, stage in enumerate(record["stages"])
    )
    licences = (
        "\n".join(
            f"- {row['source']}: {row['licence']}, {row['images']} images" for row in card["ledger"]
        )
        if "ledger" in card
        else "\n".join(f"- {name}: {count} images" for name, count in card["licences"].items())
    )
    base = f"`{record['base']}`"
    origin = base
    if recipe.models.weights == "random":
        origin = f"random weights of {base}"
    elif recipe.models.weights == "tiny" and record["base"] != "swath-nano":  # small as it is
        origin = f"random weights of a small likeness of {base}"
    leaks = card.get("leaks", "none by construction, each scene is drawn from its own seed")
    return f"""---
library_name: swath
pipeline_tag: image-text-to-text
tags: [remote-sensing, satellite, vision-language]
---
# {recipe.name}

{recipe.about.strip() or "A vision-language model tuned with swath."}

Made from {origin} by `swath tune {recipe.name}`. Load it with
`swath.load("this folder").ask(image, question)`, or, where `swath` is imported, with
`transformers.AutoModelForImageTextToText`.{_pipeline(recipe)}

## Data

Images: {_counts(card["images"])}. Sources: {", ".join(card["sources"])}.
Pictures standing in train and test alike: {leaks}.

What it may be used for: {card.get("use", "only what all licences below allow.")}

{licences}

Classes: {", ".join(card["labels"]) or "none"}.

## Tuning

| stage | trained | steps | time |
|---|---|---|---|
{stages}

Versions: {", ".join(f"{name} {number}" for name, number in record["versions"].items())};
{record["threads"]} threads, {record["machine"]}.

The loss at every step:

![loss by step]({CURVE_FILE})

## Scores

{_scores(run)}
"""


def _pipeline(recipe: Recipe) -> str:
    """How a vision encoder-decoder, which `transformers` has itself, is asked without swath."""
    parts = recipe.models.parts
    if parts is None or parts.connector != "cross-attention":
        return ""
    return """ Without swath:

```python
pipe = transformers.pipeline("image-text-to-text", model="this folder")
prompt = f"{pipe.tokenizer.bos_token}Question: Describe the image. Answer:"
pipe(images=[image], text=prompt, return_full_text=False)
```"""


def loss_picture(run: Path) -> str:
    """The loss of every step of a run as an SVG file's text."""
    return as_file(loss_curve([(Series("loss", "tuned"), read_losses(run))]))


def _scores(run: Path) -> str:
    file = run / "evaluation" / "tuned" / "scores.json"
    if not file.is_file():
        return "Not evaluated: run `swath evaluate`."
    tasks: dict[str, Any] = read_json(file)["tasks"]
    lines = [
        "| task | metric | score | 95 % interval | n | unreadable |",
        "|---|---|---|---|---|---|",
    ]
    for task, values in tasks.items():
        for name, one in values["metrics"].items():
            low, high = one.get("low"), one.get("high")
            interval = "" if low is None else f"{low:.3f} to {high:.3f}"
            value = "undefined" if one["value"] is None else f"{one['value']:.3f}"
            lines.append(
                f"| {task} | {name} | {value} | {interval} | {one['n']} | {one['unreadable']} |"
            )
    return "\n".join(lines) + "\n\nEvery sample counts; an unreadable answer is wrong."


def _counts(images: dict[str, int]) -> str:
    return ", ".join(f"{count} {split}" for split, count in images.items())
