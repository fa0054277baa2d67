"""Cutting: images larger than a tile become tiles, each with the objects it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import inf

import numpy as np
import shapely

from swath.annotations.image import AnnotatedImage
from swath.boxes import Boxes, Floats
from swath.imagery.tiling import Tile, tiles
from swath.imagery.windows import tile_path

_A_TRACE = 0.02
"""Share of a box up to which nobody sees that an object is there."""


def cut(
    images: Iterable[AnnotatedImage],
    tile_px: int,
    overlap_px: int = 0,
    visible: float = 0.5,
    unlists: bool = True,
) -> Iterator[AnnotatedImage]:
    """The images, those longer than a tile as tiles of their pixels, in order.

    A tile keeps the split, the scene, the class and the licence of its image, and the objects of
    which it shows enough, in its own pixels and whole: a box may reach beyond it. Captions,
    questions, dialogues and expressions speak of the whole image and are left behind. Sequences
    stay whole.

    Args:
        images: split already, because neighbouring tiles share pixels and ground.
        overlap_px: pixels that neighbours share at least.
        visible: least share of a box's area inside the tile for the object to be kept, above 0.
        unlists: a class is not `listed` in a tile that shows less than that of one of its objects.
    """
    for image in images:
        if max(image.size_wh) <= tile_px or image.frames:
            yield image
            continue
        for tile in tiles(image.scene, image.size_wh, tile_px, overlap_px):
            shares = shown(image.boxes, tile)
            rows = np.flatnonzero(shares >= visible)
            cut_off = (shares > _A_TRACE) & (shares < visible)
            partly = {image.names[row] for row in np.flatnonzero(cut_off)} if unlists else set()
            x, y = tile.origin_xy
            yield replace(
                image,
                id=f"{image.id}@{x},{y}",
                path=tile_path(image.path, tile),
                size_wh=tile.size_wh,
                boxes=image.boxes[rows].shifted((-x, -y)),
                names=tuple(image.names[row] for row in rows),
                listed=tuple(name for name in image.listed if name not in partly),
                phrases=(),
                captions=(),
                questions=(),
                faults=(),
                dialogues=(),
            )


def shown(boxes: Boxes, tile: Tile) -> Floats:
    """(n,) share of each box's area that a tile shows; 0 for a box without area.

    Args:
        boxes: in pixels of the tile's scene.
    """
    (x, y), (width, height) = tile.origin_xy, tile.size_wh
    outlines = shapely.make_valid(shapely.polygons(boxes.quads))
    areas = shapely.area(outlines)
    inside = shapely.area(shapely.intersection(outlines, shapely.box(x, y, x + width, y + height)))
    shares: Floats = inside / np.where(areas > 0, areas, inf)
    return shares
