"""Runs on one base: it is in memory once, and each answers as it does alone."""

import gc

import numpy as np
import pytest
import torch

from swath.errors import ModelError
from swath.files import read_json, write_json
from swath.instructions.builder import build
from swath.models.engine import LocalEngine
from swath.models.generating.choosing import Wishes
from swath.models.generating.rows import Rows
from swath.models.loading import load
from swath.models.shared_base import adapter_run, base_among, load_together, put_beside
from swath.recipe import Instructions
from swath.tuning.run import tune
from tests.making import TASKS, annotated, asks, tiny_recipe, write_set

PARTS = {"first": ["projector", "lora"], "second": ["lora"], "whole": ["projector", "language"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_base):
    """Three finished runs on one base: two adapters that learnt different parts, and no adapter."""
    folder = tmp_path_factory.mktemp("runs")
    images = annotated(folder / "pictures")
    built = build(images, Instructions(tasks=TASKS), seed=0)
    for number, (name, parts) in enumerate(PARTS.items()):
        write_set(folder / name / "set", images, built)
        stage = {"name": "all", "steps": 4, "batch_size": 4, "learning_rate": 0.05, "train": parts}
        tune(built, tiny_recipe(tiny_base, seed=number, tuning={"stages": [stage]}), folder / name)
    return folder


@pytest.fixture
def questions(runs):
    pictures = sorted((runs / "pictures").iterdir())[:3]
    return [asks(picture, question="What kind of scene is this?") for picture in pictures]


def texts(loaded, questions):
    return [answer.text for answer in LocalEngine(loaded).answer(questions, 12)]


def test_the_base_is_held_once_and_each_answers_as_it_does_alone(runs, questions, tiny_base):
    names = [runs / name for name in PARTS]
    together = load_together(names)
    first, second, whole = (model.model for model in together)
    shared = {weight.data_ptr() for weight in first.parameters()}
    assert first is second and whole is not first
    assert not shared & {weight.data_ptr() for weight in whole.parameters()}
    alone = [load(name) for name in names]
    answers = [texts(model, questions) for model in alone]
    assert answers[0] != answers[1] != answers[2]
    for _ in range(2):  # each is active after each other
        assert [texts(model, questions) for model in together] == answers
    candidates = [["red land", "green land", "blue land"]] * len(questions)
    for one, other in zip(together, alone, strict=True):
        scores = LocalEngine(one).score(questions, candidates)
        expected = LocalEngine(other).score(questions, candidates)
        assert np.allclose(scores, expected, atol=1e-3)
        assert np.allclose(
            LocalEngine(one).features([questions[0].images[0].path]),
            LocalEngine(other).features([questions[0].images[0].path]),
            atol=1e-5,
        )
    assert [model.base for model in together] == [str(name) for name in names]
    assert together[0].digest == together[1].digest == load(tiny_base).digest


def test_rows_that_take_turns_step_by_step_are_those_of_each_alone(runs, questions):
    names = [runs / "first", runs / "second"]
    alone = [texts(load(name), questions) for name in names]
    growing = []
    for loaded in load_together(names):
        engine = LocalEngine(loaded)
        rows = Rows(engine.inputs)
        answers = [rows.answer(engine.prompt(asked), Wishes(12)) for asked in questions]
        rows.join(answers)
        growing.append((rows, answers))
    while any(rows.answers for rows, _ in growing):
        for rows, _ in growing:
            rows.step()
    assert [[answer.text for answer in answers] for _, answers in growing] == alone


def test_a_run_on_other_weights_of_the_same_name_shares_nothing(runs, tiny_base):
    record = read_json(runs / "second" / "run.json")
    try:
        write_json(runs / "second" / "run.json", {**record, "base_digest": "of another time"})
        with pytest.raises(ModelError, match="was tuned on other weights"):
            load_together([runs / "first", runs / "second"])
    finally:
        write_json(runs / "second" / "run.json", record)
    again = load_together([runs / "first", tiny_base, runs / "first"])
    assert again[0].model is again[2].model and again[1].model is not again[0].model
    assert all(isinstance(model.model, torch.nn.Module) for model in again)


def held_bytes():
    """Bytes of all weights that anything in this process still holds."""
    gc.collect()
    weights = [value for value in gc.get_objects() if issubclass(type(value), torch.nn.Parameter)]
    storages = {weight.untyped_storage().data_ptr(): weight.nbytes for weight in weights}
    return sum(storages.values())


def test_an_adapter_comes_beside_a_base_that_answers_already(runs, questions, tiny_base):
    base = load(tiny_base)
    weights = {weight.data_ptr() for weight in base.model.parameters()}
    alone = texts(base, questions)
    engine = LocalEngine(base)
    rows = Rows(engine.inputs)
    growing = [rows.answer(engine.prompt(asked), Wishes(12)) for asked in questions]
    rows.join(growing)
    rows.step()
    size = held_bytes()
    together = [base]
    for name in ("first", "second"):
        run = adapter_run(runs / name)
        assert base_among(run, together) is base
        together.append(put_beside(base, run))
    files = sum(
        file.stat().st_size
        for name in ("first", "second")
        for file in (runs / name / "adapter").glob("*.safetensors")
    )
    second_base = sum(weight.nbytes for weight in base.model.parameters()) - files
    assert held_bytes() - size < files + second_base / 2
    for model in together:
        assert weights <= {weight.data_ptr() for weight in model.model.parameters()}
    while rows.answers:
        rows.step()
    assert [answer.text for answer in growing] == alone  # begun without adapters, ended beside them
    expected = [texts(load(runs / name), questions) for name in ("first", "second")]
    for _ in range(2):
        assert [texts(model, questions) for model in together] == [alone, *expected]
    again = put_beside(base, adapter_run(runs / "first"))
    assert texts(again, questions) == expected[0]
    assert base.digest == load(tiny_base).digest == again.digest


def test_a_run_finds_its_base_among_adapters_and_no_other(runs, tiny_base, tiny):
    together = load_together([runs / "first", runs / "first"])
    assert base_among(adapter_run(runs / "second"), together) is together[0]
    assert base_among(adapter_run(runs / "second"), [load(runs / "whole"), tiny]) is None
    record = read_json(runs / "second" / "run.json")
    try:
        write_json(runs / "second" / "run.json", {**record, "base_digest": "of another time"})
        assert base_among(adapter_run(runs / "second"), [load(tiny_base), *together]) is None
    finally:
        write_json(runs / "second" / "run.json", record)
