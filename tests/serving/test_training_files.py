"""Training files as OpenAI and Mistral take them."""

import io
import json

import pytest
from PIL import Image as Picture

from swath.building import Building
from swath.errors import AnnotationError, InstructionError
from swath.files import read_losses
from swath.instructions.conversation import Image, Text
from swath.recipes import validate
from swath.serving.asking import ChatRequest
from swath.serving.jobs.training_files import TrainingFile, in_memory
from swath.serving.questions import conversation_of
from swath.tuning.run import tune
from tests.making import tiny_recipe, write_tiny_model
from tests.serving.chips import line, picture, said, shown, uri, written


def read(path, style="openai", skip=0.0):
    source = TrainingFile(path, path.name, style, skip)
    return list(source.examples(in_memory)), source


def test_a_line_becomes_turns_with_words_on_a_line_of_their_own(tmp_path):
    path = written(tmp_path / "chips.jsonl", line(shown(), said("What is it?"), system="Be brief."))
    (example,), _ = read(path)
    system, question, answer = example.turns
    assert (system.role, question.role, answer.role) == ("system", "user", "assistant")
    assert question.parts[1] == Text("\nWhat is it?")
    assert question.parts[0].size_wh == (32, 32)
    assert answer.parts == (Text("farm"),)


def signs_of(turn):
    return ["I" if isinstance(part, Image) else part.text for part in turn.parts]


@pytest.mark.parametrize(
    ("content", "arranged"),
    [
        ("I?", "I?"),
        ("?I", "I?"),
        ("?!I", "I?!"),
        ("?II", "II?"),
        ("I?I!", "I?-I!"),
        ("I?I", "I?-I"),
    ],
)
def test_pictures_and_words_are_learnt_in_the_order_in_which_chat_asks(tmp_path, content, arranged):
    parts = [shown() if sign == "I" else said(f" {sign} ") for sign in content]
    (example,), _ = read(written(tmp_path / "a.jsonl", line(*parts)))
    question = ChatRequest(model="m", messages=line(*parts)["messages"][:1]).messages
    asked = conversation_of(question, lambda url: Image(url, (32, 32)), None)
    assert [signs_of(turn) for turn in asked.turns] == [signs_of(example.turns[0])]
    signs = signs_of(example.turns[0])
    assert "".join(sign.replace("\n", "" if sign.strip() else "-") for sign in signs) == arranged


def test_mistral_writes_a_picture_as_a_string_or_an_object_and_a_line_as_a_list_too(tmp_path):
    string = {"type": "image_url", "image_url": uri()}
    rows = [line(string, said("?")), line(shown(), said("?")), line(string)["messages"]]
    examples, _ = read(written(tmp_path / "chips.jsonl", *rows), "mistral")
    assert [len(example.images) for example in examples] == [1, 1, 1]
    assert len(examples[2].turns[0].parts) == 1  # the picture alone asks


def turns(*roles):
    content = {"user": [shown(), said("?")], "assistant": "farm", "system": "Be brief."}
    return {"messages": [{"role": role, "content": content.get(role, "x")} for role in roles]}


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ([], "expected an object with 'messages', got a list"),
        ({"prompt": "a", "completion": "b"}, "prompt: pairs of prompt and completion"),
        ({"custom_id": "1", "body": {}}, "custom_id: this is a batch's file"),
        ({"messages": []}, "messages: expected a list of messages"),
        (line() | {"tools": []}, "tools: tools are not tuned on"),
        (turns("user"), r"messages\[0\].role: the last message is the assistant's"),
        (turns("user", "user", "assistant"), r"messages\[1\].role: 'user' after 'user'"),
        (turns("assistant"), r"messages\[0\].role: 'assistant' after 'system'"),
        (turns("user", "assistant", "system"), r"messages\[2\].role: 'system' after 'assistant'"),
        (turns("tool"), r"messages\[0\].role: 'tool': expected 'system', 'user' or 'assistant'"),
        (line(said("?")), "messages: no picture"),
        (line(answer=" "), r"messages\[1\].content: empty"),
        (line(answer=[shown()]), r"messages\[1\].content: a picture of the assistant's"),
        (line(answer=None), r"messages\[1\].content: expected words or a list of parts"),
        (line({"type": "audio"}), r"messages\[0\].content\[0\].type: expected 'text' or"),
        (line({"type": "text"}), r"messages\[0\].content\[0\].text: expected words"),
        (line({"type": "image_url"}), r"content\[0\].image_url: expected {'url'"),
        (line(shown("https://example.org/a.png")), r"image_url: an address; nothing is fetched"),
        (line(shown("data:text/html;base64,AA==")), "image_url: expected data:image/"),
        (line(shown("data:image/png;base64,%%%%")), "image_url: not base64"),
        (line(shown(uri(b"no picture"))), "image_url: the picture: of no format"),
        (line(shown(uri(picture(size_wh=(9000, 9000))))), "9000 x 9000 px"),
        (line(*[shown()] * 65), "messages: 65 pictures; a line may hold 64"),
    ],
)
def test_a_bad_line_is_named_with_its_field_and_reason(tmp_path, row, error):
    path = written(tmp_path / "chips.jsonl", line(), row)
    with pytest.raises(InstructionError, match=f"chips.jsonl, line 2: .*{error}"):
        read(path)


def test_the_other_dialect_is_named(tmp_path):
    mistral = line({"type": "image_url", "image_url": uri()}, said("?"))
    with pytest.raises(InstructionError, match="as in Mistral's files; OpenAI's have"):
        read(written(tmp_path / "mistral.jsonl", mistral), "openai")
    openai = turns("developer", "user", "assistant")
    assert len(read(written(tmp_path / "openai.jsonl", openai), "openai")[0]) == 1
    with pytest.raises(InstructionError, match="OpenAI's word; Mistral's files say 'system'"):
        read(tmp_path / "openai.jsonl", "mistral")


def test_broken_lines_are_counted_and_the_first_three_quoted(tmp_path):
    path = tmp_path / "chips.jsonl"
    path.write_text(json.dumps(line()) + "\n" + '{"messages": [\n' * 5)
    with pytest.raises(InstructionError, match=r"line 2: not valid JSON .*; and 2 more bad lines"):
        read(path)
    path.write_text("")
    with pytest.raises(InstructionError, match="the file is empty"):
        read(path)


def test_so_many_bad_lines_as_may_be_are_left_out(tmp_path):
    path = written(tmp_path / "chips.jsonl", line(), line(), {"messages": []})
    examples, source = read(path, skip=0.34)
    assert [example.number for example in examples] == [1, 2]
    assert str(source.bad[0]) == "line 3: messages: expected a list of messages"
    with pytest.raises(InstructionError):
        read(path, skip=0.33)


def conversing(base, **files):
    section = {"conversations": {name: [str(path)] for name, path in files.items()}}
    return tiny_recipe(base, annotations={"source": None}, instructions=section)


def test_a_recipe_learns_from_training_files(tmp_path):
    colours = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
    rows = [
        line(shown(uri(picture(rgb))), said("What colour?"), answer=name, system="Be brief.")
        for name, rgb in colours.items()
    ]
    train = written(tmp_path / "train.jsonl", *rows, *rows)
    val = written(tmp_path / "val.jsonl", line(shown(uri(picture((90, 90, 90))))))
    recipe = conversing(write_tiny_model(tmp_path / "base"), train=train, val=val)
    building = Building(recipe, tmp_path / "run")
    built = building.build()
    assert {"format": 1, **built.card} == building.set().card  # which reads it
    assert built.card["images"] == {"train": 3, "val": 1}
    assert built.card["conversations"] == {"train": {"converse": 6}, "val": {"converse": 1}}
    first = built.conversations[0]
    assert first.id == "train/train:1" and first.text("user") == "What colour?"
    assert isinstance(first.images[0], Image)
    assert first.images[0].path.startswith(str(tmp_path / "run" / "pictures"))
    run = tune(built, recipe, tmp_path / "run")
    assert [row["step"] for row in read_losses(run)] == [1, 2]
    assert building.check().leaks == 0


def test_a_picture_in_training_and_validation_is_a_leak(tmp_path):
    path = written(tmp_path / "chips.jsonl", line())
    recipe = validate(conversing("swath-nano", train=path, val=path).model_dump(), "here")
    with pytest.raises(AnnotationError, match="1 pictures stand in train and test alike"):
        Building(recipe, tmp_path / "run").build()


def test_damaged_pixels_behind_a_sound_header_are_found_before_training(tmp_path):
    noise = Picture.effect_noise((64, 64), 90)
    stream = io.BytesIO()
    noise.save(stream, "png")
    cut = stream.getvalue()[:-2000]
    path = written(tmp_path / "chips.jsonl", line(), line(shown(uri(cut)), said("?")))
    with pytest.raises(AnnotationError, match="1 of 2 pictures missing or not readable"):
        Building(conversing("swath-nano", train=path), tmp_path / "run").build()
