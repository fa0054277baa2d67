"""The program that renders chat templates of others, in a process that has little room.

It answers each line of its input, a JSON object of `template`, `messages` and the words the
template may use, with a line of JSON: `text`, or `refusal` where the template fails on them; or,
before it ends, `error`. It is run as a file by itself, so it imports nothing of swath. What takes
too long is ended by whoever asks.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import ext, nodes, sandbox
from jinja2.parser import Parser

LONGEST = 8_000_000
"""Characters of a rendered conversation."""


class _Generation(ext.Extension):
    """`{% generation %}`, which marks an answer and adds nothing."""

    tags = {"generation"}  # noqa: RUF012, as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """What stands within."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, **form: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **form)


@lru_cache(maxsize=8)
def _compiled(template: str) -> jinja2.Template:
    """A template as `transformers` compiles it."""
    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)


def _bound(room: int) -> None:
    """Leave this process no more than some bytes of memory, where the system knows such limits."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (room, room))


def _answer(order: dict[str, Any]) -> dict[str, str]:
    try:
        text = _compiled(order.pop("template")).render(**order)
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        return {"refusal": _in_words(error)}
    if len(text) > LONGEST:
        raise MemoryError(f"{len(text)} characters")
    return {"text": text}


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:500]}"


def _report(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """Answer with an error, whatever a template of others made go wrong."""
    sys.stdout.write(json.dumps({"error": _in_words(error)}) + "\n")


def main() -> None:
    """Render until the input ends or room does."""
    _bound(int(sys.argv[1]))
    sys.excepthook = _report
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
