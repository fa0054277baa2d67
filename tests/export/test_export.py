import json
import shutil
import subprocess

import pytest
import torch

import swath
from swath.errors import ExportError, ModelError, RequestError
from swath.export import huggingface
from swath.export.card import model_card
from swath.export.huggingface import export
from swath.files import read_json, write_json
from swath.instructions.builder import build, read_set
from swath.instructions.conversation import write_conversations
from swath.models import proof
from swath.models.loaded import load_folder
from swath.models.loading import load
from swath.models.proof import read_back
from swath.recipe import Instructions
from swath.recipes import dump, load_recipe
from swath.tuning.run import tune
from tests.making import TASKS, annotated, tiny_recipe, write_set


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_base):
    """Two finished runs with their sets: a whole model, and an adapter."""
    folder = tmp_path_factory.mktemp("runs")
    images = annotated(folder / "pictures")
    built = build(images, Instructions(tasks=TASKS), seed=0)
    built.card["leaks"] = 2
    stage = {"name": "all", "steps": 2, "batch_size": 4, "learning_rate": 1e-2}
    for name, parts in (
        ("whole", ["vision", "projector", "language"]),
        ("adapter", ["projector", "lora"]),
    ):
        write_set(folder / name / "set", images, built)
        plan = tiny_recipe(tiny_base, tuning={"stages": [stage | {"train": parts}]})
        tune(built, plan, folder / name)
    return folder


@pytest.fixture
def trusting(monkeypatch):
    """Leave out the fresh process, which takes seconds."""
    monkeypatch.setattr(huggingface, "_compare", lambda *given: None)


def test_a_fresh_process_answers_as_the_adapter_run_did(runs, tmp_path):
    proven = export(runs / "adapter", tmp_path / "out", prove_on=6)
    assert proven == 6
    assert not list((tmp_path / "out").glob("proof*"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "swath.json",
        "README.md",
        "handler.py",
        "requirements.txt",
        "Dockerfile",
    } <= names
    picture = next((runs / "pictures").iterdir())
    labels = ["red land", "green land", "blue land"]
    before, after = (
        swath.load(model).ask(picture, "What kind of scene is this?", labels)
        for model in (runs / "adapter", tmp_path / "out")
    )
    assert after.text == before.text
    assert after.confidence == pytest.approx(before.confidence, abs=1e-4)


def test_an_export_that_answers_otherwise_is_refused_and_leaves_nothing(
    runs, tmp_path, monkeypatch
):
    right = huggingface.answers_of

    def tampered(loaded, questions):
        return [*right(loaded, questions)[:-1], "something else"]

    monkeypatch.setattr(huggingface, "answers_of", tampered)
    with pytest.raises(
        ExportError, match=r"differ on .*: '.*' instead of 'something else'; nothing"
    ):
        export(runs / "whole", tmp_path / "out", prove_on=2)
    assert list(tmp_path.iterdir()) == []


def test_weights_changed_on_their_way_are_found(runs, tmp_path, monkeypatch):
    questions = huggingface._proof_questions(runs / "whole", 16)
    write_conversations(tmp_path / "questions.jsonl", questions)
    loaded = load(runs / "whole")
    loaded.save(tmp_path / "same")
    with torch.no_grad():
        loaded.model.model.language_model.layers[0].mlp.up_proj.weight.mul_(-1)
    loaded.save(tmp_path / "other")
    file = str(tmp_path / "questions.jsonl")
    wanted = read_back(str(runs / "whole" / "model"), file)
    assert read_back(str(tmp_path / "same"), file) == wanted
    assert read_back(str(tmp_path / "other"), file) != wanted


def test_a_folder_that_does_not_load_in_a_fresh_process_is_refused(runs, tmp_path, monkeypatch):
    def dies(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nModelError: no weights")

    monkeypatch.setattr(huggingface.subprocess, "run", dies)
    with pytest.raises(ExportError, match=r"did not load in a fresh process \(ModelError: no weig"):
        export(runs / "whole", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_content_is_left_alone(runs, tmp_path, trusting):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match="is no export of swath; choose a folder that does not"):
        export(runs / "whole", tmp_path / "taken")
    with pytest.raises(ExportError, match="is no export of swath"):
        export(runs / "whole", runs / "adapter")
    assert (tmp_path / "taken" / "thesis.txt").read_text() == "mine"


def test_an_older_export_is_replaced(runs, tmp_path, trusting):
    export(runs / "whole", tmp_path / "out")
    (tmp_path / "out" / "left.txt").write_text("old")
    export(runs / "whole", tmp_path / "out", dtype="float16")
    assert read_json(tmp_path / "out" / "swath.json")["dtype"] == "float16"
    assert not (tmp_path / "out" / "left.txt").exists()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_weights_are_written_in_the_number_format_asked_for(runs, tmp_path, trusting, dtype):
    from safetensors.torch import load_file

    export(runs / "whole", tmp_path / "out", dtype)
    weights = load_file(tmp_path / "out" / "model.safetensors")
    floats = {one.dtype for one in weights.values() if one.is_floating_point()}
    assert floats == {getattr(torch, dtype)}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype


def test_an_unknown_number_format_is_refused_before_anything_is_written(runs, tmp_path):
    with pytest.raises(RequestError, match="dtype 'int8'; known: float32, float16, bfloat16"):
        export(runs / "whole", tmp_path / "out", dtype="int8")
    assert list(tmp_path.iterdir()) == []


def test_an_export_says_what_it_is_of(runs, tmp_path, trusting, tiny_base):
    export(runs / "whole", tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "swath.json")
    assert manifest["family"] == "swath_nano"
    assert manifest["made_from"] == str(tiny_base)
    assert manifest["imagery"]["cache_px"] == 128


def test_a_merged_export_needs_no_peft_and_no_base(runs, tmp_path, trusting):
    export(runs / "adapter", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert not any("adapter" in name for name in names)
    merged = load(tmp_path / "out").model.state_dict()
    assert merged.keys() == load(runs / "whole").model.state_dict().keys()


def test_an_unfinished_run_is_not_exported(runs, tmp_path):
    write_json(tmp_path / "run" / "run.json", {"base": "swath-nano", "finished": False})
    with pytest.raises(ModelError, match="this run has not finished"):
        export(tmp_path / "run", tmp_path / "out")


def test_proof_questions_are_of_every_task(runs):
    some = huggingface._proof_questions(runs / "whole", 6)
    assert len(some) == 6
    assert {one.task for one in some} == set(TASKS)
    assert {one.split for one in some} == {"test"}
    whole = huggingface._proof_questions(runs / "whole", 500)
    assert len(whole) == len(read_set(runs / "whole" / "set").split("test"))


# The card


@pytest.mark.parametrize(
    ("weights", "base", "says"),
    [
        ("tiny", "owner/model", "Made from random weights of a small likeness of `owner/model` by"),
        ("random", "owner/model", "Made from random weights of `owner/model` by"),
        ("pretrained", "owner/model", "Made from `owner/model` by"),
        ("tiny", "swath-nano", "Made from `swath-nano` by"),
    ],
)
def test_the_card_says_what_weights_the_model_was_made_from(runs, tmp_path, weights, base, says):
    run = tmp_path / "run"
    shutil.copytree(runs / "whole", run, ignore=shutil.ignore_patterns("model"))
    recipe = load_recipe(run / "recipe.yaml", [f"models.weights={weights}"])
    (run / "recipe.yaml").write_text(dump(recipe))
    write_json(run / "run.json", read_json(run / "run.json") | {"base": base})
    assert says in model_card(run)


def test_the_card_names_data_licences_leaks_and_stages(runs):
    card = model_card(runs / "adapter")
    assert card.startswith("---\nlibrary_name: swath\n")
    assert "Images: 4 test, 12 train. Sources: drawn for a test." in card
    assert "Pictures standing in train and test alike: 2." in card
    assert "- CC0-1.0: 16 images" in card
    assert "Classes: blue land, green land, red land." in card
    assert "| all | projector, lora | 2 |" in card
    assert "Not evaluated: run `swath evaluate`." in card


def test_the_card_repeats_the_scores_with_their_intervals(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs / "adapter", run)
    metric = {"value": 0.75, "n": 8, "unreadable": 1, "low": 0.5, "high": 0.95}
    none = {"value": None, "n": 0, "unreadable": 0, "low": None, "high": None}
    write_json(
        run / "evaluation" / "tuned" / "scores.json",
        {"tasks": {"classify": {"metrics": {"accuracy": metric, "kappa": none}}}},
    )
    card = model_card(run)
    assert "| classify | accuracy | 0.750 | 0.500 to 0.950 | 8 | 1 |" in card
    assert "| classify | kappa | undefined |  | 0 | 0 |" in card
    assert "Not evaluated" not in card


def test_the_proofs_process_computes_in_float32_whatever_the_machine(
    runs, tmp_path, trusting, monkeypatch
):
    """`auto` is bfloat16 on an accelerator, and the process that exports computes in float32."""
    export(runs / "whole", tmp_path / "out")
    asked_for = []

    def noting(folder, base, dtype="auto"):
        asked_for.append(dtype)
        return load_folder(folder, base, dtype)

    monkeypatch.setattr(proof, "load_folder", noting)
    write_conversations(tmp_path / "none.jsonl", [])
    assert read_back(str(tmp_path / "out"), str(tmp_path / "none.jsonl")) == []
    assert asked_for == ["float32"]
