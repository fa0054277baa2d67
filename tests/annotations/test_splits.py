from collections import Counter
from dataclasses import replace

import pytest

from swath.annotations.image import AnnotatedImage
from swath.annotations.splits import complete_splits, limit_per_class, split_images
from swath.boxes import Boxes
from swath.errors import AnnotationError, RequestError

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def images(**classes):
    return [
        AnnotatedImage(f"{label}/{number}", f"/{label}/{number}.png", (8, 8), label=label)
        for label, count in classes.items()
        for number in range(count)
    ]


def by_class(images):
    return Counter((image.label, image.split) for image in images)


def splits(images):
    return [(image.id, image.split) for image in images]


def test_each_class_is_dealt_by_the_shares():
    assert by_class(split_images(images(Port=20, River=10), SHARES, seed=0)) == {
        ("Port", "train"): 16,
        ("Port", "val"): 2,
        ("Port", "test"): 2,
        ("River", "train"): 8,
        ("River", "val"): 1,
        ("River", "test"): 1,
    }


def test_images_stay_in_order_and_change_in_nothing_but_their_split():
    before = images(Port=10)
    after = split_images(before, SHARES, seed=0)
    assert [replace(image, split=None) for image in after] == before


def test_a_seed_fixes_the_splits_and_another_changes_them():
    one, same, other = (splits(split_images(images(Port=50), SHARES, seed)) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_the_order_of_the_images_does_not_change_the_splits():
    forward = split_images(images(Port=30), SHARES, seed=0)
    backward = split_images(images(Port=30)[::-1], SHARES, seed=0)
    assert splits(forward) == splits(backward)[::-1]


def test_a_new_class_leaves_the_splits_of_the_others():
    alone = split_images(images(Port=30), SHARES, seed=0)
    beside = split_images(images(Airport=9, Port=30), SHARES, seed=0)
    assert splits(beside)[9:] == splits(alone)


def test_images_of_one_scene_share_a_split():
    tiled = [replace(image, scene=f"scene {i // 4}") for i, image in enumerate(images(Port=80))]
    split_of = {}
    for image in split_images(tiled, SHARES, seed=0):
        assert split_of.setdefault(image.scene, image.split) == image.split
    assert Counter(split_of.values()) == {"train": 16, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("count", "dealt"),
    [(1, ["train"]), (2, ["test", "train"]), (3, ["test", "train", "val"])],
)
def test_a_small_class_is_tested_as_soon_as_it_has_two_images(count, dealt):
    after = split_images(images(Port=count), SHARES, seed=0)
    assert sorted(image.split for image in after) == dealt


def test_given_splits_are_kept():
    given = [replace(image, split="test") for image in images(Port=5)]
    assert split_images(given, SHARES, seed=0) == given


def test_splits_given_to_some_images_only_are_refused():
    mixed = images(Port=5)
    mixed[0] = replace(mixed[0], split="test")
    with pytest.raises(AnnotationError, match=r"1 of 5 images come with a split.*list every image"):
        split_images(mixed, SHARES, seed=0)


def test_shares_that_do_not_sum_to_one_are_refused():
    with pytest.raises(RequestError, match=r"sum to 0\.9; make them sum to 1"):
        split_images(images(Port=5), {"train": 0.8, "test": 0.1}, seed=0)


@pytest.mark.parametrize("shares", [{"train": 0.5, "tset": 0.5}, {"train": 1.5, "test": -0.5}])
def test_shares_of_another_split_or_below_zero_are_refused(shares):
    with pytest.raises(RequestError, match="no shares of train, val, test; give each a positive"):
        split_images(images(Port=5), shares, seed=0)


def test_a_missing_val_is_carved_out_of_train_and_test_stays():
    given = [
        replace(image, split="test" if number < 10 else "train")
        for number, image in enumerate(images(Port=30))
    ]
    after = complete_splits(given, share=0.1, seed=0)
    assert Counter(image.split for image in after) == {"test": 10, "train": 18, "val": 2}
    assert after[:10] == given[:10]
    assert complete_splits(after, share=0.5, seed=0) == after


def test_at_most_so_many_images_a_class_are_kept_in_order():
    kept = limit_per_class(images(Port=20, River=3), 5, seed=0)
    assert Counter(image.label for image in kept) == {"Port": 5, "River": 3}
    order = [image.id for image in images(Port=20, River=3)]
    assert [image.id for image in kept] == sorted((i.id for i in kept), key=order.index)


def test_limiting_keeps_the_shares_of_given_splits():
    given = split_images(images(Port=100), SHARES, seed=0)
    assert by_class(limit_per_class(given, 10, seed=0)) == {
        ("Port", "train"): 8,
        ("Port", "val"): 1,
        ("Port", "test"): 1,
    }


def test_a_limit_below_one_is_refused():
    with pytest.raises(RequestError, match="ask for 1 or more"):
        limit_per_class(images(Port=3), 0, seed=0)


def test_two_scenes_that_share_a_file_share_a_split():
    given = [replace(image, scene=f"s{n}") for n, image in enumerate(images(Port=40))]
    joined = [replace(one, path=given[n // 2 * 2].path) for n, one in enumerate(given)]
    dealt = [one.split for one in split_images(joined, SHARES, seed=0)]
    assert dealt[::2] == dealt[1::2]
    assert Counter(dealt) == {"train": 32, "val": 4, "test": 4}


def test_by_image_scenes_may_be_parted_and_files_may_not():
    given = [replace(image, scene="one") for image in images(Port=20)]
    assert len({one.split for one in split_images(given, SHARES, 0, "scene")}) == 1
    assert len({one.split for one in split_images(given, SHARES, 0, "image")}) == 3
    twice = [one for image in given for one in (image, replace(image, id=f"{image.id}@2"))]
    dealt = [one.split for one in split_images(twice, SHARES, 0, "image")]
    assert dealt[::2] == dealt[1::2]


def test_images_without_a_class_are_dealt_by_their_rarest_object():
    given = [
        replace(one, label=None, boxes=Boxes.from_hbb([[0, 0, 4, 4]]),
                names=("plane" if n % 5 else "ship",))
        for n, one in enumerate(images(Port=50))
    ]  # fmt: skip
    dealt = Counter((one.names[0], one.split) for one in split_images(given, SHARES, 0))
    assert (dealt["ship", "test"], dealt["plane", "test"]) == (1, 4)
