import numpy as np
import pytest
from PIL import Image as Picture

from swath import endpoint as http
from swath.boxes import Boxes
from swath.errors import RequestError
from swath.evaluation.answering import answers_from, part_of
from swath.evaluation.systems import Examples, Prompted, engine, system_named, systems_of
from swath.instructions.conversation import Box
from swath.models.engine import Answer
from tests.endpoints import endpoint
from tests.making import small_set, tiny_recipe, where


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def built(tmp_path):
    return small_set(tmp_path / "pictures")


def of(built, split, task):
    return [one for one in built.split(split) if one.task == task]


@pytest.mark.parametrize(
    ("name", "how", "who", "folder"),
    [
        ("tuned", "", "tuned", "tuned"),
        ("blind", "blind", "tuned", "blind"),
        ("few-shot", "few-shot", "base", "few-shot"),
        ("blind base", "blind", "base", "blind-base"),
        ("http://h:80/v1#org/m", "", "http://h:80/v1#org/m", "org-m-h-80"),
        ("blind https://h/v1#m", "blind", "https://h/v1#m", "blind-m-h"),
    ],
)
def test_a_side_is_read_from_its_name(name, how, who, folder):
    found = system_named(name)
    assert (found.how, found.who, found.folder) == (how, who, folder)


@pytest.mark.parametrize("name", ["tunde", "blind tunde", "ftp://h#m", "http://h/v1"])
def test_a_side_that_is_none_is_refused(name):
    with pytest.raises(RequestError, match="http://host:8000/v1#"):
        system_named(name)


def test_sides_stand_in_the_order_of_a_report(tiny_base):
    recipe = tiny_recipe(tiny_base, evaluation={"systems": ["tuned", "blind", "few-shot", "base"]})
    assert systems_of(recipe) == ("base", "blind", "few-shot", "tuned")
    assert systems_of(tiny_recipe(tiny_base)) == ("base", "tuned")
    new = {"base": str(tiny_base), "weights": "random"}
    assert systems_of(tiny_recipe(tiny_base, models=new)) == ("tuned",)
    with pytest.raises(RequestError, match=r"'few-shot' asks the base.*learnt nothing yet"):
        systems_of(tiny_recipe(tiny_base, models=new, evaluation={"systems": ["few-shot"]}))


def test_blind_shows_the_model_s_mean_colour_in_the_picture_s_size(tiny_base, built, tmp_path):
    asked = of(built, "test", "caption")[0]
    found = engine(
        system_named("blind base"), tiny_recipe(tiny_base), tmp_path, tmp_path / "b" / "r.jsonl"
    )
    (image,) = found._change(asked.question).images
    grey = np.asarray(Picture.open(image.path))
    assert grey.shape == (32, 32, 3) and len(np.unique(grey)) == 1
    assert grey[0, 0, 0] == round(255 * found.engine.engine.loaded.mean[0])


def test_blind_answers_do_not_depend_on_the_picture(tiny_base, built, tmp_path):
    recipe = tiny_recipe(tiny_base, evaluation={"max_new_tokens": 6})
    asked = of(built, "test", "classify")
    blind = engine(system_named("blind base"), recipe, tmp_path, tmp_path / "b" / "r.jsonl")
    answers = answers_from(blind, asked, built, recipe)
    assert len({one.confidence for one in answers}) == 1
    assert [one.image for one in answers] == [one.images[0].path for one in asked]
    seeing = engine(system_named("base"), recipe, tmp_path, tmp_path / "s" / "r.jsonl")
    assert len({one.confidence for one in answers_from(seeing, asked, built, recipe)}) > 1


def test_examples_come_first_with_their_pictures_and_different_answers(built):
    asked = of(built, "test", "classify")[0].question
    shown = Examples(built.split("train"), 3, 0, pictures=True)(asked)
    assert [turn.role for turn in shown.turns] == ["user", "assistant"] * 3 + ["user"]
    assert len(shown.images) == 4 and shown.frame == 3
    assert shown.images[-1] == asked.images[0]
    answers = {turn.parts[0].text for turn in shown.turns if turn.role == "assistant"}
    assert answers == {"red land", "green land", "blue land"}
    assert not {one.path for one in shown.images[:3]} & {one.path for one in asked.images}


def test_the_same_examples_precede_all_questions_of_a_task(built):
    examples = Examples(built.split("train"), 2, 0, pictures=True)
    first, second = (examples(one.question) for one in of(built, "test", "caption")[:2])
    assert first.turns[:4] == second.turns[:4]
    assert first.turns[:4] != Examples(built.split("train"), 2, 1, True)(first).turns[:4]


def test_boxes_of_examples_keep_their_picture(built, tmp_path):
    asked = of(built, "test", "refer")[0].question
    shown = Examples(built.split("train"), 2, 0, pictures=True)(asked)
    boxes = [p for turn in shown.turns for p in turn.parts if isinstance(p, Box)]
    assert [one.image for one in boxes] == [0, 1]


def test_without_pictures_boxes_are_moved_to_the_question_s_frame(tmp_path):
    example = where("/small.png", Boxes.from_hbb([2, 4, 10, 12]), (20, 40))
    asked = where("/large.png", Boxes.from_hbb([0, 0, 1, 1]), (40, 40)).question
    shown = Examples([example], 1, 0, pictures=False)(asked)
    assert [one.path for one in shown.images] == ["/large.png"]
    (box,) = [p for turn in shown.turns for p in turn.parts if isinstance(p, Box)]
    assert box.image == 0 and box.boxes.hbb.tolist() == [[4, 4, 20, 12]]
    assert [turn.role for turn in shown.turns] == ["system", "user", "assistant", "user"]
    assert not shown.turns[1].parts[0].text.startswith("\n")


def test_few_shot_without_training_rows_is_refused():
    with pytest.raises(RequestError, match="train split, which is empty"):
        Examples([], 3, 0, True)


def test_few_shot_answers_are_read_in_the_question_s_picture(tiny_base, built, tmp_path):
    recipe = tiny_recipe(tiny_base, evaluation={"shots": 1, "max_new_tokens": 4})
    asked = [one for one in built.split("test") if one.task in ("classify", "caption")]
    few = engine(
        system_named("few-shot"), recipe, tmp_path, tmp_path / "f/r.jsonl", built.split("train")
    )
    answers = answers_from(few, asked, built, recipe)
    assert [one.id for one in answers] == [one.id for one in asked]
    assert all(one.image == two.images[0].path for one, two in zip(answers, asked, strict=True))


def test_a_model_elsewhere_is_asked_freely_with_the_classes_listed(tiny_base, built, tmp_path):
    recipe = tiny_recipe(tiny_base)
    asked = [one for one in built.split("test") if one.task in ("classify", "count")]
    refusal = {"choices": [{"message": {"content": None, "refusal": "No."}}]}

    def reply(prompt):
        if "how many" in prompt.lower():
            return refusal
        return "Red land." if "Answer with one of these" in prompt else "?"

    with endpoint(reply) as stand:
        name = f"{stand.address}#m"
        far = engine(system_named(name), recipe, tmp_path, tmp_path / "m" / "r.jsonl")
        answers = answers_from(far, asked, built, recipe)
    named = [one for one in answers if one.task == "classify"]
    assert {one.label for one in named} == {"red land"} and not any(one.closed for one in named)
    assert "blue land, green land, red land." in next(p for p in stand.prompts if "these" in p)
    counted = [one for one in answers if one.task == "count"]
    assert counted and all(one.problem == "refused" and one.unreadable for one in counted)


def test_a_model_elsewhere_that_tells_probabilities_is_asked_closed(tiny_base, built, tmp_path):
    recipe = tiny_recipe(tiny_base, evaluation={"remote": {"logprobs": True}})
    logs = [{"token": "B", "logprob": -0.1}, {"token": "A", "logprob": -3.0}]
    reply = {"choices": [{"message": {"content": "B"}, "logprobs": {"content": [{}]}}]}
    reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = logs
    with endpoint(lambda _: reply) as stand:
        far = engine(
            system_named(f"{stand.address}#m"), recipe, tmp_path, tmp_path / "m" / "r.jsonl"
        )
        answers = answers_from(far, of(built, "test", "classify"), built, recipe)
    assert all(one.closed and one.label == "green land" for one in answers)
    assert answers[0].confidence == pytest.approx(1 / (1 + 2 * np.exp(-2.9)))


def test_a_closed_question_nobody_weighed_is_unreadable(tiny_base, built, tmp_path):
    recipe = tiny_recipe(tiny_base, evaluation={"remote": {"logprobs": True}})
    refusal = {"choices": [{"message": {"content": None, "refusal": "No."}}]}
    with endpoint(lambda _: refusal) as stand:
        far = engine(
            system_named(f"{stand.address}#m"), recipe, tmp_path, tmp_path / "m" / "r.jsonl"
        )
        answers = answers_from(far, of(built, "test", "classify"), built, recipe)
    assert all(one.unreadable and one.label is None for one in answers)


def test_shards_are_every_question_once():
    asked = list(range(10))
    parts = [part_of(asked, f"{number}/3") for number in (1, 2, 3)]
    assert parts == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(RequestError, match="write it as 1/3"):
            part_of(asked, wrong)


def test_a_changed_question_is_what_the_engine_is_asked():
    class Echo:
        def answer(self, questions, *_):
            return [Answer(one) for one in questions]

        def score(self, questions, *_):
            return questions

    shouting = Prompted(Echo(), str.upper)
    assert shouting.answer(["a"])[0].text == "A" and shouting.score(["b"], [["x"]]) == ["B"]
