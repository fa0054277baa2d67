import math

import pytest
import torch

from swath.recipe import ImageLoss
from swath.tuning.batches import Targets
from swath.tuning.losses import ImageHeads, counted, text_loss

pytestmark = pytest.mark.numeric

HALF, QUARTER = math.log(2), math.log(4)


def two_answers():
    """A row with an answer of three tokens at probability 1/2 and one of one token at 1/4."""
    labels = torch.tensor([[-100, 0, 0, 0, -100, 1]])
    segments = torch.tensor([[0, 1, 1, 1, 2, 2]])
    half = [0.0, 0.0, -1e9, -1e9]
    logits = torch.tensor([half, half, half, [0.0, 0.0, 0.0, 0.0]])
    return logits, labels, segments


def test_tokens_weigh_alike():
    loss = text_loss(*two_answers(), average="token")
    assert float(loss) == pytest.approx((3 * HALF + QUARTER) / 4)


def test_answers_weigh_alike():
    loss = text_loss(*two_answers(), average="answer")
    assert float(loss) == pytest.approx((HALF + QUARTER) / 2)


def test_answers_of_different_rows_are_different_answers():
    logits, _, _ = two_answers()
    # The same in two rows of one answer each.
    rows = torch.tensor([[-100, 0, 0, 0], [-100, 1, -100, -100]])
    of = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1]])
    assert float(text_loss(logits, rows, of, "answer")) == pytest.approx((HALF + QUARTER) / 2)


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        ("token", (2 * 3 * HALF + 3 * QUARTER) / 4),
        ("answer", (2 * HALF + 3 * QUARTER) / 2),
    ],
)
def test_an_answer_s_loss_is_multiplied_by_its_weight(average, expected):
    weights = torch.tensor([[1.0, 2.0, 3.0]])  # of what is shared, the first and the second
    loss = text_loss(*two_answers(), average=average, weights=weights)
    assert float(loss) == pytest.approx(expected)


def test_padding_takes_no_weight():
    logits, labels, segments = two_answers()
    weights = torch.tensor([[1.0, 2.0, 3.0]])
    plain = text_loss(logits, labels, segments, "token", weights)
    longer = torch.nn.functional.pad(labels, (0, 1), value=-100)
    of = torch.nn.functional.pad(segments, (0, 1), value=-1)
    assert text_loss(logits, longer, of, "token", weights) == plain


def test_tokens_and_answers_are_counted():
    _, labels, segments = two_answers()
    assert counted(labels, segments, "token") == 4
    assert counted(labels, segments, "answer") == 2
    twice = torch.cat([labels, labels]), torch.cat([segments, segments])
    assert counted(*twice, "answer") == 4


def test_heads_weigh_class_and_words():
    targets = Targets(("a", "b"), ("x", "y", "z"))
    features = torch.zeros(1, 4, 8)
    scenes, words = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0, 1.0]])

    def loss(scenes, words, section):
        heads = ImageHeads(8, targets, ImageLoss(**section))
        for layer in (heads.label, heads.words):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        return float(heads(features, scenes, words).detach())

    # Heads that know nothing lose log 2: two classes, and each word present or not.
    assert loss(scenes, None, {"label": 1}) == pytest.approx(HALF)
    assert loss(scenes, words, {"label": 1, "words": 4}) == pytest.approx(5 * HALF)
    assert loss(None, words, {"words": 2}) == pytest.approx(2 * HALF)
    assert loss(None, None, {"label": 1}) == 0


def test_smoothing_spreads_a_share_of_the_class_over_all():
    heads = ImageHeads(2, Targets(("a", "b"), ()), ImageLoss(label=1, smoothing=0.2))
    with torch.no_grad():
        heads.label.weight.zero_()
        heads.label.bias.copy_(torch.tensor([0.0, math.log(3)]))  # shares 1/4 and 3/4
    loss = heads(torch.zeros(1, 1, 2), torch.tensor([[0.0, 1.0]]), None).item()
    assert loss == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))


def test_a_picture_of_unknown_class_loses_nothing():
    heads = ImageHeads(2, Targets(("a", "b"), ()), ImageLoss(label=1))
    assert heads(torch.ones(1, 1, 2), torch.zeros(1, 2), None).item() == 0


def test_the_tower_learns_through_the_mean_of_its_tokens():
    heads = ImageHeads(2, Targets(("a", "b"), ()), ImageLoss(label=1))
    features = torch.randn(1, 4, 2, requires_grad=True)
    heads(features, torch.tensor([[1.0, 0.0]]), None).backward()
    assert features.grad.abs().sum() > 0
    assert torch.allclose(features.grad[0, 0], features.grad[0, 3])


def test_contrast_is_low_where_each_image_is_nearest_to_its_own_caption():
    torch.manual_seed(0)
    heads = ImageHeads(4, Targets((), ("ship", "plane", "car")), ImageLoss(contrast=1))
    features, words = torch.eye(4)[:3, None], torch.eye(3)
    with torch.no_grad():
        heads.image.weight.zero_()
        heads.caption.weight.zero_()
        heads.image.weight[:3, :3] = heads.caption.weight[:3, :3] = torch.eye(3)
    right = float(heads(features, None, words).detach())
    swapped = float(heads(features[[1, 2, 0]], None, words).detach())
    assert right == pytest.approx(0, abs=1e-3)
    assert swapped == pytest.approx(1 / 0.07, rel=1e-3)


def test_contrast_does_not_tell_equal_captions_apart():
    torch.manual_seed(0)
    heads = ImageHeads(4, Targets((), ("ship",)), ImageLoss(contrast=1))
    with torch.no_grad():
        heads.image.weight.fill_(0.5)
    # Every caption is every image's: the best there is, is to spread evenly over all three.
    alike = heads(torch.ones(3, 2, 4), None, torch.ones(3, 1))
    assert float(alike.detach()) == pytest.approx(math.log(3), abs=1e-5)
