"""A data set of drawn scenes, written as picture files with everything known about them."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from swath.annotations.finding_pictures import absolute
from swath.annotations.formats.masks import CHANGE, CHANGE_ASKED
from swath.annotations.image import AnnotatedImage, Question, read_images, whole_lists, write_images
from swath.errors import AnnotationError, FormatError, RequestError
from swath.files import Json, read_json, replacing, write_json

LICENCE = "CC0-1.0 (drawn by swath)"
SOURCE = "drawn by swath"
_SUFFIXES = (".png", ".jpg")
_JPEG_QUALITY = 92
_CHUNK = 16  # scenes a process draws before it reports

Progress = Callable[[int, int], None]


def draw_set(
    folder: Path | str,
    kinds: Sequence[str],
    count: int,
    seed: int,
    size_px: int = 112,
    workers: int = 1,
    progress: Progress | None = None,
    suffix: str = ".png",
    frames: int = 1,
    change: bool = False,
) -> list[AnnotatedImage]:
    """Draw a set into a folder, or read back the one that the same arguments drew there.

    Kinds take turns, so that they are balanced and a larger set begins with the smaller one's
    scenes. Pictures lie at `images/<kind-with-dashes>/<number><suffix>`; `images.jsonl`, written
    last, says that the set is whole.

    Args:
        folder: where to draw; absent, empty, or drawn into before.
        kinds: kinds of scene, see `swath.imagery.synthetic`.
        seed: same seed, same scenes.
        size_px: edge of each picture.
        workers: processes that draw; 1 draws in this one.
        progress: called with scenes drawn and scenes in all.
        suffix: ".png", or ".jpg" for smaller files (quality 92).
        frames: of each scene; more than 1 make sequences that say what moves, and boxes are
            those of the first frame.
        change: draw pairs before and after that say what changed, in two frames.

    Raises:
        RequestError: no kind, no scene or another suffix was asked for.
        AnnotationError: the folder holds something that swath did not draw.
    """
    if not kinds or count < 1 or suffix not in _SUFFIXES:
        raise RequestError(
            f"cannot draw {count} scenes of {len(kinds)} kinds as '{suffix}'; ask for at least "
            f"one scene and one kind, as {' or '.join(_SUFFIXES)}."
        )
    folder = absolute(Path(folder))
    frames = 2 if change else frames
    asked = {"swath": version("swath"), "kinds": list(kinds), "count": count, "seed": seed}
    asked |= {"size_px": size_px, "suffix": suffix, "frames": frames}
    asked |= {"change": True} if change else {}
    before = _drawn_before(folder, asked)
    if before is not None:
        return whole_lists(before)
    (folder / "images.jsonl").unlink(missing_ok=True)
    shutil.rmtree(folder / "images", ignore_errors=True)
    write_json(folder / "drawn.json", asked)
    places = [(kinds[number % len(kinds)], number) for number in range(count)]
    for kind in kinds:
        (folder / "images" / _dashed(kind)).mkdir(parents=True, exist_ok=True)
    images = []
    for image in _drawn(places, workers, partial(_draw_one, folder=folder, asked=asked)):
        images.append(image)
        if progress is not None:
            progress(len(images), count)
    write_images(folder / "images.jsonl", whole_lists(images))
    return list(read_images(folder / "images.jsonl"))  # as any later call will find them


def _drawn_before(folder: Path, asked: Json) -> list[AnnotatedImage] | None:
    """The whole set that the same arguments drew, None if there is none."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    if not (folder / "drawn.json").is_file():
        raise AnnotationError(
            f"{folder}: holds files that swath did not draw; choose an empty or a new folder."
        )
    try:
        drawn = read_json(folder / "drawn.json")
        if {key: drawn.get(key) for key in asked} != asked:
            return None
        # The folder may have moved since, so paths are made anew.
        images = []
        for image in read_images(folder / "images.jsonl"):
            paths = _paths(folder, image.id, asked)
            images.append(replace(image, path=paths[0], frames=paths if len(paths) > 1 else ()))
    except FormatError:  # cut short: draw again
        return None
    whole = all(Path(path).is_file() for one in images for path in one.frames or [one.path])
    return images if whole else None


def _drawn(
    places: Sequence[tuple[str, int]],
    workers: int,
    draw_one: Callable[[tuple[str, int]], AnnotatedImage],
) -> Iterator[AnnotatedImage]:
    """The scenes in order, drawn here or by other processes."""
    if workers <= 1:
        yield from map(draw_one, places)
        return
    # "spawn" starts clean: a forked process may inherit a lock some library's thread holds.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from pool.map(draw_one, places, chunksize=_CHUNK)
    except BrokenProcessPool:
        raise AnnotationError(
            f"one of {workers} drawing processes died; draw with workers=1, or, if this is a "
            f"script of yours, start it under `if __name__ == '__main__':`."
        ) from None


def _draw_one(place: tuple[str, int], folder: Path, asked: Json) -> AnnotatedImage:
    from swath.imagery import synthetic

    kind, number = place
    seed, size_px, frames = asked["seed"], asked["size_px"], asked["frames"]
    questions: tuple[Question, ...] = ()
    # One seed a scene, unrelated to its neighbours' and to those of another set's seed.
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if asked.get("change"):
        scenes, said, changed = synthetic.draw_change(kind, own_seed, size_px)
        scenes[0] = replace(scenes[0], boxes=changed, names=(CHANGE,) * len(changed), phrases=())
        questions = (Question(CHANGE_ASKED, "yes" if len(changed) else "no", CHANGE),)
    elif frames > 1:
        scenes, said = synthetic.draw_sequence(kind, own_seed, size_px, frames)
    else:
        scenes = [synthetic.draw(kind, own_seed, size_px)]
        said = scenes[0].captions
    scene = scenes[0]
    name = f"images/{_dashed(kind)}/{number // len(asked['kinds']):05d}"
    paths, form = _paths(folder, name, asked), "JPEG" if asked["suffix"] == ".jpg" else "PNG"
    for path, one in zip(paths, scenes, strict=True):
        with replacing(path) as temporary:
            Image.fromarray(one.pixels).save(temporary, format=form, quality=_JPEG_QUALITY)
    return AnnotatedImage(
        id=name,
        path=paths[0],
        size_wh=(scene.pixels.shape[1], scene.pixels.shape[0]),
        label=scene.label,
        captions=said,
        boxes=scene.boxes,
        names=scene.names,
        phrases=scene.phrases,
        source=SOURCE,
        licence=LICENCE,
        frames=paths if frames > 1 else (),
        questions=questions,
    )


def _paths(folder: Path, name: str, asked: Json) -> tuple[str, ...]:
    """Where the frames of a scene lie: the first as the only one would."""
    ends = ("", *(f"-{number}" for number in range(2, asked["frames"] + 1)))
    return tuple(str(folder / f"{name}{end}{asked['suffix']}") for end in ends)


def _dashed(kind: str) -> str:
    return kind.replace(" ", "-")
