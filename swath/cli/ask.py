"""`swath ask`: one question about a picture, or about several in order of time."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.console import Json, emit, refuse_absent, say
from swath.errors import RequestError

if TYPE_CHECKING:
    from swath.inference.ask import Reply


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
    index: Annotated[
        Path | None, typer.Option("--with", help="An index of documents, of `swath index`.")
    ] = None,
    passages: Annotated[
        int | None,
        typer.Option(min=0, help="Passages of it that are shown; else as many as in tuning, or 3."),
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(help="That of the index, where it has one: address or folder.")
    ] = None,
    neighbours: Annotated[
        bool, typer.Option("--neighbours", help="Answer with the class of its likest pictures.")
    ] = False,
    json: Json = False,
) -> None:
    """Ask a model about a picture, or about several in order of time."""
    pictures = [image, *(then or [])]
    refuse_absent(pictures)
    import swath
    from swath.imagery.raster import allow
    from swath.imagery.scene import is_address

    assistant = swath.load(model)
    for picture in filter(is_address, pictures):
        allow(picture)
    threshold = 0.0
    if unsure is not None:
        from swath.experiment import Experiment

        choice, threshold = Experiment.of_run(model).sure_from(unsure, choice or ())
    documents = None
    if index is not None:
        from swath.inference.retrieval import open_index, passages_of

        passages_shown = passages_of(model) if passages is None else passages
        documents = open_index(index, passages_shown, embedder)
    if neighbours:
        if documents is None or choice or then:
            raise RequestError("--neighbours asks about one picture and needs --with INDEX alone.")
        answer = assistant.nearest(image, documents)
    else:
        answer = assistant.ask(pictures, question, choice or (), sure=threshold, index=documents)
    quads = None if answer.boxes is None else answer.boxes.quads.round(1).tolist()
    if json:
        emit(
            {
                "answer": answer.text,
                "confidence": answer.confidence,
                "shares": answer.shares,
                "boxes": quads,
                "sources": [asdict(passage) for passage in answer.sources],
                "pictures": [asdict(picture) for picture in answer.pictures],
                "asked": answer.asked,
            }
        )
        return
    confidence = "" if answer.confidence is None else f"  ({answer.confidence:.0%})"
    say(answer.text + confidence)
    for quad in quads or []:
        say("box, pixels: " + " ".join(f"({x:.12g}, {y:.12g})" for x, y in quad))
    if documents is not None:
        _print_sources(answer, documents.most)


def _print_sources(answer: Reply, most: int) -> None:
    """What was asked in other words, the passages before it, and the likest pictures."""
    if answer.asked:
        say(f"asked as: {answer.asked}")
    for number, passage in enumerate(answer.sources, start=1):
        say(f"source {number}: {passage.cited}")
    for picture in answer.pictures:
        say(f"like {picture.file}: {picture.label or 'no class'} ({picture.likeness:.2f})")
    if not answer.sources and not answer.pictures and most:
        say("no source: nothing in the index shares a word with the question")
