"""Two processes that torchrun starts learn what one does: each has half of every step."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

import swath
from swath.errors import TuningError
from swath.files import read_json, read_losses
from swath.recipe import Stage, Tuning
from swath.recipes import dump
from swath.tuning import processes
from swath.tuning.run import tune
from swath.tuning.setup import largest_batch, share_of
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
    batch_size=4,
    accumulate=2,
    rows_per_image=2,
    image_loss={"label": 1},
    augment=STILL,
)
PICTURES = stage(
    "pictures",
    ["vision"],
    steps=4,
    batch_size=4,
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


def test_two_processes_learn_what_one_learns_and_go_on_exactly(built, plan, tmp_path):
    with norms_hold_still():
        alone = tune(built, plan, tmp_path / "alone")
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


def test_processes_that_cannot_share_a_step_evenly_are_refused(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 3)
    assert share_of(Stage(batch_size=16, accumulate=9)) == 48
    with pytest.raises(TuningError, match=r"a step of 'tune' has 32 rows .* which 3 proces"):
        share_of(Stage())


def test_a_share_is_learnt_in_batches_that_make_it_up():
    # 48 rows of at most 16, 12 of at most 16, 7 of at most 4, 1 of at most 8
    pairs = [(48, 16), (12, 16), (7, 4), (1, 8)]
    assert [largest_batch(*pair) for pair in pairs] == [16, 12, 1, 1]


def test_a_process_uses_one_gpu_however_many_there_are(tmp_path, monkeypatch):
    plain = TrainingArguments.__post_init__

    def four_gpus(self):
        plain(self)
        self._n_gpu = 4

    monkeypatch.setattr(TrainingArguments, "__post_init__", four_gpus)
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: self._n_gpu))
    assert arguments(tmp_path, Stage(), (2, 1), Tuning(), 3, 0, "fp32").n_gpu == 1
