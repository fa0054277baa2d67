import string

import pytest
import typeguard

from swath.errors import RequestError
from swath.instructions.language import ENGLISH, Look, _nouns, plural, spoken, with_article
from swath.instructions.phrasing import PHRASINGS
from swath.models.architectures.vocabulary import ROLES

SLOTS = {
    "classify": set(),
    "caption": set(),
    "refer": {"phrase"},
    "count": {"names"},
    "ground": {"phrase"},
    "identify": {"box"},
    "region": {"box"},
    "describe": set(),
    "question": {"question"},
}
TOKENS = {"[vqa]", "[caption]", "[grounding]", "[refer]", "[identify]", "[detection]"}


@pytest.mark.parametrize("style", [name for name, _ in PHRASINGS.items()])
@pytest.mark.parametrize("task", SLOTS)
def test_every_wording_has_exactly_the_slots_of_its_task(style, task):
    wordings = PHRASINGS.get(style).wordings[task]
    assert wordings and len(set(wordings)) == len(wordings)
    for wording in wordings:
        slots = {field for _, field, _, _ in string.Formatter().parse(wording) if field}
        slots = {"phrase" if slot == "name" and task == "ground" else slot for slot in slots}
        assert slots - {"labels"} == SLOTS[task]
        assert not any(role in wording for role in ROLES)


def test_varied_begins_with_the_plain_wording_that_tests_ask():
    plain, varied = PHRASINGS.get("plain"), PHRASINGS.get("varied")
    for task in ("classify", "caption", "refer", "count"):
        assert varied.wordings[task][0] == plain.wordings[task][0]
        assert len(varied.wordings[task]) > 1


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
        ("aircraft", "aircraft"),
        ("sheep", "sheep"),
        ("tennis courts", "tennis courts"),
        ("golf course", "golf courses"),
        ("campus", "campuses"),
        ("SUV", "SUVs"),
        ("飞机", "飞机"),
    ],
)
def test_plurals_follow_the_common_rules(one, many):
    assert plural(one) == many


def test_plurals_leave_others_their_checked_types():
    before = typeguard.typechecked
    plural.cache_clear()
    _nouns.cache_clear()
    assert plural("hangar") == "hangars"
    assert typeguard.typechecked is before


def test_geochat_keeps_its_published_prompts():
    # conventions of its evaluation scripts; the suffixes stand at the end, word for word
    one = PHRASINGS.get("geochat").wordings
    assert one["refer"][0].format(phrase="the ship") == (
        "[refer] Give me the location of <p> the ship </p>"
    )
    assert one["identify"][0] == "[identify] What is the object present at {box}"
    assert one["question"][0].endswith("\nAnswer the question using a single word or phrase.")
    assert one["classify"][0].endswith(" Answer in one word or a short phrase.")


def test_every_question_of_skyeyegpt_begins_with_a_token_of_minigpt():
    one = PHRASINGS.get("skyeyegpt")
    used = {wording.split()[0] for task in SLOTS for wording in one.wordings[task]}
    assert used == TOKENS


def test_satgpt_asks_without_tokens_or_tags():
    one = PHRASINGS.get("satgpt")
    wordings = [wording for task in SLOTS for wording in one.wordings[task]]
    assert not any(mark in wording for wording in wordings for mark in "[]<>")


def test_chinese_sets_differ_in_their_wordings():
    captions = {
        PHRASINGS.get(f"chinese{kind}").wordings["caption"] for kind in ("", "-short", "-expert")
    }
    assert len(captions) == 3


def test_phrases_say_size_colour_place_and_neighbour():
    look = Look("large-vehicle", "orange", "small", 2, ("next to", "Ship"))
    assert ENGLISH.the(look) == "the small orange large vehicle at the top right next to a ship"
    assert ENGLISH.one(Look("plane", "orange")) == "an orange plane"
    assert ENGLISH.group(Look("ship", "white"), 2) == "2 white ships"
    assert ENGLISH.group(Look("ship"), 1) == "1 ship"
    assert ENGLISH.there_are([2, 1, 1]) == "There are {0}, {1} and {2}."
    assert ENGLISH.there_are([1]) == "There is {0}."
    words = [with_article(word) for word in ("ship", "airport", "urban area", "university")]
    assert words == ["a ship", "an airport", "an urban area", "a university"]
