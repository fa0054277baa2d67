"""Tuning: `transformers.Trainer` and TRL's `SFTTrainer` against swath, same model, rows and order.

    python benchmarks/tuning.py small|smolvlm|eight [--peer PYTHON] [--epochs E] [--out JSON]

"small" asks one question about each picture of a LLaVA of 80 million parameters (CLIP 384 x 12 at
224 px, Llama 512 x 8, 32,000 words); "smolvlm" the same of SmolVLM-256M at 512 px; "eight" asks the
LLaVA eight questions a picture, which the others read as eight rows and swath as one. Weights are
random, adapters of rank 16 learn in the language model, in float32 on one thread. The others get
rows that are written already; all open and resize the pictures anew. swath asks the frozen tower in
the first epoch and keeps its features, which counts.

PYTHON is one that has TRL beside swath's own packages. All run one after the other, each from the
same weights in a process of its own; seconds are of steps, by the clock and by the processor, which
others on the machine do not slow down as much. Losses must agree, or the ratio does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
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
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from swath.errors import SwathError
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Conversation, Image, assistant, user
from swath.models.encoding import Row
from swath.models.family import FAMILIES
from swath.models.inputs import Inputs
from swath.models.loaded import EMBEDDED, Loaded
from swath.models.loading import load_base
from swath.models.pixels import PixelStore
from swath.models.published import published_config
from swath.models.templates import TEMPLATES
from swath.recipe import Recipe
from swath.recipes import validate
from swath.tuning.memory import peak_memory
from swath.tuning.run import tune
from swath.tuning.sampling import Order, groups_for
from swath.tuning.stages import prepare

BATCH = 4
SETTINGS = {  # pictures, questions a picture, side
    "small": (8, 1, 224),
    "smolvlm": (8, 1, 512),
    "eight": (8, 8, 224),
}
WORDS = ("field", "forest", "river", "road", "port", "airport", "houses", "ships", "tanks", "beach")


def main() -> None:
    """Read the arguments, measure each way in its own process, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("--peer", help="a Python that has TRL and swath's packages")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the pictures")
    parser.add_argument("--out", type=Path, help="JSON to write, instead of printing it")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        if args.way:
            with tempfile.TemporaryDirectory() as folder:
                json.dump(WAYS[args.way](args.setting, args.epochs, Path(folder)), sys.stdout)
            return
        result = compared(args)
    except SwathError as error:
        sys.exit(f"{parser.prog}: {error}")
    finish(result, args.out)


def compared(args: argparse.Namespace) -> dict[str, Any]:
    """Each way's seconds, memory and losses; and by how much swath is faster."""
    pythons = {"trainer": sys.executable, "swath": sys.executable}
    if args.peer:
        pythons["trl"] = args.peer
    ways = {}
    for way, python in pythons.items():
        command = [python, __file__, args.setting, "--epochs", str(args.epochs), "--way", way]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ)
        ways[way] = json.loads(told.stdout.splitlines()[-1])
        print(f"{way}: {ways[way]['cpu_seconds']:.1f} core-seconds", file=sys.stderr)
    ours = ways["swath"]
    against = {}
    for way, row in ways.items():
        if way == "swath":
            continue
        gaps = np.abs(np.array(row["losses"]) - ours["losses"])
        against[way] = {
            "ratio": round(row["seconds"] / ours["seconds"], 2),
            "cpu_ratio": round(row["cpu_seconds"] / ours["cpu_seconds"], 2),
            "later_epochs_cpu_ratio": round(
                sum(row["each_cpu"][ours["an_epoch"] :])
                / sum(ours["each_cpu"][ours["an_epoch"] :]),
                2,
            ),
            "largest_gap_of_losses": float(gaps.max()),
        }
    return {"setting": args.setting, "epochs": args.epochs, "ways": ways, "against": against} | {
        "machine": machine() | {"load": os.getloadavg()[0]}
    }


def base_of(setting: str) -> Loaded:
    """The model, random by one seed."""
    if setting == "smolvlm":
        row, config = (
            FAMILIES.get("idefics3"),
            published_config("HuggingFaceTB/SmolVLM-256M-Instruct"),
        )
        kind: Any = "idefics3"
    else:
        row, kind = FAMILIES.get("llava"), "llava"
        vision = CLIPVisionConfig(
            hidden_size=384, intermediate_size=1536, num_hidden_layers=12, num_attention_heads=6,
            image_size=224, patch_size=14,
        )  # fmt: skip
        text = LlamaConfig(
            vocab_size=32_000, hidden_size=512, intermediate_size=1376, num_hidden_layers=8,
            num_attention_heads=8, num_key_value_heads=8, max_position_embeddings=4096,
        )  # fmt: skip
        config = LlavaConfig(vision_config=vision, text_config=text)
    tokenizer: Any = AutoTokenizer.from_pretrained(EMBEDDED)
    template = TEMPLATES.get(row.template)
    tokens = [*template.tokens, *row.tokens, row.image_token]
    tokenizer.add_special_tokens({"additional_special_tokens": tokens})
    tokenizer.eos_token, tokenizer.chat_template = template.end, template.jinja
    config.image_token_id = tokenizer.convert_tokens_to_ids(row.image_token)
    for part in (config, config.get_text_config()):
        part.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(0)
    if kind == "llava":
        model: Any = LlavaForConditionalGeneration(config)
    else:
        from transformers import AutoModelForImageTextToText

        model = AutoModelForImageTextToText.from_config(config)
    return Loaded(model.eval(), tokenizer, row, setting)


def set_of(setting: str, folder: Path) -> InstructionSet:
    """Pictures of coloured noise with questions of about 90 tokens and answers of about ten."""
    pictures, questions, side = SETTINGS[setting]
    rng = np.random.default_rng(0)
    conversations = []
    for number in range(pictures):
        path = folder / f"{number}.png"
        coarse = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Picture.fromarray(coarse).resize((side, side)).save(path)
        for turn in range(questions):
            words = " ".join(rng.choice(WORDS, 24))
            turns = (
                user(Image(str(path), (side, side)), f"\nWhich of these are here: {words}?"),
                assistant(" and ".join(rng.choice(WORDS, 3))),
            )
            conversations.append(
                Conversation(
                    f"{number}-{turn}", "question", turns, split="train", scene=str(number)
                )
            )
    return InstructionSet(tuple(conversations), {"labels": [], "words": [], "choices": {}})


def recipe_of(setting: str, base: Path, epochs: int) -> Recipe:
    """One stage: an adapter in the language model; the pictures stay as they are."""
    pictures, questions, _ = SETTINGS[setting]
    stage = {
        "name": "all",
        "train": ["lora"],
        "steps": pictures // BATCH * epochs,
        "batch_size": BATCH,
        "rows_per_image": questions,
        "epoch_of": "images",
        "learning_rate": 1e-3,
        "weight_decay": 0,
        "augment": {"turn": False, "crop": 1, "colour": 0},
    }
    values = {
        "name": "tuning",
        "annotations": {"source": "drawn here"},
        "models": {"base": str(base)},
        "imagery": {"cache_px": 512},
        "tuning": {"stages": [stage], "precision": "fp32", "threads": 1, "prove": 0},
    }
    return validate(values, "tuning.py")


class Clock(TrainerCallback):
    """Seconds of each step, by the clock and by the processor."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.losses: list[float] = []
        self.start()

    def start(self) -> None:
        """Count from here."""
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def step(self, loss: float) -> None:
        """A step has ended."""
        self.wall.append(time.monotonic() - self._wall)
        self.cpu.append(time.process_time() - self._cpu)
        self.losses.append(round(loss, 6))
        self.start()

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.start()

    def result(self, setting: str, **more: Any) -> dict[str, Any]:
        """What is told of a way."""
        return {
            "seconds": round(sum(self.wall), 2),
            "cpu_seconds": round(sum(self.cpu), 2),
            "each_cpu": [round(seconds, 2) for seconds in self.cpu],
            "an_epoch": SETTINGS[setting][0] // BATCH,
            "losses": self.losses,
            "peak_mb": round(peak_memory() / 1e6),
            **more,
        }


def swath_way(setting: str, epochs: int, folder: Path) -> dict[str, Any]:
    """`swath tune`'s own run."""
    base_of(setting).save(folder / "base")
    clock = Clock()
    built = set_of(setting, folder)
    tune(
        built,
        recipe_of(setting, folder / "base", epochs),
        folder / "run",
        report=lambda row: clock.step(row["text"]),
        parts=lambda *_: clock.start(),
    )
    return clock.result(setting, versions={"swath": version("swath")})


class Written(torch.utils.data.Dataset):
    """Rows for the others: ids written beforehand, pictures opened and resized when they come."""

    def __init__(self, inputs: Inputs, questions: Sequence[Conversation]) -> None:
        self.inputs, self.questions = inputs, questions
        self._cached = {question.id: self._encoded(question) for question in questions}

    def _encoded(self, question: Conversation) -> Row:
        side = self.inputs.loaded.image_size
        view = PixelStore(side, side).plain(question.images[0].path)
        encoded = self.inputs.encoder.encode(question, [view])
        length = len(encoded.ids)
        return Row(list(encoded.ids), list(range(length)), [1] * length, list(encoded.answer))

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, number: int) -> Conversation:
        return self.questions[number]

    def collate(self, questions: Sequence[Conversation]) -> dict[str, Any]:
        """A padded batch as a processor and a collator make it."""
        inputs, side = self.inputs, self.inputs.loaded.image_size
        store = PixelStore(side, side)
        views = [store.plain(question.images[0].path) for question in questions]
        rows = [self._cached[question.id] for question in questions]
        longest = max(len(row.ids) for row in rows)
        pad = inputs.loaded.tokenizer.pad_token_id
        batch = {
            "input_ids": torch.full((len(rows), longest), pad),
            "attention_mask": torch.zeros(len(rows), longest, dtype=torch.long),
            "labels": torch.full((len(rows), longest), -100),
        }
        for number, row in enumerate(rows):
            ids, answer = torch.tensor(row.ids), torch.tensor(row.answer)
            batch["input_ids"][number, : len(ids)] = ids
            batch["attention_mask"][number, : len(ids)] = 1
            batch["labels"][number, : len(ids)] = torch.where(answer, ids, -100)
        return batch | inputs.pixels(inputs.tensor(views), [1] * len(views))


def other_way(
    setting: str, epochs: int, folder: Path, make: Callable[..., Trainer], **settings: Any
) -> dict[str, Any]:
    """The same rows in the same order through another trainer, a row a question."""
    base_of(setting).save(folder / "base")
    built, recipe = set_of(setting, folder), recipe_of(setting, folder / "base", epochs)
    stage = recipe.tuning.stages[0]
    torch.manual_seed(recipe.seed)
    loaded = load_base(recipe.models, (), recipe.seed, recipe.imagery)
    torch.manual_seed(recipe.seed)
    model = prepare(loaded.model, loaded, stage)
    order = Order(groups_for(stage, built.split("train")), stage, recipe.seed * 1000)
    questions: list[Conversation] = []
    for row in range(BATCH * int(stage.steps or 0)):
        questions += order(row).group
    rows = Written(Inputs(loaded), questions)
    clock = Clock()
    arguments = {
        "output_dir": str(folder / "out"),
        "max_steps": stage.steps,
        "per_device_train_batch_size": BATCH * SETTINGS[setting][1],
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": stage.schedule,
        "warmup_steps": int(stage.warmup * int(stage.steps or 0)),
        "max_grad_norm": stage.clip,
        "adam_beta2": stage.beta2,
        "weight_decay": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "train_sampling_strategy": "sequential",
        **settings,
    }
    trainer = make(model=model, arguments=arguments, rows=rows)
    trainer.add_callback(clock)
    whole_step = trainer.training_step

    def step(*args: Any, **kwargs: Any) -> torch.Tensor:
        loss = whole_step(*args, **kwargs)
        losses.append(float(loss))
        return loss

    losses: list[float] = []
    trainer.training_step = step  # type: ignore[method-assign]
    clock.on_step_end = lambda *_, **__: clock.step(losses[-1])  # type: ignore[method-assign]
    trainer.train()
    return clock.result(setting, versions={"transformers": version("transformers")})


def trainer_way(setting: str, epochs: int, folder: Path) -> dict[str, Any]:
    """`transformers.Trainer`."""

    def make(model: Any, arguments: dict[str, Any], rows: Written) -> Trainer:
        return Trainer(
            model=model,
            args=TrainingArguments(**arguments),
            train_dataset=rows,
            data_collator=rows.collate,
        )

    return other_way(setting, epochs, folder, make)


def trl_way(setting: str, epochs: int, folder: Path) -> dict[str, Any]:
    """TRL's `SFTTrainer`, bf16 and checkpointing off."""
    import trl

    def make(model: Any, arguments: dict[str, Any], rows: Written) -> Trainer:
        trainer: Trainer = trl.SFTTrainer(
            model=model,
            args=trl.SFTConfig(**arguments),
            train_dataset=rows,
            data_collator=rows.collate,
            processing_class=rows.inputs.loaded.tokenizer,
        )
        return trainer

    off = {"bf16": False, "gradient_checkpointing": False, "max_length": None}
    off |= {"dataset_kwargs": {"skip_prepare_dataset": True}}
    told = other_way(setting, epochs, folder, make, **off)
    told["versions"]["trl"] = version("trl")
    return told


WAYS = {"trainer": trainer_way, "swath": swath_way, "trl": trl_way}

if __name__ == "__main__":
    main()
