from importlib.util import find_spec

import pytest
import torch

from swath.files import read_json, read_losses
from swath.models.inputs import last_mlp
from swath.tuning import checks
from swath.tuning import setup as prepared
from swath.tuning.run import tune
from swath.tuning.stages import part_of
from swath.tuning.trainer import StageTrainer
from tests.tuning.runs import STOPPING, recipe, same, stage, stopping, weights, with_val

# How it learns


def gradients(tiny_base, built, tmp_path, monkeypatch, **values):
    """The gradient of the first step by parameter, before it is clipped."""
    seen = {}

    def watched(self, model):
        if not seen:
            seen.update(
                {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            )
        return torch.tensor(0.0)

    with monkeypatch.context() as patched:
        patched.setattr(StageTrainer, "_clip_grad_norm", watched)
        plain = {"steps": 1, "augment": {"turn": False, "crop": 1, "colour": 0}}
        plan = recipe(tiny_base, stage(**plain, **values))
        run = tune(built, plan, tmp_path / str(len(list(tmp_path.iterdir()))))
    return seen, read_losses(run)[0]


@pytest.mark.parametrize("average", ["token", "answer"])
@pytest.mark.parametrize("train", [["projector", "language"], ["vision", "projector", "language"]])
def test_batches_of_a_step_have_the_gradient_of_one_large_batch(
    tiny_base, built, tmp_path, monkeypatch, average, train
):
    if "vision" in train:  # batch norms see a batch, not a step
        monkeypatch.setattr(
            torch.nn.BatchNorm2d,
            "train",
            lambda self, mode=True: torch.nn.Module.train(self, False),
        )
    one = {"train": train, "average": average, "rows_per_image": 2, "balance": "loss"}
    one |= {"image_loss": {"label": 1, "words": 1}}
    given = tiny_base, built, tmp_path, monkeypatch
    torch.manual_seed(0)
    whole, row = gradients(*given, **one, batch_size=6)
    torch.manual_seed(0)
    parts, other = gradients(*given, **one, batch_size=2, accumulate=3)
    assert whole.keys() == parts.keys()
    for name in whole:
        assert torch.allclose(whole[name], parts[name], atol=1e-5, rtol=1e-4), name
    assert [other[key] for key in ("text", "image", "loss")] == pytest.approx(
        [row[key] for key in ("text", "image", "loss")], abs=2e-5
    )


def test_places_without_an_answer_are_left_out_of_the_last_layer_and_nothing_else_changes(
    tiny_base, built, tmp_path, monkeypatch
):
    one = {"train": ["projector", "language"], "batch_size": 4, "rows_per_image": 2}
    given = tiny_base, built, tmp_path, monkeypatch
    places = []

    def counted(self, inputs, output):
        places.append(output.shape[:-1].numel())

    def watched(model, loaded):
        mlp = last_mlp(model, loaded)
        mlp.register_forward_hook(counted)
        return mlp

    monkeypatch.setattr(prepared, "last_mlp", watched)
    torch.manual_seed(0)
    short, row = gradients(*given, **one)
    monkeypatch.setattr(prepared, "last_mlp", lambda model, loaded: None)
    torch.manual_seed(0)
    whole, other = gradients(*given, **one)
    assert 0 < places[0] < row["tokens"] / 2
    assert row["text"] == pytest.approx(other["text"], abs=1e-5)
    for name in whole:
        assert torch.allclose(whole[name], short[name], atol=1e-5, rtol=1e-4), name


def test_steps_count_what_the_optimiser_does(tiny_base, built, tmp_path):
    # 12 pictures, 2 batches of 3 a step: 2 steps an epoch.
    plan = recipe(
        tiny_base, stage(steps=None, epochs=3, epoch_of="images", batch_size=3, accumulate=2)
    )
    losses = read_losses(tune(built, plan, tmp_path / "run"))
    assert [(row["step"], row["steps"]) for row in losses] == [(n, 6) for n in range(1, 7)]


def test_computing_twice_changes_no_loss(tiny_base, built, tmp_path):
    one = {"train": ["projector", "lora"], "steps": 4, "lora": {"dropout": 0.1}}
    texts = {}
    for twice in (False, True):
        plan = recipe(tiny_base, stage(**one, checkpointing=twice))
        run = tune(built, plan, tmp_path / str(twice))
        texts[twice] = [row["text"] for row in read_losses(run)]
    assert texts[True] == pytest.approx(texts[False], abs=1e-5)


def test_parts_learn_at_their_own_rates(tiny, tiny_base, built, tmp_path):
    rates = {"projector": 1e-6}
    plan = recipe(
        tiny_base,
        stage(steps=1, warmup=0, weight_decay=0, learning_rate=1e-2, learning_rates=rates),
    )
    before, after = tiny.model.state_dict(), weights(tune(built, plan, tmp_path / "run"))
    moved = {
        part: max(
            float((before[name] - after[name]).abs().max())
            for name in before
            if part_of(name, tiny) == part and "running" not in name and "num_batches" not in name
        )
        for part in ("vision", "projector", "language")
    }
    # Adam's first step is as long as the rate.
    assert moved == pytest.approx({"vision": 1e-2, "projector": 1e-6, "language": 1e-2}, rel=0.1)


def test_a_batch_size_found_in_memory_is_kept(tiny_base, built, tmp_path, monkeypatch):
    plan = recipe(tiny_base, stage(batch_size="auto", steps=4), save_every=2)
    whole = tune(built, plan, tmp_path / "whole")
    assert read_json(whole / "run.json")["batch_sizes"] == {"all": 8}  # of 12 pictures
    # Trying left no trace: not in weights, norms or chance.
    given = tune(built, recipe(tiny_base, stage(batch_size=8, steps=4)), tmp_path / "given")
    assert same(weights(given), weights(whole))
    # A run that goes on does not ask again, though less memory may be free by now.
    again = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        tune(built, plan, again, report=stopping(("all", 3)))
    monkeypatch.setattr(prepared, "fitting", lambda *args, **kwargs: 1)
    tune(built, plan, again)
    assert same(weights(again), weights(whole))


# What is watched


@pytest.mark.parametrize("train", [["projector", "lora"], ["vision", "projector", "language"]])
def test_a_stage_stops_when_its_score_falls_and_keeps_the_best_weights(
    tiny_base, built, tmp_path, worse, train
):
    one = {"train": train, "steps": 20, "schedule": "constant", "warmup": 0}
    run = tune(built, recipe(tiny_base, stage(**one), stop=STOPPING), tmp_path / "run", score=worse)
    rows = read_losses(run)
    scores = {row["step"]: row["score"] for row in rows if "score" in row}
    assert list(scores) == [3, 6]
    assert scores[6] < scores[3]
    record = read_json(run / "run.json")["stages"][0]
    assert (record["steps"], record["best_step"], record["score"]) == (6, 3, scores[3])
    # What is kept is what three steps alone lead to.
    three = tune(built, recipe(tiny_base, stage(**{**one, "steps": 3})), tmp_path / "three")
    assert same(weights(run), weights(three))


def test_validation_is_the_loss_on_val_pictures_as_they_are(tiny_base, built, tmp_path):
    built = with_val(built)
    frozen = stage(steps=4, learning_rate=1e-12, train=["projector"])
    run = tune(built, recipe(tiny_base, frozen, validate_every=2), tmp_path / "run")
    values = {row["step"]: row["val"] for row in read_losses(run) if "val" in row}
    assert list(values) == [2, 4]
    assert values[2] == values[4]  # the same rows, seen the same way
    still = {**frozen, "steps": 2, "augment": {"turn": False, "crop": 1, "colour": 0}}
    run = tune(built, recipe(tiny_base, still, validate_every=2), tmp_path / "still")
    assert read_losses(run)[1]["val"] == values[2]  # augmentation is of training only
    learning = stage(steps=30, batch_size=8, rows_per_image=4)
    run = tune(built, recipe(tiny_base, learning, validate_every=10), tmp_path / "learns")
    values = [row["val"] for row in read_losses(run) if "val" in row]
    assert values[-1] < values[0]
    assert read_json(run / "run.json")["warnings"] == []


def test_watching_changes_nothing(tiny_base, built, tmp_path, worse):
    built, one = with_val(built), stage(steps=4, image_loss={"label": 1})
    plain = tune(built, recipe(tiny_base, one), tmp_path / "plain")
    track = ["tensorboard"] if find_spec("tensorboard") else []  # it comes with an extra
    watched = recipe(tiny_base, one, validate_every=1, track=track, stop={**STOPPING, "every": 4})
    watched = tune(built, watched, tmp_path / "watched", score=worse)
    assert same(weights(plain), weights(watched))


def test_a_warning_is_kept_with_the_run(tiny_base, built, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "rising", lambda rows: "it rose" if len(rows) >= 2 else None)
    told = []
    plan = recipe(tiny_base, stage(steps=3), validate_every=1)
    run = tune(with_val(built), plan, tmp_path / "run", report=told.append)
    assert read_json(run / "run.json")["warnings"] == ["stage all, step 2: it rose"]
    assert [row.get("warning") for row in told] == [None, "stage all, step 2: it rose", None]


def test_tensorboard_is_told_every_step(tiny_base, built, tmp_path, capsys):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tune(built, recipe(tiny_base, stage(steps=3), track=["tensorboard"]), tmp_path / "run")
    events = EventAccumulator(str(run / "track" / "all")).Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train/text")]
    assert shown == [(row["step"], pytest.approx(row["text"])) for row in read_losses(run)]
    assert len(events.Scalars("train/learning_rate")) == 3
    assert capsys.readouterr().out == ""
