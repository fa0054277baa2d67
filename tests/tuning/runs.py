"""Recipes of small runs, and what is compared of them."""

from dataclasses import replace

import torch

from swath.instructions.builder import InstructionSet
from swath.models.loading import load
from tests.making import tiny_recipe

STOPPING = {"task": "classify", "split": "train", "every": 3, "patience": 1}


def stage(name="all", train=("vision", "projector", "language"), **values):
    return {
        "name": name,
        "train": list(train),
        "steps": 2,
        "batch_size": 4,
        "learning_rate": 3e-3,
        **values,
    }


def recipe(base, *stages, **tuning):
    return tiny_recipe(base, tuning={"stages": list(stages), **tuning})


def weights(folder):
    """Every number of a finished run, merged."""
    return load(folder).model.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def stopping(at):
    """A report that interrupts the tuning after a step of a stage."""

    def report(row):
        if (row["stage"], row["step"]) == at:
            raise KeyboardInterrupt

    return report


def without_times(losses):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in losses]


def with_val(built, count=3):
    """The set with the last training pictures moved to val."""
    last = list(dict.fromkeys(one.scene for one in built.split("train")))[-count:]
    moved = [replace(one, split="val") if one.scene in last else one for one in built.conversations]
    return InstructionSet(tuple(moved), built.card)
