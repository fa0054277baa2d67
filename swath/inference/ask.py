"""Ask a model about a picture, and go on asking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from swath.boxes import Boxes
from swath.endpoint import is_address as is_model_address
from swath.endpoint import notation_at, split_address
from swath.errors import ModelError, RequestError
from swath.imagery.opening import open_scene
from swath.imagery.rendering import PLAIN
from swath.imagery.scene import is_address
from swath.imagery.series import coregistered
from swath.imagery.video import SUFFIXES, frames_of
from swath.inference.cluster import ray_workers
from swath.inference.compare import Comparison, Progress, compare
from swath.inference.context import with_context
from swath.inference.documents import Passage
from swath.inference.mapping.doubtful_tiles import check_reviewable, write_doubts
from swath.inference.neighbours import Tower, Vectors
from swath.inference.retrieval import Index, Labelled, Retrieved, passages_of
from swath.inference.scan import (
    REMOTE_PX,
    Asking,
    Scan,
    ScanModel,
    asked_here,
    run_scan,
    scan_model,
)
from swath.inference.scenes.scan_outputs import home_of, write_scan
from swath.inference.scenes.scan_questions import ScanQuestion, Tuning, scan_questions
from swath.inference.scenes.scan_scene import WHOLE, ScanSettings, scenes_in
from swath.inference.scenes.tile_plan import TunedOn
from swath.inference.two_dates.alignment import LIMIT_PX, aligned
from swath.inference.two_dates.pair_questions import questions_of
from swath.instructions.conversation import (
    Box,
    Conversation,
    Image,
    Part,
    Text,
    Turn,
    assistant,
    system,
    user,
)
from swath.instructions.review import parts_of
from swath.models.encoding import TooLongError
from swath.models.engine import Answer, LocalEngine
from swath.models.loading import load
from swath.models.remote import RemoteEngine
from swath.recipe import Imagery, Remote, Rendering


@dataclass(frozen=True)
class Reply:
    """What the model said.

    Args:
        text: its words.
        boxes: boxes it named, pixels of the picture; None where it named none.
        confidence: share of the probability among the choices, or of labelled pictures' votes;
            None for a free answer.
        shares: that of each choice, or class.
        turns: the conversation so far, this answer included: `before` of the next question.
        sources: passages that stood before the question, the likeliest first.
        pictures: labelled ones most like this one.
        asked: the question as it was put, where an index named what "this site" is; else "".
    """

    text: str
    boxes: Boxes | None = None
    confidence: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    turns: tuple[Turn, ...] = ()
    sources: tuple[Passage, ...] = ()
    pictures: tuple[Labelled, ...] = ()
    asked: str = ""

    def __str__(self) -> str:
        return self.text


class Assistant:
    """A loaded model.

    Args:
        model: a run, an exported folder, "swath-nano", or a model behind an OpenAI-compatible
            endpoint, as in `http://host:8000/v1#gpt-4o`, whose key is in OPENAI_API_KEY.
        threads: CPU threads; None leaves torch's choice.

    Raises:
        ModelError: there is no such model, or it is damaged.
        RequestError: an address that names no model.
    """

    def __init__(self, model: str | Path, threads: int | None = None) -> None:
        self.name = str(model)
        self.engine: LocalEngine | RemoteEngine
        self._imagery, self._system = Imagery(), ""
        if is_model_address(model):
            notation = notation_at(*split_address(str(model)))
            self.engine = RemoteEngine(str(model), Remote(logprobs=True, dialect=notation))
        else:
            loaded = load(model)
            self.engine = LocalEngine(loaded, threads=threads)
            self._imagery, self._system = loaded.imagery, loaded.system or ""

    @property
    def rendering(self) -> Rendering:
        """How the model is shown what a raster holds."""
        return PLAIN if isinstance(self.engine, RemoteEngine) else self._imagery.rendering

    def ask(
        self,
        image: str | Path | Sequence[str | Path],
        question: str,
        choices: Sequence[str] = (),
        max_new_tokens: int = 256,
        sure: float = 0.0,
        before: Sequence[Turn] = (),
        index: Index | None = None,
    ) -> Reply:
        """The answer to a question about a picture, after the instruction the model was tuned with.

        Args:
            image: a picture, raster or clip; or several pictures, in order of time. Rasters that
                say where they lie are shown on the pixels of the first. Addresses are read after
                `swath.imagery.raster.allow`.
            question: in the words the model was tuned on, if it is small. A region in it is
                `[box x1 y1 x2 y2]` or four corners, in pixels of the (first) picture; the model
                reads it as its family writes regions.
            choices: with them, the answer is the most probable of these and nothing else.
            max_new_tokens: longest free answer.
            sure: where the chosen answer has less than this share, it is "unsure" instead.
            before: earlier turns, whose pictures stay in sight; then `image` may be empty.
            index: documents and labelled pictures; what they say of the question stands before it,
                as much of it as the model can read.

        Raises:
            ImageryError: the file is absent or cannot be read.
            RequestError: the question is empty, or the index is of another model.
            InstructionError: a region has other than four or eight numbers.
            ModelError: a model elsewhere names none of the choices.
        """
        conversation = self._conversation(image, question, before)
        retrieved = Retrieved()
        if index is not None:
            features = self._features(conversation.images[0].path, index)
            retrieved = index.search(question, features)
        as_tuned = index is not None and self._tuned_on_passages
        named = retrieved.named(question) if as_tuned else question
        if named != question:
            conversation = self._conversation(image, named, before)
        while True:
            context = retrieved.pages if as_tuned else retrieved.context
            documented = with_context(conversation, context)
            try:
                reply = self._reply(documented, choices, max_new_tokens, sure)
                break
            except TooLongError:
                if not context:
                    raise
                retrieved = retrieved.shorter()
        return replace(
            reply,
            turns=(*conversation.turns, assistant(reply.text)),
            sources=retrieved.passages,
            pictures=retrieved.pictures,
            asked=named if named != question else "",
        )

    @cached_property
    def _tuned_on_passages(self) -> bool:
        return passages_of(self.name) is not None

    def stream(
        self,
        image: str | Path | Sequence[str | Path],
        question: str,
        max_new_tokens: int = 256,
        before: Sequence[Turn] = (),
    ) -> Iterator[Reply]:
        """The free answer as it grows: its words so far, the last time with its boxes and turns.

        Takes and raises what `ask` does, and:

        Raises:
            EndpointError: a model elsewhere stays away or breaks off.
        """
        conversation = self._conversation(image, question, before)
        answer = Answer("")
        for answer in self.engine.stream(conversation, max_new_tokens):
            yield Reply(answer.text)
        turns = (*conversation.turns, assistant(answer.text))
        yield Reply(answer.text, answer.boxes, turns=turns)

    def nearest(self, image: str | Path, index: Index) -> Reply:
        """The class that the labelled pictures most like a picture vote for.

        The model need not have been tuned on it.

        Raises:
            RequestError: the index holds no picture vectors, or those of another model.
            ModelError: its pictures are not of at least two classes.
        """
        neighbours = index.neighbours
        features = self._features(self.pictures(image)[0], index)
        if features is None:
            raise RequestError("a model elsewhere shows no picture features; ask a local one.")
        shares = neighbours.shares(features)
        label = max(shares, key=lambda name: shares[name])
        pictures = index.search("", features).pictures
        return Reply(label, None, shares[label], shares, pictures=pictures)

    def compare(
        self,
        before: str | Path,
        after: str | Path,
        question: str | None = None,
        align: bool = False,
        limit_px: float = LIMIT_PX,
        gsd_m: float | None = None,
        overlap: float | None = None,
        progress: Progress | None = None,
    ) -> Comparison:
        """What has changed between two dates of a place, asked as the model was tuned on pairs.

        Args:
            before: the earlier picture or raster.
            after: the later one, of any grid and CRS.
            question: what to ask instead.
            align: move the later one by the measured shift where it is longer than `limit_px`.
            limit_px: pixels of shift that are let pass without it.
            gsd_m: metres a pixel of what it was tuned on measured, where its set does not say.
            overlap: share of a tile that its neighbours repeat.
            progress: called with tiles done and in all.

        Raises:
            ImageryError: the two show different ground, or one says not where it lies.
            RequestError: the shift is too long.
            ModelError: the model knows no pairs.
        """
        questions = questions_of(self.name, question)
        self._scratch = TemporaryDirectory(prefix="swath-")  # read as long as the result is
        pair = aligned(
            _named(before),
            _named(after),
            Path(self._scratch.name),
            self.rendering,
            limit_px=limit_px,
            align=align,
        )
        engine = self.engine
        side = engine.loaded.image_size if isinstance(engine, LocalEngine) else REMOTE_PX
        tuned = TunedOn.of_run(self.name, side)
        return compare(self.name, self.engine, pair, questions, tuned, gsd_m, overlap, progress)

    def _conversation(
        self, image: str | Path | Sequence[str | Path], question: str, before: Sequence[Turn]
    ) -> Conversation:
        """A question behind earlier turns, or behind the instruction; see `ask`."""
        if not question.strip():
            raise RequestError("the question is empty; say what you want to know.")
        pictures = [Image(path, open_scene(path).size_wh) for path in self.pictures(image)]
        turns = list(before)
        if self._system and not turns:
            turns.append(system(self._system))
        dialogue = Conversation("", "ask", (*turns, user(*pictures)))
        if not dialogue.images:
            raise RequestError("no picture is asked about; name at least one.")
        start = "\n" if pictures else ""
        parts = question_parts(start, question, dialogue.frame)
        turns.append(user(*pictures, *parts))
        return Conversation(id=dialogue.images[0].path, task="ask", turns=tuple(turns))

    def _reply(
        self, conversation: Conversation, choices: Sequence[str], max_new_tokens: int, sure: float
    ) -> Reply:
        if not choices:
            answer = self.engine.answer([conversation], max_new_tokens)[0]
            return Reply(answer.text, answer.boxes)
        shares = self._shares(conversation, choices)
        best = max(shares, key=lambda choice: shares[choice])
        confidence = shares[best]
        return Reply(best if confidence >= sure else "unsure", None, confidence, shares)

    def _features(self, path: str, index: Index) -> Vectors | None:
        """What the tower makes of a picture; None where the index or the model has none."""
        if not isinstance(self.engine, LocalEngine) or index.picture_vectors is None:
            return None
        tower = Tower(self.engine)
        index.check_tower(tower)
        features = tower.vectors([path])[0]
        index.check_width(len(features))
        return features

    def scan(
        self,
        scenes: str | Path | Sequence[str | Path],
        *questions: str,
        classify: bool = False,
        to: str | Path | None = None,
        to_review: int = 0,
        settings: ScanSettings = WHOLE,
        shard: str | None = None,
        fresh: bool = False,
        progress: Callable[[int, int], None] | None = None,
        cluster: str | None = None,
        workers: int = 0,
    ) -> Scan:
        """What a whole scene answers, asked tile by tile; objects are in the scene's pixels.

        Args:
            scenes: rasters or pictures of any size, or folders of them.
            questions: such as "[refer] every <p>ship</p>", "How many ships are there?" or
                "Describe the image."; several are asked in one pass.
            classify: make a map of the classes that the run was tuned on.
            to: a .gpkg or .geojson for the objects, or a folder for everything; a scan that was
                stopped goes on there. Nothing is written without it.
            to_review: how many of the least certain answers go to `review/`, for `swath review`.
            settings: how scenes are looked at.
            shard: "2/8" asks the second eighth; without it, later, all are put together.
            fresh: forget what `to` holds.
            progress: called with groups of tiles finished and in all.
            cluster: "ray" has tiles asked by the workers of a Ray cluster, on any machines.
            workers: most of them; 0: one a GPU of the cluster, or one a machine without.

        Raises:
            RequestError: nothing is asked that the model can answer, or `to` holds something else.
            ImageryError: a scene cannot be opened, or changed while it was scanned.
        """
        paths = [scenes] if isinstance(scenes, str | Path) else scenes
        tuning = Tuning.of_run(self.name)
        asks = scan_questions(questions, tuning, classify)
        model = self._scan_model(asks)
        found = scenes_in([str(path) for path in paths])
        home = None if to is None else home_of(Path(to))
        if to_review:
            if home is None:
                raise RequestError("--to-review: name a folder with --to, in which it is written.")
            check_reviewable(found)
        ask: Asking = asked_here
        if cluster is not None:
            here = partial(_scan_model_of, self.name, asks)
            ask = ray_workers(cluster, here, found, settings, workers)
        scan = run_scan(model, found, settings, home, shard, fresh, progress, ask)
        if to is not None and not any(scene.tally.waiting for scene in scan.scenes):
            write_scan(scan, Path(to))
            if to_review and home is not None:
                write_doubts(home, scan, to_review)
        return scan

    def _scan_model(self, asks: Sequence[ScanQuestion]) -> ScanModel:
        return scan_model(self.name, self.engine, asks, self._system, self.rendering)

    def _shares(self, conversation: Conversation, choices: Sequence[str]) -> dict[str, float]:
        """Each choice's share of the probability that they have together."""
        logs = self.engine.score([conversation], [list(choices)])[0]
        if not np.isfinite(logs).any():
            raise ModelError(f"it names none of {', '.join(choices)}; ask without choices.")
        weights = np.exp(logs - logs.max())
        weights /= weights.sum()
        return dict(zip(choices, weights.tolist(), strict=True))

    def pictures(self, image: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
        """Names of the pictures that the model is shown of what is asked about, see `ask`."""
        sources = [image] if isinstance(image, str | Path) else image
        paths = [path for source in sources for path in self._pictures(source)]
        return coregistered(paths, apart=True) if paths else ()

    def _pictures(self, name: str | Path) -> list[str]:
        """A picture is one; of a clip, as many frames as the model was tuned on."""
        if is_address(name):
            return [str(name)]
        path = Path(name).absolute()
        if path.suffix.lower() not in SUFFIXES:
            return [str(path)]
        return frames_of(path, self._imagery.frames)


def _scan_model_of(name: str, asks: Sequence[ScanQuestion]) -> ScanModel:
    """A model in a process of its own, as it is asked in this one."""
    return Assistant(name)._scan_model(asks)


def question_parts(start: str, question: str, frame: int) -> list[Part]:
    """A question's words, and the regions in it as boxes of picture number `frame`.

    Raises:
        InstructionError: a region has other than four or eight numbers.
    """
    parts: list[Part] = []
    text = start
    for row in parts_of(question):
        text += row.get("text", "")
        if text:
            parts.append(Text(text))
        if "boxes" in row:
            parts.append(Box(Boxes.from_rows(row["boxes"]), frame))
        text = ""
    return parts


def _named(picture: str | Path) -> str:
    """A file from the root, an address as it is."""
    return str(picture) if is_address(picture) else str(Path(picture).absolute())
