"""Parquet shards of conversations that hold their pictures, in the layout of the Hub."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson

from swath.errors import AnnotationError, RequestError

FOLDER = "data"
"""Where a dataset repository keeps its shards."""

SHARD = 500_000_000
"""Bytes of pictures and words in a shard at most; the Hub's viewer opens such files."""

LARGEST_GROUP = 2 << 30
"""Bytes that a group of rows may say it unpacks to."""

LARGEST_ROW = 128 << 20
"""Bytes of a row's pictures and words."""

MOST_VALUES = 1 << 26
"""Values of a column in a group of rows; those that repeat take next to nothing in a file."""

_ROWS = 16
"""Rows read at a time, so that few pictures are in memory at once."""

_GROUP = 32_000_000  # bytes of rows that are written at a time
_FOOTER = 1 << 20  # bytes from the end in which the names of columns stand
_TURNS = (b"messages", b"conversations")
_COLUMNS = ("id", "messages", "conversations", "images", "image", "objects", "split")
_NUMBERED = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.parquet")
_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp", b"GIF8": "gif"}
_WORD = {"dtype": "string", "_type": "Value"}
_FEATURES = {
    "id": _WORD,
    "messages": [{"role": _WORD, "content": _WORD}],
    "images": [{"_type": "Image"}],
}
"""What `datasets` and the Hub's viewer take the columns for."""

Row = dict[str, Any]


def write_shards(folder: Path, split: str, rows: Iterable[Row], largest: int = SHARD) -> int:
    """Write rows as `data/SPLIT-00000-of-0000N.parquet`; how many shards there are.

    Args:
        folder: of the repository.
        split: of all rows.
        rows: `id`, `messages` of `role` and `content`, and `images` of `bytes` and `path`; taken
            one at a time.
        largest: bytes of a shard's pictures and words, unless one row alone has more.

    Raises:
        RequestError: pyarrow is not installed.
    """
    arrow = _arrow()
    word = arrow.string()
    message = arrow.struct([("role", word), ("content", word)])
    picture = arrow.struct([("bytes", arrow.binary()), ("path", word)])
    columns = [("id", word), ("messages", arrow.list_(message)), ("images", arrow.list_(picture))]
    features = orjson.dumps({"info": {"features": _FEATURES}})
    schema = arrow.schema(columns, metadata={"huggingface": features})
    (folder / FOLDER).mkdir(exist_ok=True)
    files: list[Path] = []
    writer = None
    filled = 0
    try:
        for group, size in _groups(rows, min(_GROUP, largest)):
            if writer is None or filled + size > largest:
                if writer is not None:
                    writer.close()
                files.append(folder / FOLDER / f"{split}-{len(files):05d}")
                writer = arrow.parquet.ParquetWriter(files[-1], schema)
                filled = 0
            writer.write_table(arrow.Table.from_pylist(group, schema))
            filled += size
    finally:
        if writer is not None:
            writer.close()
    for file in files:
        file.rename(file.with_name(f"{file.name}-of-{len(files):05d}.parquet"))
    return len(files)


def shards_in(path: Path) -> list[Path]:
    """The Parquet files of conversations at a path, or in a folder and in `data` there.

    Which columns a file has stands as plain words near its end, so that no library is needed to
    know those of another kind.

    Raises:
        AnnotationError: of shards that count one another, one is not there.
    """
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    folders = (path, path / FOLDER)
    listed = [file for folder in folders for file in sorted(folder.glob("*.parquet"))]
    files = [file for file in listed if file.is_file() and _holds_turns(file)]
    for file in files:
        _refuse_missing(file)
    return files


def rows_in(file: Path) -> Iterator[tuple[str, Row]]:
    """Where each row of a shard stands, and the row; pictures as data URLs, else as their names.

    Raises:
        RequestError: pyarrow is not installed.
        AnnotationError: the file is damaged, has no turns, or unpacks to more than it may.
    """
    arrow = _arrow()
    number = 0
    with _reading(file, arrow):
        metadata = arrow.parquet.read_metadata(file)
        _refuse_large(file, metadata)
        # A value that repeats is kept once until its row is known to be small enough.
        repeating = _byte_columns(metadata)
    with _reading(file, arrow), arrow.parquet.ParquetFile(file, read_dictionary=repeating) as shard:
        columns = [name for name in _COLUMNS if name in shard.schema_arrow.names]
        if not {"messages", "conversations"} & set(columns):
            raise AnnotationError(
                f"{file}: no column `messages` or `conversations` among "
                f"{', '.join(shard.schema_arrow.names)[:200]}; name a file of conversations."
            )
        for batch in shard.iter_batches(_ROWS, columns=columns):
            for place in range(batch.num_rows):
                number += 1
                where = f"{file}: row {number}"
                slot = batch.slice(place, 1)
                size = sum(_size(column) for column in slot.columns)
                if size > LARGEST_ROW:
                    raise AnnotationError(
                        f"{where}: {size >> 20} MB, and swath takes {LARGEST_ROW >> 20}; "
                        f"show fewer or smaller pictures."
                    )
                yield where, _named(slot.to_pylist()[0], where)


def _arrow() -> ModuleType:
    try:
        import pyarrow
        import pyarrow.parquet  # an attribute of the package from here on
    except ImportError:
        raise RequestError(
            "Parquet is read and written by pyarrow, which is not installed; "
            "pip install 'swath[parquet]'."
        ) from None
    return pyarrow


@contextmanager
def _reading(file: Path, arrow: ModuleType) -> Iterator[None]:
    try:
        yield
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0][:160]
        raise AnnotationError(
            f"{file}: cannot be read as Parquet ({reason}); was it cut short? Fetch it again."
        ) from None


def _groups(rows: Iterable[Row], largest: int) -> Iterator[tuple[list[Row], int]]:
    """Rows that are written together, and their bytes."""
    group: list[Row] = []
    filled = 0
    for row in rows:
        words = sum(len(message["content"].encode()) for message in row["messages"])
        size = words + sum(len(picture["bytes"]) for picture in row["images"])
        if group and filled + size > largest:
            yield group, filled
            group = []
            filled = 0
        group.append(row)
        filled += size
    if group:
        yield group, filled


def _refuse_missing(file: Path) -> None:
    """Nothing, where all shards lie beside one that its name numbers among them."""
    numbered = _NUMBERED.fullmatch(file.name)
    if numbered is None:
        return
    split, _, count = numbered.groups()
    for number in range(int(count)):
        shard = file.with_name(f"{split}-{number:05d}-of-{count}.parquet")
        if not shard.is_file():
            raise AnnotationError(
                f"{shard}: not there, though {file.name} counts it; fetch it as well."
            )


def _holds_turns(file: Path) -> bool:
    """Whether the names of a file's columns are those of conversations, or it is cut short."""
    with file.open("rb") as stream:
        stream.seek(max(file.stat().st_size - _FOOTER, 0))
        end = stream.read()
    return not end.endswith(b"PAR1") or any(name in end for name in _TURNS)


def _byte_columns(metadata: Any) -> list[str]:
    """Paths of the columns of words and bytes."""
    columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _size(values: Any) -> int:
    """Bytes of an array once each of its values stands for itself."""
    import pyarrow.compute as compute

    kind = str(values.type)
    if kind.startswith(("list", "large_list", "fixed_size_list")):
        return _size(values.flatten())
    if kind.startswith("map"):
        return _size(values.keys) + _size(values.items)  # of the whole batch, if it is a part
    if kind.startswith("struct"):
        return sum(_size(field) for field in values.flatten())
    if kind.startswith("dictionary"):
        lengths = compute.binary_length(values.dictionary).take(values.indices)
        return int(compute.sum(lengths).as_py() or 0)
    return int(values.nbytes)


def _refuse_large(file: Path, metadata: Any) -> None:
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        counts = [group.column(place).num_values for place in range(group.num_columns)]
        if max(counts, default=0) > MOST_VALUES:
            raise AnnotationError(
                f"{file}: group {number} of its rows holds {max(counts)} values in a column, and "
                f"swath takes {MOST_VALUES}; write it with smaller groups of rows."
            )
        size = group.total_byte_size
        if size > LARGEST_GROUP:
            raise AnnotationError(
                f"{file}: group {number} of its rows unpacks to {size >> 20} MB, and swath takes "
                f"{LARGEST_GROUP >> 20}; write it with smaller groups of rows."
            )


def _named(row: Row, where: str) -> Row:
    """A row whose pictures are text: a data URL, or the name of a file."""
    for column in ("images", "image"):
        pictures = row.get(column)
        if isinstance(pictures, list):
            row[column] = [_address(picture, where) for picture in pictures]
        elif pictures is not None:
            row[column] = _address(pictures, where)
    return row


def _address(picture: Any, where: str) -> Any:
    content = picture.get("bytes") if isinstance(picture, dict) else None
    if not isinstance(content, bytes):
        return picture
    kinds = (kind for start, kind in _KINDS.items() if content.startswith(start))
    kind = next(kinds, None)
    if kind is None:
        raise AnnotationError(
            f"{where}: a picture that is neither PNG, JPEG, WebP nor GIF; convert it."
        )
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
