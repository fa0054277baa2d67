import pytest

from swath.evaluation.metrics import short_answers as questions
from swath.evaluation.metrics.short_answers import normalised
from tests.evaluation.making import predicted


def answered(number, answer, truth, kind=""):
    problem = None if answer.strip() else "empty"
    truth = {"answer": truth, "kind": kind}
    return predicted(number, "question", truth, answer=answer, problem=problem)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("The Two Ships.", "2 ships"),
        ("rural-urban", "Rural Urban"),
        ("1,500", "1500"),
        ("twenty-one", "21"),
        ("３．５ km²", "3.5 km2"),
        ("是。", "是"),
    ],
)
def test_case_articles_punctuation_and_spelling_of_numbers_do_not_matter(one, two):
    assert normalised(one) == normalised(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [("-4", "4"), ("3.5", "35"), ("a ship", "ships"), ("A", "The"), ("A", "...")],
)
def test_signs_points_and_plurals_do_matter(one, two):
    assert normalised(one) != normalised(two)


def test_accuracy_is_over_all_and_the_average_over_kinds():
    some = [
        answered(1, "Yes.", "yes", "presence"),
        answered(2, "no", "yes", "presence"),
        answered(3, "", "yes", "presence"),
        answered(4, "three", "3", "count"),
    ]
    found = questions.measures(some)
    assert found["exact_answer"].value == 2 / 4
    assert found["average_answer"].value == pytest.approx((1 / 3 + 1) / 2)
    assert questions.per_kind(some) == {"count": (1.0, 1), "presence": (1 / 3, 3)}


def test_a_kind_that_a_resample_lacks_does_not_count_in_its_average():
    some = [answered(1, "yes", "yes", "presence"), answered(2, "4", "3", "count")]
    average = questions.measures(some)["average_answer"]
    assert average.formula(average.rows.sum(axis=0)) == 0.5
    assert average.formula(3 * average.rows[0]) == 1.0


def test_questions_of_one_kind_have_no_average():
    assert "average_answer" not in questions.measures([answered(1, "yes", "yes")])


def test_a_sentence_is_right_only_leniently_and_where_it_begins_with_yes_or_holds_the_number():
    some = [
        answered(1, "Yes, there is a ship.", "yes"),
        answered(2, "There are 12 cars.", "12"),
        answered(3, "It is an urban area.", "urban"),
        answered(4, "No, yes.", "yes"),
    ]
    found = questions.measures(some)
    assert found["exact_answer"].value == 0
    assert found["lenient_answer"].value == 0.5
