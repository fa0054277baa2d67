"""Rows of answer files made elsewhere, whoever wrote them: recognised by looking."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swath.annotations.tables import first, load, loads, read_text, rows_of
from swath.endpoint import THOUGHT
from swath.errors import RequestError
from swath.evaluation.external.spreadsheets import sheet_rows
from swath.evaluation.predictions import Prediction
from swath.evaluation.suites.items import words
from swath.files import Json

IDS = ("custom_id", "question_id", "qid", "id", "index", "doc_id")
IMAGES = ("image_id", "image", "image_path", "img", "filename", "images")
TEXTS = ("prediction", "pred", "predict", "predicted", "response", "model_answer", "filtered_resps",
         "resps", "output", "answer", "text", "caption")  # fmt: skip
TRUTHS = ("ground_truth", "annotation", "gt_bbox", "gt", "label", "labels", "truth", "target",
          "gt_answer", "references")  # fmt: skip
KINDS = ("type", "vqa_type", "question_type", "task_type", "category", "kind")
_MARKED = re.compile(
    r"(?s)\s*(?:<answer>|<\|begin_of_box\|>)(?P<answer>.*?)(?:</answer>|<\|end_of_box\|>)\s*"
)
QUESTIONS = ("question", "prompt", "query")


@dataclass(frozen=True)
class Given:
    """One row of an answer file.

    Args:
        text: the answer, what a model thought before it left off; empty where the request failed.
        id: as the file numbers it, "" without.
        image: the picture's name, "" without.
        question: the words asked, "" without.
        truth: what the file says is right, None where it says nothing.
        failed: why there is no answer.
        no_number: NaN or Infinity stands where the answer should.
        fields: all that the row holds, names in lower case.
        own: the prediction of swath's that the row is.
    """

    text: str
    id: str = ""
    image: str = ""
    question: str = ""
    truth: Any = None
    kind: str = ""
    failed: str = ""
    no_number: bool = False
    fields: Json = field(default_factory=dict)
    own: Prediction | None = None


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
        return "lines", [_bare_answer(line) for line in read_text(path).splitlines()]
    if suffix == ".json":
        content = load(path, loads)
        if isinstance(content, dict) and all(_is_bare(value) for value in content.values()):
            answers = [_bare_answer(value, str(name)) for name, value in content.items()]
            return "ids and answers", answers
    rows: list[Any] = (
        sheet_rows(path) if suffix == ".xlsx" else [row for _, row in rows_of(path, loads)]
    )
    if rows and all(_is_bare(row) for row in rows):
        return "a list", [_bare_answer(row) for row in rows]
    return _read_rows(path, rows)


def _read_rows(path: Path, rows: list[Any]) -> tuple[str, list[Given]]:
    """The kind and the answers of rows that are objects."""
    broken = sum(not isinstance(row, dict) for row in rows)
    if broken:
        raise RequestError(f"{path}: {broken} of {len(rows)} rows are no objects; correct them.")
    if rows and rows[0].get("kind") == "predictions" and "format" in rows[0]:
        return "swath predictions", [_prediction(row) for row in rows[1:]]
    rows = [{str(name).lower(): value for name, value in row.items()} for row in rows]
    names = [name for name in TEXTS if any(name in row for row in rows)]
    if not names:
        fields = ", ".join(rows[0]) if rows else "no row"
        raise RequestError(
            f"{path}: found {fields}; expected rows with an answer under one of {', '.join(TEXTS)}."
        )
    if "custom_id" in rows[0]:
        return "batch output", [_batched(row) for row in rows]
    filled = []
    for name in names:
        values = [row.get(name) for row in rows]
        if any(value is not None and not _is_hole(value) for value in values):
            filled.append(name)
    text = filled[0] if filled else names[0]
    kind = _kind_of(text, rows[0])
    return kind, [_answer(row, text, kind) for row in rows]


def _kind_of(text: str, row: Json) -> str:
    """Who writes such rows."""
    if text == "prediction" and "index" in row:
        return "VLMEvalKit table"
    if "question_id" in row:
        return "LLaVA answers" if text == "text" else "GeoChat answers"
    if {"annotation", "gt_bbox", "caption0"} & row.keys():
        return "EarthDial answers"
    return "rows"


def _answer(row: Json, text: str, kind: str) -> Given:
    """The answer of a row that keeps it under `text`."""
    fields = {name: None if _is_hole(value) else value for name, value in row.items()}
    answer = fields.pop(text, None)
    # VLMEvalKit keeps the picture itself under `image`.
    images = ("image_path",) if kind == "VLMEvalKit table" else IMAGES
    # VLMEvalKit and others keep the truth under `answer` where the model's words stand elsewhere.
    truths = TRUTHS if text == "answer" else (*TRUTHS, "answer")
    return Given(
        text=without_thoughts(words(_only(answer))),
        id=words(first(fields, IDS)),
        image=_picture(first(fields, images)),
        question=words(first(fields, QUESTIONS)) or _asked(fields.get("messages")),
        truth=_truth(fields, truths),
        kind=words(first(fields, KINDS)),
        no_number=_is_hole(row.get(text)),
        fields=fields,
    )


def _only(answer: Any) -> Any:
    """The one answer of a list, as lmms-eval writes each."""
    answer = _unlisted(answer)
    while isinstance(answer, list) and len(answer) == 1 and not isinstance(answer[0], int | float):
        (answer,) = answer
    return answer


def _picture(value: Any) -> str:
    """The (first) picture's name, of a name, a list of names or of `{"path": name}`."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("path")
    return words(value)


def _asked(messages: Any) -> str:
    """What a user said last in messages of role and content."""
    question = ""
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") == "user":
            question = words(message.get("content"))
    return question.replace("<image>", "").strip()


def _truth(fields: Json, names: Sequence[str]) -> Any:
    """The captions of EarthDial's rows, or what stands under one of some names."""
    captions = [name for name in sorted(fields) if name.startswith("caption") and fields[name]]
    return [str(fields[name]) for name in captions] or _unlisted(first(fields, names))


def _unlisted(value: Any) -> Any:
    """The texts of a list that a table holds in words, as Python or JSON writes it."""
    if not isinstance(value, str) or not value.startswith(("['", '["')):
        return value
    try:
        texts = ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value
    # What NumPy writes has no commas, and would be read as one text.
    return texts if value in (str(texts), json.dumps(texts, ensure_ascii=False)) else value


def _prediction(row: Json) -> Given:
    """A row of swath's own predictions, which has been read already."""
    own = Prediction.from_row(row)
    kind = own.truth.get("kind") or ""
    return Given(own.answer, own.id, own.image, own.question, own.truth, kind, own=own)


def _batched(row: Json) -> Given:
    """A row of batch output; a request that failed has no answer."""
    name = words(row.get("custom_id"))
    try:
        response = row.get("response") or {}
        status = response.get("status_code", 200)
        choices = (response.get("body") or {}).get("choices") or []
        message = choices[0].get("message") if choices else None
        content = (message or {}).get("content")
    except (AttributeError, LookupError, TypeError):
        return Given("", name, failed="its response is no chat completion")
    if isinstance(content, list):
        parts = [words(part.get("text")) for part in content if isinstance(part, dict)]
        content = "".join(parts)
    failed = "" if status == 200 and choices else f"status {status}: {row.get('error')}"
    return Given(without_thoughts(words(content)), name, failed=failed)


def _bare_answer(value: Any, name: str = "") -> Given:
    text = value if isinstance(value, str) else ""
    return Given(without_thoughts(text), name, no_number=_is_hole(value))


def _is_bare(value: Any) -> bool:
    """Whether a value may be an answer by itself."""
    return value is None or isinstance(value, str) or _is_hole(value)


def _is_hole(value: Any) -> bool:
    """Whether a value is NaN or Infinity."""
    return isinstance(value, float) and not math.isfinite(value)


def without_thoughts(answer: str) -> str:
    """An answer without what a reasoning model thought before it and the marks around it."""
    answer = THOUGHT.sub("", answer).strip() if "think" in answer.lower() else answer
    marked = _MARKED.fullmatch(answer)
    return marked["answer"].strip() if marked else answer
