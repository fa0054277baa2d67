"""Clips: frames taken evenly from a video, each a `Scene` of its own named `clip.mp4#frame=120`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from swath.boxes import Size
from swath.errors import ImageryError
from swath.imagery.picture import Picture
from swath.imagery.rendering import Pixels, resized
from swath.imagery.scene import FRAME, Window

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"})
"""File name endings taken for clips."""

_DIGITS = 12  # of a frame's number; Python refuses to read one of thousands


@dataclass(frozen=True, eq=False)
class Frame(Picture):
    """One frame of a clip.

    Args:
        number: which, counted from 0.
    """

    number: int = 0

    def _part(self, area: Window, size_wh: Size) -> Pixels:
        x, y, width, height = area
        return resized(self._pixels[y : y + height, x : x + width], size_wh)

    @cached_property
    def _pixels(self) -> Pixels:
        with _opened(Path(self.path)) as (container, stream):
            rate = _rate(self.path, stream)
            # A frame is shown until the next: half a frame early is surely before it and no other.
            target = (stream.start_time or 0) * stream.time_base + (
                self.number - Fraction(1, 2)
            ) / rate
            if self.number:
                container.seek(int(target / stream.time_base), stream=stream)
            last = None
            for last in container.decode(stream):
                if last.pts is None:
                    raise ImageryError(
                        f"{self.path}: its frames bear no times; convert it to MP4 with ffmpeg."
                    )
                if last.pts * last.time_base >= target:
                    break
            if last is None:
                raise ImageryError(f"{self.path}: frame {self.number} is missing; copy it again.")
            return np.ascontiguousarray(last.to_ndarray(format="rgb24"))


def frames_of(clip: Path | str, count: int) -> list[str]:
    """Names of frames taken from the middles of `count` equal parts of a clip, in order of time.

    Fewer where the clip is shorter than that. `open_scene` opens each.

    Raises:
        ImageryError: the clip cannot be opened, or PyAV is not installed.
    """
    total = _length(Path(clip))
    numbers = dict.fromkeys((2 * part + 1) * total // (2 * count) for part in range(count))
    return [f"{clip}{FRAME}{number}" for number in numbers]


def open_frame(name: Path | str) -> Frame:
    """The frame that `clip.mp4#frame=120` names; only the clip's header is read.

    Raises:
        ImageryError: the clip cannot be opened or has no such frame, or PyAV is not installed.
    """
    clip, _, number = str(name).rpartition(FRAME)
    path = Path(clip)
    total = _length(path)
    if not number.isdecimal() or len(number) > _DIGITS or int(number) >= total:
        raise ImageryError(f"{name}: no such frame; the clip has frames 0 to {total - 1}.")
    with _opened(path) as (_, stream):
        return Frame(
            id=f"{path.stem}{FRAME}{number}",
            path=path,
            size_wh=(stream.width, stream.height),
            bands=3,
            dtype="uint8",
            number=int(number),
        )


def _length(path: Path) -> int:
    """Frames in a clip."""
    with _opened(path) as (container, stream):
        if stream.frames:
            return int(stream.frames)
        if stream.duration:
            return max(1, int(stream.duration * stream.time_base * _rate(path, stream)))
        return max(1, int(Fraction(container.duration or 0, 1_000_000) * _rate(path, stream)))


def _rate(path: Path | str, stream: Any) -> Fraction:
    """Frames a second."""
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise ImageryError(f"{path}: does not say its frame rate; convert it to MP4 with ffmpeg.")
    return Fraction(rate)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """A clip and its first video stream, whatever goes wrong being an `ImageryError`."""
    try:
        import av
    except ImportError:
        raise ImageryError(
            f"{path}: clips are read by PyAV, which is not installed; pip install 'swath[video]'."
        ) from None
    if not path.is_file():  # FFmpeg would also take an address: this does not
        raise ImageryError(f"{path}: no such file; check the path.")
    try:
        # A playlist in a clip's clothes could name an address too.
        with av.open(str(path.absolute()), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise ImageryError(f"{path}: holds no moving pictures; is it a whole video?")
            yield container, container.streams.video[0]
    except (av.FFmpegError, ValueError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageryError(
            f"{path}: cannot be read ({reason}); is it a video, and was it copied whole?"
        ) from error
