"""`Index`: a team's own documents and labelled pictures, and what in them a question is about.

    site.index/index.json      what was indexed, of which tower and embedder, what was left out
    site.index/passages.jsonl  a passage a line, with file and place
    site.index/pictures.jsonl  a labelled picture a line
    site.index/pictures.npy    the tower's features of the pictures
    site.index/texts.npy       the embedder's vectors of the passages

Up to `MOST_PASSAGES` one numpy product over all vectors is faster than a database and needs none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from swath.annotations.finding_pictures import files_below
from swath.annotations.findings import Finding
from swath.annotations.image import AnnotatedImage
from swath.annotations.readers import Reading, read_sound, recognise
from swath.endpoint import digest
from swath.errors import AnnotationError, FormatError, RequestError
from swath.files import read_json, read_jsonl, replacing_folder, write_json, write_jsonl
from swath.inference.documents import MOST_PASSAGES, Passage, is_document, read_documents
from swath.inference.neighbours import Neighbours, Vectors, Voting
from swath.inference.word_search import WordSearch

if TYPE_CHECKING:
    from swath.inference.embedding import Embedder
    from swath.inference.neighbours import Tower

CARD = "index.json"
PASSAGES = 3
"""Passages that are shown before a question, if nobody says otherwise."""

NEAREST = 3
"""Labelled pictures whose classes are shown before a question."""

_FUSED = 50  # best of each ranking that are joined into one
_RANK_ZERO = 60  # Cormack, Clarke and Buettcher (2009): reciprocal rank fusion
_THIS = re.compile(
    r"\bthis (?:site|place|location|area|facility)\b|(?:这个|这处|该|此)(?:地点|地方|站点|场地)",
    re.IGNORECASE,
)
_ABOUT = ("readme", "licence", "license", "copying", "classes", "labels")
_PLAIN_FOLDERS = "folders"  # the reader that takes any folder of pictures for a class

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A labelled picture of an index.

    Args:
        file: beginning with the name of the folder that was indexed.
        label: its class, None without one.
        likeness: cosine to the picture asked about, -1 to 1.
    """

    file: str
    label: str | None
    likeness: float = 0.0


@dataclass(frozen=True)
class Retrieved:
    """What an index has to say on one question, the best first.

    Args:
        passages: of documents.
        pictures: labelled ones most like the picture asked about.
    """

    passages: tuple[Passage, ...] = ()
    pictures: tuple[Labelled, ...] = ()

    @property
    def pages(self) -> str:
        """What goes before the question of a run tuned on passages: a line each, as there."""
        return "\n".join(f"[{place}] {row.words}" for place, row in enumerate(self.passages, 1))

    @property
    def context(self) -> str:
        """What goes before any other's: the same, and the likest pictures' classes."""
        labels = [picture.label for picture in self.pictures if picture.label]
        if not labels:
            return self.pages
        classes = f"Labelled pictures most like this one show: {', '.join(labels)}."
        return "\n".join(filter(None, (self.pages, classes)))

    def named(self, question: str) -> str:
        """A question about "this site" with the class of the likest picture in its place.

        A small model was tuned on questions that name what they ask about, and copies from the
        line with that name.
        """
        label = self.pictures[0].label if self.pictures else None
        return _THIS.sub(lambda _: label, question) if label else question

    def shorter(self) -> Retrieved:
        """The same without the last passage, or without pictures where there is none."""
        if not self.passages:
            return Retrieved()
        return replace(self, passages=self.passages[:-1])


@dataclass(frozen=True, eq=False)
class Index:
    """Passages and labelled pictures that can be searched.

    Args:
        passages: of documents, and of what labelled pictures say in words.
        pictures: labelled ones.
        card: `index.json`: sources, counts, model, tower, embedder, voting, findings.
        picture_vectors: (pictures, width), None without a tower.
        text_vectors: (passages, width), None without an embedder.
        embedder: what made them, to make one of a question; None searches by words alone.
        most: passages that a search gives at most.
    """

    passages: tuple[Passage, ...]
    pictures: tuple[Labelled, ...]
    card: dict[str, Any] = field(default_factory=dict)
    picture_vectors: Vectors | None = None
    text_vectors: Vectors | None = None
    embedder: Embedder | None = None
    most: int = PASSAGES

    @cached_property
    def words(self) -> WordSearch:
        """The passages by their words."""
        return WordSearch([passage.words for passage in self.passages])

    @cached_property
    def neighbours(self) -> Neighbours:
        """The pictures by their features.

        Raises:
            RequestError: the index holds none.
        """
        if self.picture_vectors is None or not len(self.picture_vectors):
            raise RequestError(
                "the index holds no picture vectors; make it of labelled pictures too, with "
                "`swath index FOLDER --model RUN --to INDEX`."
            )
        voting = self.card.get("voting")
        labels = [picture.label for picture in self.pictures]
        return Neighbours(self.picture_vectors, labels, Voting(**voting) if voting else None)

    def check_tower(self, tower: Tower) -> None:
        """See that the picture vectors were made by a model's own tower.

        Raises:
            RequestError: they were made by another, whose vectors mean something else.
        """
        if self.picture_vectors is not None and self.card["tower"] != tower.digest:
            raise RequestError(
                f"the index holds picture vectors of the tower of {self.card['model']}, which is "
                f"not that of {tower.model}; make it anew with --model {tower.model}."
            )

    def check_width(self, width: int) -> None:
        """See that the picture vectors are as wide as a model's.

        Raises:
            FormatError: they are not, whatever the index says of their tower.
        """
        if self.picture_vectors is not None and self.picture_vectors.shape[1] != width:
            raise FormatError(
                f"the index holds picture vectors of {self.picture_vectors.shape[1]} numbers, and "
                f"its model's have {width}; make it anew."
            )

    def search(self, question: str, picture: Vectors | None = None) -> Retrieved:
        """What is most likely to answer a question.

        A passage that shares no word with it, and of which no vector is known, is never found.

        Args:
            question: its words; the class of the labelled picture that is most like the one asked
                about is searched for too.
            picture: (width,) the tower's features of the picture asked about.
        """
        near: tuple[Labelled, ...] = ()
        query = question
        if picture is not None and self.picture_vectors is not None:
            nearest = self.neighbours.nearest(picture, NEAREST)
            near = tuple(replace(self.pictures[row], likeness=like) for row, like in nearest)
            query = f"{question} {near[0].label or ''}"
        scores = self.words.scores(query)
        rankings = [_ranked(scores)[: int((scores > 0).sum())]]
        if self.embedder is not None and self.text_vectors is not None:
            rankings.append(_ranked(self.text_vectors @ self.embedder([question])[0]))
        fused = np.zeros(len(self.passages))
        for ranking in rankings:
            best = ranking[:_FUSED]
            fused[best] += 1 / (_RANK_ZERO + 1 + np.arange(len(best)))
        rows = _ranked(fused)[: min(self.most, int((fused > 0).sum()))]
        return Retrieved(tuple(self.passages[row] for row in rows), near)


def write_index(
    folder: Path | str,
    sources: Sequence[Path | str],
    tower: Tower | None = None,
    embedder: Embedder | None = None,
    progress: Progress | None = None,
) -> Index:
    """Read documents and labelled pictures into an index, and write it; an older one is replaced.

    A source that a reader of annotations knows is labelled pictures; a folder of folders of
    pictures is one only where no document lies in it.

    Args:
        folder: of the index.
        sources: folders or files.
        tower: of the model that will be asked; without it pictures are found by their words alone.
        embedder: makes vectors of passages.
        progress: called with passages or pictures done and in all.

    Raises:
        RequestError: a source is absent, none holds anything, or all hold too much.
    """
    passages: list[Passage] = []
    images: list[AnnotatedImage] = []
    findings: list[Finding] = []
    for source in map(Path, sources):
        if not source.exists():
            raise RequestError(f"{source}: no such folder or file; check the path.")
        labelled = _labelled(source)
        images += labelled.images
        findings += labelled.findings
        passages += _said_of(labelled.images, source)
        for passage in [] if labelled.images else read_documents(source, findings):
            passages.append(passage)
            if len(passages) > MOST_PASSAGES:
                raise RequestError(
                    f"{source}: more than {MOST_PASSAGES} passages in all; make several indexes, "
                    f"or leave large tables out."
                )
    if not passages and not images:
        problems = "; ".join(f"{finding.where}: {finding.what}" for finding in findings[:3])
        raise RequestError(
            f"{', '.join(map(str, sources))}: holds neither documents (.md, .txt, .pdf, .csv) nor "
            f"labelled pictures{f' ({problems})' if problems else ''}."
        )
    pictures = [Labelled(_name(image, sources), image.label) for image in images]
    index = Index(tuple(passages), tuple(pictures), _card(sources, passages, findings))
    if tower is not None and images:
        index = _with_tower(index, tower, [image.path for image in images], progress)
    if embedder is not None and passages:
        vectors = embedder([passage.words for passage in passages], progress)
        index = replace(index, text_vectors=vectors)
        index.card["embedder"] = embedder.name
    _write(folder, index)
    return index


def open_index(
    folder: Path | str, passages: int | None = None, embedder: str | None = None
) -> Index:
    """The index that `write_index` wrote.

    Args:
        folder: of the index.
        passages: that a search gives at most; nothing: `PASSAGES`.
        embedder: address or folder of the one that made its vectors of passages; without it they
            are not used.

    Raises:
        FormatError: it is absent or damaged.
        RequestError: its vectors of passages were made by another embedder, or there are none.
    """
    folder = Path(folder)
    if not (folder / CARD).is_file():
        raise FormatError(f"{folder}: no index here; `swath index FOLDER --to {folder}` makes one.")
    card = read_json(folder / CARD)
    try:
        rows = read_jsonl(folder / "passages.jsonl", "passages")
        texts = tuple(_PASSAGES.validate_python(row) for row in rows)
        rows = read_jsonl(folder / "pictures.jsonl", "pictures")
        pictures = tuple(_LABELLED.validate_python(row) for row in rows)
        made = _CARDS.validate_python(card)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise FormatError(f"{folder}: a damaged index ({reason}); make it anew.") from None
    of_pictures = _vectors(folder / "pictures.npy", len(pictures)) if made.tower else None
    read = _vectors(folder / "texts.npy", len(texts)) if made.embedder else None
    most = PASSAGES if passages is None else passages
    index = Index(texts, pictures, card, of_pictures, read, most=most)
    return index if embedder is None else replace(index, embedder=_checked(embedder, card))


@dataclass(frozen=True)
class _Card:
    """What has to be known of an index before it is searched."""

    digest: str
    model: str | None
    tower: str | None
    embedder: str | None
    voting: Voting | None


_CARDS = TypeAdapter(_Card)
_PASSAGES = TypeAdapter(Passage)
_LABELLED = TypeAdapter(Labelled)


def passages_of(model: Path | str) -> int | None:
    """Passages that a run was shown before its questions when it was tuned; None where it was not.

    Raises:
        FormatError: the run's card is damaged.
    """
    card = Path(model) / "set" / "card.json"
    if not card.is_file():
        return None
    documents = read_json(card).get("instructions", {}).get("documents")
    passages: int | None = documents.get("passages", PASSAGES) if documents else None
    return passages


def _checked(name: str, card: Mapping[str, Any]) -> Embedder:
    """The embedder of a name, if it is the one that made an index."""
    from swath.inference.embedding import open_embedder

    embedder = open_embedder(name)
    if embedder.name != card["embedder"]:
        maker = card["embedder"] or "none"
        raise RequestError(
            f"the index holds vectors of passages of {maker}, and {embedder.name} is asked for; "
            f"name the same one, or make the index anew with --embedder {name}."
        )
    return embedder


def _ranked(scores: Any) -> Any:
    """Rows by their scores, the highest first; of like ones the earlier."""
    return np.argsort(-scores, kind="stable")


def _labelled(source: Path) -> Reading:
    """The labelled pictures of a source; none where it holds documents."""
    try:
        reader = recognise(source)
    except AnnotationError:
        return Reading([])
    if reader.name == _PLAIN_FOLDERS and source.is_dir():
        stems = (file.stem.lower() for file in files_below(source) if is_document(file))
        if any(not stem.startswith(_ABOUT) for stem in stems):
            return Reading([])
    return read_sound(source, reader.name)


def _said_of(images: Sequence[AnnotatedImage], source: Path) -> list[Passage]:
    """What labelled pictures say in words, a passage each; of those that say something."""
    passages: list[Passage] = []
    for image in images:
        answers = [f"{pair.question} {pair.answer}" for pair in image.questions]
        words = " ".join([*image.captions, *answers]).strip()
        if words:
            name = _name(image, [source])
            passages.append(Passage(words, name, "picture", image.label or ""))
    return passages


def _name(image: AnnotatedImage, sources: Sequence[Path | str]) -> str:
    """A picture's path from the folder that was indexed."""
    for source in map(Path, sources):
        folder = source.absolute().parent
        if Path(image.path).is_relative_to(source.absolute()):
            return Path(image.path).relative_to(folder).as_posix()
    return Path(image.path).name


def _card(
    sources: Sequence[Path | str], passages: Sequence[Passage], findings: Sequence[Finding]
) -> dict[str, Any]:
    return {
        "kind": "index",
        "sources": [Path(source).absolute().name for source in sources],
        "passages": len(passages),
        "pictures": 0,
        "digest": digest([asdict(passage) for passage in passages]),
        "model": None,
        "tower": None,
        "embedder": None,
        "voting": None,
        "findings": [asdict(finding) for finding in findings],
    }


def _with_tower(
    index: Index, tower: Tower, paths: Sequence[str], progress: Progress | None
) -> Index:
    """The index with a tower's vectors of its pictures, and how far their votes can be trusted."""
    parts: list[Vectors] = []
    for start in range(0, len(paths), 64):
        parts.append(tower.vectors(paths[start : start + 64]))
        if progress:
            progress(min(start + 64, len(paths)), len(paths))
    index = replace(index, picture_vectors=np.concatenate(parts))
    index.card.update(model=tower.model, tower=tower.digest)
    voting = index.neighbours.voting
    index.card["voting"] = asdict(voting) if voting else None
    return index


def _write(folder: Path | str, index: Index) -> None:
    index.card["pictures"] = len(index.pictures)
    passages = (asdict(passage) for passage in index.passages)
    pictures = ({"file": picture.file, "label": picture.label} for picture in index.pictures)
    with replacing_folder(folder, CARD) as temporary:
        write_jsonl(temporary / "passages.jsonl", "passages", passages)
        write_jsonl(temporary / "pictures.jsonl", "pictures", pictures)
        if index.picture_vectors is not None:
            np.save(temporary / "pictures.npy", index.picture_vectors)
        if index.text_vectors is not None:
            np.save(temporary / "texts.npy", index.text_vectors)
        write_json(temporary / CARD, index.card)


def _vectors(file: Path, rows: int) -> Vectors:
    """Vectors as they were written: numbers, a row each.

    Raises:
        FormatError: they are something else.
    """
    try:
        # As a map, a file of a few bytes that says it holds terabytes is refused by its size.
        vectors = np.array(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{file}: cannot be read ({error}); make the index anew.") from None
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != rows:
        raise FormatError(f"{file}: does not hold {rows} vectors; make the index anew.")
    if not np.isfinite(vectors).all():
        raise FormatError(f"{file}: holds what is no number; make the index anew.")
    return vectors
