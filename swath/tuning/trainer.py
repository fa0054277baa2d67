"""`transformers.Trainer`, told our losses, order of rows and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from swath.errors import TuningError
from swath.models.loading import Loaded
from swath.recipe import Stage, Tuning
from swath.tuning.objective import ImageHeads, text_loss

HEADS_FILE = "image_heads.safetensors"
BESIDE_FILE = "beside_adapter.safetensors"
Report = Callable[[dict[str, Any]], None]
"""Called every step with `step`, `steps`, `loss`, `seconds`."""

Probe = Callable[[Loaded, dict[str, Any]], None]
"""Called every step with the live model, in evaluation mode, and what `Report` gets."""


class StageTrainer(Trainer):
    """Runs one stage.

    Args:
        stage: losses and optimiser.
        tower: the model's vision tower.
        heads: auxiliary heads, or None without image loss.
    """

    def __init__(
        self, *args: Any, stage: Stage, tower: nn.Module, heads: ImageHeads | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.stage = stage
        self.tower = tower
        self.heads = heads.to(self.args.device) if heads is not None else None
        self.parts: dict[str, float] = {}
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)  # the command line shows progress

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
        if self.heads is not None:
            self.heads.zero_grad()  # the trainer clears the model's own gradients only
        if "vision" not in self.stage.train:
            self.tower.eval()  # frozen batch norms keep the statistics they were pretrained with
        scenes, words = inputs.pop("scenes", None), inputs.pop("words", None)
        segments = inputs.pop("segments", None)
        if segments is None:
            # The trainer computes in bf16 inside the model's own forward only.
            with self.accelerator.autocast():
                features, loss = self.tower(inputs["pixel_values"]), torch.zeros(())
        else:
            with _output_of(self.tower) as seen:
                output = model(**inputs, use_cache=False)
            features = seen[0]
            answers = text_loss(output.logits, inputs["labels"], segments, self.stage.average)
            self.parts["text"] = float(answers.detach())
            loss = self.stage.text_loss * answers
        if self.heads is not None:
            image = self.heads(features, scenes, words)
            self.parts["image"] = float(image.detach())
            loss = loss + image
        self.parts["loss"] = float(loss.detach())
        if not torch.isfinite(loss):
            raise TuningError(
                f"stage '{self.stage.name}', step {self.state.global_step + 1}: the loss is "
                f"{self.parts['loss']}; lower tuning.stages learning_rate "
                f"(now {self.stage.learning_rate:g}) or use tuning.precision=fp32."
            )
        return (loss, None) if return_outputs else loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over what learns, the heads included; matrices decay, vectors do not."""
        parameters = [p for p in (model or self.model).parameters() if p.requires_grad]  # type: ignore[union-attr]
        if self.heads is not None:
            parameters += list(self.heads.parameters())
        self.optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for p in parameters if p.ndim > 1],
                    "weight_decay": self.stage.weight_decay,
                },
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self.stage.learning_rate,
            betas=(0.9, self.stage.beta2),
        )
        return self.optimizer

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or "")
        if self.heads is not None:
            save_file(self.heads.state_dict(), folder / HEADS_FILE)
        if isinstance(self.model, PeftModel):
            save_file(_beside_adapter(self.model), folder / BESIDE_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        folder = Path(resume_from_checkpoint)
        if self.heads is not None:
            self.heads.load_state_dict(load_file(folder / HEADS_FILE))
        if isinstance(self.model, PeftModel):
            self.model.load_state_dict(load_file(folder / BESIDE_FILE), strict=False)


def _beside_adapter(model: PeftModel) -> dict[str, Tensor]:
    """What learns outside the adapter, batch norm statistics too; peft's checkpoint lacks it."""
    learns = {name for name, one in model.named_parameters() if one.requires_grad}
    learns |= {name for name, _ in model.named_buffers()}
    return {name: one.contiguous() for name, one in model.state_dict().items() if name in learns}


def arguments(
    folder: Path, stage: Stage, tuning: Tuning, steps: int, seed: int
) -> TrainingArguments:
    """A stage's settings as `transformers` wants them."""
    cpu = not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=stage.batch_size,
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.schedule,
        warmup_steps=int(stage.warmup * steps),
        max_grad_norm=stage.clip,
        bf16=computes_bf16() if tuning.precision == "auto" else tuning.precision == "bf16",
        save_steps=tuning.save_every,
        save_total_limit=tuning.keep_checkpoints,
        logging_strategy="no",
        report_to="none",
        seed=seed,
        data_seed=seed,
        use_cpu=cpu,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=not cpu,
    )


def computes_bf16() -> bool:
    """Whether the device multiplies bf16 itself; emulated, it is slower than fp32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    flags = Path("/proc/cpuinfo")
    if not flags.is_file():
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags.read_text().split()))


class Watch(TrainerCallback):  # type: ignore[misc]
    """Keeps the loss of every step and tells who wants to know.

    Args:
        stage: its name.
        report: called with every step's row.
        losses: the rows so far; new ones are added.
        probe: called after `report`; its time is not the stage's, and kept in `aside`.

    The seconds of a continued stage count on from its last row.
    """

    def __init__(
        self,
        stage: str,
        report: Report | None,
        losses: list[dict[str, Any]],
        probe: Report | None = None,
    ) -> None:
        self.stage = stage
        self.report = report
        self.losses = losses
        self.probe = probe
        self.aside = 0.0
        self.before = losses[-1]["seconds"] if losses and losses[-1]["stage"] == stage else 0.0
        self.trainer: StageTrainer | None = None
        self._start = time.monotonic()

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the step's losses."""
        if self.trainer is None:
            return
        row = {
            "stage": self.stage,
            "step": state.global_step,
            "steps": state.max_steps,
            **{name: round(value, 5) for name, value in self.trainer.parts.items()},
            "seconds": round(self.before + time.monotonic() - self._start - self.aside, 2),
        }
        self.losses.append(row)
        if self.report:
            self.report(row)
        if self.probe:
            begin = time.monotonic()
            kwargs["model"].eval()
            self.probe(row)
            kwargs["model"].train()
            self.aside += time.monotonic() - begin


class _output_of:  # noqa: N801 (used as a function)
    """Keeps what a module returns while the block runs."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._seen: list[Tensor] = []

    def __enter__(self) -> list[Tensor]:
        self._hook = self._module.register_forward_hook(
            lambda module, inputs, output: self._seen.append(output)
        )
        return self._seen

    def __exit__(self, *exception: object) -> None:
        self._hook.remove()
