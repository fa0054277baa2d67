import pytest

from swath.errors import RecipeError, RequestError
from swath.recipe import Recipe
from swath.recipes import describe, load_recipe
from swath.serving.studio.recipe_form import form_of, overrides_of, recipe_names, rows_of


def leaves(rows):
    for row in rows:
        yield from leaves(row["rows"]) if "rows" in row else [row]


def test_every_key_of_a_recipe_is_a_row_with_its_description():
    rows = {
        row["key"].replace("stages.0.", "stages[]."): row
        for row in leaves(form_of("quickstart")["rows"])
    }
    for key, _, about in describe():
        inside = [row for row in rows if key == row or key.startswith(f"{row}.")]
        assert inside, key
        if key in rows:
            assert rows[key]["about"] == about


def test_a_row_shows_the_value_as_a_recipe_writes_it():
    rows = {row["key"]: row for row in leaves(form_of("quickstart")["rows"])}
    assert rows["tuning.stages.0.train"]["text"] == "[vision, projector, language]"
    assert (rows["models.dtype"]["kind"], rows["models.dtype"]["options"]) == (
        "choice",
        ["auto", "float32", "bfloat16"],
    ) or rows["models.dtype"]["options"][0] == "auto"
    assert rows["tuning.stages.0.checkpointing"]["kind"] == "switch"
    assert (rows["tuning.threads"]["text"], rows["tuning.threads"]["optional"]) == ("", True)
    assert rows["name"]["kind"] == "text"


@pytest.mark.parametrize("name", recipe_names())
def test_values_as_they_are_shown_mean_the_same_recipe(name):
    recipe = load_recipe(name)
    texts = {row["key"]: row for row in leaves(rows_of(recipe))}
    overrides = [
        f"{key}={row['text']}"
        for key, row in texts.items()
        if row["kind"] == "yaml" and row["text"] and key != "tiny"
    ]
    assert load_recipe(name, overrides) == recipe
    assert isinstance(recipe, Recipe)


def test_changes_and_further_lines_become_overrides():
    value = {"rows": [], "changes": {"name": '"a"', "tuning.stages.0.epochs": "3"}}
    assert overrides_of(value, " seed=1 \n\n") == ['name="a"', "tuning.stages.0.epochs=3", "seed=1"]
    with pytest.raises(RequestError, match="'seed 1': a key and its value are written as"):
        overrides_of(value, "seed 1")


def test_an_override_that_is_refused_is_refused_with_its_key():
    with pytest.raises(RecipeError, match="did you mean epochs"):
        form_of("quickstart", ["tuning.stages.0.epoch=3"])
