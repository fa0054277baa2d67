import json

import pytest

from swath import endpoint as http
from swath.errors import EvaluationError
from swath.evaluation.judge import judge
from swath.recipe import Remote
from tests.endpoints import endpoint
from tests.evaluation.making import predicted


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "*")


def runs(base=("a car",) * 4, tuned=("a ship",) * 4):
    truth = {"captions": ["a ship", "one ship"]}
    made = {
        name: [predicted(n, "caption", truth, answer=text) for n, text in enumerate(texts)]
        for name, texts in (("base", base), ("tuned", tuned))
    }
    made["base"].append(predicted(9, "count", {"count": 1}))  # not judged
    return made


def fair(prompt):
    """Prefers ships, wherever they stand."""
    if "Reply with the number" in prompt:
        return "5" if "Answer:\na ship" in prompt else "2"
    first = prompt.split("Answer A:\n")[1].split("\n")[0]
    second = prompt.split("Answer B:\n")[1].split("\n")[0]
    return "tie" if first == second else "A" if "ship" in first else "B"


def judged(reply, folder, **given):
    with endpoint(reply) as stand:
        found = judge(f"{stand.address}#judge", runs(**given), Remote(), folder, resamples=20)
    return found, stand


def test_a_fair_judge_s_verdicts_are_counted(tmp_path):
    found, stand = judged(fair, tmp_path, tuned=("a ship", "a ship", "a car", ""))
    assert found["grades"]["base"]["caption"]["mean"] == 2
    assert found["grades"]["tuned"]["caption"]["mean"] == 3.5  # 5, 5, 2, 2
    pair = found["pairs"]["caption"]
    # Cars tie; "(no answer)" and a car are told apart by their places alone, which is a tie too.
    assert (pair["wins"], pair["losses"], pair["ties"], pair["steady"]) == (2, 0, 2, 3)
    assert pair["lead"] == 0.5
    assert any("(no answer)" in prompt for prompt in stand.prompts)
    kept = json.loads((tmp_path / "judged.json").read_text())
    assert kept["judge"].startswith("judge at http://127.0.0.1")


def test_a_judge_who_favours_the_first_answer_finds_ties(tmp_path):
    found, _ = judged(lambda prompt: "A" if "Answer A" in prompt else "3", tmp_path)
    pair = found["pairs"]["caption"]
    assert (pair["wins"], pair["losses"], pair["ties"], pair["steady"]) == (0, 0, 4, 0)


def test_both_orders_are_put(tmp_path):
    _, stand = judged(fair, tmp_path)
    graded = {one for one in stand.prompts if "Reply with the number" in one}
    swapped = [one for one in graded if one.index("Answer:") < one.index("Reference")]
    assert (len(graded), len(swapped)) == (4, 2)  # "a car" and "a ship"


def test_a_verdict_that_cannot_be_read_is_counted_and_no_grade(tmp_path):
    found, _ = judged(lambda _: "Hard to say: 4 or 5", tmp_path)
    assert found["grades"]["tuned"]["caption"] == {"n": 4, "unreadable": 4}
    assert found["pairs"]["caption"]["unreadable"] == 4


def test_judging_again_asks_nothing(tmp_path):
    with endpoint(fair) as stand:
        judge(f"{stand.address}#judge", runs(), Remote(), tmp_path, resamples=20)
        asked = len(stand.prompts)
        judge(f"{stand.address}#judge", runs(), Remote(), tmp_path, resamples=20)
        assert len(stand.prompts) == asked > 0


def test_a_judge_of_the_same_name_elsewhere_is_another_judge(tmp_path):
    judged(fair, tmp_path)
    found, stand = judged(lambda _: "3", tmp_path)
    assert stand.prompts and found["grades"]["tuned"]["caption"]["mean"] == 3


def test_one_run_alone_is_graded_and_not_compared(tmp_path):
    with endpoint(fair) as stand:
        alone = {"tuned": runs()["tuned"]}
        found = judge(f"{stand.address}#judge", alone, Remote(), tmp_path, resamples=20)
    assert found["pairs"] == {} and list(found["grades"]) == ["tuned"]


def test_answers_that_are_no_words_are_not_judged(tmp_path):
    counts = {"tuned": [predicted(1, "count", {"count": 1})]}
    with pytest.raises(EvaluationError, match="tasks that are judged: caption, region"):
        judge("http://127.0.0.1:9/v1#judge", counts, Remote(), tmp_path)
