"""`swath scan`: whole scenes asked tile by tile, so that answers become layers, maps and counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.console import Json, bars, complain, emit, refuse_absent, refuse_run, say

if TYPE_CHECKING:
    from swath.inference.scan import Scan


def scan(
    model: Annotated[
        str, typer.Argument(help="A run, an exported folder, swath-nano or http://host/v1#model.")
    ],
    scene: Annotated[str, typer.Argument(help="A raster, picture, raster's address, or a folder.")],
    question: Annotated[
        list[str] | None,
        typer.Argument(help="As '[refer] every <p>ship</p>' or 'How many ships?'; or several."),
    ] = None,
    classify: Annotated[
        bool, typer.Option("--classify", help="Map the classes that the run was tuned on.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option(help="A .gpkg or .geojson for boxes, or a folder for everything.")
    ] = None,
    to_review: Annotated[
        int, typer.Option(min=0, help="So many of the least certain answers go to `review/`.")
    ] = 0,
    aoi: Annotated[
        str | None, typer.Option(help="Polygons (GeoJSON, GeoPackage) outside which none is asked.")
    ] = None,
    mask: Annotated[
        str | None, typer.Option(help="A raster; tiles are left out where it is bright throughout.")
    ] = None,
    gsd: Annotated[
        float | None, typer.Option(min=1e-4, help="Metres a pixel of the pictures tuned on.")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Share of a tile that neighbours have in common.")
    ] = None,
    tile_px: Annotated[
        int | None, typer.Option(min=8, help="Side of a tile in scene pixels, as it is.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="2/8 asks the second eighth; without it, all is put together."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="ray: workers of a Ray cluster ask; swath[cluster].")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Of the cluster; 0: one a GPU, or one a machine without.")
    ] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was asked before.")] = False,
    json: Json = False,
) -> None:
    """Ask a model about whole scenes; what was stopped goes on, and what failed is asked again."""
    refuse_absent([scene])
    if to is not None:
        refuse_run(to)
    import swath
    from swath.imagery.raster import allow
    from swath.imagery.scene import is_address
    from swath.inference.scenes.scan_scene import ScanSettings

    if is_address(scene):
        allow(scene)
    settings = ScanSettings(gsd, overlap, tile_px, aoi, mask)
    assistant = swath.load(model)
    with bars() as progress:
        done = assistant.scan(
            scene,
            *(question or []),
            classify=classify,
            to=to,
            to_review=to_review,
            settings=settings,
            shard=shard,
            fresh=fresh,
            progress=progress("scan"),
            cluster=cluster,
            workers=workers,
        )
    if json:
        emit(done.to_row())
    else:
        _tell(done, to, to_review)
    if any(scanned.scene is None or scanned.tally.failed for scanned in done.scenes):
        raise typer.Exit(1)


def _tell(done: Scan, to: Path | None, to_review: int) -> None:
    """Say what came of a scan, and what did not."""
    from swath.inference.mapping.doubtful_tiles import FOLDER
    from swath.inference.scenes.scan_outputs import MAP, home_of

    for scanned in done.scenes:
        if scanned.scene is None:
            complain(scanned.failure)
            continue
        tally = scanned.tally
        skipped = [f"{count} {reason}" for reason, count in tally.skipped.items()]
        parts = [f"{tally.asked} of {tally.planned} tiles asked", *skipped]
        if tally.waiting:
            parts.append(f"{tally.waiting} of other shards waiting")
        say(f"{scanned.path}: {', '.join(parts)}")
        if scanned.scene.crs is None:
            say("  it says no CRS: boxes are in pixels only")
        for failure in tally.failed[:3]:
            complain(f"tile {failure['tile']}: {failure['why']}")
        if tally.failed:
            complain(f"{len(tally.failed)} tiles failed; the same command asks them again.")
        for result in scanned.results:
            say(f"  {result.question.asked}: {result.told}")
    if to is None:
        say("nothing was written; name a file or folder with --to.")
    elif not any(scanned.tally.waiting for scanned in done.scenes):
        say(f"{to}; look at {home_of(to) / MAP}")
        if to_review:
            say(f"the least certain answers wait for `swath review {home_of(to) / FOLDER}`")
