import numpy as np
import pytest

from swath.boxes import Boxes, iou
from swath.models.pixels import PixelStore, invert, to_tensor
from swath.recipe import Augment
from tests.making import BLUE, RED, rectangle

EVERYTHING = Augment(turn=True, crop=0.5, colour=0.0)


def found(view, colour=RED) -> Boxes:
    """The horizontal box around a view's pixels of a colour, half way to the grey ground."""
    near = np.abs(view.pixels.astype(int) - colour).sum(axis=2) < 150
    y, x = np.nonzero(near)
    return Boxes.from_hbb([x.min(), y.min(), x.max() + 1, y.max() + 1])


def test_a_wide_picture_is_padded_above_and_below_with_its_mean_colour(tmp_path):
    path = rectangle(tmp_path / "w.png", (0, 0, 64, 20), (64, 20), RED)
    view = PixelStore(32, 64).plain(path)
    assert view.pixels.shape == (32, 32, 3)
    # 64 x 20 become 32 x 10, with 11 rows above and below.
    assert found(view).hbb.tolist() == [[0, 0, 32, 32]]
    two = rectangle(tmp_path / "two.png", (0, 0, 32, 20), (64, 20), RED, BLUE)
    padding = PixelStore(32, 64).plain(two).pixels[:9]
    assert padding.reshape(-1, 3).tolist() == [[125, 30, 125]] * (9 * 32)


def test_a_high_picture_is_padded_left_and_right_and_its_matrix_says_so(tmp_path):
    path = rectangle(tmp_path / "h.png", (0, 0, 10, 10), (20, 64), RED)
    view = PixelStore(32, 64).plain(path)
    assert view.matrix.tolist() == [[0.5, 0, 11], [0, 0.5, 0]]


@pytest.mark.parametrize("size_wh", [(64, 64), (64, 40), (30, 50), (100, 64)])
@pytest.mark.parametrize("orientation", range(8))
def test_the_matrix_takes_a_box_to_where_its_pixels_went(tmp_path, size_wh, orientation):
    box = (6, 10, 26, 22)
    path = rectangle(tmp_path / "r.png", box, size_wh)
    view = PixelStore(64, 64).plain(path, orientation)
    expected = Boxes.from_hbb(box).transformed(view.matrix)
    assert iou(found(view), Boxes.from_hbb(expected.hbb))[0] > 0.8
    assert iou(view.to_image(expected), Boxes.from_hbb(box))[0] == pytest.approx(1)


def test_the_eight_orientations_are_eight_different_pictures(tmp_path):
    path = rectangle(tmp_path / "r.png", (2, 4, 20, 10))
    store = PixelStore(32, 32)
    assert len({store.plain(path, turn).pixels.tobytes() for turn in range(8)}) == 8


def test_the_first_turn_is_clockwise_on_screen(tmp_path):
    path = rectangle(tmp_path / "r.png", (0, 0, 8, 8))  # top left
    assert found(PixelStore(32, 32).plain(path, 1)).hbb.tolist() == [[24, 0, 32, 8]]  # top right
    assert found(PixelStore(32, 32).plain(path, 4)).hbb.tolist() == [[24, 0, 32, 8]]  # mirrored
    assert found(PixelStore(32, 32).plain(path, 3)).hbb.tolist() == [[0, 24, 8, 32]]


def test_random_views_keep_their_boxes_on_their_pixels(tmp_path):
    box = (28, 24, 38, 36)  # in the middle: never cropped away
    path = rectangle(tmp_path / "r.png", box, (64, 56))
    store, rng = PixelStore(64, 64), np.random.default_rng(0)
    for _ in range(40):
        view = store.augmented(path, EVERYTHING, upright=False, whole=False, rng=rng)
        expected = Boxes.from_hbb(Boxes.from_hbb(box).transformed(view.matrix).hbb)
        assert iou(found(view), expected)[0] > 0.75


def scale(view):
    return float(np.sqrt(abs(np.linalg.det(view.matrix[:, :2]))))


def views(store, path, count=30, **how):
    rng = np.random.default_rng(1)
    return [store.augmented(path, EVERYTHING, rng=rng, **how) for _ in range(count)]


def test_a_whole_picture_is_never_cropped(tmp_path):
    path = rectangle(tmp_path / "r.png")
    store = PixelStore(32, 32)
    assert {scale(v) for v in views(store, path, upright=False, whole=True)} == {1.0}
    cropped = [scale(v) for v in views(store, path, upright=False, whole=False)]
    # Half of the area is 1 / sqrt(0.5) the scale.
    assert min(cropped) >= 1.0 and 1.2 < max(cropped) <= 2**0.5 + 1e-9


def test_a_picture_whose_words_name_directions_is_never_turned(tmp_path):
    path = rectangle(tmp_path / "r.png")
    store = PixelStore(32, 32)
    upright = views(store, path, upright=True, whole=False)
    assert all(v.matrix[0, 0] > 0 and v.matrix[1, 1] > 0 and v.matrix[0, 1] == 0 for v in upright)
    turned = views(store, path, upright=False, whole=True)
    assert len({v.matrix[:, :2].round(6).tobytes() for v in turned}) == 8


def test_turning_can_be_switched_off(tmp_path):
    path = rectangle(tmp_path / "r.png")
    store, rng = PixelStore(32, 32), np.random.default_rng(0)
    still = Augment(turn=False, crop=1.0, colour=0.0)
    plain = store.plain(path).pixels
    for _ in range(5):
        assert (store.augmented(path, still, False, False, rng).pixels == plain).all()


def test_the_store_forgets_the_picture_not_used_longest(tmp_path):
    paths = [rectangle(tmp_path / f"{x}.png", (x, 2, x + 5, 9)) for x in (1, 9, 17)]
    store = PixelStore(32, 32, capacity=2)
    for path in (paths[0], paths[1], paths[0], paths[2]):
        store.plain(path)
    assert [path for path, *_ in store._held] == [paths[0], paths[2]]


def test_a_large_picture_is_held_small_and_boxes_still_fit(tmp_path):
    box = (100, 200, 260, 280)
    path = rectangle(tmp_path / "large.png", box, (500, 333))
    store = PixelStore(32, 128)
    view = store.plain(path)
    assert max(next(iter(store._held.values()))[0].size) == 128
    expected = Boxes.from_hbb(Boxes.from_hbb(box).transformed(view.matrix).hbb)
    assert iou(found(view), expected)[0] > 0.75


def test_pixels_are_normalised_with_channels_first(tmp_path):
    white = PixelStore(32, 32).plain(rectangle(tmp_path / "w.png", ground=(255, 0, 51)))
    tensor = to_tensor([white], mean=(0.5, 0.5, 0.2), std=(0.25, 0.5, 0.1))
    assert tensor.shape == (1, 3, 32, 32)
    assert tensor[0, :, 0, 0].tolist() == pytest.approx([2.0, -1.0, 0.0], abs=1e-6)


def test_colour_changes_with_the_generator_only(tmp_path):
    view = PixelStore(32, 32).plain(rectangle(tmp_path / "r.png"))

    def tensor(seed, colour=0.3):
        rng = np.random.default_rng(seed)
        return to_tensor([view], (0.4,) * 3, (0.2,) * 3, colour, rng)

    assert (tensor(1) == tensor(1)).all()
    assert (tensor(1) != tensor(2)).any()
    assert (tensor(1, 0.0) == to_tensor([view], (0.4,) * 3, (0.2,) * 3)).all()


def test_an_inverted_matrix_undoes_the_other():
    matrix = np.array([[0.0, -2.0, 5.0], [3.0, 0.0, 7.0]])
    box = Boxes.from_hbb([1, 2, 30, 40])
    assert box.transformed(matrix).transformed(invert(matrix)).quads == pytest.approx(box.quads)


def test_a_replaced_file_is_read_anew(tmp_path):
    store = PixelStore(32, 32)
    path = rectangle(tmp_path / "a.png", colour=RED)
    assert tuple(store.plain(path).pixels[15, 15]) == RED
    rectangle(tmp_path / "a.png", colour=BLUE)
    assert tuple(store.plain(path).pixels[15, 15]) == BLUE
