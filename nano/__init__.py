"""How swath-nano was made: the thirty base kinds of drawn scene, and the recipe over them.

Outside the package, which ships the trained model and the eight kinds of the quickstart. In the
repository `python -m nano tune nano/nano.yaml` is `swath tune` that knows the kinds "base" too.
"""

from pathlib import Path

import yaml

from nano.leisure import LEISURE
from nano.nature import NATURE
from nano.town import TOWN
from nano.transport import TRANSPORT
from nano.works import WORKS
from swath.imagery.drawing.wording import INSIDE, PLACES, SAYINGS, YARDS
from swath.imagery.synthetic import SCENE_KINDS

BASE = NATURE | TOWN | TRANSPORT | WORKS | LEISURE

BASE_KINDS: tuple[str, ...] = tuple(sorted(BASE))
"""Kinds that pretrain the base; what they look like follows AID's 30 classes."""

PLACES |= {
    "bare land": "a piece of bare land",
    "desert": "a piece of desert",
    "farmland": "a piece of farmland",
    "forest": "a piece of forest",
    "meadow": "a piece of meadow",
    "storage tanks": "an oil depot",
}
YARDS["storage tanks"] = "the depot"
INSIDE |= {
    "commercial area": ("building", "car"),
    "dense residential area": ("house",),
    "medium residential area": ("house",),
    "industrial area": ("building",),
    "parking lot": ("car", "truck"),
    "resort": ("house",),
    "school": ("building", "basketball court", "tennis court"),
    "viaduct": ("car",),
    "storage tanks": ("storage tank",),
    "railway station": ("train",),
    "port": ("ship",),
    "airport": ("plane",),
    "sparse residential area": ("house",),
}
SAYINGS |= yaml.safe_load(Path(__file__).with_name("sayings.yaml").read_text("utf-8"))
SCENE_KINDS.add("base", BASE)
