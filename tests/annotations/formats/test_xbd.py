import pytest

from swath.annotations.readers import read, recognise
from swath.errors import AnnotationError

SQUARE = "POLYGON ((2 2, 6 2, 6 6, 2 6, 2 2))"
DIAMOND = "POLYGON ((8 2, 10 4, 8 6, 6 4, 8 2))"


def label(*buildings, kind="flooding"):
    xy = [
        {"wkt": wkt, "properties": {"feature_type": "building", "uid": "u",
                                    **({"subtype": said} if said else {})}}
        for wkt, said in buildings
    ]  # fmt: skip
    return {"features": {"lng_lat": [], "xy": xy}, "metadata": {"disaster_type": kind}}


def place(folder, split, name, after=True):
    sides = ("pre", "post") if after else ("pre",)
    for side in sides:
        folder.picture(f"{split}/images/{name}_{side}_disaster.png")
        said = [(SQUARE, "destroyed"), (DIAMOND, "no-damage")] if side == "post" else [(SQUARE, "")]
        folder.json(f"{split}/labels/{name}_{side}_disaster.json", label(*said))


def test_a_place_is_a_pair_with_the_damage_after(folder):
    place(folder, "train", "flood_1")
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "xbd"
    assert image.names == ("destroyed building", "no-damage building")
    assert image.boxes.hbb.tolist() == [[2, 2, 6, 6], [6, 2, 10, 6]]
    assert image.boxes.areas.round(6).tolist() == [16, 8]
    assert [path.rsplit("_", 2)[1] for path in image.frames] == ["pre", "post"]
    assert (image.label, image.split) == ("flooding", "train")


def test_folders_of_the_challenge_are_splits(folder):
    for split in ("tier3", "hold", "test"):
        place(folder, split, f"flood_{split}")
    assert {one.split for one in read(folder.path)} == {"train", "val", "test"}


def test_without_a_label_of_after_it_is_one_image_of_buildings(folder):
    place(folder, "train", "flood_1", after=False)
    (image,) = read(folder.path)
    assert (image.frames, image.names) == ((), ("building",))


def test_damaged_labels_are_refused(folder):
    place(folder, "train", "flood_1")
    file = "train/labels/flood_1_post_disaster.json"
    folder.json(file, label(("POLYGON ((2 2, 6", "destroyed")))
    with pytest.raises(AnnotationError, match=r"building\[0\]: expected a polygon as WKT"):
        read(folder.path)
    folder.json(file, {"features": []})
    with pytest.raises(AnnotationError, match=r"expected buildings under features.xy"):
        read(folder.path)
