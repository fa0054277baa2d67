"""Files of a map of classes: two cloud-optimised GeoTIFFs, a QGIS style and a table of areas."""

from __future__ import annotations

import colorsys
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import rasterio
import rasterio._env
import rasterio.shutil
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.windows import Window

from swath.files import replacing, safe_name, write_text
from swath.imagery.drivers import keep_safe_drivers
from swath.imagery.raster import REFUSALS
from swath.imagery.scene import Scene, written_whole
from swath.inference.mapping.class_map import NO_CLASS, ClassMap
from swath.inference.scenes.tile_plan import CellPlan

AREAS = "areas.csv"

_BLOCK_PX = 256
_TURN = 0.618034  # of the hues, from class to class: neighbours never look alike
_SHADES = ((0.75, 0.90), (0.50, 0.75), (0.90, 0.60))  # saturation and value, in turn
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")  # what XML cannot hold
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell beginning so is run by spreadsheets
_COLUMNS = ("scene", "value", "class", "cells", "area_m2", "share")

Colour = tuple[int, int, int]


def class_colours(count: int) -> list[Colour]:
    """So many colours that differ, the same ones every time."""
    colours = []
    for place in range(count):
        saturation, value = _SHADES[place % len(_SHADES)]
        rgb = colorsys.hsv_to_rgb((0.08 + place * _TURN) % 1, saturation, value)
        red, green, blue = (round(255 * level) for level in rgb)
        colours.append((red, green, blue))
    return colours


def write_class_files(folder: Path, name: str, scene: Scene, result: ClassMap) -> list[Path]:
    """Write `NAME-classes.tif`, its style `NAME-classes.qml` and `NAME-confidence.tif`.

    One pixel is one cell; the files lie where the scene lies, by its transform, control points or
    polynomials. The same map gives the same bytes.
    """
    files = [folder / f"{name}-{end}" for end in ("classes.tif", "classes.qml", "confidence.tif")]
    labels = [_CONTROL.sub(" ", label) for label in result.labels]
    colours = class_colours(len(labels))
    grid = grid_of(scene, result.plan)
    with _grid_file(result, np.uint8, NO_CLASS, grid) as raster:
        raster.set_band_description(1, "class")
        raster.update_tags(1, **{f"CLASS_{value}": text for value, text in enumerate(labels, 1)})
        table = {value: (*rgb, 255) for value, rgb in enumerate(colours, 1)}
        raster.write_colormap(1, table | {NO_CLASS: (0, 0, 0, 0)})
        for first, (classes, _) in result.blocks():  # after colours, which go into the header
            raster.write(classes, 1, window=Window(0, first, *classes.shape[::-1]))
        _save_cog(raster, files[0], "MODE")
    write_text(files[1], _style(labels, colours))
    with _grid_file(result, np.float32, float("nan"), grid) as raster:
        raster.set_band_description(1, "confidence of the class, 0 to 1")
        raster.update_tags(1, CONFIDENCE=result.calibration.words)
        for first, (_, confidence) in result.blocks():
            raster.write(confidence, 1, window=Window(0, first, *confidence.shape[::-1]))
        _save_cog(raster, files[2], "AVERAGE")
    return files


def write_areas(folder: Path, maps: Sequence[tuple[str, ClassMap]]) -> Path:
    """Write the table of areas, a row a scene and class.

    Args:
        folder: of the scan.
        maps: scenes' paths and their maps.
    """
    path = folder / AREAS
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        for scene, result in maps:
            for row in result.table():
                row["class"] = _harmless(row["class"])
                writer.writerow({"scene": _harmless(scene), **row})
    return path


def file_names(paths: Sequence[str]) -> list[str]:
    """A name of its own for each scene's files."""
    names: list[str] = []
    for path in paths:
        stem = safe_name(Path(path).stem)
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names


def grid_of(scene: Scene, plan: CellPlan) -> dict[str, Any]:
    """Where cells lie, as rasterio is told; nothing of a scene that lies nowhere."""
    place = scene.georeference
    if place is None:
        return {}
    x, y = plan.region[:2]
    width, height = plan.cell_wh
    if place.transform is not None:
        moved = place.transform * Affine.translation(x, y)
        return {"crs": place.crs, "transform": moved * Affine.scale(width, height)}
    if place.gcps:
        points = []
        for point in place.gcps:
            row, column = (point.row - y) / height, (point.col - x) / width
            points.append(GroundControlPoint(row, column, point.x, point.y, point.z))
        return {"crs": place.crs, "gcps": points}
    fields = place.rpcs.to_dict()
    # Polynomials count from the middle of the first pixel.
    fields["line_off"] = (fields["line_off"] + 0.5 - y) / height - 0.5
    fields["samp_off"] = (fields["samp_off"] + 0.5 - x) / width - 0.5
    fields["line_scale"] /= height
    fields["samp_scale"] /= width
    return {"rpcs": RPC(**fields)}


@contextmanager
def _grid_file(result: ClassMap, dtype: type, nodata: float, grid: dict[str, Any]) -> Iterator[Any]:
    """A GeoTIFF on disk, gone afterwards, to which a map's values are written by windows."""
    keep_safe_drivers(rasterio._env)
    with (
        written_whole(Path(gettempdir()), *REFUSALS),
        TemporaryDirectory(prefix="swath-") as folder,
        rasterio.open(
            Path(folder) / "grid.tif",
            "w+",
            driver="GTiff",
            width=len(result.plan.columns),
            height=len(result.plan.rows),
            count=1,
            dtype=dtype,
            nodata=nodata,
            bigtiff="if_safer",
            **grid,
        ) as raster,
    ):
        yield raster


def _save_cog(raster: Any, path: Path, resampling: str) -> None:
    with replacing(path) as temporary, written_whole(path, *REFUSALS):
        rasterio.shutil.copy(
            raster,
            temporary,
            driver="COG",
            compress="DEFLATE",
            blocksize=_BLOCK_PX,
            overview_resampling=resampling,
        )


def _style(labels: Sequence[str], colours: Sequence[Colour]) -> str:
    """How QGIS shows the classes: it takes the file of the raster's name by itself."""
    entries = []
    for value, (label, rgb) in enumerate(zip(labels, colours, strict=True), 1):
        colour = "#{:02x}{:02x}{:02x}".format(*rgb)
        words = quoteattr(label)
        entries.append(
            f'<paletteEntry value="{value}" color="{colour}" alpha="255" label={words}/>'
        )
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis styleCategories="Symbology"><pipe>\n'
        '<rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">\n<colorPalette>\n'
        + "\n".join(entries)
        + "\n</colorPalette>\n</rasterrenderer>\n</pipe></qgis>\n"
    )


def _harmless(text: str) -> str:
    """Words that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def class_picture(result: ClassMap, size_wh: tuple[int, int]) -> tuple[Any, Any]:
    """(height, width, 3) colours of the classes at a size, and (height, width) whether any."""
    table = np.array([(0, 0, 0), *class_colours(len(result.labels))], dtype=np.uint8)
    y = np.arange(size_wh[1]) * len(result.plan.rows) // size_wh[1]
    x = np.arange(size_wh[0]) * len(result.plan.columns) // size_wh[0]
    values, _ = result.sample(y, x)
    return table[values], values != NO_CLASS
