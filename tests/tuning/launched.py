"""One of several processes: `launched.py SET RECIPE FOLDER [STAGE STEP]`; killed at a step."""

import os
import signal
import sys
from contextlib import contextmanager

import torch


@contextmanager
def norms_hold_still():
    """Batch norms see a batch, and processes have other batches than one would."""
    norm = torch.nn.BatchNorm2d
    before = norm.train
    norm.train = lambda self, mode=True: torch.nn.Module.train(self, False)
    try:
        yield
    finally:
        norm.train = before


def main(built, recipe, folder, stage=None, step=None):
    from swath.instructions.builder import read_set
    from swath.recipes import load_recipe
    from swath.tuning.run import tune

    def report(row):
        print(f"{row['stage']}: step {row['step']} of {row['steps']}", flush=True)
        if (row["stage"], str(row["step"])) == (stage, step):
            os.kill(os.getpid(), signal.SIGKILL)

    with norms_hold_still():
        tune(read_set(built), load_recipe(recipe), folder, report)


if __name__ == "__main__":
    sys.modules["bitsandbytes"] = None  # peft would import it, which takes as long as torch
    main(*sys.argv[1:])
