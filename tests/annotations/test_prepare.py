import pytest

from swath.annotations.findings import LEAKS
from swath.annotations.lint import lint, readable
from swath.annotations.prepare import gather
from swath.errors import AnnotationError, RecipeError
from swath.imagery.synthetic import QUICKSTART_KINDS
from swath.recipe import Annotations
from tests.imagery.making import write_clip


def classes(folder, splits=("",), each=6, names=("Port", "Resort", "Forest")):
    for split in splits:
        for name in names:
            for number in range(each):
                folder.picture(f"{split}/{name}/{split}{number}.png".lstrip("/"))
    return str(folder.path)


def counted(images, of="split"):
    return {
        name: sum(getattr(image, of) == name for image in images)
        for name in {getattr(image, of) for image in images}
    }


def test_a_source_is_read_and_split_by_its_shares(folder, tmp_path):
    section = Annotations(source=classes(folder), split={"train": 0.5, "val": 0, "test": 0.5})
    gathered = gather(section, 0, tmp_path / "drawn")
    assert counted(gathered.images) == {"train": 9, "test": 9}
    assert gathered.notes == {"split_from": "drawn by seed 0"}
    assert not (tmp_path / "drawn").exists()


def test_the_same_seed_splits_alike_and_another_otherwise(folder, tmp_path):
    section = Annotations(source=classes(folder))

    def tested(seed):
        images = gather(section, seed, tmp_path).images
        return {image.id for image in images if image.split == "test"}

    assert tested(1) == tested(1)
    assert tested(1) != tested(2)


def test_a_split_of_the_source_is_kept(folder, tmp_path):
    section = Annotations(source=classes(folder, ("train", "test"), each=4))
    gathered = gather(section, 0, tmp_path)
    assert gathered.notes["split_from"] == "the source"
    assert all(image.id.startswith(image.split) for image in gathered.images)


def test_a_split_of_the_source_can_be_dealt_anew(folder, tmp_path):
    source = classes(folder, ("train", "test"), each=5)
    section = Annotations(source=source, keep_given_split=False, split={"train": 0.8, "test": 0.2})
    gathered = gather(section, 0, tmp_path)
    assert gathered.notes["split_from"] == "drawn by seed 0"
    assert counted(gathered.images) == {"train": 24, "test": 6}


def test_a_missing_test_split_is_carved_from_train(folder, tmp_path):
    source = classes(folder, ("train", "val"), each=5)
    section = Annotations(source=source, split={"train": 0.8, "test": 0.2})
    gathered = gather(section, 0, tmp_path)
    assert gathered.notes["split_from"] == "the source; test carved from its train"
    assert counted(gathered.images) == {"train": 12, "val": 15, "test": 3}


def test_classes_are_renamed_and_left_out(folder, tmp_path):
    rules = {"Resort": None, "Forest": "Wood"}
    gathered = gather(Annotations(source=classes(folder), classes=rules), 0, tmp_path)
    assert counted(gathered.images, "label") == {"Port": 6, "Wood": 6}
    assert gathered.notes["classes_changed"] == {"Resort": 6, "Forest": 6}


def test_a_rule_for_a_class_that_is_not_there_is_refused(folder, tmp_path):
    section = Annotations(source=classes(folder), classes={"Resrot": None})
    with pytest.raises(AnnotationError, match="there is no class 'Resrot' in the source; remove"):
        gather(section, 0, tmp_path)


def test_boxes_of_a_class_left_out_go_with_their_names_and_phrases(folder, tmp_path):
    folder.picture("a.png", (40, 40))
    boxes = [[1, 1, 5, 5], [10, 10, 8, 8], [20, 20, 9, 9]]
    folder.json(
        "annotations.json",
        {
            "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 40}],
            "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "car"}],
            "annotations": [
                {"id": n, "image_id": 1, "category_id": 1 + n % 2, "bbox": box}
                for n, box in enumerate(boxes)
            ],
        },
    )
    section = Annotations(
        source=str(folder.path), classes={"car": None, "ship": "boat"}, split={"train": 1}
    )
    (image,) = gather(section, 0, tmp_path / "drawn").images
    assert image.names == ("boat", "boat") and image.listed == ("boat",)
    assert image.boxes.hbb.tolist() == [[1, 1, 6, 6], [20, 20, 29, 29]]
    assert image.phrases == (None, None)


def test_images_are_limited_a_class(folder, tmp_path):
    gathered = gather(Annotations(source=classes(folder), limit_per_class=2), 0, tmp_path)
    assert counted(gathered.images, "label") == {"Port": 2, "Resort": 2, "Forest": 2}


def test_drawn_scenes_are_split_evenly_and_drawn_once(tmp_path):
    section = Annotations(
        drawn={"kinds": "quickstart", "count": 16, "size_px": 48},
        split={"train": 0.5, "test": 0.5},
    )
    told = []
    first = gather(section, 3, tmp_path / "drawn", lambda done, all_: told.append((done, all_)))
    assert counted(first.images) == {"train": 8, "test": 8}
    assert counted(first.images, "label") == dict.fromkeys(QUICKSTART_KINDS, 2)
    assert told[-1] == (16, 16)
    before = (tmp_path / "drawn" / "images.jsonl").stat().st_mtime_ns
    again = gather(section, 3, tmp_path / "drawn")
    assert [image.to_row() for image in again.images] == [i.to_row() for i in first.images]
    assert (tmp_path / "drawn" / "images.jsonl").stat().st_mtime_ns == before


def test_naming_neither_or_both_of_source_and_drawn_is_refused(tmp_path):
    for section in (Annotations(), Annotations(source=[]), Annotations(source="x", drawn={})):
        with pytest.raises(RecipeError, match=r"name either `source` .* or `drawn`"):
            gather(section, 0, tmp_path)


def test_a_source_with_nothing_to_train_on_says_how_to_split_it_anew(folder, tmp_path):
    section = Annotations(source=classes(folder, ("val",), each=4))
    with pytest.raises(AnnotationError, match=r"only val images.*keep_given_split=false"):
        gather(section, 0, tmp_path)


def test_only_a_source_of_boxes_lists_its_classes_and_not_those_named_as_partial(folder, tmp_path):
    for name in ("captions/a.png", "boxes/b.png", "boxes/c.png"):
        folder.picture(name)
    folder.text("captions/table.csv", "image,caption", "a.png,a small wood.")
    folder.json(
        "boxes/annotations.json",
        {
            "images": [
                {"id": n, "file_name": name, "width": 16, "height": 12}
                for n, name in enumerate(("b.png", "c.png"))
            ],
            "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "car"}],
            "annotations": [
                {"id": n, "image_id": 0, "category_id": n, "bbox": [1, 1, 5, 5]} for n in (1, 2)
            ],
        },
    )
    sources = [str(folder.path / name) for name in ("captions", "boxes")]
    section = Annotations(source=sources, split={"train": 1}, partial=["car"])
    images = gather(section, 0, tmp_path / "drawn").images
    assert {image.id: image.listed for image in images} == {"a": (), "b": ("ship",), "c": ("ship",)}
    with pytest.raises(AnnotationError, match=r"annotations.partial: no source lists.*'plane'"):
        gather(Annotations(source=sources, partial=["plane"]), 0, tmp_path / "drawn")


def test_several_sources_are_joined_and_told_apart_where_ids_clash(folder, tmp_path):
    for name in ("north/Port/a.png", "north/River/b.png", "south/Port/a.png", "south/Resort/c.png"):
        folder.picture(name)
    sources = [str(folder.path / name) for name in ("north", "south")]
    gathered = gather(Annotations(source=sources, split={"train": 1}), 0, tmp_path / "drawn")
    assert [(image.id, image.label, image.source) for image in gathered.images] == [
        ("north/Port/a", "Port", "north"),
        ("north/River/b", "River", "north"),
        ("south/Port/a", "Port", "south"),
        ("south/Resort/c", "Resort", "south"),
    ]
    gathered = gather(Annotations(source=sources[:1], split={"train": 1}), 0, tmp_path / "drawn")
    assert [image.id for image in gathered.images] == ["Port/a", "River/b"]


def test_sources_of_one_name_are_numbered(folder, tmp_path):
    for name in ("north/images/Port/a.png", "south/images/Port/a.png"):
        folder.picture(name)
    sources = [str(folder.path / name / "images") for name in ("north", "south")]
    gathered = gather(Annotations(source=sources, split={"train": 1}), 0, tmp_path / "drawn")
    assert [image.id for image in gathered.images] == ["1-images/Port/a", "2-images/Port/a"]


def test_a_source_with_a_split_keeps_it_beside_one_without(folder, tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for number in range(count):
            folder.picture(f"given/{split}/Port/{split}{number}.png")
    for number in range(10):
        folder.picture(f"loose/Port/{number}.png")
    section = Annotations(source=[str(folder.path / name) for name in ("given", "loose")])
    gathered = gather(section, 0, tmp_path / "drawn")
    given = [image for image in gathered.images if image.source == "given"]
    assert all(image.id.startswith(image.split) for image in given)
    assert counted(gathered.images) == {"train": 3 + 8, "test": 2 + 2}
    assert gathered.notes["split_from"] == "the source; others drawn by seed 0"
    assert "test" in gathered.dealt and gathered.given == {image.id for image in given}


def test_frames_of_clips_and_drawn_scenes_are_as_many_as_asked(folder, tmp_path):
    write_clip(folder.path / "a.mp4")
    folder.json("clips.json", [{"video": "a.mp4", "captions": ["It grows lighter."]}])
    section = Annotations(source=str(folder.path), split={"train": 1})
    (image,) = gather(section, 0, tmp_path / "drawn", frames=3).images
    assert len(image.frames) == 3
    section = Annotations(drawn={"count": 2, "size_px": 48, "frames": 4}, split={"train": 1})
    images = gather(section, 0, tmp_path / "sequences").images
    assert [len(image.frames) for image in images] == [4, 4]


def test_a_licence_comes_from_the_source_then_the_recipe(folder, tmp_path):
    source = classes(folder)
    of = {image.licence for image in gather(Annotations(source=source), 0, tmp_path / "d").images}
    assert of == {None}
    section = Annotations(source=source, licence="CC BY 4.0")
    assert {one.licence for one in gather(section, 0, tmp_path / "d").images} == {"CC BY 4.0"}
    folder.text("README.md", "license: cc-by-nc-4.0")
    stated = gather(Annotations(source=source), 0, tmp_path / "d").images
    assert {one.licence for one in stated} == {"CC-BY-NC-4.0"}


def test_a_licence_of_a_source_that_is_not_there_is_refused(folder, tmp_path):
    section = Annotations(source=classes(folder), licence={"AID": "MIT"})
    with pytest.raises(AnnotationError, match="there is no source 'AID'; the sources are called"):
        gather(section, 0, tmp_path)


def test_images_are_split_first_and_cut_second(folder, tmp_path):
    """Four pictures of 64 x 32 px, two tiles each."""
    for number in range(4):
        folder.picture(f"Port/{number}.png", (64, 32))
        folder.picture(f"Farm/{number}.png", (64, 32))
    section = Annotations(source=str(folder.path), tile_px=32, split={"train": 0.5, "test": 0.5})
    gathered = gather(section, 0, tmp_path / "drawn")
    assert gathered.notes["cut"] == {"images": 8, "tiles": 16}
    assert counted(gathered.images) == {"train": 8, "test": 8}
    splits = {(one.scene, one.split) for one in gathered.images}
    assert len(splits) == 8
    assert {one.size_wh for one in gathered.images} == {(32, 32)}
    assert [one.kind for one in lint(gathered.images) if one.kind in LEAKS] == []


def test_by_place_no_ground_is_in_two_splits_and_what_would_be_is_left_out(folder, tmp_path):
    """A strip of 20 overlapping rasters of 1 km, one every 900 m; blocks of 3 km."""
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    (folder.path / "Port").mkdir()
    form = {"driver": "GTiff", "width": 20, "height": 20, "count": 1, "dtype": "uint8"}
    for number in range(20):
        placed = from_origin(500_000 + 900 * number, 5_000_000, 50, 50)
        path = folder.path / "Port" / f"{number:02d}.tif"
        with rasterio.open(path, "w", crs="EPSG:32632", transform=placed, **form) as raster:
            noise = np.random.default_rng(number).integers(0, 255, (1, 5, 5), dtype=np.uint8)
            raster.write(noise.repeat(4, 1).repeat(4, 2))
    given = {"source": str(folder.path), "split": {"train": 0.6, "test": 0.4}}
    by_scene = gather(Annotations(**given), 0, tmp_path / "d").images
    assert "overlap" in {one.kind for one in lint(by_scene)}
    gathered = gather(Annotations(**given, split_by="place", block_m=3000), 0, tmp_path / "d")
    assert [one.kind for one in lint(gathered.images) if one.kind in LEAKS] == []
    assert gathered.notes["split_from"] == "drawn by seed 0, place by place"
    left = gathered.notes["left_out_at_borders"]
    assert 0 < left < 8 and len(gathered.images) == 20 - left
    assert counted(gathered.images)["test"] >= 4


@pytest.mark.parametrize("overlap_px", [0, 16])
def test_tiles_of_one_scene_are_split_by_place_and_share_no_ground(folder, tmp_path, overlap_px):
    """A raster of 1.28 x 1.28 km and one over its corner, in tiles of 320 m and blocks of 500 m."""
    import numpy as np
    import rasterio
    import shapely
    from rasterio.transform import from_origin

    from swath.annotations.footprints import footprint

    form = {"driver": "GTiff", "width": 128, "height": 128, "count": 1, "dtype": "uint8"}
    for number, east in enumerate((500_000, 501_000)):
        noise = np.random.default_rng(number).integers(0, 255, (1, 128, 128), dtype=np.uint8)
        placed = from_origin(east, 5_000_000 - 600 * number, 10, 10)
        (folder.path / "Port").mkdir(exist_ok=True)
        path = folder.path / "Port" / f"{number}.tif"
        with rasterio.open(path, "w", crs="EPSG:32632", transform=placed, **form) as raster:
            raster.write(noise)
    given = {"source": str(folder.path), "split": {"train": 0.6, "test": 0.4}, "tile_px": 32}
    section = Annotations(**given, overlap_px=overlap_px, split_by="place", block_m=500)
    gathered = gather(section, 0, tmp_path / "d")
    every = {0: 2 * 4 * 4, 16: 2 * 7 * 7}[overlap_px]
    left = gathered.notes["left_out_at_borders"]
    assert gathered.notes["cut"]["images"] == 2 and len(gathered.images) == every - left
    grounds = {
        split: shapely.union_all([footprint(i.path) for i in gathered.images if i.split == split])
        for split in ("train", "test")
    }
    assert min(ground.area for ground in grounds.values()) > 0
    shared = shapely.intersection(grounds["train"], grounds["test"]).area
    assert shared < 1e-4 * footprint(gathered.images[0].path).area
    assert [one.kind for one in lint(gathered.images) if one.kind in LEAKS] == []


def test_missing_and_damaged_pictures_are_named_counted_and_left_out(folder, tmp_path):
    rows = [{"image": f"{n}.png", "caption": f"{n} ships"} for n in range(50)]
    table = folder.json("train.json", [*rows, {"image": "7.png", "caption": "boats"}])
    for number in range(50):
        folder.picture(f"{number}.png")
    (folder.path / "7.png").unlink()
    (folder.path / "8.png").write_bytes(b"no picture")
    gathered = gather(Annotations(source=str(table)), 0, tmp_path / "d")
    assert len(gathered.images) == 48
    lost, broken = gathered.found
    assert (lost.kind, lost.where, lost.count) == ("missing picture", "7.png", 2)
    assert lost.what.startswith("named by 2 rows of train.json, not in ")
    assert (broken.kind, broken.where) == ("unreadable", "8")
    with pytest.raises(AnnotationError, match=r"2 of 50 pictures missing or not readable.*drop"):
        readable(gathered.images, gathered.found, "refuse")
    assert len(readable(gathered.images, gathered.found, "drop")) == 48


def test_a_source_all_of_whose_pictures_are_missing_is_refused(folder, tmp_path):
    table = folder.json("train.json", [{"image": "a.png", "caption": "ships"}])
    folder.picture("b.png")
    with pytest.raises(AnnotationError, match=r"1 of 1 pictures are not in .*put them beside"):
        gather(Annotations(source=str(table), unreadable="drop"), 0, tmp_path / "d")
