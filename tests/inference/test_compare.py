import json
import re
from dataclasses import replace

import numpy as np
import pyogrio
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from swath.annotations.image import AnnotatedImage, write_images
from swath.boxes import Boxes
from swath.errors import ModelError, RequestError
from swath.files import write_json
from swath.imagery.opening import open_scene
from swath.imagery.synthetic import draw
from swath.inference.compare import compare
from swath.inference.scenes.tile_plan import TunedOn
from swath.inference.two_dates.alignment import aligned
from swath.inference.two_dates.change_outputs import check_outputs, write_outputs
from swath.inference.two_dates.damage_counts import DamageCounts, summed
from swath.inference.two_dates.pair_questions import questions_of
from swath.models.engine import Answer
from swath.recipes import dump, load_recipe

GRID = Affine(2.0, 0, 500_000, 0, -2.0, 5_300_000)
RED = (250, 0, 0)
COUNTS = {"no_damage": 1, "minor_damage": 0, "major_damage": 0, "destroyed": 2}


class Seer:
    """An engine that points at what is red on the later date and not on the earlier one."""

    def __init__(self):
        self.asked = []

    def _changed(self, question):
        before, after = (open_scene(image.path).read_rgb() for image in question.images)
        return (after == RED).all(axis=2) & ~(before == RED).all(axis=2)

    def answer(self, questions, max_new_tokens=64, progress=None, schema=None):
        self.asked += questions
        answers = []
        for question in questions:
            rows, columns = np.nonzero(self._changed(question))
            if schema:
                text = json.dumps({"count_before": 4, **COUNTS})
                answers.append(Answer(text))
            elif question.task != "ground":
                answers.append(Answer("A red roof was built." if len(rows) else "Nothing."))
            elif len(rows):
                corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                answers.append(Answer("there", Boxes.from_hbb(corners)))
            else:
                answers.append(Answer("none"))
        return answers

    def score(self, questions, candidates, progress=None):
        marks = [self._changed(question).any() for question in questions]
        return [np.log([0.9, 0.1] if mark else [0.2, 0.8]) for mark in marks]


def raster(path, pixels):
    height, width = pixels.shape[:2]
    shape = {"width": width, "height": height, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:32633", transform=GRID, **shape) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    return str(path)


@pytest.fixture
def pair(tmp_path):
    """200 x 120 px of ground, before and after a red roof of 20 x 10 px was built at (90, 50)."""
    pixels = draw("quarry", 3, 200).pixels[:120]
    built = pixels.copy()
    built[50:60, 90:110] = RED
    paths = raster(tmp_path / "a.tif", pixels), raster(tmp_path / "b.tif", built)
    return aligned(*paths, tmp_path / "scratch")


def run_of(folder, tasks, names=("change",), frames=2):
    """A folder that looks like a run tuned on pairs."""
    (folder / "set").mkdir(parents=True)
    recipe = load_recipe("quickstart", [f"instructions.tasks=[{', '.join(tasks)}]"])
    (folder / "recipe.yaml").write_text(dump(recipe))
    conversations = {"train": dict.fromkeys(tasks, 1)}
    write_json(
        folder / "set" / "card.json",
        {"conversations": conversations, "names": list(names), "labels": []},
    )
    paths = ("/a.png", "/b.png")[:frames]
    image = AnnotatedImage("a", paths[0], (64, 64), frames=paths if frames > 1 else ())
    write_images(folder / "set" / "images.jsonl", [image])
    return folder


def compared(pair, model="untuned", side=64, **more):
    return compare("m", Seer(), pair, questions_of(model), TunedOn(side), **more)


def test_a_roof_that_tiles_cut_is_one_change_on_the_right_spot(pair):
    found = compared(pair, overlap=0.25)
    assert len(found.tiles) == 4 * 3 and found.complete
    assert found.changes.names == ("change",)
    assert found.changes.boxes.hbb[0] == pytest.approx((90, 50, 110, 60), abs=0.1)
    assert found.changes.confidence == (pytest.approx(0.9),)
    assert found.caption == "A red roof was built."
    changed = [tile.changed > 0.5 for tile in found.tiles]
    assert 0 < sum(changed) < len(changed)


def test_a_run_is_asked_what_it_was_tuned_on_in_its_own_words(pair, tmp_path):
    run = run_of(tmp_path / "run", ["ground", "caption", "question"])
    questions = questions_of(run).questions
    assert [(one.kind, one.words) for one in questions] == [
        ("changed", "Has anything changed between the two images?"),
        ("ground", "[grounding] where are all <p>changes</p>?"),
        ("caption", "Tell me about this site in a few words."),
    ]
    engine = Seer()
    compare("m", engine, pair, questions_of(run), TunedOn(200))
    shown = [image.path for image in engine.asked[0].images]
    assert shown == [f"{name}#tile=0,0,200,120" for name in pair.names]


def test_damage_is_counted_on_tiles_apart_in_sums_that_agree(pair, tmp_path):
    run = run_of(tmp_path / "run", ["damage"], ["destroyed building"])
    found = compared(pair, run)
    windows = [(*tile.tile.origin_xy, *tile.tile.size_wh) for tile in found.counted]
    covered = np.zeros((120, 200), dtype=int)
    for x, y, width, height in windows:
        covered[y : y + height, x : x + width] += 1
    assert (covered == 1).all() and len(windows) == 4 * 2
    total = found.damage.counts
    assert total == {"count_before": 24, **{key: 8 * count for key, count in COUNTS.items()}}
    assert total["count_before"] == sum(total[key] for key in COUNTS)
    assert found.damage.corrected == 8  # each said four buildings and three degrees


def test_counts_that_agree_are_left_as_they_are():
    agreeing = DamageCounts.of_answer({"count_before": 3, **COUNTS})
    assert (agreeing.counts["count_before"], agreeing.corrected) == (3, 0)
    assert summed([]).counts["count_before"] == 0


def test_a_question_of_ones_own_is_asked_instead(pair):
    engine = Seer()
    questions = questions_of("untuned", "Which roofs are new?")
    found = compare("m", engine, pair, questions, TunedOn(200))
    assert {one.text("user") for one in engine.asked} == {"Which roofs are new?"}
    assert found.tiles[0].texts == {"own": "A red roof was built."}
    assert found.caption is None


def test_runs_that_know_no_pairs_are_refused(tmp_path):
    with pytest.raises(ModelError, match="was tuned on single pictures"):
        questions_of(run_of(tmp_path / "single", ["ground"], frames=1))
    with pytest.raises(ModelError, match="neither on captions nor on change"):
        questions_of(run_of(tmp_path / "other", ["ground"], ["ship"]))


def test_tiles_that_one_date_never_showed_are_skipped_and_said(tmp_path):
    pixels = draw("quarry", 3, 128).pixels
    after = pixels.copy()
    after[:, 64:] = 0
    paths = raster(tmp_path / "a.tif", pixels), raster(tmp_path / "b.tif", after)
    row = compared(aligned(*paths, tmp_path), overlap=0.0).to_row()
    assert (row["asked"], row["skipped"], row["failed"]) == (2, 2, 0)
    assert {tile.get("skipped", "")[:21] for tile in row["tiles"]} == {"", "one of the dates was "}


@pytest.mark.parametrize("ending", [".gpkg", ".geojson"])
def test_changes_lie_on_their_spot_in_other_programs_and_are_the_same_bytes(pair, tmp_path, ending):
    found = compared(pair)
    path = tmp_path / f"change{ending}"
    changes = replace(found.changes, confidence=(6 / 7,) * len(found.changes))
    found = replace(found, changes=changes)
    write_outputs(path, found)
    first = path.read_bytes()
    write_outputs(path, found)
    assert path.read_bytes() == first
    about, _, geometry, fields = pyogrio.raw.read(path, "changes")
    from pyproj import Transformer
    from shapely import from_wkb

    middle = from_wkb(geometry[0]).centroid
    x, y = middle.x, middle.y
    if ending == ".geojson":
        x, y = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True).transform(x, y)
        assert "crs" not in json.loads(first)
    # (100, 55) px: 200 m east and 110 m south of the grid's corner.
    assert (x, y) == pytest.approx((500_200, 5_299_890), abs=0.1)
    columns = dict(zip(about["fields"], fields, strict=True))
    assert (columns["class"][0], columns["confidence"][0]) == ("change", 0.8571)
    row = json.loads((tmp_path / "change.json").read_text())
    assert row["changes"] == 1 and row["complete"] and row["shift"]["length_m"] < 0.2
    assert Image.open(tmp_path / "change.png").width > 400


def test_no_change_is_an_empty_layer(tmp_path):
    pixels = draw("quarry", 3, 128).pixels
    paths = raster(tmp_path / "a.tif", pixels), raster(tmp_path / "b.tif", pixels)
    for ending in (".gpkg", ".geojson"):
        write_outputs(tmp_path / f"none{ending}", compared(aligned(*paths, tmp_path)))
        assert pyogrio.read_info(tmp_path / f"none{ending}", layer="changes")["features"] == 0


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "mine.json").write_text('{"mine": true}')
    with pytest.raises(RequestError, match=r"mine\.json exists"):
        check_outputs(tmp_path / "mine.gpkg")
    (tmp_path / "map.gpkg").write_bytes(b"SQLite format 3 of someone")
    with pytest.raises(RequestError, match="choose another name"):
        check_outputs(tmp_path / "map.gpkg")
    with pytest.raises(RequestError, match=re.escape("written as .geojson or .gpkg")):
        check_outputs(tmp_path / "map.shp")
