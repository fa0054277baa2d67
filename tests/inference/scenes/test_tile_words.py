"""What tiles answered in words, told in short."""

import pytest

from swath.imagery.tiling import Tile
from swath.inference.scenes.scan_questions import Tuning, scan_questions
from swath.inference.scenes.scan_results import TileWords


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["a port"], "answers of 1 tile, 'a port' of 1"),
        (["a port", "a ship", "a ship"], "answers of 3 tiles, 'a ship' of 2"),
        ([], "answers of 0 tiles"),
    ],
)
def test_answers_are_told_by_the_commonest(texts, told):
    (question,) = scan_questions(["What is here?"], Tuning())
    tiles = tuple(Tile("x", (8 * place, 0), (8, 8)) for place in range(len(texts)))
    result = TileWords(question, tiles, tuple(texts))
    assert result.told == told
    assert result.to_row()["answers"] == len(set(texts))
