import numpy as np
import pytest

from swath.errors import ModelError
from swath.inference.neighbours import Neighbours, Voting


def around(angles):
    """Features that point where the angles say."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def two_classes():
    """Ten ports to the right, ten parks to the left."""
    angles = np.concatenate([np.linspace(-0.2, 0.2, 10), np.pi + np.linspace(-0.2, 0.2, 10)])
    return Neighbours(around(angles), ["port"] * 10 + ["park"] * 10)


def test_the_nearest_pictures_come_first_with_their_cosine():
    near = two_classes().nearest(around(np.array([np.pi]))[0], 2)
    assert {row for row, _ in near} == {14, 15}
    assert near[0][1] == pytest.approx(1, abs=1e-3)


def test_votes_name_the_class_and_their_share_is_the_confidence():
    shares = two_classes().shares(around(np.array([0.05]))[0])
    assert list(shares) == ["port", "park"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["port"] > 0.9


def test_three_votes_of_equal_weight_against_one_are_three_quarters():
    vectors = around(np.array([0, 0, 0, 0, np.pi, np.pi]))
    labels = ["a", "a", "a", "b", "c", "c"]
    shares = Neighbours(vectors, labels, Voting(4, 1.0, 1.0, 6)).shares(vectors[0])
    assert shares["a"] == pytest.approx(3.02 / 4.06)  # and 0.02 of doubt for each class
    assert shares["b"] == pytest.approx(1.02 / 4.06)


def test_the_voting_is_measured_on_the_labelled_pictures_each_judged_by_the_others():
    assert two_classes().voting.accuracy == 1
    assert two_classes().voting.n == 20
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 8)).astype(np.float32)
    shuffled = Neighbours(noise, rng.permutation(["a", "b", "c"] * 20).tolist())
    assert shuffled.voting.accuracy < 0.6  # a picture that voted for itself would give 1


def test_pictures_without_a_class_do_not_vote():
    vectors = around(np.array([0, 0.01, 0.02, np.pi]))
    neighbours = Neighbours(vectors, [None, "port", "port", "park"])
    assert neighbours.nearest(vectors[0], 1)[0][0] == 0
    assert next(iter(neighbours.shares(vectors[0]))) == "port"


def test_classes_of_one_picture_each_are_named_by_the_nearest_and_nothing_is_measured():
    neighbours = Neighbours(around(np.array([0, 2, 4])), ["a", "b", "c"])
    assert (neighbours.voting.voters, neighbours.voting.n) == (1, 0)
    assert next(iter(neighbours.shares(around(np.array([1.9]))[0]))) == "b"


def test_one_class_alone_tells_nothing_apart():
    with pytest.raises(ModelError, match="at least two classes"):
        Neighbours(around(np.array([0, 1])), ["port", "port"]).shares(np.zeros(2, np.float32))
