"""Suites that ask what differs between two pictures, on drawn pairs and on real ones."""

import numpy as np
import pytest
from PIL import Image

import nano  # noqa: F401 (adds the kinds drawn here)
from swath.evaluation.suites.running import ask
from swath.evaluation.suites.table import shipped
from swath.imagery.synthetic import draw_change


@pytest.mark.parametrize("place", ["test/{}/1.png", "{}/test_1.png"])
def test_change_suites_count_the_patches_that_differ_between_two_pictures(tmp_path, place):
    for seed in range(4):
        scenes, _, changed = draw_change("meadow", seed)
        mask = np.zeros((112, 112), dtype=np.uint8)
        for box in changed.hbb:
            x1, y1, x2, y2 = box.round().astype(int)
            mask[y1:y2, x1:x2] = 255
        pictures = [*(scene.pixels for scene in scenes), mask]
        for side, pixels in zip(("A", "B", "label"), pictures, strict=True):
            for name in (place.replace("1", str(seed)), place.replace("test", "train")):
                file = tmp_path / name.format(side)
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    found = ask(shipped()["levir-cd"], tmp_path).conversations
    drawn = [len(draw_change("meadow", seed)[2]) for seed in range(4)]
    assert [one.truth.count for one in found] == drawn and len(set(drawn)) > 1
    assert [len(one.images) for one in found] == [2, 2, 2, 2]
    assert found[0].images[0].path.endswith(place.format("A").replace("1", "0"))
    assert "How many changed buildings are there?" in found[0].text("user")


def test_real_pairs_are_counted_in_the_test_split_or_all_where_none_is_told(data_folder):
    counts = {
        name: [one.truth.count for one in ask(shipped()[name], data_folder / place).conversations]
        for name, place in (("levir-cd", "levir_cd_samples"), ("dsifn-cd", "dsifn_cd_samples"))
    }  # the five of the test split; of the other none tells its split
    assert counts == {"levir-cd": [2, 8, 18, 15, 13], "dsifn-cd": [5, 9, 13, 8, 8]}
