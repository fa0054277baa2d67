import math

import pytest
import torch

from swath.boxes import Boxes
from swath.dialect import DIALECTS
from swath.models.generating.likelihood import Likelihoods

WORDS = ["{<1>", "<2><3>", "<4>|<9>}", "{<5>", "<6><7><8>|<9>}", "end"]


class Spelling:
    """Tokens that are pieces of box text."""

    def decode(self, ids, skip_special_tokens):
        return "".join(WORDS[number] for number in ids)


def test_a_box_is_as_sure_as_the_tokens_it_is_written_with():
    likely = Likelihoods(Spelling(), DIALECTS.get("geochat"))
    for share in (0.5, 1.0, 0.5, 0.8, 0.2, 0.9):
        likely(torch.zeros(1, 1), torch.log(torch.tensor([[share, 1 - share]]) + 1e-12))
    likely.finish(torch.arange(6)[None])
    first, second = likely.of_boxes(0, Boxes.from_hbb([[0, 0, 1, 1]] * 2))
    assert first == pytest.approx(math.pow(0.5 * 1.0 * 0.5, 1 / 3), rel=1e-4)
    assert second == pytest.approx(math.sqrt(0.8 * 0.8), rel=1e-4)  # 0.2 is not the likeliest
    assert likely.of_boxes(0, None) == ()
