import numpy as np
from PIL import Image as Picture

from swath.instructions.conversation import Conversation, Image, assistant, user
from swath.models.contact_sheet import PICTURE_PX, contact_sheet
from swath.recipes import validate
from tests.making import BLUE, RED, rectangle


def drawn(path, base, fit):
    """The tile of a picture 96 x 48 whose ends are red and whose middle is blue."""
    picture = rectangle(path / "wide.png", (24, 0, 72, 48), (96, 48), BLUE, RED)
    turns = (user(Image(picture, (96, 48)), "\nWhat?"), assistant("water"))
    values = {
        "name": "sheet",
        "models": {"base": str(base)},
        "imagery": {"fit": fit},
        "tuning": {"stages": [{"augment": {"turn": False, "crop": 1}}]},
    }
    contact_sheet(
        [Conversation("one", "ask", turns)], validate(values, "sheet.yaml"), path / "s.png"
    )
    tile = Picture.open(path / "s.png").crop((0, 0, PICTURE_PX - 6, PICTURE_PX - 6))
    return np.asarray(tile).reshape(-1, 3)


def test_a_sheet_shows_what_the_recipe_makes_of_an_oblong_picture(tiny_base, tmp_path):
    padded, cropped = (drawn(tmp_path, tiny_base, fit) for fit in ("pad", "centre_crop"))
    red = [float((one == RED).all(1).mean()) for one in (padded, cropped)]
    # Padded, the picture is half the square and its ends half of the picture.
    assert 0.1 < red[0] < 0.3 and red[1] == 0
