from collections import Counter

import numpy as np
import pytest

from swath.errors import TuningError
from swath.instructions.conversation import Conversation, Image, assistant, user
from swath.instructions.tasks.truths import OtherTruth, truth_of
from swath.recipe import Stage
from swath.tuning.sampling import Order, class_weights, groups_for, label_of


def row(image, task, label=None):
    """A conversation of a task about an image that may have a class."""
    turns = (user(Image(f"{image}.png", (8, 8)), "?"), assistant("!"))
    known = {"label": label} if label else {}
    truth = truth_of(task, known) if task == "classify" else OtherTruth(known)
    return Conversation(f"{image}#{task}", task, turns, split="train", truth=truth)


def pictures(*labels, tasks=("classify",)):
    """One image a label, asked every task."""
    return [row(n, task, label) for n, label in enumerate(labels) for task in tasks]


def dealt(order, rows):
    return [order(number) for number in range(rows)]


# What is asked


def test_a_stage_asks_the_tasks_it_names():
    rows = pictures("a", "b", tasks=("classify", "caption", "count"))
    groups = groups_for(Stage(tasks=["caption", "count"]), rows)
    assert [[one.task for one in group] for group in groups] == [["caption", "count"]] * 2
    assert groups_for(Stage(), rows) == [rows[:3], rows[3:]]


def test_images_without_a_wanted_task_are_left_out():
    rows = [row(0, "classify", "a"), row(1, "caption"), row(2, "classify", "a")]
    groups = groups_for(Stage(tasks=["classify"]), rows)
    assert [group[0].id for group in groups] == ["0#classify", "2#classify"]


@pytest.mark.parametrize(
    ("stage", "advice"),
    [
        ({"tasks": ["clasify"]}, r"'tune' asks task 'clasify'.*did you mean classify\?"),
        ({"tasks": ["zzz"]}, r"known: classify, caption, .*converse\."),
        ({"mix": {"captoin": 1}}, r"asks task 'captoin'.* did you mean caption\?"),
        ({"tasks": ["count"]}, "asks count, of which the set holds no training row; it holds capt"),
        ({"tasks": ["caption"], "mix": {"classify": 1}}, "mixes task 'classify', which is not am"),
        ({"mix": {"caption": 0}}, "mixes 0 of 'caption'; leave it out"),
        ({"tasks": ["caption"], "balance": "sampling"}, "no image has a class; use balance=none"),
        ({"tasks": ["caption"], "balance": "loss"}, "no row is a classify question"),
    ],
)
def test_wishes_for_what_is_not_there_are_answered_with_advice(stage, advice):
    rows = [row(0, "classify", "a"), row(1, "caption")]
    with pytest.raises(TuningError, match=advice):
        groups_for(Stage(**stage), rows)


def test_tasks_that_the_data_cannot_answer_are_passed_over():
    rows = [row(0, "classify", "a"), row(1, "caption")]
    stage = Stage(mix={"caption": 1, "refer": 3})
    assert [[one.task for one in group] for group in groups_for(stage, rows)] == [["caption"]]
    assert Order(groups_for(stage, rows), stage, seed=0)(5)[1] == "caption"


# In which order


def test_without_a_mix_every_epoch_is_one_permutation_of_all_images():
    groups = groups_for(Stage(), pictures(*"abcdefg"))
    order = Order(groups, Stage(), seed=5)
    wanted = [
        groups[place]
        for epoch in (0, 1)
        for place in np.random.default_rng((5, epoch, 2)).permutation(7)
    ]
    assert dealt(order, 14) == [(group, None) for group in wanted]


def test_a_mix_deals_rows_in_its_proportions_from_the_first_on():
    rows = pictures(*"abcde", tasks=("classify", "caption"))
    stage = Stage(mix={"caption": 1, "classify": 3})  # shares 1/4 and 3/4
    order = Order(groups_for(stage, rows), stage, seed=0)
    tasks = [task for _, task in dealt(order, 4000)]
    # Times of caption: 2, 6, ..; of classify: 0.67, 2, 3.33, 4.67, ..; caption is named first.
    assert tasks[:8] == ["classify", "caption", "classify", "classify"] * 2
    for end in range(4, 4000, 4):
        assert Counter(tasks[:end])["caption"] == end // 4


def test_each_task_of_a_mix_walks_its_own_epochs():
    rows = [*pictures(*"abc"), *(row(number, "caption") for number in (2, 3, 4, 5, 6))]
    stage = Stage(mix={"classify": 0.5, "caption": 0.5})
    shown = dealt(Order(groups_for(stage, rows), stage, seed=0), 30)
    asked = {
        name: [group[0].images[0].path for group, task in shown if task == name]
        for name in stage.mix
    }
    # 15 rows each: five epochs over the three images with a class, three over five with captions.
    for epoch in range(5):
        assert sorted(asked["classify"][3 * epoch :][:3]) == ["0.png", "1.png", "2.png"]
    for epoch in range(3):
        some = asked["caption"][5 * epoch :][:5]
        assert sorted(some) == [f"{number}.png" for number in (2, 3, 4, 5, 6)]
    assert len({tuple(asked["caption"][5 * epoch :][:5]) for epoch in range(3)}) > 1


def test_balanced_sampling_shows_all_classes_equally_often():
    groups = groups_for(Stage(), pictures(*"aaaaaaaab", "c"))
    stage = Stage(balance="sampling")
    shown = [group for group, _ in dealt(Order(groups, stage, seed=0), 24)]
    assert Counter(label_of(group) for group in shown) == {"a": 8, "b": 8, "c": 8}
    times = Counter(map(id, shown))
    assert [times[id(group)] for group in groups] == [1] * 8 + [8, 8]


def test_images_without_a_class_keep_their_share_when_classes_are_balanced():
    groups = groups_for(Stage(), [*pictures(*"aaaaab"), row(8, "caption"), row(9, "caption")])
    shown = [group for group, _ in dealt(Order(groups, Stage(balance="sampling"), 0), 80)]
    assert Counter(label_of(group) for group in shown) == {"a": 30, "b": 30, None: 20}


def test_classes_are_balanced_within_a_task_of_a_mix():
    rows = pictures(*"aaaaaab", tasks=("classify", "caption"))
    stage = Stage(mix={"classify": 3, "caption": 1}, balance="sampling")
    shown = dealt(Order(groups_for(stage, rows), stage, seed=0), 80)
    assert Counter((task, label_of(group)) for group, task in shown) == {
        ("classify", "a"): 30,
        ("classify", "b"): 30,
        ("caption", "a"): 10,
        ("caption", "b"): 10,
    }


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mix": {"classify": 0.7, "caption": 0.3}},
        {"mix": {"classify": 0.7, "caption": 0.3}, "balance": "sampling"},
    ],
)
def test_what_comes_in_a_row_depends_on_seed_and_number_alone(values):
    rows, stage = pictures(*"aaabbc", tasks=("classify", "caption")), Stage(**values)
    groups = groups_for(stage, rows)
    whole = dealt(Order(groups, stage, seed=3), 3000)
    for number in (2999, 1500, 0):  # asked at once, backwards, of an order nobody walked
        assert Order(groups, stage, seed=3)(number) == whole[number]
    assert dealt(Order(groups, stage, seed=4), 3000) != whole


# What weighs how much


def test_class_weights_give_every_class_the_same_sum_and_one_on_average():
    groups = groups_for(Stage(), pictures(*"aaabbbbbcc", tasks=("classify", "caption")))
    weights = class_weights(groups)
    # 10 answers of 3 classes: 10 / (3 * 3), 10 / (3 * 5), 10 / (3 * 2).
    assert weights == pytest.approx({"a": 10 / 9, "b": 2 / 3, "c": 5 / 3})
    assert 3 * weights["a"] + 5 * weights["b"] + 2 * weights["c"] == pytest.approx(10)
