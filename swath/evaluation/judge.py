"""A language model as judge of free answers, kept apart from the scores: an opinion, not a metric.

Every question is put twice with the order swapped, because judges favour what stands first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swath.endpoint import digest, reach, request
from swath.errors import EvaluationError
from swath.evaluation.metrics.base import mean_of
from swath.evaluation.metrics.statistics import interval
from swath.evaluation.predictions import Prediction
from swath.evaluation.scored_tasks import SCORED, scored_task
from swath.files import Journal, write_json, write_jsonl
from swath.models.answer_cache import KIND
from swath.recipe import Remote

_ASKED = 'An overhead image was asked about: "{question}"\n'
_REFERENCE = "Reference, which is right:\n{reference}\n"
_GRADE = (
    "How well does the answer say what the reference says, from 1 (nothing is right) to 5 (all is "
    "right and nothing is invented)? Reply with the number alone."
)
_PREFER = "Which answer fits the reference better? Reply with A, B or tie, and nothing else."

Progress = Callable[[int, int], None]


def judge(
    name: str,
    runs: Mapping[str, Sequence[Prediction]],
    section: Remote,
    folder: Path,
    progress: Progress | None = None,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Grades of every run, and its first against its last; written to `judged.json`.

    Args:
        name: `http://host:8000/v1#model`, the judge.
        runs: answers to the same questions, by the run's name.
        section: how the judge is asked.
        folder: where `judged.json` and its rows, `judged.jsonl`, go; replies are kept there too.
        progress: called with questions judged and questions in all.
        resamples: of the bootstrap.

    Returns:
        `judge`; `grades`: run to task to mean, low, high, n and unreadable; `pairs`: task to wins
        of the last run over the first, losses, ties, the lead (wins less losses, a share) with its
        interval, and `steady`: how many verdicts the swap left as they were.

    Raises:
        EvaluationError: there is no answer of a task that can be judged.
        EndpointError: the judge refuses or stays away; what it said is kept.
    """
    judged = _judged()
    chosen = {run: [one for one in some if one.task in judged] for run, some in runs.items()}
    if not all(chosen.values()):
        raise EvaluationError(
            f"nothing to judge; tasks that are judged: {', '.join(judged)}. Evaluate them first."
        )
    first, *_, last = [*chosen, *chosen]
    before = {one.id: one for one in chosen[first]}
    pairs = [(before[one.id], one) for one in chosen[last] if one.id in before]
    jobs: list[tuple[str, Prediction, Prediction | None]] = [
        (run, one, None) for run, some in chosen.items() for one in some
    ]
    jobs += [("", one, other) for one, other in pairs if first != last]
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "judge.jsonl", KIND)
    with reach(name, section, journal) as endpoint:

        def ask(job: tuple[str, Prediction, Prediction | None]) -> dict[str, Any]:
            run, one, other = job
            bodies = [
                request(section, [{"role": "user", "content": prompt}], max_tokens=16)
                for prompt in _prompts(one, other)
            ]
            said = [endpoint.complete(body, one.id, digest([name, body])).answer for body in bodies]
            row = {"id": one.id, "task": one.task, "scene": one.scene, "said": said}
            if other is None:
                return {**row, "run": run, "grade": _grade(said)}
            return {**row, "pair": [first, last], **_verdict(said)}

        rows = endpoint.each(ask, jobs, section.at_once, progress)
        where = f"{endpoint.model} at {endpoint.where}"
    write_jsonl(folder / "judged.jsonl", "judged", rows)
    graded = [row for row in rows if "run" in row]
    value = {
        "judge": where,
        "grades": {
            run: _by_task([row for row in graded if row["run"] == run], "grade", resamples)
            for run in chosen
        },
        "pairs": _compared([row for row in rows if "pair" in row], resamples),
    }
    write_json(folder / "judged.json", value)
    return value


def _judged() -> list[str]:
    """The tasks whose words a model may grade, sentences first."""
    judged = [name for name, row in SCORED.items() if row.judged]
    return sorted(judged, key=lambda name: not SCORED.get(name).by_degree)


def _prompts(one: Prediction, other: Prediction | None) -> tuple[str, str]:
    """What the judge is asked, in both orders."""
    truth = one.truth[scored_task(one).truth]
    lines = truth if isinstance(truth, list) else [truth]
    reference = _REFERENCE.format(reference="\n".join(f"- {line}" for line in lines))
    start = _ASKED.format(question=one.question)
    if other is None:
        answer = f"Answer:\n{_said(one)}\n"
        return start + reference + answer + _GRADE, start + answer + reference + _GRADE
    texts = [_said(one), _said(other)]
    both = [f"Answer A:\n{a}\nAnswer B:\n{b}\n" for a, b in (texts, texts[::-1])]
    return start + reference + both[0] + _PREFER, start + reference + both[1] + _PREFER


def _said(one: Prediction) -> str:
    return one.answer.strip() or "(no answer)"


def _grade(said: Sequence[str]) -> float | None:
    """The mean grade of both orders; None if one cannot be read."""
    found = [re.fullmatch(r"\W*([1-5])(?:\s*/\s*5)?\W*", text) for text in said]
    return sum(int(one[1]) for one in found if one) / 2 if all(found) else None


def _verdict(said: Sequence[str]) -> dict[str, Any]:
    """1 where the second answer wins in both orders, -1 where the first does, 0 for a tie.

    A verdict that the swap turns round is a tie; one that cannot be read is None.
    """
    found = [re.fullmatch(r"\W*(?:answer\s+)?(a|b|tie)\W*", text, re.IGNORECASE) for text in said]
    if not all(found):
        return {"verdict": None, "steady": None}
    straight, swapped = (str(one[1]).lower() for one in found if one)
    values = {"a": -1, "b": 1, "tie": 0}
    one, two = values[straight], -values[swapped]
    return {"verdict": one if one == two else 0, "steady": one == two}


def _by_task(rows: Sequence[dict[str, Any]], key: str, resamples: int) -> dict[str, Any]:
    """Mean of a value a task with its interval; rows without are counted apart."""
    found = {}
    for task in _judged():
        some = [row for row in rows if row["task"] == task]
        read = [row for row in some if row[key] is not None]
        if not some:
            continue
        entry: dict[str, Any] = {"n": len(some), "unreadable": len(some) - len(read)}
        if read:
            measure = mean_of([row[key] for row in read], [row["scene"] for row in read])
            low, high = interval(measure, resamples)
            entry |= {"mean": measure.value, "low": low, "high": high}
        found[task] = entry
    return found


def _compared(rows: Sequence[dict[str, Any]], resamples: int) -> dict[str, Any]:
    found = _by_task(rows, "verdict", resamples)
    for task, entry in found.items():
        read = [row for row in rows if row["task"] == task and row["verdict"] is not None]
        verdicts = [row["verdict"] for row in read]
        entry |= {"wins": verdicts.count(1), "losses": verdicts.count(-1)}
        entry |= {"ties": verdicts.count(0), "steady": sum(row["steady"] for row in read)}
        entry["lead"] = entry.pop("mean", None)
    return found
