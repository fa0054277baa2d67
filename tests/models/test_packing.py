import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from swath.models import packing as scoring
from swath.models.candidates import Trie
from swath.models.encoding import Encoded
from swath.models.engine import LocalEngine, _answered
from tests.making import asks, rectangle

pytestmark = pytest.mark.numeric

TEXTS = [letter * 8 for letter in "abcdefghijkl"]


@pytest.fixture
def sure(tiny, questions):
    """A model that says little but "a" and the end."""
    model, local = copy.deepcopy(tiny.model), LocalEngine(tiny)
    whole = local._encoded(_answered(questions[0], TEXTS[0]), local._look_at(questions[:1]).views)
    likes = torch.zeros(model.lm_head.out_features)
    likes[np.array(whole.ids)[list(whole.answer)]] = 25
    model.lm_head.register_forward_hook(lambda _, given, logits: logits + likes)
    return replace(tiny, model=model)


@pytest.fixture
def questions(tmp_path):
    return [asks(rectangle(tmp_path / f"{x}.png", (x, 4, x + 8, 12))) for x in (2, 12, 20)]


def scores(model, questions, monkeypatch):
    """Scores, and how many tokens were read behind what the candidates have in common."""
    read, passes = scoring._Passes.read, []

    def counting(self, columns, more=False):
        passes.append(sum(map(len, columns)))
        read(self, columns, more)

    with monkeypatch.context() as patch:
        patch.setattr(scoring._Passes, "read", counting)
        found = LocalEngine(model).score(questions, [TEXTS] * len(questions))
    return np.array(found), sum(passes[1:])


def shares(logs):
    some = np.exp(logs - logs.max(axis=1, keepdims=True))
    return some / some.sum(axis=1, keepdims=True)


def test_what_cannot_win_is_not_read_to_its_end_and_shares_stay_the_same(
    sure, questions, monkeypatch
):
    few, some = scores(sure, questions, monkeypatch)
    monkeypatch.setattr(scoring, "NEGLIGIBLE", -1)
    every, most = scores(sure, questions, monkeypatch)
    assert some < most / 2
    assert (few >= every - 1e-3).all() and (few > every + 1).any()  # of the part that was read
    assert np.abs(shares(few) - shares(every)).max() < 2 * 1e-4
    monkeypatch.setattr(scoring, "LEAST_LEFT", 10**6)
    assert np.allclose(scores(sure, questions, monkeypatch)[0], every, atol=1e-3)


def test_parity_fails_where_too_much_is_neglected(tiny, questions, monkeypatch):
    right, _ = scores(tiny, questions, monkeypatch)
    monkeypatch.setattr(scoring, "NEGLIGIBLE", 100)
    assert np.abs(shares(scores(tiny, questions, monkeypatch)[0]) - shares(right)).max() > 1e-2


def found(*known):
    """Four candidates "5 x 2", x from 6 to 9: what follows each token is known or not."""
    mark = (False, True, True, True)
    row = scoring._Found(Trie.of([Encoded((1, 5, x, 2), mark) for x in (6, 7, 8, 9)]))
    row.logs[:] = np.log(known)
    row.read[:2] = True
    return row


def test_a_candidate_is_read_on_while_it_may_still_matter():
    # Tokens 1 5 | 6 7 8 9. The last probability of each candidate is not known yet.
    first = found(1, 0.9, np.nan, 1, 0.09, np.nan, 1, 8e-5, np.nan, 1, 1e-6, np.nan)
    asked = np.array([0, 4])
    assert first.wanting(asked).tolist() == [2, 3]  # 8.1e-5 of 0.9 is below 1e-4
    done = found(1, 0.9, 0.01, 1, 0.09, 0.5, 1, 8e-5, np.nan, 1, 1e-6, np.nan)
    done.read[2:4] = True
    # The best is now 0.045, and 8.1e-5 are 1.8e-3 of it; 1e-6 alone are nothing.
    assert done.wanting(asked).tolist() == [4]
    done.logs[8], done.read[4] = np.log(0.5), True
    assert done.wanting(asked).tolist() == []


def test_questions_of_one_row_are_judged_apart():
    # The third and fourth belong to another question, where they matter.
    row = found(1, 0.9, np.nan, 1, 1e-6, np.nan, 1, 2e-6, np.nan, 1, 1e-6, np.nan)
    assert row.wanting(np.array([0, 2, 4])).tolist() == [2, 4, 5]


def test_the_last_layer_works_where_a_word_is_asked_for(tiny, questions):
    places, layer = [], tiny.model.model.language_model.layers[-1].mlp
    hook = layer.register_forward_hook(lambda _, given, made: places.append(given[0].shape[1]))
    LocalEngine(tiny).score(questions[:1], [["a", "b"]])
    hook.remove()
    assert places == [3]  # the question's last token, "a" and "b"
