import pytest

from swath.errors import RecipeError
from swath.recipe import Recipe, Stage
from swath.recipes import describe, dump, find_recipe, load_recipe, shipped_recipes, validate


def written(folder, text, name="own.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def refusal(values):
    with pytest.raises(RecipeError) as refused:
        validate({"name": "x", **values}, "own.yaml")
    return str(refused.value)


# Keys and values


def test_an_unknown_key_is_answered_with_the_nearest_one():
    stages = [{"name": "one"}, {"name": "two", "learning_rat": 1}]
    assert refusal({"tuning": {"stages": stages}}) == (
        "own.yaml: tuning.stages.1.learning_rat: unknown key; did you mean learning_rate?"
    )
    assert "imagry: unknown key; did you mean imagery?" in refusal({"imagry": {}})
    augment = {"stages": [{"augment": {"color": 0.1}}]}
    assert "augment.color: unknown key; did you mean colour?" in refusal({"tuning": augment})
    assert "annotations.drawn.knds: unknown key; did you mean kinds?" in refusal(
        {"annotations": {"drawn": {"knds": "base"}}}
    )


def test_an_unknown_key_like_no_other_is_answered_with_all_that_is_known():
    told = refusal({"export": {"zzz": 1}})
    assert "export.zzz: unknown key; known: dtype, prove_on" in told


def test_every_mistake_is_told_at_once():
    told = refusal({"export": {"dtype": "int8"}, "seed": -1, "models": {"bse": "x"}})
    assert "export.dtype: Input should be 'float32', 'float16' or 'bfloat16' (got 'int8')" in told
    assert "seed: " in told
    assert "models.bse: unknown key; did you mean base?" in told


def test_a_stage_that_would_learn_nothing_is_refused():
    told = refusal({"tuning": {"stages": [{"text_loss": 0}]}})
    assert "tuning.stages.0: text_loss and image_loss are all 0, so nothing would be learnt" in told
    assert "List should have at least 1 item" in refusal({"tuning": {"stages": [{"train": []}]}})
    assert "stages: List should" in refusal({"tuning": {"stages": []}})


def test_an_adapter_beside_the_layers_it_stands_on_is_refused():
    told = refusal({"tuning": {"stages": [{"train": ["language", "lora"]}]}})
    assert "train names both language and lora; an adapter needs it frozen" in told


def test_stages_of_one_name_are_refused():
    told = refusal({"tuning": {"stages": [{}, {}]}})
    assert "tuning: stages are called tune, tune; give each its own name" in told


def test_a_recipe_cannot_be_changed():
    recipe = Recipe(name="x")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3


# Overrides


def test_overrides_reach_into_sections_and_lists():
    recipe = load_recipe(
        "pixtral-aid-nano",
        [
            "seed=3",
            "tuning.stages.1.learning_rate=2e-4",
            "tuning.stages.0.augment.turn=false",
            "annotations.source=/data/AID",
            "annotations.classes.Resort=null",
            "instructions.tasks=[classify]",
            "annotations.split={train: 0.5, test: 0.5}",
        ],
    )
    assert recipe.seed == 3
    assert recipe.tuning.stages[1].learning_rate == 2e-4
    assert recipe.tuning.stages[0].augment.turn is False
    assert recipe.annotations.source == "/data/AID"
    assert recipe.annotations.classes == {"Resort": None}
    assert recipe.instructions.tasks == ["classify"]
    assert recipe.annotations.split == {"train": 0.5, "test": 0.5}


def test_an_override_may_hold_an_equals_sign_and_text():
    recipe = load_recipe("quickstart", ["instructions.system=one = two {labels}"])
    assert recipe.instructions.system == "one = two {labels}"


def test_an_override_fills_a_section_the_recipe_leaves_out(tmp_path):
    path = written(tmp_path, "name: x\nannotations:\n")
    assert load_recipe(path, ["annotations.drawn.count=3"]).annotations.drawn.count == 3


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("seed", "'seed': an override has the form section.key=value"),
        ("seed.deep=1", "'seed' holds a value, not a section"),
        ("name.x=1", "'name' holds a value, not a section"),
        ("tuning.stages.5.epochs=1", "'5' is no item; it counts from 0 to 0"),
        ("tuning.stages.all.epochs=1", "'all' is no item; it counts from 0 to 0"),
        ("tuning.stages.0.epoch=1", "tuning.stages.0.epoch: unknown key; did you mean epochs"),
        ("tuning.stages.0.epochs=many", "tuning.stages.0.epochs: Input should be a valid number"),
        ("seed={", "override seed:1: not valid YAML"),
        ("=3", "unknown key"),
    ],
)
def test_a_wrong_override_is_refused_with_advice(tmp_path, override, advice):
    path = written(tmp_path, "name: x\nseed: 0\ntuning: {stages: [{epochs: 2}]}\n")
    with pytest.raises(RecipeError) as refused:
        load_recipe(path, [override])
    assert advice in str(refused.value)


# Files


def test_a_recipe_without_name_takes_its_files(tmp_path):
    assert load_recipe(written(tmp_path, "seed: 4\n", "port.yaml")).name == "port"


def test_a_recipe_builds_on_a_shipped_one(tmp_path):
    path = written(tmp_path, "extends: quickstart\nannotations: {drawn: {count: 24}}\n")
    recipe, below = load_recipe(path), load_recipe("quickstart")
    assert recipe.name == "own"
    assert recipe.annotations.drawn.count == 24
    assert recipe.annotations.drawn.kinds == "quickstart"
    assert recipe.tuning == below.tuning


def test_a_recipe_builds_on_the_one_beside_it_and_lists_are_replaced(tmp_path):
    written(tmp_path, "tuning: {threads: 3, stages: [{name: a}, {name: b}]}\n", "below.yaml")
    path = written(tmp_path, "extends: below\ntuning: {stages: [{name: c}]}\n")
    recipe = load_recipe(path)
    assert [stage.name for stage in recipe.tuning.stages] == ["c"]
    assert recipe.tuning.threads == 3


def test_null_takes_away_what_the_recipe_below_says(tmp_path):
    path = written(tmp_path, "extends: quickstart\nannotations: {source: /data, drawn: null}\n")
    assert load_recipe(path).annotations.drawn is None


def test_recipes_that_build_on_each_other_are_refused(tmp_path):
    one = written(tmp_path, "extends: two\n", "one.yaml")
    written(tmp_path, "extends: one\n", "two.yaml")
    with pytest.raises(RecipeError, match=r"one.yaml: extends itself, by way of two.yaml"):
        load_recipe(one)
    alone = written(tmp_path, "extends: alone\n", "alone.yaml")
    with pytest.raises(RecipeError, match=r"alone.yaml: extends itself, by way of alone.yaml"):
        load_recipe(alone)


def test_a_recipe_that_does_not_exist_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(RecipeError, match="no recipe 'quikstart'; did you mean quickstart"):
        load_recipe("quikstart")
    with pytest.raises(RecipeError, match=r"no recipe '.*gone.yaml'"):
        load_recipe(tmp_path / "gone.yaml")
    with pytest.raises(RecipeError, match=r"no recipe '\.\./recipes/nano'"):
        find_recipe("../recipes/nano")
    with pytest.raises(RecipeError, match=r"no recipe 'nowhere'; known: .*quickstart"):
        load_recipe(written(tmp_path, "extends: nowhere\n"))


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("name: x\nseed: [1\n", r"own.yaml:3: not valid YAML"),
        ("name: x\n\tseed: 1\n", r"own.yaml:2: not valid YAML \(found character '\\t'"),
        ("- a\n- b\n", "own.yaml: a recipe is a mapping of sections"),
        ("", "own.yaml: a recipe is a mapping of sections"),
        ("3: x\n", "own.yaml: 3: "),
        ("tuning: 3\n", "own.yaml: tuning: "),
        ("extends: [a]\n", "no recipe"),
        ("a: &a {b: *a}\n", r"own.yaml:1: not valid YAML \(\*a holds itself"),
        ("a: " + "[" * 40 + "]" * 40, r"own.yaml:1: not valid YAML \(nested more than 32 deep"),
        ("a: " + "[" * 100_000, r"own.yaml:1: not valid YAML \(nested more than 32 deep"),
        ("seed: " + "9" * 5_000, r"own.yaml: not valid YAML \(Exceeds the limit"),
        ("seed: 2026-13-41", r"own.yaml: not valid YAML \(month must be in 1..12"),
        ("#" * 1_100_000, "own.yaml: larger than 1048576 bytes; is this a recipe"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, advice):
    with pytest.raises(RecipeError, match=advice):
        load_recipe(written(tmp_path, text))


@pytest.mark.parametrize("use", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_of_aliases_are_refused_before_they_are_built(tmp_path, use):
    lines = ["a0: &a0 {x: 1, y: 2}"]
    for level in range(1, 10):
        repeated = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} {use.format(repeated)}")
    with pytest.raises(RecipeError, match=r"own.yaml:6: not valid YAML \(more than 100000 values"):
        load_recipe(written(tmp_path, "\n".join(lines)))


def test_an_error_shows_the_beginning_of_a_long_value(tmp_path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path, f"tuning: {'x' * 10_000}"))
    assert len(str(caught.value)) < 400


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"own.yaml: cannot be read"):
        load_recipe(path)


def test_a_recipe_changes_some_or_all_stages_of_the_one_it_extends(tmp_path):
    text = "extends: skyeyegpt\ntuning:\n  stages: {'*': {clip: 3}, conversations: {epochs: 2}}\n"
    first, second = load_recipe(written(tmp_path, text)).tuning.stages
    assert (first.clip, first.epochs) == (3, 35)
    assert (second.clip, second.epochs) == (3, 2)
    path = written(tmp_path, text.replace("conversations:", "conversation:"))
    with pytest.raises(RecipeError, match=r"is no item; .* single-task, conversations"):
        load_recipe(path)


# All recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_and_says_what_it_is_for(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert len(recipe.about) > 20


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_comes_back_from_its_dump(tmp_path, name):
    recipe = load_recipe(name, ["seed=5"])
    path = written(tmp_path, dump(recipe))
    assert load_recipe(path) == recipe


MAPPINGS = ("classes", "split", "mix", "learning_rates", "tiny", "body")


def test_every_key_has_a_description_and_none_is_left_out():
    rows = {key: (default, meaning) for key, default, meaning in describe()}
    without = [key for key, (_, meaning) in rows.items() if not meaning and key != "name"]
    assert not without
    assert rows["name"][0] == "(required)"
    assert rows["tuning.stages[].learning_rate"] == ("0.0001", "Peak rate, after warm-up.")
    assert rows["annotations.drawn.count"][0] == "800"
    assert rows["tuning.stages[].augment.crop"][0] == "0.6"

    def leaves(values, prefix=""):
        for key, value in values.items():
            if isinstance(value, dict) and key not in MAPPINGS:
                yield from leaves(value, f"{prefix}{key}.")
            elif key == "stages":
                yield from leaves(value[0], f"{prefix}{key}[].")
            else:
                yield f"{prefix}{key}"

    whole = Recipe(
        name="x",
        annotations={"drawn": {}},
        instructions={
            "conversations": {"train": ["chips.jsonl"]},
            "documents": {"index": "site.index"},
            "writer": {"endpoint": "http://127.0.0.1:1/v1", "model": "m"},
        },
        models={"parts": {"vision": "v", "language": "l"}},
        tuning={"stages": [Stage()], "stop": {"task": "classify"}},
    )
    assert set(leaves(whole.model_dump())) == set(rows)


@pytest.mark.parametrize("name", ["../out", "/out", "a/b", ".hidden", "", "a\\b"])
def test_a_name_that_would_leave_the_runs_folder_is_refused(name):
    with pytest.raises(RecipeError, match="name"):
        validate({"name": name}, "own.yaml")


def test_an_override_of_one_stage_leaves_its_yaml_alias_alone(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "tuning:\n  stages:\n    - {name: a, lora: &one {rank: 4}}\n    - {name: b, lora: *one}\n"
    )
    stages = load_recipe(
        tmp_path / "own.yaml", ["tuning.stages.0.learning_rate=1e-3"]
    ).tuning.stages
    assert [stage.lora.rank for stage in stages] == [4, 4]
    with pytest.raises(RecipeError, match="share one adapter"):
        load_recipe(tmp_path / "own.yaml", ["tuning.stages.0.lora.rank=8"])


@pytest.mark.parametrize("name", ["satgpt", "pixtral-aid", "geochat", "skyeyegpt", "remoteglm"])
def test_a_systems_recipe_changes_no_picture_and_keeps_the_librarys_optimizer(name):
    for stage in load_recipe(name).tuning.stages:
        assert (stage.augment.turn, stage.augment.crop, stage.augment.colour) == (False, 1, 0)
        assert (stage.beta2, stage.clip) == (0.999, 1)


def test_systems_are_read_by_their_older_name_too(tmp_path):
    old = written(tmp_path, "evaluation: {sides: [tuned, blind]}")
    assert load_recipe(old).evaluation.systems == ["tuned", "blind"]
    assert load_recipe(old, ["evaluation.systems=[tuned]"]).evaluation.systems == ["tuned"]
    both = written(tmp_path, "evaluation: {sides: [tuned], systems: [base]}")
    with pytest.raises(RecipeError, match=r"old name of evaluation\.systems; keep one"):
        load_recipe(both)


def test_a_base_of_a_name_that_no_disk_takes_is_unknown(tmp_path):
    (tmp_path / "own.yaml").write_text(f"extends: {'a' * 5000}\n")
    with pytest.raises(RecipeError, match=r"no recipe 'a{50}"):
        load_recipe(str(tmp_path / "own.yaml"))
