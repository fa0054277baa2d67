import numpy as np
import pytest
from PIL import Image

from benchmarks.scene_oracle import CLASSES, oracle_model
from swath.building import Building
from swath.cli.review import ask
from swath.errors import InstructionError, RequestError
from swath.imagery.terrain.geotiff import write_geotiff
from swath.imagery.terrain.place import lay_out
from swath.inference.mapping.doubtful_tiles import check_reviewable, write_doubts
from swath.inference.scan import run_scan
from swath.inference.scenes.scan_scene import ScanSettings
from swath.instructions.builder import read_set
from swath.instructions.review import FILE, Review
from swath.recipes import validate


@pytest.fixture(scope="module")
def place():
    return lay_out((400, 300), seed=3)


@pytest.fixture
def scan(place, tmp_path):
    path = write_geotiff(place, tmp_path / "port.tif")
    model = oracle_model(place, "[refer] every <p>ship</p>", tuning=CLASSES, classify=True)
    return run_scan(model, [str(path)], ScanSettings(tile_px=100, overlap=0.0))


def judged(folder, *words):
    """`swath review --terminal` with what a person types."""
    built = read_set(folder / "set")
    review = Review(folder / FILE, built.choices.get("classify"))
    typed = iter([*words, "q"])
    ask(built.conversations, review, lambda prompt: next(typed))
    review.close()


def recipe(tmp_path, folder):
    rng = np.random.default_rng(0)
    for number in range(6):
        picture = tmp_path / "set" / ("land", "water")[number % 2] / f"{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(picture)
    instructions = {"tasks": ["classify", "ground"], "reviewed": [str(folder)]}
    source = {"source": str(tmp_path / "set")}
    return validate({"name": "r", "annotations": source, "instructions": instructions}, "here")


def test_the_least_certain_answers_come_first(scan, tmp_path):
    assert write_doubts(tmp_path / "home", scan, 3) == 3
    built = read_set(tmp_path / "home" / "review" / "set")
    classes = scan.results[1]
    least = np.argsort(classes.confidence.ravel(), kind="stable")[:3]
    tiles = [classes.plan[number].origin_xy for number in least.tolist()]
    rows = [tuple(map(int, row.images[0].path.split("=")[1].split(",")))[:2] for row in
            built.conversations]  # fmt: skip
    assert rows == tiles and classes.confidence.ravel()[least[2]] < 0.9
    assert built.choices == {"classify": {"land": "dry land", "water": "water"}}


def test_verdicts_become_rows_of_the_next_build(scan, tmp_path):
    write_doubts(tmp_path / "home", scan, 100)
    folder = tmp_path / "home" / "review"
    rows = read_set(folder / "set").conversations
    assert {row.task for row in rows} == {"classify", "ground"} and len(rows) > 13
    words = {"land": "water", "water": "dry land"}
    typed = []
    for place, row in enumerate(rows):
        if row.task == "ground":
            typed.append("a" if place % 2 else "r")
        elif place == 0:  # the first is a class, and was wrong
            typed += ["c", words[row.truth.label]]
        else:
            typed.append("s")
    judged(folder, *typed)
    built = Building(recipe(tmp_path, folder), tmp_path / "run").build()
    tiles = [row for row in built.conversations if "#tile=" in row.images[0].path]
    corrected = [row for row in tiles if row.task == "classify"]
    assert [row.truth.label for row in corrected] == [
        "water" if rows[0].truth.label == "land" else "land"
    ]
    assert corrected[0].images[0].path == rows[0].images[0].path
    accepted = [row for place, row in enumerate(rows) if row.task == "ground" and place % 2]
    grounded = {row.images[0].path: row for row in tiles if row.task == "ground"}
    assert set(grounded) == {row.images[0].path for row in accepted} and accepted
    for row in accepted:
        assert grounded[row.images[0].path].truth == row.truth
    assert all(row.split == "train" for row in tiles)


def test_a_set_is_built_again_once_more_was_judged(scan, tmp_path):
    write_doubts(tmp_path / "home", scan, 2)
    folder = tmp_path / "home" / "review"
    building = Building(recipe(tmp_path, folder), tmp_path / "run")
    with pytest.raises(InstructionError, match="no answer was accepted or corrected yet"):
        building.build()
    judged(folder, "a")
    first = building.set()
    assert len(building.set().conversations) == len(first.conversations)
    judged(folder, "a")
    assert len(building.set().conversations) == len(first.conversations) + 1


def test_what_cannot_be_reviewed_is_refused(place, tmp_path):
    path = write_geotiff(place, tmp_path / "port.tif")
    scan = run_scan(oracle_model(place, "Describe it."), [str(path)], ScanSettings(tile_px=100))
    with pytest.raises(RequestError, match="no tile says how certain its answer is"):
        write_doubts(tmp_path / "home", scan, 5)
    with pytest.raises(RequestError, match="is an address, whose tiles a build does not fetch"):
        check_reviewable(["https://somewhere/port.tif"])
