import numpy as np

from swath.models.candidates import Trie, collate_tries
from swath.models.encoding import Encoded


def said(*ids, answer):
    """A conversation whose last tokens are the answer."""
    return Encoded(ids, (False,) * (len(ids) - answer) + (True,) * answer)


def test_every_common_beginning_stands_once_and_the_last_token_of_an_answer_nowhere():
    # Behind the question 1 9 follow "5 6 2", "5 7 2" and "8 2"; 2 ends an answer.
    some = [
        said(1, 9, 5, 7, 2, answer=3),
        said(1, 9, 8, 2, answer=2),
        said(1, 9, 5, 6, 2, answer=3),
    ]
    trie = Trie.of(some)
    assert trie.ids.tolist() == [1, 9, 5, 6, 7, 8]
    assert trie.positions.tolist() == [0, 1, 2, 3, 3, 2]
    assert trie.ends.tolist() == [6, 6, 5, 4, 5, 6]
    assert [one.tolist() for one in trie.paths] == [[0, 1, 2, 4], [0, 1, 5], [0, 1, 2, 3]]
    assert [one.tolist() for one in trie.before] == [[1, 2, 4], [1, 5], [1, 2, 3]]
    assert [one.tolist() for one in trie.answers] == [[5, 7, 2], [8, 2], [5, 6, 2]]


def test_groups_of_candidates_share_what_the_group_has_in_common():
    # Four answers of 3 tokens, two and two alike in their first two: 2 + 2 + 4 - 4 last ones.
    answers = [(4, 5, 6), (4, 5, 7), (8, 5, 6), (8, 5, 7)]
    trie = Trie.of([said(1, *one, answer=3) for one in answers])
    assert len(trie.ids) == 1 + 2 + 2


def test_equal_candidates_and_one_that_begins_another_are_paths_of_their_own():
    trie = Trie.of([said(1, 5, 2, answer=2), said(1, 5, 2, answer=2), said(1, 5, 6, 2, answer=3)])
    assert trie.ids.tolist() == [1, 5, 6]
    assert [one.tolist() for one in trie.before] == [[0, 1], [0, 1], [0, 1, 2]]


def test_two_questions_share_their_beginning_and_answers_in_earlier_turns_count():
    one = Encoded((1, 9, 5, 7, 4, 2), (False, False, True, False, True, True))
    other = said(1, 9, 6, 4, 2, answer=2)
    trie = Trie.of([one, other])
    assert trie.ids.tolist() == [1, 9, 5, 7, 4, 6, 4]
    assert [row.tolist() for row in trie.before] == [[1, 3, 4], [5, 6]]
    assert [row.tolist() for row in trie.answers] == [[5, 4, 2], [4, 2]]


def test_a_token_sees_its_own_path_and_padding_itself_alone():
    batch = collate_tries(
        [
            Trie.of([said(1, 5, 6, 2, answer=3), said(1, 7, 2, answer=2)]),
            Trie.of([said(1, 2, answer=1)]),
        ],
        pad_id=0,
    )
    assert batch["input_ids"].tolist() == [[1, 5, 6, 7], [1, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 1], [0, 0, 0, 0]]
    mask = batch["attention_mask"].int().numpy()
    assert mask.shape == (2, 1, 4, 4)
    assert mask[0, 0].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]]
    assert np.array_equal(mask[1, 0], np.eye(4))
