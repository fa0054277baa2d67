from dataclasses import replace

import pytest

from swath.boxes import Boxes
from swath.building import Building
from swath.errors import FormatError, RequestError
from swath.inference.context import Documented, with_context
from swath.inference.retrieval import write_index
from swath.instructions.conversation import Box, Conversation, Image, Text, assistant, user
from swath.models.templates import TEMPLATES
from swath.recipe import Documents
from swath.recipes import load_recipe
from tests.making import rectangle


def question(*parts):
    turns = (user(Image("a.png", (8, 8)), *parts), assistant("Cobalt"))
    return Conversation("q", "question", turns)


def test_context_goes_between_the_picture_and_the_question():
    changed = with_context(question("\nWho owns Marlow?"), "[1] It is Cobalt's.")
    assert changed.turns[0].parts[1] == Text("\n[1] It is Cobalt's.\n\nWho owns Marlow?")
    assert changed.turns[1] == assistant("Cobalt")
    assert with_context(question("\nWho?"), "") == question("\nWho?")


def test_context_goes_before_a_region_that_a_question_begins_with_and_before_later_questions():
    region = Box(Boxes.from_hbb((1, 1, 2, 2)))
    changed = with_context(question(region, " whose?"), "[1] Cobalt.")
    assert changed.turns[0].parts[1:] == (Text("\n[1] Cobalt.\n\n"), region, Text(" whose?"))
    later = replace(question("\nWho?"), turns=(*question("\nWho?").turns, user("And when?")))
    assert with_context(later, "[1] 1953.").text("user") == "[1] 1953.\n\nAnd when?"


def test_context_that_names_directions_keeps_the_picture_upright():
    assert not with_context(question("\nWho?"), "[1] Cobalt.").upright
    assert with_context(question("\nWho?"), "[1] The north pier.").upright


def test_satgpts_template_writes_the_context_in_front_of_its_prefix():
    from transformers.utils.chat_template_utils import render_jinja_template

    def written(words):
        messages = [[{"role": "user", "content": words}]]
        template = TEMPLATES.get("question").jinja
        return render_jinja_template(messages, chat_template=template, bos_token="<s>")[0][0]

    assert written("Who owns Marlow?") == "<s>Question: Who owns Marlow?"
    assert written("[1] Cobalt.\n\nWho?") == "<s>[1] Cobalt.\n\nQuestion: Who?"


# In a set


@pytest.fixture
def world(tmp_path):
    """Two pictures with a question each, and an index of documents that answer them."""
    names = {"Marlow": ("Cobalt", "train"), "Kelby": ("Ember", "test")}
    rows = ["image,question,answer,split,caption"]
    for number, (name, (owner, split)) in enumerate(names.items()):
        rectangle(tmp_path / f"{name}.png", (2 + 9 * number, 3, 14 + number, 22))
        rows.append(f"{name}.png,Who owns {name}?,{owner},{split},A field.")
        (tmp_path / f"{name}.md").write_text(f"{name} is owned by {owner}.")
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    write_index(tmp_path / "site.index", [tmp_path / f"{name}.md" for name in names])
    return tmp_path


def built(world, *keys):
    source = f"annotations.source={world / 'rows.csv'}"
    documents = f"instructions.documents={{index: {world / 'site.index'}, passages: 1}}"
    tasks = "instructions.tasks=[question, caption]"
    recipe = load_recipe("quickstart-own", [source, documents, tasks, *keys])
    return Building(recipe, world / "run").set()


def test_questions_of_a_set_follow_what_the_index_says_and_captions_do_not(world):
    words = {row.id: row.text("user") for row in built(world).conversations}
    assert words == {
        "Marlow#question0": "[1] Marlow is owned by Cobalt.\n\nWho owns Marlow?",
        "Marlow#caption0": "Describe the image.",
        "Kelby#question0": "[1] Kelby is owned by Ember.\n\nWho owns Kelby?",
        "Kelby#caption0": "Describe the image.",
    }


def test_a_set_is_built_anew_when_its_documents_change(world):
    built(world)
    (world / "Kelby.md").write_text("Kelby is owned by Falcon.")
    write_index(world / "site.index", [world / "Kelby.md"])
    words = [row.text("user") for row in built(world).split("test")]
    assert "[1] Kelby is owned by Falcon.\n\nWho owns Kelby?" in words


def test_an_index_that_is_absent_and_a_task_that_is_none_are_refused(tmp_path):
    with pytest.raises(FormatError, match="no index here"):
        Documented(Documents(index=str(tmp_path / "absent")))
    with pytest.raises(RequestError, match="did you mean question"):
        Documented(Documents(index="site.index", tasks=("questions",)))
