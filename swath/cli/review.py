"""`swath review`: accept, reject or correct the rows of a set, on a page or in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.console import say
from swath.errors import FormatError, InstructionError, RequestError

if TYPE_CHECKING:
    from swath.instructions.conversation import Conversation
    from swath.instructions.review import Review


def review(
    folder: Annotated[Path, typer.Argument(metavar="SET", help="A run's folder, or its set.")],
    task: Annotated[str | None, typer.Option(help="Rows of this task alone.")] = None,
    split: Annotated[str | None, typer.Option(help="Rows of this split alone.")] = None,
    terminal: Annotated[bool, typer.Option(help="Ask here, without a page.")] = False,
    port: Annotated[int, typer.Option(help="Of the page; 0 takes a free one.")] = 0,
) -> None:
    """Look through the rows of a set; verdicts are replayed whenever it is built."""
    from swath.instructions.builder import read_set
    from swath.instructions.review import FILE, Review
    from swath.instructions.turns import CONVERSE

    home = folder.parent if (folder / "card.json").is_file() else folder
    if not (home / "set" / "card.json").is_file():
        raise FormatError(f"{folder}: no set here; `swath build RECIPE` makes one.")
    built = read_set(home / "set")
    rows = [
        one
        for one in built.conversations
        if one.task != CONVERSE and task in (None, one.task) and split in (None, one.split)
    ]
    if not rows:
        raise RequestError(
            f"{folder}: no rows of that task and split; it holds {_held(built.card)}."
        )
    given = Review(home / FILE, built.choices.get("classify"))
    try:
        if terminal:
            ask(rows, given, lambda words: str(typer.prompt(words, default="", show_default=False)))
        else:
            from swath.cli.reviewpage import serve
            from swath.recipe import Rendering

            serve(rows, given, port, say, Rendering(**built.card.get("rendering", {})))
    except (KeyboardInterrupt, typer.Abort):
        say("")
    finally:
        given.close()
    seen = [given.verdict(row) for row in rows]
    counts = ", ".join(f"{seen.count(one)} {one}ed" for one in ("accept", "reject", "correct"))
    say(f"{home / FILE}: {counts}, {seen.count(None)} to do; the next build replays them.")


def ask(rows: Sequence[Conversation], given: Review, prompt: Callable[[str], str]) -> None:
    """Show row after row that has no verdict, and keep what is answered.

    Args:
        rows: in the order they are shown.
        given: the verdicts so far, added to.
        prompt: asks a person.
    """
    from swath.instructions.review import parts_of, written

    place, last = 0, list[int]()
    while place < len(rows):
        row = rows[place]
        if given.verdict(row) is not None and place not in last[-1:]:
            place += 1
            continue
        say("", f"{place + 1} of {len(rows)}  {row.task}, {row.split}  {row.id}")
        say(*(f"  {image.path}" for image in row.images))
        say(*(f"  {turn.role}: {written(turn)}" for turn in row.turns if turn.role != "system"))
        said = prompt("[a]ccept [r]eject [c]orrect [s]kip [b]ack [q]uit").strip().lower()[:1]
        try:
            if said == "q":
                return
            if said == "b" and last:
                if last[-1] == place and len(last) > 1:
                    last.pop()
                place = last[-1]
                continue
            if said == "a":
                given.give(row, "accept")
            elif said == "r":
                given.give(row, "reject")
            elif said == "c":
                given.give(row, "correct", parts_of(prompt("new answer")))
            elif said != "s":
                continue
        except InstructionError as error:
            say(f"  {error}")
            continue
        last = [one for one in last if one != place] + [place]
        place += 1


def _held(card: dict[str, dict[str, dict[str, int]]]) -> str:
    return "; ".join(
        f"{split}: {', '.join(tasks)}" for split, tasks in card["conversations"].items()
    )
