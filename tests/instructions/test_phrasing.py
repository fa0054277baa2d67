import string

import pytest

from swath.errors import RequestError
from swath.instructions.phrasing import PHRASINGS, plural, spoken
from swath.models.vocabulary import ROLES

SLOTS = {"classify": set(), "caption": set(), "refer": {"phrase"}, "count": {"names"}}


@pytest.mark.parametrize("style", [name for name, _ in PHRASINGS.items()])
@pytest.mark.parametrize("task", SLOTS)
def test_every_wording_has_exactly_the_slots_of_its_task(style, task):
    wordings = getattr(PHRASINGS.get(style), task)
    assert wordings and len(set(wordings)) == len(wordings)
    for wording in wordings:
        slots = {field for _, field, _, _ in string.Formatter().parse(wording) if field}
        assert slots == SLOTS[task]
        assert not any(role in wording for role in ROLES)


def test_varied_begins_with_the_plain_wording_that_tests_ask():
    plain, varied = PHRASINGS.get("plain"), PHRASINGS.get("varied")
    for task in SLOTS:
        assert getattr(varied, task)[0] == getattr(plain, task)[0]
        assert len(getattr(varied, task)) > 1


def test_an_unknown_style_is_answered_with_the_nearest():
    with pytest.raises(RequestError, match="unknown phrasing 'plane'; did you mean plain"):
        PHRASINGS.get("plane")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("BaseballField", "baseball field"),
        ("baseball_field", "baseball field"),
        ("storage-tank", "storage tank"),
        ("Industrial  area", "industrial area"),
        ("DenseResidential2", "dense residential2"),
        ("UAV", "UAV"),
        ("port", "port"),
        (" _Park_ ", "park"),
    ],
)
def test_a_class_is_spoken_as_words(label, words):
    assert spoken(label) == words


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("ship", "ships"),
        ("bus", "buses"),
        ("church", "churches"),
        ("storage box", "storage boxes"),
        ("factory", "factories"),
        ("bay", "bays"),
        ("y", "ys"),
    ],
)
def test_plurals_follow_the_common_rules(one, many):
    assert plural(one) == many
