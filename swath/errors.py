"""Every error a caller may want to catch; `cli.py` prints them as one line."""

LONGEST = 2000
"""Signs of a message at most: files from outside may hold names and words of any length."""
_END = 600
"""Of these, from its end, where it says what to do."""


class SwathError(Exception):
    """What was wrong, where, and what to do about it. Exit code 1: the work failed."""

    exit_code = 1

    def __str__(self) -> str:
        words = super().__str__()
        if len(words) <= LONGEST:
            return words
        return f"{words[: LONGEST - _END - 1]}…{words[-_END:]}"


class RequestError(SwathError):
    """The request itself was wrong; nothing was started. Exit code 2."""

    exit_code = 2


class RecipeError(RequestError):
    """A recipe that does not exist, does not parse, or holds a key or value swath refuses."""


class FormatError(SwathError):
    """A file between stages that is damaged, or written by a newer swath."""


class ShapeError(SwathError):
    """Arrays whose shapes or lengths do not fit together."""


class ImageryError(SwathError):
    """A raster that cannot be opened, read or rendered."""


class TilingError(RequestError):
    """A tiling that would not cover the scene or not advance."""


class AnnotationError(RequestError):
    """Annotations that cannot be recognised, read or believed."""


class InstructionError(SwathError):
    """Conversations that cannot be built, written or read back."""


class ModelError(SwathError):
    """A base or run that is absent, damaged or of a family swath does not know."""


class UnknownModelError(ModelError, RequestError):
    """There is no model of this name."""


class TuningError(SwathError):
    """A tuning that cannot start, continue or whose loss stopped being a number."""


class EvaluationError(SwathError):
    """An evaluation that cannot be scored or reported."""


class EndpointError(SwathError):
    """A model behind an address that refuses, stays away, costs too much or answers rubbish."""


class ExportError(SwathError):
    """An export that could not be written, or that did not answer as the run did."""


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:200]
