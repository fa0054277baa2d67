"""Rows of answer files made elsewhere, whoever wrote them: recognised by looking."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.annotations.tables import first, load, loads, rows_of
from swath.errors import RequestError
from swath.evaluation.external.spreadsheets import sheet_rows

_ID = ("custom_id", "question_id", "qid", "id", "index")
_IMAGE = ("image_id", "image", "image_path", "img", "filename")
_TEXT = ("prediction", "pred", "response", "model_answer", "output", "answer", "text",
         "caption")  # fmt: skip
_TRUTH = ("ground_truth", "annotation", "gt_bbox", "gt", "label", "truth")
_KIND = ("type", "task_type", "category", "kind")


@dataclass(frozen=True)
class Given:
    """One row of an answer file.

    Args:
        text: the answer; empty where the request failed.
        id: as the file numbers it, "" without.
        image: the picture's name, "" without.
        question: the words asked, "" without.
        truth: what the file says is right, None where it says nothing.
        kind: of the question.
        failed: why there is no answer.
        no_number: NaN or Infinity stands where the answer should.
    """

    text: str
    id: str = ""
    image: str = ""
    question: str = ""
    truth: Any = None
    kind: str = ""
    failed: str = ""
    no_number: bool = False


def read_answers(path: Path) -> tuple[str, list[Given]]:
    """The kind of an answer file, recognised by looking, and its rows.

    Knows `predictions.jsonl` of swath, batch output of Mistral and OpenAI, the answer files of
    GeoChat, EarthDial and LLaVA, and tables of VLMEvalKit (also as a spreadsheet); other rows by
    the names of their fields; a list of answers, a text file of one a line, and ids with answers.

    Raises:
        RequestError: the file is absent, a spreadsheet of the old kind, or holds no answers.
    """
    if not path.is_file():
        raise RequestError(f"{path}: no such file; name the file of answers.")
    suffix = path.suffix.lower()
    if suffix in (".xls", ".pkl"):
        raise RequestError(f"{path}: {suffix} is not read; save it as XLSX, TSV or JSON first.")
    if suffix == ".txt":
        return "lines", [Given(line) for line in path.read_text("utf-8-sig").splitlines()]
    content = load(path, loads) if suffix == ".json" else None
    if isinstance(content, list) and content and all(map(_bare, content)):
        return "a list", [_bared(one) for one in content]
    if isinstance(content, dict) and all(map(_bare, content.values())):
        return "ids and answers", [_bared(one, str(key)) for key, one in content.items()]
    found: list[Any] = (
        sheet_rows(path) if suffix == ".xlsx" else [row for _, row in rows_of(path, loads)]
    )
    if found and all(map(_bare, found)):
        return "a list", [_bared(one) for one in found]
    rows = [row for row in found if isinstance(row, dict)]
    if len(rows) < len(found):
        raise RequestError(
            f"{path}: {len(found) - len(rows)} of {len(found)} rows are no objects; correct them."
        )
    if rows and rows[0].get("kind") == "predictions" and "format" in rows[0]:
        given = [
            Given(row["answer"], row["id"], row["image"], row["question"], _known(row), row["task"])
            for row in rows[1:]
        ]
        return "swath predictions", given
    rows = [{str(key).lower(): value for key, value in row.items()} for row in rows]
    holes = [any(_hole(row.get(name)) for name in _TEXT) for row in rows]
    rows = [{key: None if _hole(one) else one for key, one in row.items()} for row in rows]
    if not any(key in row for row in rows for key in _TEXT):
        fields = ", ".join(rows[0]) if rows else "no row"
        raise RequestError(
            f"{path}: found {fields}; expected rows with an answer under one of {', '.join(_TEXT)}."
        )
    if "custom_id" in rows[0]:
        return "batch output", [_batched(row) for row in rows]
    names = [name for name in _TEXT if any(row.get(name) is not None for row in rows)]
    texts = names[:1]
    # VLMEvalKit and others keep the truth under `answer` where the model's words stand elsewhere.
    truths = (*_TRUTH, *(name for name in ("answer",) if texts != ["answer"]))
    kind = (
        "VLMEvalKit table" if texts == ["prediction"] and "index" in rows[0]
        else "LLaVA answers" if texts == ["text"] and "question_id" in rows[0]
        else "GeoChat answers" if "question_id" in rows[0]
        else "EarthDial answers" if {"annotation", "gt_bbox", "caption0"} & rows[0].keys()
        else "rows"
    )  # fmt: skip
    # VLMEvalKit keeps the picture itself under `image`.
    places = _IMAGE if kind != "VLMEvalKit table" else ("image_path",)
    return kind, [
        Given(
            text=words(first(row, texts)),
            id=words(first(row, _ID)),
            image=words(first(row, places)),
            question=words(first(row, ("question", "prompt"))),
            truth=_truth_of({k: v for k, v in row.items() if k not in texts}, truths),
            kind=words(first(row, _KIND)),
            no_number=hole and first(row, texts) is None,
        )
        for row, hole in zip(rows, holes, strict=True)
    ]


def _hole(value: Any) -> bool:
    """Whether a value is NaN or Infinity."""
    return isinstance(value, float) and not math.isfinite(value)


def _bare(value: Any) -> bool:
    """Whether a value may be an answer by itself."""
    return value is None or isinstance(value, str) or _hole(value)


def _bared(value: Any, name: str = "") -> Given:
    return Given(value if isinstance(value, str) else "", name, no_number=_hole(value))


def _batched(row: dict[str, Any]) -> Given:
    """A row of batch output; a request that failed has no answer."""
    name = words(row.get("custom_id"))
    try:
        response = row.get("response") or {}
        status, body = response.get("status_code", 200), response.get("body") or {}
        choices = body.get("choices") or []
        content = (choices[0].get("message") or {}).get("content") if choices else None
    except (AttributeError, LookupError, TypeError):
        return Given("", name, failed="its response is no chat completion")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    failed = "" if status == 200 and choices else f"status {status}: {row.get('error')}"
    return Given(words(content), name, failed=failed)


def _truth_of(row: dict[str, Any], keys: Sequence[str]) -> Any:
    captions = [str(row[key]) for key in sorted(row) if key.startswith("caption") and row[key]]
    return captions or first(row, keys)


def _known(row: dict[str, Any]) -> Any:
    values = [row["truth"].get(key) for key in ("label", "captions", "boxes", "count", "answer")]
    return next((value for value in values if value is not None), row["truth"].get("name"))


def words(value: Any) -> str:
    """A value as an answer or a name: text, whole numbers without a point, or JSON."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as tables write ids
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
