"""`swath chat`: talk to a model about pictures, in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath.cli.console import complain, disk_words, harmless, refuse_absent, say
from swath.errors import RequestError, SwathError

if TYPE_CHECKING:
    from swath.serving.terminal.chat import Answers, Event

PROMPT = "> "
HISTORY = Path("~/.local/state/swath/chat_history")
LONGEST_HISTORY = 1000


def chat(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run, an exported folder, swath-nano or http://host:8000/v1."
        ),
    ],
    picture: Annotated[
        list[str] | None, typer.Argument(help="What it is about; /image names it later.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--model", help="Its name at a server that has several.")
    ] = None,
) -> None:
    """Talk to a model about pictures: several turns, regions, boxes, base beside tuned."""
    model = _named(model, name)
    refuse_absent(picture or [])
    from swath.serving.terminal.chat import COMMANDS, Chat

    talk = Chat(model)
    say(f"{model}; /help lists the commands, /quit ends.")
    if picture:
        _print(talk.show(picture))  # a wrong name ends the verb, as one of any argument does
    elif sys.stdin.isatty():
        say("First a picture: /image FILE")
    with _line_editing(list(COMMANDS)):
        while not talk.ended:
            try:
                line = _read_line()
            except EOFError:
                say("")
                return
            except KeyboardInterrupt:
                say("", "/quit ends.")
                continue
            _follow(talk.handle(line))


def _named(model: str, name: str | None) -> str:
    """A model as engines name it; at a server with one model that one.

    Raises:
        EndpointError: no server is there.
        RequestError: it serves several, or none of that name.
    """
    from swath.endpoint import is_address, models_at
    from swath.files import refuse_no_model

    if not is_address(model):
        if name is not None:
            raise RequestError("--model names a model of a server: http://host:8000/v1 --model M")
        refuse_no_model(model)
        return model
    address, _, inside = model.partition("#")
    name = name or inside
    names = [card["id"] for card in models_at(address)]
    if not name and len(names) == 1:
        (name,) = names
    if name not in names:
        problem = f"there is no model '{name}'" if name else "it serves several"
        raise RequestError(f"{address}: {problem}; choose with --model: {', '.join(names)}")
    return f"{address}#{name}"


def _read_line() -> str:
    """The next line; the prompt is for people.

    Raises:
        EOFError: there is none.
    """
    line = input(PROMPT if sys.stdin.isatty() else "")
    return line.encode("utf-8", "replace").decode("utf-8")  # a broken sign is a question mark


def _follow(events: Iterator[Event]) -> None:
    """Print what a line leads to; what goes wrong is one line, and the conversation goes on."""
    try:
        _print(events)
    except SwathError as error:
        complain(str(error))
    except OSError as error:
        complain(disk_words(error))
    except KeyboardInterrupt:
        say("stopped; this question is not part of the conversation.")


def _print(events: Iterator[Event]) -> None:
    with Screen() as screen:
        for event in events:
            screen.show(event)


class Screen:
    """What prints a line's events: words as they come, answers of two models in columns."""

    def __init__(self) -> None:
        self._printed = ""
        self._columns: Any = None

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def show(self, event: Event) -> None:
        """Print an event."""
        if isinstance(event, str):
            say(event)
        elif len(event.texts) == 1:
            self._stream(event)
        else:
            self._show_columns(event)

    def end(self) -> None:
        """End a line that has begun."""
        if self._printed:
            say("")
        self._printed = ""
        if self._columns is not None:
            self._columns.stop()
            if not self._columns.console.is_terminal:
                say("")  # rich ends the last line of a terminal only
        self._columns = None

    def _stream(self, answers: Answers) -> None:
        (text,) = map(harmless, answers.texts.values())
        if not text.startswith(self._printed):
            self.end()  # what was printed was taken back
        typer.echo(text[len(self._printed) :], nl=False)
        self._printed = text
        if answers.notes is not None:
            self.end()
            for lines in answers.notes.values():
                say(*lines)

    def _show_columns(self, answers: Answers) -> None:
        from rich.live import Live
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, expand=True, padding=(0, 2, 0, 0))
        for name in answers.texts:
            table.add_column(Text(harmless(name), "bold"), ratio=1, overflow="fold")
        notes = answers.notes or {}
        cells = []
        for name, text in answers.texts.items():
            cells.append(Text("\n".join([harmless(text), *notes.get(name, ())])))
        table.add_row(*cells)
        if self._columns is None:
            self._columns = Live(table, auto_refresh=False)
            self._columns.start()
        self._columns.update(table, refresh=True)
        if answers.notes is not None:
            self.end()


@contextmanager
def _line_editing(commands: list[str]) -> Iterator[None]:
    """Keys that edit, earlier lines, and Tab for commands and files, where there is a terminal."""
    try:
        import readline
    except ModuleNotFoundError:  # of Windows, whose terminal edits by itself
        yield
        return
    if not sys.stdin.isatty():
        yield
        return

    def complete(start: str, number: int) -> str | None:
        begins_line = not readline.get_line_buffer()[: readline.get_begidx()].strip()
        matches = [f"{command} " for command in commands if command.startswith(start)]
        if not begins_line:
            matches = _files(start)
        return matches[number] if number < len(matches) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    history = HISTORY.expanduser()
    if history.is_file():
        readline.read_history_file(history)
    try:
        yield
    finally:
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.set_history_length(LONGEST_HISTORY)
        readline.write_history_file(history)


def _files(start: str) -> list[str]:
    """Files whose paths begin so; a folder ends in a slash."""
    folder, slash, name = start.rpartition("/")
    place = Path(folder + slash).expanduser()
    if not place.is_dir():
        return []
    entries = sorted(entry for entry in place.iterdir() if entry.name.startswith(name))
    return [f"{folder}{slash}{entry.name}{'/' * entry.is_dir()}" for entry in entries]
