"""Both dates on one grid: the later picture on the pixels of the earlier one, moved if need be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageOps

from swath.errors import ImageryError, RequestError
from swath.imagery.georeference import Georeference
from swath.imagery.opening import open_scene
from swath.imagery.picture import open_image
from swath.imagery.raster import Raster, opened
from swath.imagery.rendering import PLAIN
from swath.imagery.scene import Scene, decoding, is_address
from swath.imagery.series import coregistered
from swath.imagery.tiling import Tile
from swath.inference.scenes.ground import plain
from swath.inference.two_dates.shift import Shift, measured_shift
from swath.recipe import Rendering

LIMIT_PX = 5.0
"""Pixels of the earlier picture that the later one may lie beside it.

Real pairs on one grid lie up to 3 px apart: roofs lean with the angle of view.
"""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two dates of one place.

    Args:
        before: the earlier picture, whose pixels are those of the pair.
        after: the later one on these pixels.
        region: left, top, width and height of what both reach, pixels of `before`.
        shift: how the later one lay beside the earlier one; None where they had too little in
            common to tell.
        residual: the same after it was moved; None where it was not.
    """

    before: Scene
    after: Scene
    region: tuple[int, int, int, int]
    shift: Shift | None
    residual: Shift | None = None

    @property
    def whole(self) -> Tile:
        """The part that both reach, as one tile."""
        left, top, width, height = self.region
        return Tile(self.before.id, (left, top), (width, height))

    @property
    def names(self) -> tuple[str, str]:
        """What `open_scene` opens."""
        return str(self.before.path), str(self.after.path)

    def to_row(self) -> dict[str, Any]:
        """As `change.json` holds it."""
        return {
            "region": list(self.region),
            "shift": _row(self.shift, self.before),
            "shift_after_moving": _row(self.residual, self.before),
            "crs": self.before.crs,
            "gsd_m": self.before.gsd_m,
        }

    def words(self) -> str:
        """What is said of the shift."""
        if self.shift is None:
            return "the shift between the dates cannot be measured: they have too little in common"
        words = f"the later picture lies {_words(self.shift, self.before)} beside the earlier one"
        if self.residual is None:
            return words
        return f"{words}; it was moved, and now lies {_words(self.residual, self.before)} beside it"


def aligned(
    before: str,
    after: str,
    scratch: Path,
    rendering: Rendering = PLAIN,
    limit_px: float = LIMIT_PX,
    align: bool = False,
) -> Pair:
    """Two pictures of one place as a pair on one grid.

    Args:
        before: name of the earlier one, whose grid both get.
        after: name of the later one.
        scratch: folder for a moved copy, which is read as long as the pair is.
        rendering: how both are shown when they are laid on one another.
        limit_px: longest shift that is let pass.
        align: move the later one by a longer shift instead of refusing it.

    Raises:
        ImageryError: they show different ground, one of them says no place, or both say none and
            differ in size.
        RequestError: the shift is too long, or cannot be undone.
    """
    earlier = open_scene(before)
    later = _on_grid(earlier, before, after)
    shift = measured_shift(earlier, later, rendering)
    region = _shared_region(earlier, open_scene(after))
    if shift is None and align:
        raise RequestError(
            f"{after}: the shift against {before} cannot be measured, they have too little in "
            f"common; compare without --align, or bring them together by ground control points."
        )
    if shift is None or shift.length_px <= limit_px:
        return Pair(earlier, later, region, shift)
    if not align:
        raise RequestError(
            f"{after}: lies {_words(shift, earlier)} beside {before}, more than {limit_px:g} px, "
            f"so what stands still would look changed; move it there with --align, or allow more "
            f"with --limit."
        )
    moved = _moved(earlier, open_scene(after), shift, scratch)
    later = _on_grid(earlier, before, str(moved))
    residual = measured_shift(earlier, later, rendering)
    return Pair(earlier, later, region, shift, residual)


def _row(shift: Shift | None, scene: Scene) -> dict[str, float] | None:
    """A shift as a JSON object."""
    if shift is None:
        return None
    row = {"right_px": shift.right_px, "down_px": shift.down_px, "clarity": shift.clarity}
    if scene.gsd_m is not None:
        row["length_m"] = shift.length_px * scene.gsd_m
    return {key: round(value, 3) + 0.0 for key, value in row.items()}  # no minus before a zero


def _words(shift: Shift, scene: Scene) -> str:
    """The length of a shift in pixels, and in metres where they are known."""
    words = f"{shift.length_px:.1f} px"
    if scene.gsd_m is None:
        return words
    return f"{words} ({plain(shift.length_px * scene.gsd_m)} m)"


def _on_grid(earlier: Scene, before: str, after: str) -> Scene:
    """The later picture on the earlier one's pixels."""
    later = open_scene(after)
    places = [_has_place(scene) for scene in (earlier, later)]
    if places[0] != places[1]:
        without = after if places[0] else before
        raise ImageryError(
            f"{without}: says not where it lies and the other date does, so they cannot be laid on "
            f"one another; give two georeferenced rasters, or two pictures of one size."
        )
    if not places[0] and earlier.size_wh != later.size_wh:
        raise ImageryError(
            f"{after}: has {later.size_wh[0]} x {later.size_wh[1]} px and {before} has "
            f"{earlier.size_wh[0]} x {earlier.size_wh[1]} px, and neither says where it lies; "
            f"give two georeferenced rasters, or two pictures of one size."
        )
    return open_scene(coregistered([before, after])[1])


def _has_place(scene: Scene) -> bool:
    return isinstance(scene, Raster) and scene.footprint is not None


def _shared_region(earlier: Scene, later: Scene) -> tuple[int, int, int, int]:
    """The part of the earlier picture that the later one reaches."""
    width, height = earlier.size_wh
    whole = (0, 0, width, height)
    place = earlier.georeference
    if place is None or not _has_place(later):
        return whole
    shared = shapely.intersection(earlier.footprint, later.footprint)
    corners = place.from_lonlat(shapely.get_coordinates(shapely.segmentize(shared, 1e-3)))
    corners = corners[np.isfinite(corners).all(axis=1)].round(3)  # a corner is no further pixel
    if not len(corners):
        return whole
    low = np.clip(np.floor(corners.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), low + 1, (width, height)).astype(int)
    left, top = low.tolist()
    return left, top, int(high[0] - left), int(high[1] - top)


def _moved(earlier: Scene, later: Scene, shift: Shift, scratch: Path) -> Path:
    """A copy of the later picture, or a note on where it lies, that undoes the shift."""
    scratch.mkdir(parents=True, exist_ok=True)
    if isinstance(later, Raster) and _has_place(later):
        return _placed_anew(earlier, later, shift, scratch / "moved.vrt")
    copy = scratch / "moved.png"
    picture = ImageOps.exif_transpose(open_image(later.path))
    matrix = (1, 0, shift.right_px, 0, 1, shift.down_px)
    with decoding(later.path):
        picture.transform(
            picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        ).save(copy)
    return copy


def _placed_anew(earlier: Scene, later: Raster, shift: Shift, note: Path) -> Path:
    """A VRT of the later raster that says it lies where the earlier one shows the same."""
    if is_address(later.path) or later.transform is None:
        raise RequestError(
            f"{later.path}: cannot be moved, because it is not a file with a transform; fetch it, "
            f"or bring it there with `gdalwarp`."
        )
    assert earlier.georeference is not None and later.georeference is not None
    middle = np.array(earlier.size_wh) / 2
    apart = _seen_from(earlier.georeference, later.georeference, middle, shift)
    with opened(str(Path(later.path).absolute())) as raster:
        rasterio.shutil.copy(raster, note, driver="VRT")
    with rasterio.open(note, "r+", driver="VRT") as raster:
        raster.transform = later.transform * later.transform.translation(*apart)
    return note


def _seen_from(
    earlier: Georeference, later: Georeference, point: NDArray[np.float64], shift: Shift
) -> tuple[float, float]:
    """A shift in the earlier picture's pixels as a way back in the later one's own pixels."""
    way = np.array([shift.right_px, shift.down_px])
    ends = np.stack([point, point + way])
    there = later.from_lonlat(earlier.to_lonlat(ends))
    right, down = (there[0] - there[1]).tolist()
    return right, down
