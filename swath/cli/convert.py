"""`swath convert`: an original checkpoint becomes a model folder, annotations another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.console import say


def convert(
    source: Annotated[Path, typer.Argument(help="Folder or file, as its authors saved it.")],
    to: Annotated[Path, typer.Option(help="Folder to write.")],
    language: Annotated[
        Path | None, typer.Option(help="Folder of the language model it stands on.")
    ] = None,
    vision: Annotated[Path | None, typer.Option(help="Folder or file of its vision tower.")] = None,
    image_px: Annotated[
        int | None, typer.Option(help="Side of the images; nothing: the system's own.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Of annotations: coco, yolo, yolo-obb, dota, geojson, geopackage."),
    ] = None,
    conversations: Annotated[
        str | None,
        typer.Option(help="Of conversations: llava, openai, mistral, swift, hub, parquet."),
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(help="Notation in which conversations write boxes.")
    ] = None,
    from_dialect: Annotated[
        str | None, typer.Option(help="Notation in which SOURCE writes them; else left as it is.")
    ] = None,
) -> None:
    """Bring a checkpoint of GeoChat, LLaVA, MiniGPT-v2 or SkyEyeGPT into a model folder.

    With --labels, bring the boxes of annotations into another format instead; with
    --conversations, a set or the training files of others into another form.
    """
    if conversations is not None:
        from swath.instructions.interchange import convert as bring
        from swath.instructions.interchange import form_of

        earlier = form_of(to)
        rows = bring(source, to, conversations, from_dialect, dialect)
        say(f"{to}: {rows} conversations written as {conversations}.")
        if earlier is not None and earlier != conversations:
            say(f"They replace those in {earlier}, which were there.")
        return
    if labels is not None:
        from swath.annotations.readers import read
        from swath.annotations.writers import write as write_labels

        count = write_labels(to, read(source), labels)
        say(f"{to}: {count} boxes written as {labels}.")
        return
    from swath.models.convert.checkpoints import convert as write

    converted = write(source, to, language, vision, image_px)
    used = len(converted.used)
    say(f"{source}: recognised as {converted.kind}; {used} tensors used.", *converted.notes)
    if converted.unused:
        say("Not used: " + ", ".join(converted.unused))
    say(f"{to}: written.")
