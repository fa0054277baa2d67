from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from swath.errors import TuningError
from swath.instructions.conversation import Conversation, Image, assistant, user
from swath.instructions.tasks.truths import OtherTruth, truth_of
from swath.recipe import Stage
from swath.recipes import load_recipe
from swath.tuning.sampling import Order, class_weights, epoch_length, groups_for, label_of


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
    return [(one.group, one.task) for one in map(order, range(rows))]


def by_images(**values):
    """A stage whose epochs are of images."""
    return Stage(epoch_of="images", **values)


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
    assert Order(groups_for(stage, rows), stage, seed=0)(5).task == "caption"


# In which order


def test_without_a_mix_every_epoch_is_one_permutation_of_all_images():
    groups = groups_for(by_images(), pictures(*"abcdefg"))
    order = Order(groups, by_images(), seed=5)
    wanted = [
        groups[place]
        for epoch in (0, 1)
        for place in np.random.default_rng((5, epoch, 2)).permutation(7)
    ]
    assert dealt(order, 14) == [(group, None) for group in wanted]


def test_a_mix_deals_rows_in_its_proportions_from_the_first_on():
    rows = pictures(*"abcde", tasks=("classify", "caption"))
    stage = by_images(mix={"caption": 1, "classify": 3})  # shares 1/4 and 3/4
    order = Order(groups_for(stage, rows), stage, seed=0)
    tasks = [task for _, task in dealt(order, 4000)]
    # Times of caption: 2, 6, ..; of classify: 0.67, 2, 3.33, 4.67, ..; caption is named first.
    assert tasks[:8] == ["classify", "caption", "classify", "classify"] * 2
    for end in range(4, 4000, 4):
        assert Counter(tasks[:end])["caption"] == end // 4


def test_each_task_of_a_mix_walks_its_own_epochs():
    rows = [*pictures(*"abc"), *(row(number, "caption") for number in (2, 3, 4, 5, 6))]
    stage = by_images(mix={"classify": 0.5, "caption": 0.5})
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
    groups = groups_for(by_images(), pictures(*"aaaaaaaab", "c"))
    stage = by_images(balance="sampling")
    shown = [group for group, _ in dealt(Order(groups, stage, seed=0), 24)]
    assert Counter(label_of(group) for group in shown) == {"a": 8, "b": 8, "c": 8}
    times = Counter(map(id, shown))
    assert [times[id(group)] for group in groups] == [1] * 8 + [8, 8]


def test_images_without_a_class_keep_their_share_when_classes_are_balanced():
    groups = groups_for(by_images(), [*pictures(*"aaaaab"), row(8, "caption"), row(9, "caption")])
    shown = [group for group, _ in dealt(Order(groups, by_images(balance="sampling"), 0), 80)]
    assert Counter(label_of(group) for group in shown) == {"a": 30, "b": 30, None: 20}


def test_classes_are_balanced_within_a_task_of_a_mix():
    rows = pictures(*"aaaaaab", tasks=("classify", "caption"))
    stage = by_images(mix={"classify": 3, "caption": 1}, balance="sampling")
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
        {"epoch_of": "images"},
        {"mix": {"classify": 0.7, "caption": 0.3}},
        {"mix": {"classify": 0.7, "caption": 0.3}, "balance": "sampling"},
    ],
)
def test_what_comes_in_a_row_depends_on_seed_and_number_alone(values):
    rows, stage = pictures(*"aaabbc", tasks=("classify", "caption")), Stage(**values)
    groups = groups_for(stage, rows)
    order = Order(groups, stage, seed=3)
    whole = [order(number) for number in range(3000)]
    for number in (2999, 1500, 0):  # asked at once, backwards, of an order nobody walked
        assert Order(groups, stage, seed=3)(number) == whole[number]
    assert [Order(groups, stage, seed=4)(number) for number in range(3000)] != whole


# How long an epoch is


def questions(counts):
    """Images that so many questions are asked of, the last of each a caption."""
    rows = []
    for image, count in enumerate(counts):
        for number in range(count):
            task = "caption" if number == count - 1 else "question"
            rows.append(replace(row(image, task), id=f"{image}#{number}"))
    return rows


@pytest.mark.parametrize("values", [{}, {"mix": {"caption": 1, "question": 2}}])
def test_an_epoch_of_rows_asks_every_question_once(values):
    rows = questions([1, 2, 7, 7])
    stage = Stage(rows_per_image=3, **values)
    groups = groups_for(stage, rows)
    length = epoch_length(groups, stage)
    # 1 + 1 + 3 + 3 in all; in the mix 4 captions and 0 + 1 + 2 + 2 times some questions.
    assert length == (9 if values else 8)
    order = Order(groups, stage, seed=0)
    if not values:
        for epoch in range(3):
            times = Counter(
                question.id
                for number in range(epoch * length, (epoch + 1) * length)
                for question in order(number).questions
            )
            assert times == {one.id: 1 for one in rows}
    captions = [order(number) for number in range(300)]
    asked = Counter(question.task for one in captions for question in one.questions)
    assert all(len(one.questions) <= 3 for one in captions)
    assert asked.keys() == {"caption", "question"}


def test_an_epoch_of_images_leaves_questions_unasked():
    rows = questions([1, 2, 7, 7])
    stage = by_images(rows_per_image=3)
    groups = groups_for(stage, rows)
    assert epoch_length(groups, stage) == 4
    assert [Order(groups, stage, 0)(number).questions for number in range(4)] == [None] * 4


def test_a_stage_that_learns_no_words_passes_over_images():
    stage = Stage(text_loss=0, image_loss={"label": 1}, rows_per_image=1)
    assert epoch_length(groups_for(stage, questions([1, 9])), stage) == 2


@pytest.mark.parametrize(("name", "stage"), [("satgpt", 0), ("skyeyegpt", 0), ("pixtral-aid", 0)])
def test_a_systems_epochs_ask_every_row_as_often_as_it_says(name, stage):
    chosen = load_recipe(name).tuning.stages[stage]
    rows = questions([1, 2, 7]) if name != "pixtral-aid" else pictures(*"abc")
    groups = groups_for(chosen, rows)
    order = Order(groups, chosen, seed=0)
    times = Counter(
        question.id
        for number in range(round(chosen.epochs * epoch_length(groups, chosen)))
        for question in order(number).questions
    )
    assert times == {one.id: chosen.epochs for one in rows}  # 3, 35 and 2


# What weighs how much


def test_class_weights_give_every_class_the_same_sum_and_one_on_average():
    groups = groups_for(Stage(), pictures(*"aaabbbbbcc", tasks=("classify", "caption")))
    weights = class_weights(groups)
    # 10 answers of 3 classes: 10 / (3 * 3), 10 / (3 * 5), 10 / (3 * 2).
    assert weights == pytest.approx({"a": 10 / 9, "b": 2 / 3, "c": 5 / 3})
    assert 3 * weights["a"] + 5 * weights["b"] + 2 * weights["c"] == pytest.approx(10)
