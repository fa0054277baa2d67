"""Two processes that torchrun starts tune as one with batches twice as large."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

import swath
from swath.errors import TuningError
from swath.files import read_json
from swath.recipe import Stage, Tuning
from swath.recipes import dump
from swath.tuning.run import read_losses, tune
from swath.tuning.trainer import arguments
from tests.making import annotated, small_set, write_set
from tests.tuning.launched import norms_hold_still
from tests.tuning.runs import recipe, stage, without_times

STILL = {"turn": False, "crop": 1, "colour": 0}  # colours are drawn for a batch
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SCRIPT = Path(__file__).with_name("launched.py")

TEXTS = stage(
    "texts",
    ["projector", "lora"],
    steps=6,
    batch_size=2,
    accumulate=2,
    rows_per_image=2,
    image_loss={"label": 1},
    augment=STILL,
)
PICTURES = stage(
    "pictures",
    ["vision"],
    steps=4,
    batch_size=2,
    text_loss=0,
    image_loss={"label": 1, "words": 1},
    augment=STILL,
)


@pytest.fixture
def plan(tiny_base):
    return recipe(tiny_base, TEXTS, PICTURES, save_every=2)


def launched(folder, plan, *words, check=True):
    """A tuning by two processes on the set beside the folder."""
    folder.parent.mkdir(exist_ok=True)
    file = folder.with_suffix(".yaml")
    file.write_text(dump(plan))
    done = subprocess.run(
        [*LAUNCH, str(SCRIPT), str(folder.parent / "set"), str(file), str(folder), *words],
        capture_output=True,
        text=True,
        cwd=Path(swath.__file__).parent.parent,
        timeout=1200,
    )
    assert not check or done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.fixture
def built(tmp_path):
    built = small_set(tmp_path / "pictures")
    write_set(tmp_path / "set", annotated(tmp_path / "pictures"), built)
    return built


def doubled(plan):
    """The recipe of one process with the same rows a step."""
    stages = [one.model_copy(update={"batch_size": 4}) for one in plan.tuning.stages]
    return plan.model_copy(update={"tuning": plan.tuning.model_copy(update={"stages": stages})})


def test_two_processes_learn_what_one_learns_and_go_on_exactly(built, plan, tmp_path):
    with norms_hold_still():
        alone = tune(built, doubled(plan), tmp_path / "alone")
    done = launched(tmp_path / "together", plan)
    assert done.stdout.count("step 6 of 6") == 1  # the first process alone reports
    one, two = read_losses(alone), read_losses(tmp_path / "together")
    assert len(one) == len(two) == 10
    for row, other in zip(one, two, strict=True):
        for name in {"text", "image", "loss"} & row.keys():
            assert other[name] == pytest.approx(row[name], abs=1e-4), (row, other)
        assert other["tokens"] == row["tokens"]
    together = load_file(tmp_path / "together" / "model" / "model.safetensors")
    for name, tensor in load_file(alone / "model" / "model.safetensors").items():
        assert torch.allclose(together[name], tensor, atol=5e-4), name
    run = read_json(tmp_path / "together" / "run.json")
    assert run["processes"] == 2 and run["proof"]["same"] == 8
    # Killed and started again, it ends as it would have.
    killed = launched(tmp_path / "again", plan, "texts", "5", check=False)
    assert killed.returncode != 0
    with pytest.raises(TuningError, match=r"2 processes began this run and 1 would go on.*torchru"):
        tune(built, plan, tmp_path / "again")
    launched(tmp_path / "again", plan)
    assert without_times(read_losses(tmp_path / "again")) == without_times(two)
    again = load_file(tmp_path / "again" / "model" / "model.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in together.items())


def test_a_process_uses_one_gpu_however_many_there_are(tmp_path, monkeypatch):
    plain = TrainingArguments.__post_init__

    def four_gpus(self):
        plain(self)
        self._n_gpu = 4

    monkeypatch.setattr(TrainingArguments, "__post_init__", four_gpus)
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: self._n_gpu))
    assert arguments(tmp_path, Stage(), 2, Tuning(), 3, 0, "fp32").n_gpu == 1
