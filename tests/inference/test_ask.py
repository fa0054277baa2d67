import numpy as np
import pytest

import swath
from swath.boxes import Boxes, iou
from swath.dialect import DIALECTS
from swath.errors import ImageryError, ModelError, RequestError
from swath.inference.ask import Assistant, Reply
from swath.instructions.conversation import Conversation, Image, assistant, user
from swath.models.engine import LocalEngine
from swath.models.loading import load
from tests.making import rectangle


@pytest.fixture
def model(tiny_base):
    return swath.load(tiny_base)


@pytest.fixture
def picture(tmp_path):
    return rectangle(tmp_path / "wide.png", (8, 12, 40, 30), (64, 40))


def test_a_free_answer_is_what_the_engine_says(model, tiny_base, picture):
    reply = model.ask(picture, "What is it?", max_new_tokens=6)
    turns = (user(Image(picture, (64, 40)), "\nWhat is it?"), assistant("x"))
    (answer,) = LocalEngine(load(tiny_base)).answer([Conversation("q", "ask", turns)], 6)
    assert reply.text == str(reply) == answer.text
    assert reply.confidence is None


def test_a_question_is_asked_as_in_training(model, picture, monkeypatch):
    asked = []
    monkeypatch.setattr(
        model.engine, "answer", lambda questions, most: asked.extend(questions) or [Reply("ok")]
    )
    model.ask(picture, "  What is it?\n")
    (image, text) = asked[0].turns[0].parts
    assert text.text == "\nWhat is it?"
    assert (image.path, image.size_wh) == (picture, (64, 40))


def test_the_answer_is_the_most_probable_choice_with_its_share(model, picture, monkeypatch):
    logs = [np.log(np.array([0.1, 0.3, 0.1]))]
    monkeypatch.setattr(model.engine, "score", lambda questions, candidates: logs)
    reply = model.ask(picture, "What is it?", ["port", "park", "pond"])
    assert reply.text == "park"
    assert reply.confidence == pytest.approx(0.6)


def test_a_choice_that_is_less_sure_than_wanted_is_unsure(model, picture, monkeypatch):
    logs = [np.log(np.array([0.2, 0.6]))]
    monkeypatch.setattr(model.engine, "score", lambda questions, candidates: logs)
    said = [model.ask(picture, "What is it?", ["port", "park"], sure=sure) for sure in (0.74, 0.76)]
    assert [str(one) for one in said] == ["park", "unsure"]
    assert said[1].confidence == pytest.approx(0.75)


def test_choices_of_very_small_probability_still_have_shares(model, picture, monkeypatch):
    logs = [np.array([-2000.0, -2000.0 + np.log(3)])]
    monkeypatch.setattr(model.engine, "score", lambda questions, candidates: logs)
    assert model.ask(picture, "?", ["a", "b"]).confidence == pytest.approx(0.75)


def test_an_answer_among_choices_is_one_of_them(model, picture):
    reply = model.ask(picture, "What is it?", ("red land", "green land"))
    assert reply.text in ("red land", "green land")
    assert 0.5 <= reply.confidence <= 1


def test_boxes_come_in_pixels_of_the_picture(model, picture, monkeypatch):
    truth = Boxes.from_rotated([[30.0, 18.0, 30.0, 14.0, 25.0]])
    view = model.engine.store.plain(picture)
    said = DIALECTS.get("geochat").write(truth.transformed(view.matrix), (32, 32))
    monkeypatch.setattr(model.engine, "_generate", lambda *given: [f"here {said}"])
    reply = model.ask(picture, "[refer] where is <p>the field</p>?")
    assert iou(reply.boxes, truth)[0] > 0.8


def test_an_empty_question_is_refused(model, picture):
    with pytest.raises(RequestError, match="the question is empty; say what you want to know"):
        model.ask(picture, " \n")


def test_a_picture_that_is_not_there_or_damaged_is_named(model, tmp_path):
    with pytest.raises(ImageryError, match=r"gone.png"):
        model.ask(tmp_path / "gone.png", "What is it?")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but not really")
    with pytest.raises(ImageryError, match=r"bad.png"):
        model.ask(tmp_path / "bad.png", "What is it?")


def test_a_relative_path_is_asked_of_like_an_absolute_one(model, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choices = ["red land", "green land"]
    assert model.ask("wide.png", "?", choices) == model.ask(picture, "?", choices)


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no model folder and no run"):
        Assistant(tmp_path)


def test_a_run_is_asked_after_the_instruction_it_was_tuned_with(tiny_base, tmp_path, monkeypatch):
    from swath.tuning.run import tune
    from tests.making import annotated, small_set, tiny_recipe, write_set

    built = small_set(tmp_path / "images", system="Be one of {labels}.")
    run = tune(built, tiny_recipe(tiny_base), tmp_path / "run")
    write_set(run / "set", annotated(tmp_path / "images"), built)
    assistant = Assistant(run)
    asked = []
    answer = assistant.engine.answer
    monkeypatch.setattr(
        assistant.engine, "answer", lambda some, most: asked.extend(some) or answer(some, most)
    )
    assistant.ask(built.conversations[0].images[0].path, "What is it?")
    assert asked[0].text("system") == "Be one of blue land, green land, red land."


def test_the_command_line_takes_later_pictures(tiny_base, picture, tmp_path, monkeypatch, swath):
    later, asked = rectangle(tmp_path / "later.png"), []
    monkeypatch.setattr(
        LocalEngine, "answer", lambda self, questions, most: asked.extend(questions) or [Reply("x")]
    )
    code, output, _ = swath("ask", tiny_base, picture, "What moved?", "--then", later)
    assert not code and output == "x\n"
    assert [image.path for image in asked[0].images] == [picture, later]


def heard(model, monkeypatch, *answers):
    """What the engine is asked, while it answers as told."""
    asked, answers = [], list(answers)
    monkeypatch.setattr(
        model.engine, "answer", lambda some, most: asked.extend(some) or [Reply(answers.pop(0))]
    )
    return asked


def test_a_region_in_a_question_reaches_the_model_in_its_familys_text(model, picture, monkeypatch):
    asked = heard(model, monkeypatch, "a field")
    model.ask(picture, "[identify] what is at [box 16 4 48 20]?")
    views = [model.engine.store.plain(picture)]
    ids = model.engine.inputs.encoder.encode(asked[0], views, ask=True).ids
    # 64 x 40 is padded by 12 above and below: x 16 of 64 is 25 %, y (4 + 12) of 64 is 25 %
    assert "at {<25><25><75><50>}?" in model.engine.loaded.tokenizer.decode(ids)


def test_a_later_question_is_asked_after_the_earlier_ones_of_the_same_picture(
    model, picture, monkeypatch
):
    asked = heard(model, monkeypatch, "a field", "green")
    first = model.ask(picture, "What is it?")
    second = model.ask([], "[box 1 2 3 4] which colour?", before=first.turns)
    assert [turn.role for turn in second.turns] == ["user", "assistant", "user", "assistant"]
    assert [asked[1].text(role) for role in ("user", "assistant")] == ["which colour?", "a field"]
    assert len(asked[1].images) == 1 and asked[1].turns[2].parts[0].image == 0


def test_a_region_lies_in_the_newest_pictures(model, picture, monkeypatch):
    asked = heard(model, monkeypatch, "a field", "a road")
    first = model.ask([picture, picture], "What is it?")
    model.ask(picture, "and [box 1 2 3 4]?", before=first.turns)
    (box,) = [part for part in asked[1].turns[2].parts if hasattr(part, "boxes")]
    assert box.image == 2


def test_a_question_after_none_about_no_picture_is_refused(model):
    with pytest.raises(RequestError, match="no picture is asked about; name at least one"):
        model.ask([], "What is it?")
