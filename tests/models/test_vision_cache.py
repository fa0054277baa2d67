import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from swath.errors import ModelError
from swath.models import vision_cache as features
from swath.models.engine import LocalEngine
from swath.models.inputs import Inputs
from swath.models.loading import load_base
from swath.models.pixels import PixelStore
from swath.models.vision_cache import Features, image_features, tower_name
from swath.recipe import Models
from tests.making import asks, rectangle

TEXTS = ["red land", "blue land", "green"]


@pytest.fixture
def model(tiny, monkeypatch):
    monkeypatch.setattr(features, "READ", 1e12)  # keeping pays
    return replace(tiny, model=copy.deepcopy(tiny.model))


@pytest.fixture
def questions(tmp_path):
    return [asks(rectangle(tmp_path / f"{x}.png", (x, 4, x + 8, 12))) for x in (2, 12, 20)]


def scores(model, questions, folder, **how):
    """Scores, and pictures that went through the tower."""
    seen = []
    tower = model.model.model.vision_tower
    hook = tower.register_forward_hook(lambda module, given, made: seen.append(len(made)))
    kept = Features(folder, **how) if folder else None
    found = LocalEngine(model, kept=kept).score(questions, [TEXTS] * len(questions))
    hook.remove()
    return np.array(found), sum(seen)


def test_a_second_evaluation_asks_no_tower_and_scores_the_same_to_the_last_bit(
    model, questions, tmp_path
):
    plain, _ = scores(model, questions, None)
    first, through = scores(model, questions, tmp_path / "kept")
    again, later = scores(model, questions, tmp_path / "kept")
    assert (through, later) == (3, 0)
    assert (first == again).all() and np.allclose(first, plain, atol=1e-5)
    more = asks(rectangle(tmp_path / "more.png", (0, 0, 30, 3)))
    assert scores(model, [*questions, more], tmp_path / "kept")[1] == 1


def test_a_tuned_tower_sees_anew_and_a_tuned_projector_takes_what_is_kept(
    model, questions, tmp_path
):
    first, _ = scores(model, questions, tmp_path / "kept")
    with torch.no_grad():
        model.model.model.multi_modal_projector.linear_1.weight[0] += 1
    changed, through = scores(model, questions, tmp_path / "kept")
    assert through == 0 and np.abs(first - changed).max() > 1e-4
    assert np.allclose(changed, scores(model, questions, None)[0], atol=1e-5)
    with torch.no_grad():
        next(model.model.model.vision_tower.parameters()).add_(1)
    assert scores(model, questions, tmp_path / "kept")[1] == 3


def test_the_oldest_features_make_room(model, questions, tmp_path):
    scores(model, questions, tmp_path / "kept")
    files = list((tmp_path / "kept").glob("*/*"))
    size = files[0].stat().st_size
    more = [asks(rectangle(tmp_path / "more.png", (0, 0, 30, 3)))]
    scores(model, more, tmp_path / "kept", limit=3 * size)
    left = list((tmp_path / "kept").glob("*/*"))
    assert len(files) == 3 and len(left) == 2  # nine tenths of three
    assert scores(model, more, tmp_path / "kept")[1] == 0


def test_features_that_make_room_for_others_of_their_own_batch_are_still_used(
    model, questions, tmp_path
):
    first, _ = scores(model, questions, tmp_path / "kept")
    size = next((tmp_path / "kept").glob("*/*")).stat().st_size
    both = [*questions, *(asks(rectangle(tmp_path / f"{n}.png", (0, 0, 30, n))) for n in (3, 5))]
    again, _ = scores(model, both, tmp_path / "kept", limit=size)
    assert np.allclose(again[: len(first)], first, atol=1e-5)


def test_damaged_features_are_named(model, questions, tmp_path):
    scores(model, questions[:1], tmp_path / "kept")
    (file,) = (tmp_path / "kept").glob("*/*")
    file.write_bytes(b"cut")
    with pytest.raises(ModelError, match=f"{file.name}: kept features cannot be read"):
        scores(model, questions[:1], tmp_path / "kept")


def test_what_a_tower_makes_faster_than_a_disk_reads_is_not_kept(tiny, questions, tmp_path):
    assert tower_name(Inputs(tiny)) is None
    scores(tiny, questions, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(("layer", "runs"), [(-2, 2), (-1, 3), (1, 1), ([-3, -2], 2)])
def test_layers_of_the_tower_that_nobody_reads_are_left_out(tmp_path, layer, runs):
    llava = load_base(Models(weights="tiny", base="llava-hf/llava-1.5-7b-hf"), seed=1)
    inputs, inside = Inputs(llava), llava.model.model
    llava.model.config.vision_feature_layer = inside.config.vision_feature_layer = layer
    if isinstance(layer, list):
        width = inside.multi_modal_projector.linear_1.in_features
        inside.multi_modal_projector.linear_1 = torch.nn.Linear(
            2 * width, inside.multi_modal_projector.linear_1.out_features
        )
    view = PixelStore(llava.image_size, 64).plain(rectangle(tmp_path / "a.png"))
    layers, ran = inside.vision_tower.encoder.layers, []
    assert len(layers) == 3
    for one in layers:
        one.mlp.register_forward_hook(lambda *_: ran.append(1))
    with torch.inference_mode():
        made = image_features(inputs, [view])
        assert len(ran) == runs
        whole = llava.model.get_image_features(inputs.tensor([view])).pooler_output
    assert torch.equal(made, torch.stack(list(whole)))
    assert len(ran) == runs + 3  # and are back
