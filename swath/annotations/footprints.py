"""Ground: where images lie on the Earth, in which block of it, and which of them overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely

from swath.annotations.finding_pictures import few
from swath.annotations.image import Images
from swath.errors import AnnotationError, ImageryError
from swath.imagery.opening import open_scene
from swath.imagery.scene import Scene

OVERLAP = 0.01
"""Share of the smaller of two footprints that they may have in common: neighbours' edges round."""

TOUCHING = 1e-5
"""The same where splits are made: less than a row of pixels, more than arithmetic loses."""

_EARTH_M = 6_371_008.8  # mean radius


def footprint(path: str) -> shapely.Geometry | None:
    """Outline of an image in degrees of longitude and latitude, None where it does not say.

    Raises:
        ImageryError: it cannot be opened.
    """
    return outline(open_scene(path))


def outline(scene: Scene) -> shapely.Geometry | None:
    """Outline of a scene on the Earth in degrees, None where it does not say."""
    at = scene.georeference
    return at.footprint if at is not None and at.on_earth else None


def blocks(images: Images, block_m: float) -> list[str]:
    """The block of ground that the middle of each image lies in.

    Blocks are `block_m` high and, in the middle of their row, as wide.

    Raises:
        AnnotationError: some images do not say where they lie.
    """
    outlines, lost = [], []
    for image in images:
        try:
            outline = footprint(image.path)
        except ImageryError:
            outline = None
        if outline is None:
            lost.append(image.id)
        else:
            outlines.append(outline)
    if lost:
        raise AnnotationError(
            f"{len(lost)} of {len(images)} images do not say where on the ground they lie: "
            f"{few(lost)}; split by scene instead (annotations.split_by=scene)."
        )
    # Across the date line an outline is in two pieces, whose common middle is an ocean away.
    whole = [max(shapely.get_parts(outline), key=shapely.area).centroid for outline in outlines]
    return [block_of(middle.x, middle.y, block_m) for middle in whole]


def block_of(longitude: float, latitude: float, block_m: float) -> str:
    """Name of the block of ground at a place in degrees."""
    degree_m = np.pi * _EARTH_M / 180
    row = int(latitude * degree_m // block_m)
    around = np.cos(np.radians((row + 0.5) * block_m / degree_m))
    return f"block {row}/{int(longitude * degree_m * around // block_m)}"


def overlapping(
    outlines: Sequence[shapely.Geometry | None], least: float = OVERLAP
) -> Iterator[tuple[int, int, float]]:
    """Rows i < j that share ground, and the share of the smaller one's area: more than `least`."""
    rows = [row for row, outline in enumerate(outlines) if outline is not None]
    shapes = np.array([outlines[row] for row in rows], dtype=object)
    if len(shapes) < 2:
        return
    ones, others = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    ones, others = ones[ones < others], others[ones < others]
    shared = shapely.area(shapely.intersection(shapes[ones], shapes[others]))
    smaller = np.minimum(shapely.area(shapes[ones]), shapely.area(shapes[others]))
    for one, other, area, of in sorted(zip(ones, others, shared, smaller, strict=True)):
        if of > 0 and area / of > least:
            yield rows[one], rows[other], float(area / of)
