import numpy as np
import pytest
import torch

from swath.annotations.image import AnnotatedImage, Question
from swath.errors import InstructionError
from swath.instructions.builder import build
from swath.instructions.tasks.truths import AnswerTruth
from swath.models.encoding import IGNORED, by_image
from swath.models.inputs import Inputs
from swath.models.pixels import PixelStore
from swath.recipe import Instructions, Stage
from swath.tuning.batches import Batcher, Targets
from swath.tuning.sampling import Dealt
from tests.making import rectangle, small_set

LABELS = ("blue land", "green land", "red land")
TARGETS = Targets(LABELS, ("field", "red", "grey"))
ONLY_IMAGES = {"train": ["vision"], "text_loss": 0, "image_loss": {"label": 1, "words": 1}}


@pytest.fixture
def groups(tmp_path):
    return by_image(small_set(tmp_path).split("train"))


@pytest.fixture
def batcher(tiny, groups):
    def made(seed=7, groups=groups, **stage):
        stage = Stage(**stage)
        return Batcher(groups, Inputs(tiny), PixelStore(32, 32), stage, TARGETS, seed)

    return made


def said(tiny, batch):
    """The answers that carry loss in each row."""
    return [tiny.tokenizer.decode(row[row != IGNORED]) for row in batch["labels"]]


def test_every_epoch_shows_every_picture_once_in_another_order(batcher, groups):
    some = batcher(epoch_of="images")
    shown = [some.order(row).group[0].scene for row in range(24)]
    first, second = shown[:12], shown[12:]
    assert sorted(first) == sorted(second) == sorted(group[0].scene for group in groups)
    assert first != second


def test_a_row_depends_on_seed_and_number_alone(batcher):
    one = batcher()
    one([0, 1, 2])  # what came before leaves no trace
    fresh = batcher()([12, 13])
    again = one([12, 13])
    assert fresh.keys() == again.keys()
    assert all(torch.equal(fresh[key], again[key]) for key in fresh)
    other = batcher(seed=8)([12, 13])
    assert not torch.equal(fresh["pixel_values"], other["pixel_values"])


def test_a_row_asks_different_tasks_before_more_of_the_same(tiny, batcher):
    four = batcher(rows_per_image=4)([0])
    assert int(four["segments"].max()) == 4  # classify, caption, refer, count once each
    assert said(tiny, four)[0].count("</s>") == 4
    assert "{<" in said(tiny, four)[0]
    many = batcher(rows_per_image=9)
    assert (
        int(many([0])["segments"].max()) == len(many.order(0).group) > 4
    )  # there are two captions


def test_boxes_and_counts_are_asked_of_whole_pictures(batcher, groups, monkeypatch):
    some = batcher(rows_per_image=9)
    asked, plain = [], some.store.augmented

    def watched(path, augment, upright, whole, rng):
        asked.append(whole)
        return plain(path, augment, upright, whole, rng)

    monkeypatch.setattr(some.store, "augmented", watched)
    some([0])
    assert asked == [True]
    some.stage = some.stage.model_copy(update={"rows_per_image": 1})
    monkeypatch.setattr(some, "order", lambda row: Dealt(groups[0], "caption"))
    some([0])
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("answer", "untouched"),
    [
        ("[0.10, 0.25, 0.40, 0.38]", True),
        ("<ref>the ship</ref><box>(100,250),(400,375)</box>", True),
        ('[{"bbox_2d": [10, 20, 40, 30], "label": "ship"}]', True),
        ("a ship", False),
    ],
)
def test_boxes_that_a_source_wrote_as_words_leave_the_picture_as_it_is(
    batcher, tmp_path, answer, untouched
):
    pictures = [
        AnnotatedImage(
            id=str(number),
            path=rectangle(tmp_path / f"{number}.png", (number, 2, number + 6, 9)),
            size_wh=(32, 32),
            split="train",
            questions=(Question("Where is the ship?", answer),),
        )
        for number in range(4)
    ]
    rows = build(pictures, Instructions(tasks=["question"]), seed=0).conversations
    some = batcher(groups=by_image(rows), augment={"colour": 0.0})
    plain = {PixelStore(32, 32).plain(image.path).pixels.tobytes() for image in pictures}
    drawn = [batch_views(some, row) for row in range(12)]
    assert all(pixels in plain for pixels in drawn) == untouched


def batch_views(batcher, row):
    """The pixels that a row shows."""
    group = batcher.order(row).group
    (view,) = batcher._views(group, group, np.random.default_rng(row))
    return view.pixels.tobytes()


def test_numbers_are_answered_of_whole_pictures(tmp_path):
    assert AnswerTruth("12 barns").needs_whole_picture
    assert not AnswerTruth("a barn").needs_whole_picture


def test_one_question_with_directions_keeps_the_picture_upright(batcher, groups, monkeypatch):
    from dataclasses import replace

    upright = [[replace(one, upright=one.task == "caption") for one in group] for group in groups]
    for given, expected in ((groups, False), (upright, True)):
        some, asked = batcher(rows_per_image=9, groups=given), []
        plain = some.store.augmented

        def watched(path, augment, upright, *rest, plain=plain, asked=asked):
            asked.append(upright)
            return plain(path, augment, upright, *rest)

        monkeypatch.setattr(some.store, "augmented", watched)
        some([0])
        assert asked == [expected]


def test_scene_and_words_are_targets_of_the_tower(batcher, groups):
    some = batcher(image_loss={"label": 1, "words": 1})
    batch = some([0])
    label = some.order(0).group[0].truth.label
    assert batch["scenes"].tolist() == [[float(one == label) for one in LABELS]]
    # "One red field lies on grey land. A red field is seen."
    assert batch["words"].tolist() == [[1.0, float(label == "red land"), 1.0]]


def test_without_image_loss_there_are_no_targets(batcher):
    assert not {"scenes", "words"} & batcher()([0]).keys()


def test_a_stage_without_text_loss_reads_no_words(batcher):
    batch = batcher(**ONLY_IMAGES)([0, 1])
    assert set(batch) == {"pixel_values", "scenes", "words"}


def test_mixup_mixes_pictures_and_their_targets_by_one_share(batcher):
    section = {"label": 1, "words": 1, "mixup": 0.4}
    plain = batcher(**ONLY_IMAGES)([0, 1, 2, 3])
    mixed = batcher(**{**ONLY_IMAGES, "image_loss": section})([0, 1, 2, 3])
    assert mixed["scenes"].sum(dim=1).tolist() == pytest.approx([1, 1, 1, 1])
    assert not torch.equal(plain["pixel_values"], mixed["pixel_values"])
    mean = plain["pixel_values"].mean().item()  # each picture keeps one share and lends the other
    assert mixed["pixel_values"].mean().item() == pytest.approx(mean, abs=1e-4)


def test_mixup_leaves_steps_with_words_alone(batcher):
    with_words = batcher(image_loss={"label": 1, "mixup": 0.4})([0, 1])
    assert set(with_words["scenes"].unique().tolist()) == {0.0, 1.0}


def test_a_picture_without_class_teaches_no_class(batcher, tmp_path):
    bare = by_image(small_set(tmp_path, tasks=["count"]).split("train"))
    batch = batcher(groups=bare, image_loss={"label": 1, "words": 1})([0])
    assert batch["scenes"].tolist() == [[0, 0, 0]]


def test_a_row_of_a_mix_asks_its_own_task_only(tiny, batcher):
    some = batcher(rows_per_image=9, mix={"caption": 1, "refer": 1})
    for row in range(4):
        task = some.order(row).task
        answers = said(tiny, some([row]))[0].split("</s>")[:-1]
        assert len(answers) == {"caption": 2, "refer": 1}[task]
        assert all(("{<" in one) == (task == "refer") for one in answers)


def test_the_class_is_a_target_of_rows_that_ask_for_something_else(batcher):
    batch = batcher(mix={"count": 1}, image_loss={"label": 1})([0])
    assert batch["scenes"].sum() == 1


def test_balanced_loss_weighs_classify_answers_of_rare_classes_more(tiny, groups, batcher):
    red = [group for group in groups if group[0].truth.label == "red land"]
    green = [group for group in groups if group[0].truth.label == "green land"]
    four = [*red[:3], green[0]]
    some = batcher(groups=four, balance="loss", rows_per_image=9)
    # Three red and one green: 4 / (2 * 3) and 4 / (2 * 1); other tasks weigh 1.
    for row, number in zip(some([0, 1, 2, 3])["weights"].tolist(), range(4), strict=True):
        group = some.order(number).group
        weight = 2 / 3 if group in red else 2.0
        assert row[0] == 1
        assert sorted(row) == pytest.approx(sorted([1.0] * len(group) + [weight]))


def test_without_balance_there_are_no_weights(batcher):
    assert "weights" not in batcher()([0])


def test_too_long_a_row_is_named(batcher):
    some = batcher()
    some.inputs.encoder.longest = 8
    with pytest.raises(InstructionError, match=r"#\w+: \d+ tokens, and the model reads at most 8"):
        some([0])
