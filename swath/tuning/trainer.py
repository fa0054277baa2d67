"""`transformers.Trainer`, told our losses, order of rows and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from swath.errors import TuningError
from swath.models.generating.image_prefix import instead_of_pixels
from swath.models.inputs import Inputs, answers_only, tower_features
from swath.models.loaded import Loaded
from swath.models.vision_cache import projector_of
from swath.recipe import Stage, Tuning
from swath.tuning import processes
from swath.tuning.checks import Checks
from swath.tuning.losses import ImageHeads, counted, text_loss
from swath.tuning.stages import learnt

HEADS_FILE = "image_heads.safetensors"
BESIDE_FILE = "beside_adapter.safetensors"
Report = Callable[[dict[str, Any]], None]
"""Called every step with `step`, `steps`, `loss`, `seconds`, and what was checked there."""

Probe = Callable[[Loaded, dict[str, Any]], None]
"""Called every step with the live model, in evaluation mode, and what `Report` gets."""


class StageTrainer(Trainer):
    """Runs one stage.

    Args:
        stage: losses and optimiser.
        inputs: of the model.
        tower: the model's vision tower.
        head: its language head.
        mlp: see `last_mlp`; it is left out where no answer stands.
        heads: auxiliary heads, or None without image loss.
        part: the part of the model a parameter of a name belongs to.

    The batches of a step (`accumulate`, and those of other processes) have the gradient that they
    would have as one, up to mixup, contrast and batch norms, which stay within a batch.
    """

    def __init__(
        self,
        *args: Any,
        stage: Stage,
        inputs: Inputs,
        tower: nn.Module,
        head: nn.Module,
        mlp: nn.Module | None,
        heads: ImageHeads | None,
        part: Callable[[str], str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.stage = stage
        self.inputs, self.tower, self.head, self.mlp = inputs, tower, head, mlp
        self.heads = heads.to(self.args.device) if heads is not None else None
        self.part = part
        self.begin([])
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)  # the command line shows progress

    def begin(self, batches: list[dict[str, Any]]) -> None:
        """Begin a step of these batches."""
        self.parts: dict[str, float] = {}
        self.batches = max(1, len(batches))
        self.answers = self.tokens = 0
        if self.heads is not None:
            self.heads.zero_grad()  # the trainer clears the model's own gradients only
        together = len(batches) * processes.count()
        if together > 1 and "labels" in batches[0]:
            tokens = 0
            for batch in batches:
                tokens += counted(batch["labels"], batch["segments"], self.stage.average)
            self.answers = sum(processes.gathered(tokens))

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The batches of the step that begins here."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        self.begin(batches)
        return batches, items

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The stage's weighted loss on a batch of `Batcher`.

        Raises:
            TuningError: it is not a finite number.
        """
        if "vision" not in self.stage.train:
            self.tower.eval()  # frozen batch norms keep the statistics they were pretrained with
        scenes, words = inputs.pop("scenes", None), inputs.pop("words", None)
        segments, weights = inputs.pop("segments", None), inputs.pop("weights", None)
        if segments is None:
            # The trainer computes in bf16 inside the model's own forward only.
            with self.accelerator.autocast():
                features = self.inputs.features(self.tower, inputs["pixel_values"])
                loss = torch.zeros((), device=features.device)
        else:
            labels, average = inputs.pop("labels"), self.stage.average
            self.tokens += int((segments >= 0).sum())
            if "tower_features" in inputs:
                with self.accelerator.autocast():
                    features = projector_of(self.inputs)(inputs.pop("tower_features"))
                inputs |= instead_of_pixels(self.inputs, features)
            answered = answers_only(self.head, labels, self.mlp)
            with _output_of(self.tower) as tower_outputs, answered:
                output = model(**inputs, use_cache=False)
            answers = text_loss(output.logits, labels, segments, average, weights)
            if self.answers:  # a batch counts by its answers, as it would within a larger one
                share = counted(labels, segments, average) / self.answers
                answers = answers * (share * self.batches * processes.count())
            self._note("text", answers)
            loss = self.stage.text_loss * answers
        targets = scenes if scenes is not None else words  # images may have neither
        if self.heads is not None and (segments is None or targets is not None):
            if segments is not None:
                features = tower_features(tower_outputs[0], len(targets))
            image = self.heads(features, scenes, words)
            self._note("image", image)
            loss = loss + image
        self._note("loss", loss)
        if not torch.isfinite(loss):
            raise TuningError(
                f"stage '{self.stage.name}', step {self.state.global_step + 1}: the loss is "
                f"{float(loss.detach())}; lower tuning.stages learning_rate "
                f"(now {self.stage.learning_rate:g}) or use tuning.precision=fp32."
            )
        return (loss, None) if return_outputs else loss

    def measure(self, batches: Iterable[dict[str, Any]]) -> list[float]:
        """The text loss of each batch, of which nothing is learnt."""
        before = self.parts, self.batches, self.answers, self.tokens, self.heads
        texts = []
        for batch in batches:
            self.parts, self.batches, self.answers, self.heads = {}, 1, 0, None
            with torch.no_grad():
                self.compute_loss(self.model, self._prepare_inputs(batch))  # type: ignore[arg-type]
            texts.append(self.parts["text"])
        self.parts, self.batches, self.answers, self.tokens, self.heads = before
        return texts

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over what learns, the heads included; matrices decay, vectors do not."""
        peak = self.stage.learning_rate
        rates: dict[str, float] = dict(self.stage.learning_rates.items())
        learning = [
            (rates.get(self.part(name), peak), parameter)
            for name, parameter in (model or self.model).named_parameters()  # type: ignore[union-attr]
            if parameter.requires_grad
        ]
        if self.heads is not None:
            learning += [(peak, parameter) for parameter in self.heads.parameters()]
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for rate, parameter in learning:
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
        decay = self.stage.weight_decay
        self.optimizer = torch.optim.AdamW(
            [
                {"params": groups[key], "lr": key[0], "weight_decay": decay if key[1] else 0.0}
                for key in sorted(groups, reverse=True)
            ],
            lr=peak,
            betas=(0.9, self.stage.beta2),
            fused=True,
        )
        return self.optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        """Clip, once all processes have one gradient: the trainer shares what `forward` uses."""
        beside = list(self.heads.parameters()) if self.heads is not None else []
        if self.stage.text_loss == 0:  # the tower was asked beside the model's forward
            beside += [parameter for parameter in model.parameters() if parameter.requires_grad]
        processes.average_gradients(beside)
        return super()._clip_grad_norm(model)

    def _note(self, name: str, value: Tensor) -> None:
        self.parts[name] = self.parts.get(name, 0.0) + float(value.detach()) / self.batches

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if not self.args.should_save:
            return
        folder = Path(output_dir or "")
        if self.heads is not None:
            save_file(self.heads.state_dict(), folder / HEADS_FILE)
        if isinstance(self.model, PeftModel):
            save_file(learnt(self.model), folder / BESIDE_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        folder = Path(resume_from_checkpoint)
        if self.heads is not None:
            self.heads.load_state_dict(load_file(folder / HEADS_FILE))
        if isinstance(self.model, PeftModel):
            self.model.load_state_dict(load_file(folder / BESIDE_FILE), strict=False)


def arguments(
    folder: Path,
    stage: Stage,
    batches: tuple[int, int],
    tuning: Tuning,
    steps: int,
    seed: int,
    format_: str,
) -> TrainingArguments:
    """A stage's settings as `transformers` wants them.

    Args:
        batches: rows of a batch, and batches of a step.
        format_: from `computing_format`.
    """
    cpu = not torch.cuda.is_available()
    backend = "gloo" if cpu else "nccl"
    settings = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=batches[0],
        gradient_accumulation_steps=batches[1],
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.schedule,
        warmup_steps=int(stage.warmup * steps),
        max_grad_norm=stage.clip,
        bf16=format_ == "bf16",
        fp16=format_ == "fp16",
        save_steps=tuning.save_every,
        save_total_limit=tuning.keep_checkpoints,
        logging_strategy="no",
        report_to="none",
        run_name=f"{folder.parent.parent.name} {stage.name}",
        seed=seed,
        data_seed=seed,
        use_cpu=cpu,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=not cpu,
        ddp_backend=backend if processes.count() > 1 else None,
        ddp_find_unused_parameters=True,  # not every batch has every kind of question
    )
    settings._n_gpu = min(1, settings.n_gpu)  # more would be replicas that no hook reaches
    return settings


FORMATS = {torch.bfloat16: "bf16", torch.float16: "fp16"}


def computing_format(asked: str, dtype: torch.dtype | None) -> str:
    """The format of multiplications: "fp32", "bf16" or "fp16" with a loss scaler.

    Args:
        asked: the recipe's `tuning.precision`.
        dtype: of the frozen weights.

    Raises:
        TuningError: weights and multiplications do not go together, or no GPU is there for fp16.
    """
    frozen = FORMATS.get(dtype) if dtype else None
    if frozen and asked not in ("auto", frozen):
        raise TuningError(
            f"tuning.precision: {asked} cannot compute with weights kept in {frozen} "
            f"(models.dtype); leave one of the two at auto."
        )
    if asked == "auto":
        asked = frozen or ("bf16" if computes_bf16() else "fp32")
    if asked == "fp16" and not torch.cuda.is_available():
        raise TuningError("tuning.precision: fp16 learns on a GPU only; use fp32 or bf16 here.")
    return asked


def computes_bf16() -> bool:
    """Whether the device multiplies bf16 itself; emulated, it is slower than fp32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    if not flags.is_file():
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags.read_text().split()))


@dataclass(eq=False)
class Watch(TrainerCallback):  # type: ignore[misc]
    """Keeps the loss of every step and tells who wants to know.

    Args:
        stage: its name.
        report: called with every step's row.
        losses: the rows so far; new ones are added.
        probe: called after `report`; its time is not the stage's, and kept in `aside`.
        checks: what is looked at every so many steps; they may stop the stage.
        tracked: whether trackers get the rows as well.
        trainer: whose losses they are; set before it begins.
        note: what the first step's row tells as well.

    The seconds of a continued stage count on from its last row.
    """

    stage: str
    report: Report | None
    losses: list[dict[str, Any]]
    probe: Report | None = None
    checks: Checks | None = None
    tracked: bool = False
    trainer: StageTrainer | None = None
    note: str = ""

    def __post_init__(self) -> None:
        last: dict[str, Any] = self.losses[-1] if self.losses else {"stage": None}
        self.before = last["seconds"] if last["stage"] == self.stage else 0.0
        self.aside = 0.0
        self._start = time.monotonic()

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the step's losses."""
        if self.trainer is None:
            return
        parts = processes.mean_of(self.trainer.parts)
        row: dict[str, Any] = {
            "stage": self.stage,
            "step": state.global_step,
            "steps": state.max_steps,
            **{name: round(value, 5) for name, value in parts.items()},
            "tokens": sum(processes.gathered(self.trainer.tokens)),
            "seconds": self._seconds(),
        }
        if self.note:
            row["note"], self.note = self.note, ""
        self.losses.append(row)
        if self.checks:
            control.should_training_stop |= self.checks.look(row, kwargs["model"])
            row["seconds"] = self._seconds()
        if self.tracked:
            values = {name: value for name, value in row.items() if isinstance(value, float)}
            self.trainer.log({**values, "learning_rate": kwargs["optimizer"].param_groups[0]["lr"]})
        if self.report and processes.first():
            self.report(row)
        if self.probe and processes.first():
            begin = time.monotonic()
            kwargs["model"].eval()
            self.probe(row)
            kwargs["model"].train()
            self.aside += time.monotonic() - begin

    def on_save(self, *args: Any, **kwargs: Any) -> None:
        """Forget what only an older checkpoint could have gone on from."""
        if self.checks and processes.first():
            self.checks.forget()

    def _seconds(self) -> float:
        return round(self.before + time.monotonic() - self._start - self.aside, 2)


@contextmanager
def _output_of(module: nn.Module) -> Iterator[list[Any]]:
    """What the module returns while the block runs."""
    outputs: list[Any] = []
    hook = module.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        hook.remove()
