"""A language model as judge of free answers, kept apart from the scores: an opinion, not a metric.

Every question is put twice with the order swapped, because judges favour what stands first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from swath.endpoint import digest, reach, request
from swath.errors import EvaluationError
from swath.evaluation.metrics.base import mean_of
from swath.evaluation.metrics.statistics import interval
from swath.evaluation.predictions import Grouped, Prediction, Predictions
from swath.evaluation.scored_tasks import SCORED, scored_task
from swath.files import Journal, Json, write_json, write_jsonl
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
Job = tuple[str, Prediction, Prediction | None]
"""The run of an answer, and the answer; or two answers to one question to be compared."""


def judge(
    name: str,
    runs: Mapping[str, Predictions],
    section: Remote,
    folder: Path,
    progress: Progress | None = None,
    resamples: int = 1000,
) -> Json:
    """Grades of every run, and its first against its last; written to `judged.json`.

    Args:
        name: `http://host:8000/v1#model`, the judge.
        runs: answers to the same questions, by the run's name.
        folder: where `judged.json` and its rows, `judged.jsonl`, go; replies are kept there too.
        progress: called with questions judged and questions in all.

    Returns:
        `judge`; `grades`: run to task to mean, low, high, n and unreadable; `pairs`: task to wins
        of the last run over the first, losses, ties, the lead (wins less losses, a share) with its
        interval, and `steady`: how many verdicts the swap left as they were.

    Raises:
        EvaluationError: there is no answer of a task that can be judged.
        EndpointError: the judge refuses or stays away; what it said is kept.
    """
    judged = _judged()
    answers: Grouped = {}
    for run, predictions in runs.items():
        answers[run] = [prediction for prediction in predictions if prediction.task in judged]
    if not all(answers.values()):
        raise EvaluationError(
            f"nothing to judge; tasks that are judged: {', '.join(judged)}. Evaluate them first."
        )
    first, *_, last = [*answers, *answers]
    jobs: list[Job] = [(run, answer, None) for run in answers for answer in answers[run]]
    if first != last:
        before = {answer.id: answer for answer in answers[first]}
        pairs = [(before[answer.id], answer) for answer in answers[last] if answer.id in before]
        jobs += [("", earlier, later) for earlier, later in pairs]
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "judge.jsonl", KIND)
    with reach(name, section, journal) as endpoint:

        def ask(job: Job) -> Json:
            run, answer, later = job
            replies = []
            for prompt in _prompts(answer, later):
                body = request(section, [{"role": "user", "content": prompt}], max_tokens=16)
                key = digest([name, body])
                replies.append(endpoint.complete(body, answer.id, key).answer)
            row = {"id": answer.id, "task": answer.task, "scene": answer.scene, "said": replies}
            if later is None:
                return {**row, "run": run, "grade": _grade(replies)}
            return {**row, "pair": [first, last], **_verdict(replies)}

        rows = endpoint.each(ask, jobs, section.at_once, progress)
        where = f"{endpoint.model} at {endpoint.where}"
    write_jsonl(folder / "judged.jsonl", "judged", rows)
    grades = {}
    for run in answers:
        graded = [row for row in rows if row.get("run") == run]
        grades[run] = _by_task(graded, "grade", resamples)
    compared = _compared([row for row in rows if "pair" in row], resamples)
    opinion = {"judge": where, "grades": grades, "pairs": compared}
    write_json(folder / "judged.json", opinion)
    return opinion


def _judged() -> list[str]:
    """The tasks whose words a model may grade, sentences first."""
    judged = [name for name, row in SCORED.items() if row.judged]
    return sorted(judged, key=lambda name: not SCORED.get(name).by_degree)


def _prompts(answer: Prediction, later: Prediction | None) -> list[str]:
    """What the judge is asked, in both orders: to grade an answer, or to prefer one of two."""
    references = scored_task(answer).texts(answer.truth)
    start = _ASKED.format(question=answer.question)
    reference = _REFERENCE.format(reference="\n".join(f"- {line}" for line in references))
    words = _words(answer)
    if later is None:
        graded = f"Answer:\n{words}\n"
        return [start + reference + graded + _GRADE, start + graded + reference + _GRADE]
    start += reference
    both = "Answer A:\n{}\nAnswer B:\n{}\n"
    orders = [both.format(words, _words(later)), both.format(_words(later), words)]
    return [start + answers + _PREFER for answers in orders]


def _words(answer: Prediction) -> str:
    return answer.answer.strip() or "(no answer)"


def _grade(replies: Sequence[str]) -> float | None:
    """The mean grade of both orders; None if one cannot be read."""
    grades = []
    for reply in replies:
        if match := re.fullmatch(r"\W*([1-5])(?:\s*/\s*5)?\W*", reply):
            grades.append(int(match[1]))
    return sum(grades) / 2 if len(grades) == 2 else None


def _verdict(replies: Sequence[str]) -> Json:
    """1 where the second answer wins in both orders, -1 where the first does, 0 for a tie.

    A verdict that the swap turns round is a tie; one that cannot be read is None.
    """
    values = []
    for reply in replies:
        if match := re.fullmatch(r"\W*(?:answer\s+)?(a|b|tie)\W*", reply, re.IGNORECASE):
            values.append({"a": -1, "b": 1, "tie": 0}[match[1].lower()])
    if len(values) < 2:
        return {"verdict": None, "steady": None}
    straight, swapped = values
    steady = straight == -swapped
    return {"verdict": straight if steady else 0, "steady": steady}


def _by_task(rows: Sequence[Json], key: str, resamples: int) -> Json:
    """Mean of a value a task with its interval; rows without are counted apart."""
    entries = {}
    for task in _judged():
        of_task = [row for row in rows if row["task"] == task]
        read = [row for row in of_task if row[key] is not None]
        if not of_task:
            continue
        entry: Json = {"n": len(of_task), "unreadable": len(of_task) - len(read)}
        if read:
            measure = mean_of([row[key] for row in read], [row["scene"] for row in read])
            low, high = interval(measure, resamples)
            entry |= {"mean": measure.value, "low": low, "high": high}
        entries[task] = entry
    return entries


def _compared(rows: Sequence[Json], resamples: int) -> Json:
    """Wins, losses and ties a task, and the lead with its interval."""
    entries = _by_task(rows, "verdict", resamples)
    for task, entry in entries.items():
        read = [row for row in rows if row["task"] == task and row["verdict"] is not None]
        verdicts = [row["verdict"] for row in read]
        entry["wins"] = verdicts.count(1)
        entry["losses"] = verdicts.count(-1)
        entry["ties"] = verdicts.count(0)
        entry["steady"] = sum(row["steady"] for row in read)
        entry["lead"] = entry.pop("mean", None)
    return entries
