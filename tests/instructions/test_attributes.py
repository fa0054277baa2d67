import numpy as np
import pytest
import rasterio
from PIL import Image as Picture

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes
from swath.errors import ImageryError, ShapeError
from swath.instructions.attributes import Looks, relations, shared
from swath.instructions.colours import NAMES, colour_name, colours_of
from swath.instructions.language import ENGLISH, Look
from swath.instructions.relations import Layout
from swath.recipe import Rendering


def sized(*sides):
    """A training image of squares of these sides, one class."""
    boxes = Boxes.from_hbb([[0, 0, side, side] for side in sides])
    return AnnotatedImage("t", "/t.png", (99, 99), boxes=boxes, names=("car",) * len(sides))


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((250, 250, 250), "white"), ((120, 122, 118), "gray"), ((20, 25, 20), "black"),
        ((200, 40, 40), "red"), ((230, 130, 40), "orange"), ((122, 80, 50), "brown"),
        ((225, 200, 60), "yellow"), ((60, 150, 60), "green"), ((50, 80, 190), "blue"),
        ((130, 50, 160), "purple"), ((210, 30, 60), "red"),
    ],
)  # fmt: skip
def test_colours_have_plain_names(rgb, name):
    assert colour_name(*rgb) == name


def test_the_largest_part_of_a_box_gives_its_colour(tmp_path):
    pixels = np.zeros((40, 40, 3), dtype=np.uint8)
    pixels[:] = (60, 150, 60)
    pixels[10:30, 10:30] = (200, 40, 40)
    pixels[10:16, 10:30] = (245, 245, 245)  # of 20 rows
    pixels[27:30, 10:30] = (10, 10, 10)
    path = tmp_path / "a.png"
    Picture.fromarray(pixels).save(path)
    boxes = Boxes.from_hbb([[10, 10, 30, 30], [0, 0, 8, 8]])
    image = AnnotatedImage("a", str(path), (40, 40), boxes=boxes, names=("car", "tree"))
    colours = colours_of(image)
    assert colours.names == ("red", "green")
    called = [{NAMES[n] for n in np.flatnonzero(row)} for row in colours.possible]
    assert called == [{"red", "white"}, {"green"}]  # black is 3 rows of 20
    assert colours_of(image).names == colours.names


def test_shadow_and_glass_beside_paint_are_not_the_colour(tmp_path):
    pixels = np.full((40, 40, 3), 150, dtype=np.uint8)
    pixels[10:30, 10:30] = (36, 37, 54)  # 45 % of what is sampled
    pixels[20:30, 10:30] = (110, 40, 106)
    path = tmp_path / "shadow.png"
    Picture.fromarray(pixels).save(path)
    box = Boxes.from_hbb([[10, 8, 30, 28]])
    image = AnnotatedImage("a", str(path), (40, 40), boxes=box, names=("car",))
    assert colours_of(image).names == (None,)
    pixels[20:30, 10:30] = (36, 37, 54)
    Picture.fromarray(pixels).save(path)
    assert colours_of(image).names == ("black",)


def test_colours_are_those_of_the_rendering(tmp_path):
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=9, height=9, count=4, dtype="uint8"
    ) as out:
        out.write(np.ones((4, 9, 9), np.uint8) * np.uint8([[[200]], [[20]], [[20]], [[220]]]))
    boxes = Boxes.from_hbb([[1, 1, 8, 8]])
    image = AnnotatedImage("a", str(tmp_path / "a.tif"), (9, 9), boxes=boxes, names=("roof",))
    assert [look.colour for look in Looks().of(image)] == ["red"]
    swapped = Rendering(bands=[2, 4, 3], stretch="none")
    assert [look.colour for look in Looks((), swapped).of(image)] == ["green"]


def test_an_oriented_box_is_sampled_as_it_lies(tmp_path):
    # A thin diagonal bar: its upright box is mostly background.
    pixels = np.full((60, 60, 3), 30, dtype=np.uint8)
    for n in range(60):
        pixels[n, max(0, n - 4) : n + 5] = (240, 240, 240)
    path = tmp_path / "bar.png"
    Picture.fromarray(pixels).save(path)
    bar = Boxes.from_rotated([[30, 30, 70, 5, 45]])
    lying = AnnotatedImage("b", str(path), (60, 60), boxes=bar, names=("bridge",))
    upright = AnnotatedImage(
        "b", str(path), (60, 60), boxes=Boxes.from_hbb(bar.hbb), names=("bridge",)
    )
    assert colours_of(lying).names == ("white",)
    # Around the bar lies what fills most of its upright box: the ground, whose colour is not its.
    assert colours_of(upright).names == (None,)
    assert colours_of(upright).possible[0].sum() == 2  # black of the ground, white of the bar


def test_what_was_never_observed_has_no_colour_and_could_have_any(tmp_path):
    pixels = np.zeros((40, 40, 3), dtype=np.uint8)  # nodata is shown black
    pixels[:, :20] = (200, 40, 40)
    path = tmp_path / "edge.png"
    Picture.fromarray(pixels).save(path)
    boxes = Boxes.from_hbb([[2, 2, 12, 12], [16, 2, 25, 12], [24, 2, 36, 12], [2, 20, 12, 21]])
    image = AnnotatedImage("a", str(path), (40, 40), boxes=boxes, names=("car",) * 4)
    colours = colours_of(image)
    # Outside; mostly outside; and a box of one row of pixels, which is all rim.
    assert colours.names == ("red", None, None, None)
    assert colours.possible[1:].all() and colours.possible[0].sum() == 1


def test_a_colour_between_two_names_is_none_and_could_be_either(tmp_path):
    path = tmp_path / "between.png"
    Picture.new("RGB", (20, 20), (200, 200, 200)).save(path)  # 78 % bright: white or gray
    image = AnnotatedImage(
        "a", str(path), (20, 20), boxes=Boxes.from_hbb([2, 2, 18, 18]), names=("car",)
    )
    colours = colours_of(image)
    assert colours.names == (None,)
    assert {NAMES[n] for n in np.flatnonzero(colours.possible[0])} == {"white", "gray"}


def test_sizes_are_judged_within_the_class_by_its_training_objects(tmp_path):
    path = tmp_path / "a.png"
    Picture.new("RGB", (99, 99)).save(path)
    boxes = Boxes.from_hbb([[0, 0, 5, 5], [0, 0, 30, 30], [0, 0, 50, 50]])
    image = AnnotatedImage("a", str(path), (99, 99), boxes=boxes, names=("car",) * 3)
    # Areas 100, 400, 900, 1600, 2500: the 20th percentile is 340, the 80th 1780.
    looks = Looks([sized(10, 20, 30, 40, 50)]).of(image)
    assert [look.size for look in looks] == ["small", None, "large"]
    assert [look.size for look in Looks([sized(10, 20, 30, 40)]).of(image)] == [None] * 3
    assert [look.size for look in Looks([sized(*[10] * 9)]).of(image)] == [None] * 3
    assert [look.size for look in Looks().of(image)] == [None] * 3


def test_places_are_the_cells_of_a_grid(tmp_path):
    path = tmp_path / "a.png"
    Picture.new("RGB", (90, 60)).save(path)
    centres = [(10, 10), (80, 10), (45, 30), (10, 59), (95, 65), (31, 10)]
    boxes = Boxes.from_hbb([[x - 1, y - 1, x + 1, y + 1] for x, y in centres])
    image = AnnotatedImage("a", str(path), (90, 60), boxes=boxes, names=("car",) * 6)
    # The last is 1 px from a line of the grid.
    assert [look.place for look in Looks().of(image)] == [0, 2, 4, 6, 8, None]
    assert [ENGLISH.places[place] for place in (0, 2, 4, 6, 8)] == [
        "at the top left", "at the top right", "in the center", "at the bottom left",
        "at the bottom right",
    ]  # fmt: skip


def test_relations_are_containment_and_nearness_to_another_class():
    boxes = Boxes.from_hbb(
        [[0, 0, 40, 40], [5, 5, 15, 15], [44, 0, 54, 10], [80, 80, 90, 90], [91, 80, 99, 90]]
    )
    names = ("field", "car", "truck", "car", "car")
    assert relations(Layout(boxes), names, np.ones(5, dtype=bool)) == [
        ("next to", "truck"),  # the car is inside it, not beside it
        ("inside", "field"),
        ("next to", "field"),  # a gap of 4, half of its side is 5
        None,
        None,  # a car beside a car
    ]


def test_a_group_is_described_by_what_all_of_it_share():
    looks = [Look("car", "red", "small", 0), Look("car", "red", None, 0)]
    assert shared(looks) == Look("car", "red", None, 0)
    with pytest.raises(ShapeError, match="give at least one look"):
        shared([])


def test_a_picture_is_read_once_and_a_damaged_one_is_an_error(tmp_path):
    path = tmp_path / "a.png"
    Picture.new("RGB", (20, 20), (200, 40, 40)).save(path)
    image = AnnotatedImage(
        "a", str(path), (20, 20), boxes=Boxes.from_hbb([2, 2, 9, 9]), names=("c",)
    )
    looks = Looks()
    first = looks.of(image)
    path.write_bytes(b"no picture")
    assert looks.of(image) is first
    with pytest.raises(ImageryError, match=r"a\.png"):
        Looks().of(image)


def test_real_vehicles_get_looks(data_folder):
    images = []
    for path in sorted((data_folder / "aerial_cars" / "labels").glob("MOS*.txt")):
        rows = np.loadtxt(path, ndmin=2)
        with Picture.open(path.parents[1] / "images" / f"{path.stem}.png") as picture:
            size = picture.size
        corners = np.c_[rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2] * (
            *size,
            *size,
        )
        images.append(
            AnnotatedImage(
                path.stem,
                str(path.parents[1] / "images" / f"{path.stem}.png"),
                size,
                boxes=Boxes.from_hbb(corners),
                names=tuple(["car", "truck", "bus", "minibus"][int(row[0])] for row in rows),
            )
        )
    looks = Looks(images)
    found = [look for image in images for look in looks.of(image)]
    assert {look.colour for look in found} >= {"white", "gray", "black", "red"}
    assert {look.size for look in found if look.name == "car"} == {None, "small", "large"}
