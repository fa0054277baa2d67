import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import rasterio
from PIL import Image
from scipy import ndimage

from swath.annotations.formats.masks import patches
from swath.annotations.readers import read, read_sound, recognise
from swath.errors import AnnotationError


def mask(folder, name, values):
    path = folder.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path)


def blank(size_wh=(16, 12)):
    return np.zeros(size_wh[::-1], dtype=np.uint8)


def test_a_change_mask_makes_a_pair_with_a_box_a_patch(folder):
    for side in "AB":
        folder.picture(f"{side}/train_1.png")
    values = blank()
    values[2:6, 3:8] = 255  # rows 2 to 5, columns 3 to 7
    mask(folder, "label/train_1.png", values)
    (image,) = read(folder.path)
    assert recognise(folder.path).name == "masks"
    assert image.boxes.hbb.tolist() == [[3, 2, 8, 6]]
    assert (image.names, image.split) == (("change",), "train")
    assert [path[-13:] for path in image.frames] == ["A/train_1.png", "B/train_1.png"]
    assert image.questions[0].answer == "yes"


def test_a_pair_without_change_says_no(folder):
    for side in "AB":
        folder.picture(f"{side}/1.png")
    mask(folder, "label/1.png", blank())
    (image,) = read(folder.path)
    assert (len(image.boxes), image.questions[0].answer) == (0, "no")


def test_a_slanted_patch_has_an_oriented_box(folder):
    folder.picture("images/a.png", (40, 40))
    y, x = np.mgrid[:40, :40]
    mask(folder, "masks/a.png", (abs(x - y) <= 2) * 1)
    (image,) = read(folder.path)
    assert image.boxes.areas[0] < 40 * 8  # the upright box around it has 1,600
    assert image.names == ("class 1",)


def test_patches_that_touch_at_a_corner_are_one():
    values = np.zeros((4, 4), dtype=np.uint8)
    values[:2, :2] = values[2:, 2:] = 1
    assert [(value, shape.area) for value, shape in patches(values)] == [(1, 8)]


@pytest.mark.parametrize("size", [300, 1200])
def test_a_picture_of_noise_is_no_mask(folder, size):
    noise = np.random.default_rng(0).integers(1, 6, (size, size)).astype(np.uint8)
    for name in ("images/a.png", "masks/a.png"):
        mask(folder, name, noise)
    with pytest.raises(AnnotationError, match=r"masks/a.png: more than 20000 patches"):
        read(folder.path)


def test_classes_are_named_by_the_list_and_the_unlabelled_is_no_object(folder):
    folder.picture("images/a.png")
    values = blank()
    values[1:5, 1:5], values[6:10, 6:12], values[6:10, 1:4] = 1, 2, 255
    mask(folder, "gray/a.png", values)
    folder.text("classes.txt", "background", "ship", "plane")
    (image,) = read(folder.path)
    assert sorted(image.names) == ["plane", "ship"]


def test_of_two_classes_255_is_the_second(folder):
    folder.picture("images/a.png")
    values = blank()
    values[1:5, 1:5] = 255
    mask(folder, "masks/a.png", values)
    folder.text("classes.txt", "background", "building")
    assert read(folder.path)[0].names == ("building",)


def test_colours_are_told_by_the_list(folder):
    folder.picture("images/a.png")
    values = np.zeros((12, 16, 3), dtype=np.uint8)
    values[1:5, 1:5] = (255, 0, 0)
    mask(folder, "masks/a.png", values)
    with pytest.raises(AnnotationError, match=r"say them in classes.txt"):
        read(folder.path)
    folder.text("classes.txt", "background 0 0 0", "ship 255 0 0")
    assert read(folder.path)[0].names == ("ship",)


def test_a_value_that_is_in_no_list_is_refused(folder):
    folder.picture("images/a.png")
    values = blank()
    values[1:5, 1:5] = 7
    mask(folder, "masks/a.png", values)
    folder.text("classes.txt", "background", "ship", "plane")
    with pytest.raises(AnnotationError, match=r"holds the value 7, and classes.txt names 3"):
        read(folder.path)


def test_a_mask_of_another_size_and_a_lost_date_are_refused(folder):
    for side in "AB":
        folder.picture(f"{side}/1.png")
    values = blank((20, 20))
    values[1:9, 1:9] = 255
    mask(folder, "label/1.png", values)
    with pytest.raises(AnnotationError, match="annotated as 20 x 20 px, the file has 16 x 12"):
        read(folder.path)
    (folder.path / "B" / "1.png").rename(folder.path / "B" / "2.png")
    with pytest.raises(AnnotationError, match="a pair has one of each date"):
        read(folder.path)


def test_a_damaged_mask_is_refused(folder):
    folder.picture("images/a.png")
    folder.text("masks/a.png", "no picture")
    with pytest.raises(AnnotationError, match=r"a.png: cannot be read as a mask"):
        read(folder.path)


def test_a_postscript_in_a_masks_clothes_is_not_run(folder, monkeypatch):
    from PIL import EpsImagePlugin

    folder.picture("images/a.png")
    folder.text("masks/a.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("was run"))
    with pytest.raises(AnnotationError, match=r"a.png: cannot be read as a mask"):
        read(folder.path)


@pytest.mark.parametrize(("name", "pairs"), [("levir_cd_samples", 9), ("dsifn_cd_samples", 5)])
def test_real_pairs_have_a_box_for_each_patch_that_scipy_finds(data_folder, name, pairs):
    reading = read_sound(data_folder / name)
    found = reading.findings
    images = reading.images
    assert len(images) == pairs
    counted = 0
    for image in images:
        path = data_folder / name / "label" / image.frames[0].rsplit("/", 1)[1]
        values = np.asarray(Image.open(path)) > 0
        labels, _ = ndimage.label(values if values.ndim == 2 else values[..., 0], np.ones((3, 3)))
        counted += int((np.bincount(labels.ravel())[1:] >= 4).sum())
    assert sum(len(image.boxes) for image in images) == counted
    assert all(finding.effect == "left out" for finding in found)


def test_samrs_lies_in_trainval_and_255_is_its_background(folder):
    values = np.full((12, 16), 255)
    values[2:6, 3:8] = 0
    for name, split in (("P1", "train"), ("P2", "valid")):
        folder.picture(f"trainval/images/{name}.png")
        folder.picture(f"trainval/hbox_segs_init/color/{name}.png")
        mask(folder, f"trainval/hbox_segs_init/gray/{name}.png", values)
        folder.text(f"trainval/{split}.txt", name)
    assert recognise(folder.path).name == "masks"
    one, two = read(folder.path)
    assert (one.boxes.hbb.tolist(), one.names) == ([[3, 2, 8, 6]], ("class 0",))
    assert (one.split, two.split) == ("train", "val")


def test_loveda_has_areas_in_its_splits(folder):
    for area in ("Urban", "Rural"):
        folder.picture(f"Train/{area}/images_png/{area}.png")
        mask(folder, f"Train/{area}/masks_png/{area}.png", blank() + 2)
    assert recognise(folder.path).name == "masks"
    assert [(one.names, one.split) for one in read(folder.path)] == [(("class 2",), "train")] * 2


def test_a_mask_that_is_postscript_runs_no_program(folder, monkeypatch):
    folder.picture("images/a.png")
    mask(folder, "masks/a.png", blank())
    Image.new("RGB", (16, 12)).save(folder.path / "a.eps")
    (folder.path / "a.eps").rename(folder.path / "masks/a.png")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("run"))
    with pytest.raises(AnnotationError, match=r"a.png: cannot be read as a mask"):
        read(folder.path)


def png_of(width, height):
    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", b""), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_mask_of_too_many_pixels_is_refused_before_it_unfolds(folder, suffix):
    folder.picture("images/a.png")
    mask(folder, "masks/a.png", blank())
    (folder.path / "masks/a.png").unlink()
    bomb = folder.path / f"masks/a{suffix}"
    if suffix == ".png":
        bomb.write_bytes(png_of(14_000, 14_000))
    else:
        with rasterio.open(
            bomb, "w", driver="GTiff", width=30_000, height=30_000, count=3, dtype="uint8",
            tiled=True, sparse_ok=True, compress="deflate",
        ):  # fmt: skip
            pass
    tracemalloc.start()
    try:
        with pytest.raises(AnnotationError, match=r"more than \d+ pixels"):
            read(folder.path)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_a_mask_in_colours_takes_few_bytes_a_pixel(folder):
    folder.picture("images/a.png", (4000, 4000))
    folder.text("classes.txt", "background 0 0 0\nship 255 0 0\n")
    values = np.zeros((4000, 4000, 3), dtype=np.uint8)
    values[100:200, 100:300, 0] = 255
    mask(folder, "masks/a.png", values)
    del values
    tracemalloc.start()
    try:
        (image,) = read(folder.path)
        assert tracemalloc.get_traced_memory()[1] < 30 * 4000**2  # it was 73
    finally:
        tracemalloc.stop()
    assert (image.names, image.boxes.hbb.tolist()) == (("ship",), [[100, 100, 300, 200]])


def test_a_colour_counts_to_255(folder):
    folder.picture("images/a.png")
    mask(folder, "masks/a.png", blank())
    folder.text("classes.txt", "background 0 0 0", "ship 256 0 0")
    with pytest.raises(AnnotationError, match=r"classes.txt:2: .* count from 0 to 255"):
        read(folder.path)


def test_black_and_white_are_colours_where_the_list_says_so(folder):
    folder.picture("images/a.png")
    values = np.zeros((12, 16, 3), dtype=np.uint8)
    values[1:5, 1:5] = 255
    values[8:10, 8:10] = (9, 9, 0)
    mask(folder, "masks/a.png", values)
    folder.text("classes.txt", "building 255 255 255", "background 0 0 0")
    reading = read_sound(folder.path)
    assert reading.images[0].names == ("building",)
    assert [finding.kind for finding in reading.findings] == ["unnamed colour"]


def test_a_mask_of_fractions_is_refused(folder):
    folder.picture("images/a.png")
    (folder.path / "masks").mkdir()
    shape = {"width": 16, "height": 12, "count": 1, "dtype": "float32"}
    with rasterio.open(folder.path / "masks/a.tif", "w", driver="GTiff", **shape) as file:
        file.write(np.full((1, 12, 16), 0.5, dtype=np.float32))
    with pytest.raises(AnnotationError, match="numbers that are not whole; is it a mask"):
        read(folder.path)
