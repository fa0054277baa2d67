import pytest
import torch
from torch import nn

from swath.recipe import Tuning
from swath.tuning.checks import Checks, best, rising


def scored(*scores):
    """Rows of steps 1, 2, ...; None is a step without a score."""
    return [
        {"stage": "all", "step": n, "steps": 99, **({} if score is None else {"score": score})}
        for n, score in enumerate(scores, start=1)
    ]


def validated(*pairs):
    """Rows of one step each: training loss and validation loss."""
    return [{"stage": "all", "text": text, "val": val} for text, val in pairs]


def checks(place, losses, scores=(), **stop):
    stop = {"task": "classify", "every": 2, "patience": 2, **stop}
    given = iter(scores)
    return Checks(Tuning(stop=stop), place, losses, "all", None, lambda: next(given))


def walk(some, losses, model, steps):
    """Look after every step, the weight being the step's number; the steps that said stop."""
    stops = []
    for step in steps:
        with torch.no_grad():
            model.weight.fill_(step)
        losses.append({"stage": "all", "step": step, "steps": 99, "text": 1.0})
        if some.look(losses[-1], model):
            stops.append(step)
    return stops


def test_the_first_of_the_highest_scores_is_best():
    assert best(scored(0.1, None, 0.5, 0.4, 0.5))["step"] == 3
    assert best(scored(None, None)) is None


def test_patience_counts_scores_without_a_better_one(tmp_path):
    losses, model = [], nn.Linear(1, 1, bias=False)
    some = checks(tmp_path, losses, [0.1, 0.3, 0.3, 0.2])
    assert walk(some, losses, model, range(1, 9)) == [8]  # best at 4; neither 6 nor 8 is better
    assert [row["score"] for row in losses if "score" in row] == [0.1, 0.3, 0.3, 0.2]
    assert some.restore(model) == {"best_step": 4, "score": 0.3}
    assert model.weight.item() == 4
    assert model.training


def test_the_last_step_is_scored_whatever_its_number(tmp_path):
    losses, model = [], nn.Linear(1, 1, bias=False)
    some = checks(tmp_path, losses, [0.7])
    losses.append({"stage": "all", "step": 3, "steps": 3, "text": 1.0})
    some.look(losses[-1], model)
    assert losses[-1]["score"] == 0.7


def test_weights_an_older_checkpoint_needs_stay_until_a_new_one_is_written(tmp_path):
    losses, model = [], nn.Linear(1, 1, bias=False)
    some = checks(tmp_path, losses, [0.1, 0.3])
    walk(some, losses, model, range(1, 5))
    assert {file.name for file in tmp_path.iterdir()} == {f"best-{n}.safetensors" for n in (2, 4)}
    # Killed now, the stage goes on from a checkpoint of step 3, when step 2 was the best.
    again = checks(tmp_path, losses[:3])
    assert again.restore(model)["best_step"] == 2
    assert model.weight.item() == 2
    some.forget()  # a checkpoint of step 4 is whole
    assert [file.name for file in tmp_path.iterdir()] == ["best-4.safetensors"]


def test_only_the_stage_s_own_rows_count(tmp_path):
    losses = [{"stage": "before", "step": 9, "steps": 9, "score": 0.9}]
    some, model = checks(tmp_path, losses, [0.1]), nn.Linear(1, 1, bias=False)
    assert some.restore(model) == {}
    walk(some, losses, model, range(1, 3))
    assert some.restore(model)["best_step"] == 2


@pytest.mark.parametrize(
    ("rows", "warned"),
    [
        ([(4, 1.0), (3, 1.1), (2, 1.2), (1, 1.3)], True),
        ([(9, 2.0), (4, 1.0), (3, 1.1), (2, 1.2), (1, 1.3)], True),
        ([(4, 1.0), (3, 1.1), (2, 1.2)], False),  # twice is not yet thrice
        ([(4, 1.0), (3, 1.1), (2, 1.1), (1, 1.3)], False),
        ([(1, 1.0), (2, 1.1), (3, 1.2), (4, 1.3)], False),  # training does not fall either
    ],
)
def test_rising_validation_beside_falling_training_is_told(rows, warned):
    said = rising(validated(*rows))
    assert (said is not None) == warned
    if said:
        assert "rose 3 times in a row (1.000 to 1.300) while training loss fell (4.0" in said
        assert "Take fewer epochs" in said


def test_training_loss_is_the_mean_since_the_validation_before():
    rows = []
    for number, val in enumerate([1.0, 1.1, 1.2, 1.3]):
        # 5 and 3, 4 and 2, ..: means 4, 3, 2, 1, though each single last loss is lower.
        rows += [{"text": 5 - number}, {"text": 3 - number, "val": val}]
    assert "fell (4.000 to 1.000)" in rising(rows)


def test_a_warning_is_given_once(tmp_path):
    losses, model = [], nn.Linear(1, 1)
    values = iter([1.0, 1.1, 1.2, 1.3, 1.4])
    some = Checks(Tuning(validate_every=1), tmp_path, losses, "all", lambda: next(values), None)
    for step in range(1, 6):
        losses.append({"stage": "all", "step": step, "steps": 9, "text": 9.0 - step})
        assert not some.look(losses[-1], model)
    assert [row["step"] for row in losses if "warning" in row] == [4]
    assert losses[3]["warning"].startswith("stage all, step 4: validation loss rose")
