"""`swath index`: documents and labelled pictures made into what `swath ask --with` searches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.console import Json, bars, emit, say

_FINDINGS = 20  # that are printed; `--json` and index.json hold all


def index(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders or files: Markdown, text, PDF, CSV, labelled pictures."),
    ],
    to: Annotated[Path, typer.Option(help="Folder of the index; an older index is replaced.")],
    model: Annotated[
        str, typer.Option(help="The model that will be asked; its tower looks at the pictures.")
    ] = "swath-nano",
    embedder: Annotated[
        str | None,
        typer.Option(help="http://host/v1#model or a sentence-transformers folder: vectors too."),
    ] = None,
    json: Json = False,
) -> None:
    """Make an index of documents and labelled pictures for `swath ask --with`."""
    from swath.endpoint import is_address
    from swath.files import refuse_foreign
    from swath.inference.embedding import open_embedder
    from swath.inference.retrieval import write_index

    refuse_foreign(to, "index.json")
    tower = None
    if not is_address(model):
        from swath.inference.neighbours import Tower
        from swath.models.engine import LocalEngine
        from swath.models.loading import load

        tower = Tower(LocalEngine(load(model)))
    texts = open_embedder(embedder) if embedder else None
    with bars() as progress:
        card = write_index(to, sources, tower, texts, progress("index")).card
    if json:
        emit(card)
        return
    say(f"{to}: {card['passages']} passages of documents, {card['pictures']} labelled pictures")
    voting = card["voting"]
    if voting and voting["n"]:
        say(
            f"of {voting['n']} labelled pictures {voting['accuracy']:.0%} are named rightly by "
            f"the others that {model} sees as most alike"
        )
    for finding in card["findings"][:_FINDINGS]:
        say(f"{finding['kind']}: {finding['where']}: {finding['what']}; {finding['effect']}")
    hidden = len(card["findings"]) - _FINDINGS
    if hidden > 0:
        say(f"... and {hidden} more in {to}/index.json")
