import json
import signal
import subprocess
import sys
import weakref

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from swath.errors import TuningError
from swath.files import read_json, read_losses
from swath.instructions.builder import InstructionSet
from swath.instructions.conversation import Conversation, assistant, user
from swath.models.engine import LocalEngine
from swath.models.loaded import Loaded
from swath.models.loading import load
from swath.recipes import load_recipe
from swath.tuning import run as tuning_run
from swath.tuning import run_folder
from swath.tuning.run import fingerprint, tune
from swath.tuning.run_folder import RunFolder
from swath.tuning.stages import part_of
from swath.tuning.trainer import StageTrainer
from tests.making import annotated, small_set, tiny_recipe, write_set
from tests.tuning.runs import (
    STOPPING,
    recipe,
    same,
    stage,
    stopping,
    weights,
    with_val,
    without_times,
)

LABELS = ["red land", "green land", "blue land"]


# What learns


@pytest.mark.parametrize(
    ("train", "changed"),
    [
        (["vision"], {"vision"}),
        (["projector"], {"projector"}),
        (["language"], {"language"}),
        (["projector", "lora"], {"projector", "language"}),
        (["lora"], {"language"}),
    ],
)
def test_two_steps_change_exactly_the_parts_named(tiny, tiny_base, built, tmp_path, train, changed):
    tune(built, recipe(tiny_base, stage(train=train)), tmp_path / "run")
    before, after = tiny.model.state_dict(), weights(tmp_path / "run")
    moved = {part_of(name, tiny) for name in before if not torch.equal(before[name], after[name])}
    assert moved == changed
    # Frozen batch norms keep the statistics they were pretrained with; learning ones follow.
    seen = "model.vision_tower.norm.running_mean"
    assert torch.equal(before[seen], after[seen]) == ("vision" not in train)


def test_an_adapter_leaves_word_embeddings_and_norms_alone(tiny, tiny_base, built, tmp_path):
    tune(built, recipe(tiny_base, stage(train=["lora"])), tmp_path / "run")
    before, after = tiny.model.state_dict(), weights(tmp_path / "run")
    moved = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_the_loss_falls_on_sixteen_pictures(tiny_base, tmp_path):
    built = small_set(tmp_path / "pictures", count=18, test=2)
    plan = recipe(tiny_base, stage(steps=40, batch_size=8, rows_per_image=4))
    losses = read_losses(tune(built, plan, tmp_path / "run"))
    texts = [row["text"] for row in losses]
    assert sum(texts[-5:]) < 0.5 * sum(texts[:5])


def test_image_losses_fall_and_their_heads_are_thrown_away(tiny_base, built, tmp_path):
    section = {"label": 1, "words": 1}
    plan = recipe(
        tiny_base,
        stage(train=["vision"], steps=40, batch_size=8, text_loss=0, image_loss=section),
    )
    run = tune(built, plan, tmp_path / "run")
    images = [row["image"] for row in read_losses(run)]
    assert sum(images[-5:]) < 0.8 * sum(images[:5])
    assert "text" not in read_losses(run)[0]
    assert not any("head" in name for name in load_file(run / "model" / "model.safetensors"))


# What is left behind


def test_a_run_folder_holds_recipe_record_losses_and_model(tiny_base, built, tmp_path):
    plan = recipe(tiny_base, stage())
    run = tune(built, plan, tmp_path / "run")
    assert sorted(path.name for path in run.iterdir()) == [
        "losses.jsonl",
        "model",
        "recipe.yaml",
        "run.json",
    ]
    assert load_recipe(run / "recipe.yaml") == plan
    record = read_json(run / "run.json")
    assert record["finished"] is True
    assert record["base"] == str(tiny_base)
    assert [(one["name"], one["steps"]) for one in record["stages"]] == [("all", 2)]
    assert {"swath", "torch", "transformers", "peft"} <= record["versions"].keys()
    assert [(row["stage"], row["step"], row["steps"]) for row in read_losses(run)] == [
        ("all", 1, 2),
        ("all", 2, 2),
    ]


def test_an_adapter_run_holds_the_adapter_and_no_model(tiny_base, built, tmp_path):
    run = tune(built, recipe(tiny_base, stage(train=["projector", "lora"])), tmp_path / "run")
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert not (run / "model").exists()


def test_tuning_prints_nothing(tiny_base, built, tmp_path, capsys):
    tune(built, recipe(tiny_base, stage()), tmp_path / "run")
    assert capsys.readouterr().out == ""


def test_steps_follow_from_epochs_and_are_announced(tiny_base, built, tmp_path):
    told = []
    plan = recipe(
        tiny_base, stage(steps=None, epochs=1.5, epoch_of="images")
    )  # 12 pictures, 4 a step: 4.5
    tune(built, plan, tmp_path / "run", parts=lambda one, steps, parts: told.append((one, steps)))
    assert [(one.name, steps) for one, steps in told] == [("all", 4)]


ADAPTED = [stage(train=["projector", "lora"])]


@pytest.mark.parametrize(
    ("start", "stages"),
    [
        ("pretrained", ADAPTED),
        ("random", ADAPTED),
        ("pretrained", [stage("align", ["projector"]), stage("adapt", ["lora"])]),
        ("pretrained", [stage("adapt", ["lora"]), stage("both", ["projector", "lora"])]),
        ("pretrained", [stage("adapt", ["lora"]), stage("whole", ["vision", "language"])]),
        ("pretrained", [stage("see", ["vision", "lora"])]),
        ("pretrained", [stage(train=["lora"], lora={"kind": "rslora", "rank": 10})]),
        ("pretrained", [stage(train=["projector", "lora"], lora={"kind": "dora"})]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_run_answers_as_its_model_did_when_it_was_saved(
    tiny_base, built, tmp_path, monkeypatch, start, stages
):
    questions = built.split("test")[:6]
    finish, before = RunFolder.finish, {}

    def scores(loaded):
        return torch.tensor([list(s) for s in LocalEngine(loaded).score(questions, [LABELS] * 6)])

    def watched(run, model, loaded, recipe):
        as_tuned = Loaded(model.eval(), loaded.tokenizer, loaded.family, "tuned")
        before["scores"] = scores(as_tuned)
        finish(run, model, loaded, recipe)

    monkeypatch.setattr(RunFolder, "finish", watched)
    plan = tiny_recipe(tiny_base, models={"weights": start}, tuning={"stages": stages})
    run = tune(built, plan, tmp_path / "run")
    assert torch.allclose(scores(load(run)), before["scores"], atol=1e-3)


# Watched


def test_losses_are_read_while_a_run_goes_on(tiny_base, built, tmp_path):
    read = []

    def report(row):
        read.append([row["step"] for row in read_losses(tmp_path / "run")])
        if row["step"] == 2:  # a line half written, as a full disk leaves it
            with (tmp_path / "run" / "losses.jsonl").open("ab") as stream:
                stream.write(b'{"stage": "all", "st')
            raise KeyboardInterrupt

    plan = recipe(tiny_base, stage(steps=4), save_every=1)
    with pytest.raises(KeyboardInterrupt):
        tune(built, plan, tmp_path / "run", report)
    assert read == [[1], [1, 2]]
    assert [row["step"] for row in read_losses(tmp_path / "run")] == [1, 2]
    tune(built, plan, tmp_path / "run")
    assert [row["step"] for row in read_losses(tmp_path / "run")] == [1, 2, 3, 4]


# Going on


def interrupted(built, plan, folder, at):
    with pytest.raises(KeyboardInterrupt):
        tune(built, plan, folder, report=stopping(at))
    assert not read_json(folder / "run.json")["finished"]
    return tune(built, plan, folder)


@pytest.mark.parametrize(
    "train",
    [["vision", "projector", "language"], ["projector", "lora"], ["vision", "lora"]],
    ids="-".join,
)
def test_an_interrupted_run_ends_as_one_that_was_not(tiny_base, built, tmp_path, train):
    lora = {"rank": 4, "dropout": 0.1}
    one = stage(train=train, steps=7, image_loss={"label": 1, "words": 1}, lora=lora)
    plan = recipe(tiny_base, one, save_every=2)
    whole = tune(built, plan, tmp_path / "whole")
    again = interrupted(built, plan, tmp_path / "again", at=("all", 5))
    assert without_times(read_losses(again)) == without_times(read_losses(whole))
    assert same(weights(again), weights(whole))
    assert not (again / "stages").exists()


@pytest.mark.parametrize("at", [("first", 3), ("second", 1), ("second", 3)])
def test_an_interrupted_run_of_two_stages_ends_as_one_that_was_not(tiny_base, built, tmp_path, at):
    plan = recipe(
        tiny_base,
        stage("first", ["vision"], steps=4, text_loss=0, image_loss={"label": 1}),
        stage("second", ["projector", "lora"], steps=4),
        save_every=2,
    )
    whole = tune(built, plan, tmp_path / "whole")
    again = interrupted(built, plan, tmp_path / "again", at)
    assert without_times(read_losses(again)) == without_times(read_losses(whole))
    assert same(weights(again), weights(whole))


@pytest.mark.parametrize("state", [None, b"", b'{"epoch": 1'])
def test_a_checkpoint_cut_short_is_left_out(tiny_base, built, tmp_path, state):
    plan = recipe(tiny_base, stage(steps=6), save_every=2)
    whole = tune(built, plan, tmp_path / "whole")
    again = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        tune(built, plan, again, report=stopping(("all", 5)))
    half = again / "stages" / "0" / "checkpoint-5"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"cut short")
    if state is not None:
        (half / "trainer_state.json").write_bytes(state)
    tune(built, plan, again)
    assert same(weights(again), weights(whole))


def test_a_run_killed_before_its_proof_is_proven_by_the_next_tune(
    tiny_base, built, tmp_path, monkeypatch
):
    def killed(*_):
        raise KeyboardInterrupt

    plan, folder = recipe(tiny_base, stage(), prove=3), tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(tuning_run, "compare", killed)
        with pytest.raises(KeyboardInterrupt):
            tune(built, plan, folder)
    assert read_json(folder / "run.json")["finished"]
    tune(built, plan, folder)
    run = read_json(folder / "run.json")
    assert run["proof"] == {"questions": 3, "same": 3}
    assert "unproven" not in run


def test_a_run_killed_before_its_model_was_written_ends_with_the_same_files(
    tiny_base, built, tmp_path, monkeypatch
):
    plan = recipe(tiny_base, stage())
    whole = tune(built, plan, tmp_path / "whole")

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(RunFolder, "finish", killed)
        tune(built, plan, tmp_path / "again")
    again = tune(built, plan, tmp_path / "again")
    assert read_json(again / "run.json")["weights"] == read_json(whole / "run.json")["weights"]
    for file in (whole / "model").iterdir():
        assert (again / "model" / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("train", [["vision", "projector", "language"], ["projector", "lora"]])
def test_the_proof_reads_a_run_back_when_the_tuned_model_is_gone(
    tiny_base, built, tmp_path, monkeypatch, worse, train
):
    finish, models, alive = RunFolder.finish, [], []

    def finished(run, model, loaded, recipe):
        models.extend([weakref.ref(model), weakref.ref(loaded.model)])
        finish(run, model, loaded, recipe)

    def compared(*_):
        alive.extend(model() is not None for model in models)
        return {"questions": 8, "same": 8}

    monkeypatch.setattr(RunFolder, "finish", finished)
    monkeypatch.setattr(tuning_run, "compare", compared)
    one = stage(train=train, image_loss={"label": 1})
    plan = recipe(tiny_base, one, stop=STOPPING)
    tune(built, plan, tmp_path / "run", score=worse, probe=lambda loaded, row: None)
    assert alive == [False, False]


BUSY = {
    "train": ["projector", "lora"],
    "steps": 7,
    "batch_size": 2,
    "accumulate": 2,
    "mix": {"classify": 0.5, "caption": 0.3, "refer": 0.2},
    "learning_rates": {"projector": 2e-4},
    "checkpointing": True,
    "lora": {"rank": 4, "dropout": 0.1, "kind": "rslora"},
}


@pytest.mark.parametrize(
    ("balance", "kind"), [("none", "lora"), ("sampling", "rslora"), ("loss", "dora")]
)
def test_an_interrupted_run_of_everything_at_once_ends_as_one_that_was_not(
    tiny_base, built, tmp_path, balance, kind
):
    one = stage(**{**BUSY, "balance": balance, "lora": {**BUSY["lora"], "kind": kind}})
    plan = recipe(tiny_base, one, save_every=2, validate_every=3)
    built = with_val(built)
    whole = tune(built, plan, tmp_path / "whole")
    again = interrupted(built, plan, tmp_path / "again", at=("all", 5))
    assert without_times(read_losses(again)) == without_times(read_losses(whole))
    assert same(weights(again), weights(whole))


@pytest.mark.parametrize("at", [6, "the end"])
def test_an_interrupted_run_that_stops_early_ends_as_one_that_was_not(
    tiny_base, built, tmp_path, worse, monkeypatch, at
):
    one = stage(train=["projector", "lora"], steps=20, lora={"dropout": 0.1})
    plan = recipe(tiny_base, one, save_every=2, stop=STOPPING)
    whole, again = tune(built, plan, tmp_path / "whole", score=worse), tmp_path / "again"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        if at == "the end":  # a checkpoint of the last step is there, the stage's file is not

            def cut(model):
                raise KeyboardInterrupt

            patched.setattr(run_folder, "learnt", cut)
        tune(built, plan, again, report=stopping(("all", at)), score=worse)
    tune(built, plan, again, score=worse)
    assert without_times(read_losses(again)) == without_times(read_losses(whole))
    assert same(weights(again), weights(whole))
    records = [read_json(run / "run.json")["stages"][0] for run in (again, whole)]
    assert without_times(records)[0] == without_times(records)[1]


def test_a_killed_run_ends_as_one_that_was_not(tiny_base, tmp_path):
    images = annotated(tmp_path / "pictures")
    built = small_set(tmp_path / "pictures")
    write_set(tmp_path / "set", images, built)
    plan = recipe(tiny_base, stage(**{**BUSY, "steps": 6}), save_every=2)
    whole = tune(built, plan, tmp_path / "whole")
    # The copy beside a finished run says what to tune in a process of its own.
    script = (
        "import sys\n"
        "from swath.instructions.builder import read_set\n"
        "from swath.recipes import load_recipe\n"
        "from swath.tuning.run import tune\n"
        "say = lambda row: print('step', row['step'], flush=True)\n"
        "tune(read_set(sys.argv[1]), load_recipe(sys.argv[2]), sys.argv[3], say)\n"
    )
    killed = tmp_path / "killed"
    given = [str(tmp_path / "set"), str(whole / "recipe.yaml"), str(killed)]
    with subprocess.Popen(
        [sys.executable, "-c", script, *given], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line == "step 5\n":
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    tune(built, plan, killed)
    assert same(weights(killed), weights(whole))
    assert without_times(read_losses(killed)) == without_times(read_losses(whole))


def test_a_finished_run_is_not_done_again(tiny_base, built, tmp_path):
    plan = recipe(tiny_base, stage())
    run = tune(built, plan, tmp_path / "run")
    before = (run / "model" / "model.safetensors").stat().st_mtime_ns
    steps = []
    assert tune(built, plan, run, report=steps.append) == run
    assert not steps
    assert (run / "model" / "model.safetensors").stat().st_mtime_ns == before


# Too large for memory


@pytest.mark.parametrize("at", [1, 4])
@pytest.mark.parametrize("train", [["vision", "projector", "language"], ["projector", "lora"]])
def test_a_stage_that_runs_out_of_memory_goes_on_in_smaller_batches_of_the_same_rows(
    tiny_base, built, tmp_path, monkeypatch, train, at
):
    plain = {"turn": False, "crop": 1, "colour": 0}
    one = stage(train=train, steps=5, batch_size=6, augment=plain, lora={"dropout": 0})
    if "vision" in train:  # norms see a batch
        monkeypatch.setattr(
            torch.nn.BatchNorm2d, "train", lambda self, mode=True: nn.Module.train(self, False)
        )
    small = recipe(tiny_base, {**one, "batch_size": 3, "accumulate": 2}, save_every=2)
    expected = tune(built, small, tmp_path / "small")
    learn = StageTrainer.compute_loss

    def full(self, model, inputs, **kwargs):
        if len(inputs["labels"]) > 3 and self.state.global_step + 1 >= at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. More words.")
        return learn(self, model, inputs, **kwargs)

    monkeypatch.setattr(StageTrainer, "compute_loss", full)
    monkeypatch.setattr(run_folder, "can_run_out", lambda: True)
    told = []
    plan = recipe(tiny_base, one, save_every=2)
    run = tune(built, plan, tmp_path / "run", report=told.append)
    record = read_json(run / "run.json")
    assert (record["batch_sizes"], record["accumulate"]) == ({"all": 3}, {"all": 2})
    note = "stage all: out of memory; goes on with 2 batches of 3 rows a step"
    assert [row["step"] for row in told if row.get("note", "").startswith(note)] == [max(1, at - 1)]
    assert record["warnings"][0].startswith(note)
    losses = [[row["text"] for row in read_losses(folder)] for folder in (run, expected)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    if at == 1:
        assert losses[0] == losses[1] and same(weights(run), weights(expected))


def test_one_row_that_runs_out_of_memory_is_answered_with_advice(
    tiny_base, built, tmp_path, monkeypatch
):
    def full(self, model, inputs, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. More words.")

    monkeypatch.setattr(StageTrainer, "compute_loss", full)
    monkeypatch.setattr(run_folder, "can_run_out", lambda: True)
    with pytest.raises(TuningError, match=r"1 rows ran out of memory \(CUDA out of.*lower"):
        tune(built, recipe(tiny_base, stage()), tmp_path / "run")


# What is refused


@pytest.mark.parametrize(
    ("section", "advice"),
    [
        ({"track": ["wandb"]}, r"wandb is not installed; `pip install wandb`.*extra `track`"),
        ({"validate_every": 1}, "no val rows; see annotations.split"),
        ({"stop": {"task": "classify"}}, "goes by a score, and none is given"),
    ],
)
def test_watching_what_is_not_there_is_refused(tiny_base, built, tmp_path, section, advice):
    with pytest.raises(TuningError, match=advice):
        tune(built, recipe(tiny_base, stage(), **section), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_last_stage_s_wishes_are_checked_before_the_first_begins(tiny_base, built, tmp_path):
    rates = stage("second", ["projector"], learning_rates={"vision": 1e-3})
    for last, advice in ((rates, "rate for vision"), (stage("second", tasks=["sort"]), "'sort'")):
        with pytest.raises(TuningError, match=advice):
            tune(built, recipe(tiny_base, stage("first"), last), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_another_recipe_in_the_same_folder_is_refused(tiny_base, built, tmp_path):
    tune(built, recipe(tiny_base, stage()), tmp_path / "run")
    other = recipe(tiny_base, stage(learning_rate=1e-4))
    with pytest.raises(TuningError, match=r"another recipe or other data.*name=\.\.\.\) or .*--fr"):
        tune(built, other, tmp_path / "run")


def test_other_data_in_the_same_folder_is_refused(tiny_base, built, tmp_path):
    plan = recipe(tiny_base, stage())
    tune(built, plan, tmp_path / "run")
    other = small_set(tmp_path / "pictures", captions_per_image=1)
    with pytest.raises(TuningError, match="holds a run of another recipe or other data"):
        tune(other, plan, tmp_path / "run")


def test_speed_settings_and_evaluation_may_change_on_the_way(tiny_base, built):
    plan = recipe(tiny_base, stage())
    values = json.loads(plan.model_dump_json())
    values["tuning"] |= {"threads": 2, "save_every": 7, "keep_checkpoints": 2}
    values |= {"name": "other", "evaluation": {"views": 8}}
    assert fingerprint(built, type(plan)(**values)) == fingerprint(built, plan)
    values["seed"] = 1
    assert fingerprint(built, type(plan)(**values)) != fingerprint(built, plan)


def test_a_key_that_a_later_swath_brings_does_not_make_another_run(tiny_base, built):
    plan = recipe(tiny_base, stage())

    class Later(type(plan)):
        sharpness: int = 1

    values = json.loads(plan.model_dump_json())
    assert fingerprint(built, Later(**values)) == fingerprint(built, plan)
    assert fingerprint(built, Later(**values, sharpness=2)) != fingerprint(built, plan)


def test_a_set_without_training_rows_is_refused(tiny_base, tmp_path):
    empty = small_set(tmp_path / "pictures", count=4, test=4)
    with pytest.raises(TuningError, match=r"no training rows; see annotations\.split"):
        tune(empty, recipe(tiny_base, stage()), tmp_path / "run")


def test_a_loss_that_is_no_number_stops_with_advice(tiny_base, built, tmp_path):
    plan = recipe(tiny_base, stage(steps=8, learning_rate=1e30, warmup=0))
    with pytest.raises(
        TuningError, match=r"stage 'all', step \d: the loss is (nan|inf); lower .*now 1e\+30"
    ):
        tune(built, plan, tmp_path / "run")


def test_a_row_without_a_picture_is_refused_before_anything_is_written(tiny_base, built, tmp_path):
    from swath.errors import InstructionError

    bare = Conversation("bare", "caption", (user("Hello?"), assistant("Hello.")), split="train")
    bad = InstructionSet((*built.conversations, bare), built.card)
    with pytest.raises(InstructionError, match="bare: no image; rows of words alone"):
        tune(bad, recipe(tiny_base, stage()), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rows_longer_than_the_context_are_left_out_whole_and_counted(tiny_base, built, tmp_path):
    one = built.split("train")[0]
    turns = (one.turns[0], assistant("field " * 400))
    long = Conversation("long", one.task, turns, split="train", truth=one.truth)
    more = InstructionSet((*built.conversations, long), built.card)
    folder = tune(more, recipe(tiny_base, stage()), tmp_path / "run")
    assert read_json(folder / "run.json")["left_out"] == ["long"]
    only = InstructionSet((long,), built.card)
    with pytest.raises(TuningError, match=r"every row is longer than the 256 tokens .* first long"):
        tune(only, recipe(tiny_base, stage()), tmp_path / "other")


def test_image_losses_pass_over_images_without_class_and_caption(tiny_base, tmp_path):
    counts = small_set(tmp_path / "pictures", tasks=["count"])
    bare = InstructionSet(counts.conversations, {**counts.card, "labels": [], "words": []})
    heads = {"image_loss": {"label": 1, "words": 1}}
    folder = tune(bare, recipe(tiny_base, stage(**heads)), tmp_path / "run")
    assert all("image" not in row for row in read_losses(folder))
