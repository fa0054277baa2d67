"""No verb writes into, replaces or removes what swath did not write; and what a disk refuses."""

import json
import os

import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from typer.main import get_command

from swath.cli import app
from swath.cli.console import refuse_unnamed_writer
from swath.evaluation.predictions import write_predictions
from swath.evaluation.scoring import score, write_scores
from swath.files import claim, write_json
from swath.imagery.opening import open_scene
from swath.recipes import load_recipe
from tests.evaluation.making import named

WRITING = {
    "ablate": "ablate quickstart seed=1,2 name=mine --home HERE/home",
    "quickstart": "quickstart --home HERE/home name=mine",
    "show": "show quickstart --home HERE/new --sheet HERE/sheet.png",
    "check": "check quickstart name=mine --home HERE/home",
    "build": "build quickstart name=mine --home HERE/home",
    "tune": "tune quickstart name=mine --home HERE/home --fresh",
    "evaluate": "evaluate swath-nano --suite aid=HERE/boxed --out HERE/photos",
    "score": "score HERE/answers.jsonl --suite aid --out HERE/photos",
    "report": "report HERE/one HERE/two --to HERE/page.html",
    "export": "export HERE/one --to HERE/photos",
    "convert": "convert HERE/boxed --to HERE/photos --labels coco",
    "index": "index HERE/boxed --to HERE/photos",
    "serve": "serve swath-nano --home HERE/photos",
    "scan": "scan swath-nano HERE/boxed/x.png describe --to HERE/photos",
    "compare": "compare HERE/one HERE/boxed/x.png HERE/boxed/x.png --to HERE/page.geojson",
    "data stac": "data stac HERE/catalog.json --aoi HERE/aoi.geojson --to HERE",
}
"""Each verb with `--to`, `--out`, `--home` or `--sheet`, told to write where others' files lie."""


@pytest.fixture
def swath(swath):
    """Run a command line in this process: exit code and standard error."""

    def run(*arguments):
        code, _, error = swath(*arguments)
        return code, error

    return run


@pytest.fixture
def here(tmp_path):
    """Somebody's photos, also where an experiment would lie; a page; and what verbs read."""
    for name in ("photos", "home/mine", "home/mine-ablation"):
        folder = tmp_path / name
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "thesis.txt").write_text("three years")
        (folder / "run.json").write_text('{"km": 12}')
        (folder / "scores.json").write_text('{"team": 3}')
    (tmp_path / "page.html").write_text("<p>mine</p>")
    (tmp_path / "page.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    Image.new("RGB", (40, 40)).save(tmp_path / "sheet.png")
    (tmp_path / "answers.jsonl").write_text('{"question_id": "a0", "answer": "a"}\n')
    rows = [named(1, "a", "a")]
    for name in ("one", "two"):
        write_predictions(tmp_path / name / "predictions.jsonl", rows)
        scores = score(rows, ["a", "b"], resamples=10)
        write_scores(tmp_path / name / "scores.json", rows, ["a", "b"], scores, 10)
    boxes = {
        "images": [{"id": 1, "file_name": "x.png", "width": 64, "height": 64}],
        "categories": [{"id": 1, "name": "ship"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}],
    }
    (tmp_path / "boxed").mkdir()
    (tmp_path / "boxed" / "boxes.json").write_text(json.dumps(boxes))
    Image.new("RGB", (64, 64)).save(tmp_path / "boxed" / "x.png")
    return tmp_path


def write_catalogue(folder, scene):
    """A catalogue of one scene, whose asset has a name that leads elsewhere."""
    with rasterio.open(
        folder / "may.tif", "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8",
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as raster:  # fmt: skip
        raster.write(np.ones((1, 64, 64), np.uint8))
    shape = open_scene(folder / "may.tif").footprint
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": scene, "bbox": list(shape.bounds),
        "geometry": json.loads(shapely.to_geojson(shape)), "links": [],
        "properties": {"datetime": "2024-05-03T10:00:00Z"},
        "assets": {"../../x": {"href": "./may.tif", "type": "image/tiff"}},
    }  # fmt: skip
    root = {
        "type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "one",
        "links": [{"rel": "item", "href": "./may.json"}],
    }  # fmt: skip
    (folder / "may.json").write_text(json.dumps(item))
    (folder / "catalog.json").write_text(json.dumps(root))
    (folder / "aoi.geojson").write_text(shapely.to_geojson(shape.buffer(-0.001)))


def content(folder):
    """Every file below a folder, by its path there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def writing_verbs():
    """Verbs and subverbs that are told where to write."""
    for name, command in get_command(app).commands.items():
        for sub, inner in getattr(command, "commands", {"": command}).items():
            if {"to", "out", "home", "sheet"} & {parameter.name for parameter in inner.params}:
                yield f"{name} {sub}".strip()


def test_every_verb_that_is_told_where_to_write_is_walked_here():
    assert set(writing_verbs()) - {"studio"} == set(WRITING)  # what it starts are these verbs


@pytest.mark.parametrize("verb", WRITING)
def test_what_is_somebody_elses_stays_as_it_is(verb, here, swath):
    if verb == "data stac":
        pytest.importorskip(
            "pystac_client", reason="needs pystac-client: pip install 'swath[stac]'"
        )
        write_catalogue(here, "photos")
    before = content(here)
    code, error = swath(*WRITING[verb].replace("HERE", str(here)).split())
    assert code == 2
    assert "exists and was not written by swath for this" in error and "hoose a" in error
    assert content(here) == before


@pytest.mark.parametrize("verb", ["evaluate", "score", "scan"])
@pytest.mark.parametrize("within", ["", "/evaluation/tuned"])
def test_results_do_not_go_where_a_run_keeps_its_own(verb, within, here, swath):
    claim(here / "run")
    write_json(here / "run" / "run.json", {"base": "swath-nano"})
    write_predictions(here / "run/evaluation/tuned/predictions.jsonl", [named(1, "a", "a")])
    before = content(here)
    code, error = swath(
        *WRITING[verb]
        .replace("HERE/photos", f"HERE/run{within}")
        .replace("HERE", str(here))
        .split()
    )
    assert code == 2 and ("is a run" in error or "was not written by swath for this" in error)
    assert content(here) == before


@pytest.mark.parametrize("labels", [[], ["--labels", "yolo"]])
def test_annotations_are_not_converted_over_themselves(labels, here, swath):
    before = content(here)
    code, error = swath("convert", here / "boxed", "--to", here / "boxed", *labels)
    assert code != 0 and "not written by swath" in error
    assert content(here) == before


@pytest.mark.parametrize("form", [["--labels", "yolo"], ["--conversations", "llava"]])
def test_a_run_is_not_replaced_by_what_is_converted(form, here, swath):
    claim(here / "run")
    (here / "run" / "losses.jsonl").write_text("days of work")
    turns = [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "A port."}]
    rows = [{"image": "x.png", "conversations": turns}]
    (here / "boxed" / "rows.json").write_text(json.dumps(rows))
    before = content(here / "run")
    source = here / "boxed" / ("boxes.json" if form[1] == "yolo" else "rows.json")
    code, error = swath("convert", source, "--to", here / "run", *form)
    assert code == 2 and "exists and was not written by swath for this" in error
    assert content(here / "run") == before


def test_a_folder_of_swaths_own_is_written_again(here, swath):
    for labels in ("coco", "yolo"):
        code, error = swath("convert", here / "boxed", "--to", here / "new", "--labels", labels)
        assert code == 0, error
    assert not (here / "new" / "annotations.json").exists()
    for _ in range(2):
        code, error = swath("report", here / "one", here / "two", "--to", here / "new.html")
        assert code == 0, error


def test_a_report_does_not_take_the_place_of_a_run(here, swath):
    (here / "runs").mkdir()
    (here / "runs" / "run.json").write_text('{\n  "format": 1,\n  "base": "x"\n}\n')
    before = content(here)
    code, error = swath("report", here / "one", here / "two", "--to", here / "runs" / "run.html")
    assert code == 2 and "run.json exists" in error
    assert content(here) == before


def test_an_asset_lies_in_its_scenes_folder_whatever_it_is_called(here, swath):
    pytest.importorskip("pystac_client", reason="needs pystac-client: pip install 'swath[stac]'")
    write_catalogue(here, "../may")
    before = content(here)
    arguments = ("--aoi", here / "aoi.geojson", "--to", here / "out")
    code, error = swath("data", "stac", here / "catalog.json", *arguments)
    assert code == 0, error
    new = content(here).keys() - before.keys()
    assert {name.rpartition("/")[2] for name in new} == {".swath", "_.._x.tif"}
    assert {name.split("/")[0] for name in new} == {"out"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_may_not_be_written_is_one_line(here, swath):
    (here / "locked").mkdir(mode=0o500)
    code, error = swath("build", "quickstart", "--home", here / "locked")
    assert code == 1 and "Permission denied; choose a place" in error and error.count("\n") == 1


def test_a_file_where_a_folder_belongs_is_one_line(here, swath):
    code, error = swath("build", "quickstart", "--home", here / "page.html")
    assert (code, error.count("\n")) == (1, 1)
    assert "Not a directory; a file stands where a folder belongs" in error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "runs/x"), "runs/x: No space left on device; make"),
        (OSError(30, "Read-only file system", "/mnt/x"), "/mnt/x: Read-only file system; choose"),
        (IsADirectoryError(21, "Is a directory", "x.png"), "x.png: Is a directory; a folder"),
        (OSError("a library's\nown words"), "swath: a library's own words\n"),
    ],
)
def test_what_a_disk_refuses_is_one_line_with_advice(error, words, here, swath, monkeypatch):
    def refuse(*_):
        raise error

    monkeypatch.setattr("swath.files.write_json", refuse)
    code, line = swath("build", "quickstart", "--home", here / "new")
    assert code == 1 and line.startswith("swath: ") and words in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("verb", ["build", "tune", "ablate"])
def test_a_recipe_sends_no_key_to_a_writer_that_the_user_did_not_name(
    swath, tmp_path, monkeypatch, verb
):
    recipe = tmp_path / "theirs.yaml"
    recipe.write_text(
        "extends: quickstart\nname: theirs\n"
        "instructions: {writer: {endpoint: 'http://203.0.113.9/v1', model: m, key: A_SECRET}}\n"
    )
    monkeypatch.setenv("A_SECRET", "s3cret")
    keys = ["seed=1,2"] if verb == "ablate" else []
    code, err = swath(verb, recipe, *keys, "--home", tmp_path / "home")
    assert code == 2 and "says to send A_SECRET to http://203.0.113.9/v1" in err


def test_a_writer_that_the_user_named_or_of_this_machine_is_sent_its_key(monkeypatch):
    monkeypatch.setenv("A_SECRET", "s3cret")
    named = ["instructions.writer.key=A_SECRET", "instructions.writer.model=m"]
    far, near = "https://example.org/v1", "http://127.0.0.1:8000/v1"
    for endpoint in (far, near):
        keys = [*named, f"instructions.writer.endpoint={endpoint}"]
        refuse_unnamed_writer(load_recipe("quickstart", keys), keys)
    refuse_unnamed_writer(load_recipe("quickstart", keys), [])


@pytest.mark.parametrize("way", ["safetensors", "torch"])
def test_weights_for_which_the_disk_has_no_room_are_one_line(
    swath, monkeypatch, tmp_path, full_disk, way
):
    import torch
    from safetensors.torch import save_file

    from swath import cli

    weights = {"a": torch.zeros(10_000)}
    write = {"safetensors": save_file, "torch": torch.save}[way]
    monkeypatch.setattr(cli, "app", lambda: write(weights, tmp_path / "a"))
    with full_disk(1000):
        code, error = swath("tune")
    assert code == 1 and error.count("\n") == 1 and "weights cannot be written" in error
    monkeypatch.setattr(cli, "app", lambda: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):  # any other is a fault of ours
        cli.main()


def test_weights_that_cannot_be_read_are_not_taken_for_a_full_disk(swath, monkeypatch, tmp_path):
    import torch

    from swath import cli

    file = tmp_path / "weights.bin"
    torch.save({"a": torch.zeros(100)}, file)
    file.write_bytes(file.read_bytes()[:300])
    monkeypatch.setattr(cli, "app", lambda: torch.load(file))
    with pytest.raises(RuntimeError, match="failed reading"):
        cli.main()


@pytest.mark.parametrize("name", ["card.json", "index.json", "tiles.jsonl", "aid/suite.json"])
@pytest.mark.parametrize("verb", ["tune", "build"])
def test_a_run_does_not_begin_in_what_swath_filled_with_something_else(name, verb, here, swath):
    """A marked folder that holds a set, an index, a scan or results, and what `--fresh` removes."""
    folder = here / "theirs" / "mine"
    claim(folder)
    for file in (name, "report.html", "model/weights", "evaluation/scores.json"):
        write_json(folder / file, {})
    before = content(here)
    arguments = WRITING[verb].replace("HERE/home", f"{here}/theirs").split()
    code, error = swath(*arguments)
    assert code == 2 and "and no run; nothing in it is touched" in error
    assert content(here) == before
