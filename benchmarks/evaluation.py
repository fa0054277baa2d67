"""Closed answers: the `generate` loop that others use against ours, on the same model and images.

    python benchmarks/evaluation.py [--model small|swath-nano|FOLDER] [--out JSON]

Four ways answer the same questions in turns: `generate` for one sample after the other, `generate`
in batches, `LocalEngine.score`, and the same with the tower's features kept on disk by an earlier
time, as after a tuning epoch that left the tower alone. In all others pictures go through the tower
anew; all read them from disk. Thirty classes are asked for with one question an image, as words and
as JSON, the list of classes standing behind the image or before it; and five short questions an
image.

"small" is a LLaVA of 80 million parameters (a CLIP tower of 384 x 12 at 224 px, a Llama of 512 x 8
with 32,000 words): random, but for a head solved so that it answers as a tuned model would, with a
class that depends on the image. Where `generate` says one of the candidates, and ours gives that
more than half of all probability, both must name the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import finish, machine
from PIL import Image as Picture
from torch.nn import functional
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from swath.errors import SwathError
from swath.instructions.conversation import Conversation, Image, Turn, assistant, system, user
from swath.models.encoding import batches
from swath.models.engine import LocalEngine
from swath.models.family import FAMILIES
from swath.models.loaded import Loaded
from swath.models.loading import load
from swath.models.templates import TEMPLATES
from swath.models.vision_cache import Features

LISTED = (
    "airport, bare land, baseball field, beach, bridge, center, church, commercial, dense "
    "residential, desert, farmland, forest, industrial, meadow, medium residential, mountain, "
    "park, parking, playground, pond, port, railway station, resort, river, school, sparse "
    "residential, square, stadium, storage tanks, viaduct"
)
LABELS = LISTED.split(", ")
SHORT = {
    "Is the area rural or urban?": ["rural", "urban"],
    "Is there a road?": ["yes", "no"],
    "Is there water?": ["yes", "no"],
    "How many buildings are there?": [str(number) for number in range(11)],
    "Which season is it?": ["spring", "summer", "autumn", "winter"],
}
SIZE = (256, 256)

Asked = list[tuple[Conversation, list[str]]]
"""Questions, each with what may be answered."""


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="small", help="small, swath-nano or a folder")
    parser.add_argument("--images", type=int, default=8, help="images a turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--batch", type=int, default=8, help="samples of a batched `generate`")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--out", type=Path, help="JSON to write")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = pictures(Path(folder), args.images)
            sets = asked(paths)
            loaded = small(sets) if args.model == "small" else load(args.model)
            rows = {
                name: compared(loaded, some, args.images, args.repeats, args.batch, Path(folder))
                for name, some in sets.items()
            }
    except SwathError as error:
        sys.exit(f"{parser.prog}: {error}")
    result = {
        "model": args.model,
        "parameters": sum(one.numel() for one in loaded.model.parameters()),
        "images": args.images,
        "repeats": args.repeats,
        "results": rows,
        "agree": not any(
            one["otherwise"]
            for row in rows.values()
            for peer in row["against"].values()
            for one in peer.values()
        ),
        "machine": machine() | {"transformers": version("transformers")},
    }
    finish(result, args.out)


def pictures(folder: Path, count: int) -> list[str]:
    """Pictures of coloured noise, no two alike."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        paths.append(str(folder / f"{number}.png"))
        Picture.fromarray(coarse).resize(SIZE).save(paths[-1])
    return paths


def asked(paths: Sequence[str]) -> dict[str, Asked]:
    """What is measured, by name."""
    listed, words = f"Classify the image as one of these: {LISTED}.", "Answer with the class."
    in_json, objects = "Answer in JSON.", [json.dumps({"label": label}) for label in LABELS]
    return {
        "30 labels, listed behind the image": [(_ask(one, listed, words), LABELS) for one in paths],
        "30 labels, listed before the image": [
            (_ask(one, "Which is it?", f"{listed} {words}"), LABELS) for one in paths
        ],
        "30 labels in JSON, listed behind the image": [
            (_ask(one, listed, in_json), objects) for one in paths
        ],
        "30 labels in JSON, listed before the image": [
            (_ask(one, "Which is it?", f"{listed} {in_json}"), objects) for one in paths
        ],
        "5 questions an image": [
            (_ask(one, text, "Answer with one word."), some)
            for one in paths
            for text, some in SHORT.items()
        ],
        "5 questions an image in JSON": [
            (_ask(one, text, in_json), [json.dumps({"answer": each}) for each in some])
            for one in paths
            for text, some in SHORT.items()
        ],
    }


def _ask(path: str, words: str, before: str = "") -> Conversation:
    turns: list[Turn] = [system(before)] if before else []
    turns.append(user(Image(path, SIZE), "\n" + words))
    return Conversation(f"{path} {words}", "classify", tuple(turns))


def small(sets: dict[str, Asked]) -> Loaded:
    """The small LLaVA, whose head gives each question an answer of its own."""
    tokenizer = load("swath-nano").tokenizer
    tokenizer.chat_template = TEMPLATES.get("vicuna").jinja
    vision = CLIPVisionConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=224,
        patch_size=14,
    )
    language = LlamaConfig(
        vocab_size=32000,
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=8,
        num_attention_heads=8,
        max_position_embeddings=2048,
    )
    image = tokenizer.convert_tokens_to_ids("<image>")
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=language, image_token_id=image)
    ).eval()
    loaded = Loaded(model, tokenizer, FAMILIES.get("llava"), "small")
    local, found = LocalEngine(loaded), []
    with torch.inference_mode():
        for number, (question, texts) in enumerate(one for some in sets.values() for one in some):
            view = local.store.plain(question.images[0].path)
            turns = (*question.turns, assistant(texts[7 * number % len(texts)]))
            whole = local.inputs.encoder.encode(Conversation("", "classify", turns), [view])
            pixels = local.inputs.pixels(local.inputs.tensor([view]), [1])
            ids, places = torch.tensor([whole.ids]), np.flatnonzero(whole.answer)
            hidden = model.model(input_ids=ids, **pixels).last_hidden_state[0]
            found.append((hidden[places - 1].double(), ids[0, places]))
        states, words = (torch.cat(parts) for parts in zip(*found, strict=True))
        # Least squares: a logit of 20 for the word that follows, 0 for all others.
        wanted = 20 * functional.one_hot(words, language.vocab_size).double()
        square = states @ states.T
        square += 1e-9 * square.diagonal().mean() * torch.eye(len(square))
        model.lm_head.weight.copy_((states.T @ torch.linalg.solve(square, wanted)).T)
    return loaded


def compared(
    loaded: Loaded, asked: Asked, images: int, repeats: int, batch: int, folder: Path
) -> dict[str, Any]:
    """Median wall and CPU seconds an image of each way, our lead over the others, and agreement."""
    ways: dict[str, Callable[[], list[Any]]] = {
        "generate, one by one": lambda: generated(loaded, asked, 1),
        f"generate, {batch} at once": lambda: generated(loaded, asked, batch),
        "ours": lambda: weighed(loaded, asked),
        "ours, features kept": lambda: weighed(loaded, asked, Features(folder / "features")),
    }
    ways["ours, features kept"]()  # writes what is not there yet
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    answers: dict[str, list[Any]] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            answers[name] = way()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = (
        {
            name: statistics.median(one[at] for one in some) / images
            for name, some in seconds.items()
        }
        for at in (0, 1)
    )
    own = {name: answers.pop(name) for name in list(answers) if name.startswith("ours")}
    against: dict[str, Any] = {}
    for name, said in answers.items():
        against[name] = {}
        for mine, ours in own.items():
            sure = [
                (text, label)
                for text, (label, share), (_, texts) in zip(said, ours, asked, strict=True)
                if text in texts and share > 0.5
            ]
            against[name][mine] = {
                "ratio": walls[name] / walls[mine],
                "cpu_ratio": cpus[name] / cpus[mine],
                "compared": len(sure),
                "otherwise": sum(text != label for text, label in sure),
            }
    return {"seconds_an_image": walls, "cpu_seconds_an_image": cpus, "against": against}


@torch.inference_mode()
def generated(loaded: Loaded, asked: Asked, batch: int) -> list[str]:
    """What `generate` says, with no longer answers than the longest candidate."""
    local, tokenizer = LocalEngine(loaded), loaded.tokenizer
    inputs, model = local.inputs, loaded.model
    most = max(len(tokenizer(text)["input_ids"]) for text in asked[0][1]) + 1
    said: list[str] = []
    for some in batches(asked, batch):
        views = [local.store.plain(one.images[0].path) for one, _ in some]
        prompts = [
            inputs.encoder.encode(one, [view], ask=True)
            for (one, _), view in zip(some, views, strict=True)
        ]
        given = inputs.asking(prompts) | inputs.pixels(inputs.tensor(views), [1] * len(views))
        output = model.generate(
            **given,
            max_new_tokens=most,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.convert_tokens_to_ids(loaded.end),
        )
        new = output[:, given["input_ids"].shape[1] :]
        said += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return said


def weighed(loaded: Loaded, asked: Asked, kept: Features | None = None) -> list[tuple[str, float]]:
    """The candidate that is most probable and its share of all probability."""
    local = LocalEngine(loaded, kept=kept)
    scores = local.score([one for one, _ in asked], [texts for _, texts in asked])
    best = [int(logs.argmax()) for logs in scores]
    return [
        (texts[place], float(np.exp(logs[place])))
        for place, logs, (_, texts) in zip(best, scores, asked, strict=True)
    ]


if __name__ == "__main__":
    main()
