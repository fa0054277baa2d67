"""`swath ask`: one question about a picture, or about several in order of time."""

from __future__ import annotations

from typing import Annotated

import typer

from swath.cli.console import Json, emit, say


def ask(
    model: Annotated[
        str, typer.Argument(help="A run, an exported folder, swath-nano or http://host/v1#model.")
    ],
    image: Annotated[str, typer.Argument(help="A picture, raster, clip or a raster's address.")],
    question: Annotated[
        str, typer.Argument(help="What you want to know; [box x1 y1 x2 y2] is a region, in pixels.")
    ],
    choice: Annotated[
        list[str] | None, typer.Option(help="A possible answer; repeat it to name them all.")
    ] = None,
    then: Annotated[
        list[str] | None, typer.Option(help="A later picture beside it; repeat it for more.")
    ] = None,
    unsure: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Say unsure rather than fall below this accuracy."),
    ] = None,
    json: Json = False,
) -> None:
    """Ask a model about a picture, or about several in order of time."""
    import swath
    from swath.imagery.raster import allow
    from swath.imagery.scene import is_address

    assistant = swath.load(model)
    pictures = [image, *(then or [])]
    for picture in filter(is_address, pictures):
        allow(picture)
    threshold = 0.0
    if unsure is not None:
        from swath.experiment import Experiment

        choice, threshold = Experiment.of_run(model).sure_from(unsure, choice or ())
    answer = assistant.ask(pictures, question, choice or (), sure=threshold)
    quads = None if answer.boxes is None else answer.boxes.quads.round(1).tolist()
    if json:
        emit(
            {
                "answer": answer.text,
                "confidence": answer.confidence,
                "shares": answer.shares,
                "boxes": quads,
            }
        )
        return
    confidence = "" if answer.confidence is None else f"  ({answer.confidence:.0%})"
    say(answer.text + confidence)
    for quad in quads or []:
        say("box, pixels: " + " ".join(f"({x:g}, {y:g})" for x, y in quad))
