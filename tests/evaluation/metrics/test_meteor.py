import pytest

from swath.evaluation.metrics.meteor import meteor, meteor_rows


def line(*numbers, chunks, matches):
    """Lengths and function words, then what matched exactly; the other matchers found nothing."""
    return " ".join(map(str, [*numbers, *12 * [0], chunks, matches, matches]))


def test_a_caption_equal_to_its_reference_scores_one():
    rows = meteor_rows([line(8, 8, 3, 3, 5, 5, 3, 3, chunks=1, matches=8)])
    assert meteor(rows) == pytest.approx([1])
    assert rows[0, 20] == 0


def test_half_of_the_words_in_two_chunks_follow_the_formula():
    # 4 content words, 2 of them matched: P = R = 1/2; fragments 2 / 2 = 1: 1/2 (1 - 0.6).
    rows = meteor_rows([line(4, 4, 0, 0, 2, 2, 0, 0, chunks=2, matches=2)])
    assert meteor(rows) == pytest.approx([0.5 * 0.4])


def test_an_empty_caption_scores_zero():
    assert meteor(meteor_rows([line(0, 6, 0, 2, 0, 0, 0, 0, chunks=0, matches=0)])) == [0]
