"""`swath review`: accept, reject or correct the rows of a set, in the terminal or on a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.console import say
from swath.cli.studio import serve_page
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
    home = folder.parent if (folder / "card.json").is_file() else folder
    if not (home / "set" / "card.json").is_file():
        raise FormatError(f"{folder}: no set here; `swath build RECIPE` makes one.")
    if terminal:
        _ask_here(folder, home, task, split)
    elif task or split:
        raise RequestError("--task and --split are chosen on the page, or go with --terminal.")
    else:
        home = home.absolute()
        serve_page(home.parent, port, first=home.name)


def _ask_here(folder: Path, home: Path, task: str | None, split: str | None) -> None:
    """Ask about the rows in the terminal."""
    from swath.instructions.builder import read_set
    from swath.instructions.review import FILE, Review
    from swath.instructions.turns import CONVERSE

    built = read_set(home / "set")
    rows = [
        row
        for row in built.conversations
        if row.task != CONVERSE and task in (None, row.task) and split in (None, row.split)
    ]
    if not rows:
        tasks = [
            f"{split}: {', '.join(tasks)}" for split, tasks in built.card["conversations"].items()
        ]
        raise RequestError(
            f"{folder}: no rows of that task and split; it holds {'; '.join(tasks)}."
        )
    verdicts = Review(home / FILE, built.choices.get("classify"))
    try:
        ask(rows, verdicts, _prompt)
    except (KeyboardInterrupt, typer.Abort):
        say("")
    finally:
        verdicts.close()
    answers = [verdicts.verdict(row) for row in rows]
    counts = ", ".join(
        f"{answers.count(word)} {word}ed" for word in ("accept", "reject", "correct")
    )
    say(f"{home / FILE}: {counts}, {answers.count(None)} to do; the next build replays them.")


def _prompt(words: str) -> str:
    return str(typer.prompt(words, default="", show_default=False))


def ask(rows: Sequence[Conversation], verdicts: Review, prompt: Callable[[str], str]) -> None:
    """Show row after row that has no verdict, and keep what is answered.

    Args:
        rows: in the order they are shown.
        verdicts: given so far, added to.
        prompt: asks a person.
    """
    place = 0
    passed: list[int] = []  # rows answered or skipped, the latest last
    going_back = False
    while place < len(rows):
        row = rows[place]
        if verdicts.verdict(row) is not None and not going_back:
            place += 1
            continue
        _print_row(row, place, len(rows))
        word = prompt("[a]ccept [r]eject [c]orrect [s]kip [b]ack [q]uit").strip().lower()[:1]
        if word == "q":
            return
        if word == "b" and passed:
            if passed[-1] == place and len(passed) > 1:
                passed.pop()
            place = passed[-1]
            going_back = True
            continue
        try:
            understood = _judge(row, word, verdicts, prompt)
        except InstructionError as error:
            say(f"  {error}")
            continue
        if understood:
            passed = [earlier for earlier in passed if earlier != place] + [place]
            place += 1
            going_back = False


def _print_row(row: Conversation, place: int, count: int) -> None:
    from swath.instructions.review import written

    say("", f"{place + 1} of {count}  {row.task}, {row.split}  {row.id}")
    for image in row.images:
        say(f"  {image.path}")
    for turn in row.turns:
        if turn.role != "system":
            say(f"  {turn.role}: {written(turn)}")


def _judge(row: Conversation, word: str, verdicts: Review, prompt: Callable[[str], str]) -> bool:
    """Keep what a letter says of a row; whether it says anything."""
    from swath.instructions.review import parts_of

    if word == "a":
        verdicts.give(row, "accept")
    elif word == "r":
        verdicts.give(row, "reject")
    elif word == "c":
        verdicts.give(row, "correct", parts_of(prompt("new answer")))
    return word in ("a", "r", "c", "s")
