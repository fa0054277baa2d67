import json
import re
import shutil

import pytest

from swath.ablation import check, experiment_of, finished, headlines, results, write_results
from swath.building import build_into
from swath.errors import EvaluationError, RecipeError, SwathError, TuningError
from swath.files import read_json
from swath.grid import grid_of
from swath.recipes import dump, load_recipe
from tests.making import BLUE, GREEN, RED, rectangle

pytestmark = pytest.mark.numeric


@pytest.fixture
def recipe_file(tiny_base, tmp_path):
    """A recipe of two steps on twelve pictures in three class folders."""
    for number in range(12):
        name, colour = [("red", RED), ("green", GREEN), ("blue", BLUE)][number % 3]
        picture = tmp_path / "own" / name / f"{number}.png"
        rectangle(picture, (number, 4, number + 9, 20), (32, 32), colour)
    values = {
        "annotations": {
            "source": str(tmp_path / "own"),
            "split": {"train": 0.5, "test": 0.5},
        },
        "models": {"base": str(tiny_base)},
        "tuning": {
            "stages": [
                {"name": "first", "train": ["projector"], "steps": 2, "batch_size": 4},
                {"name": "second", "train": ["projector"], "steps": 1, "batch_size": 4},
            ],
            "precision": "fp32",
            "threads": 1,
            "prove": 0,
        },
        "evaluation": {"max_new_tokens": 4, "resamples": 20},
    }
    file = tmp_path / "own.yaml"
    file.write_text(json.dumps(values))
    return file


def test_keys_of_several_values_make_a_cell_each(recipe_file, tmp_path):
    keys = ["seed=1", "tuning.stages.first.steps=1,2", "instructions.tasks=[classify],[caption]"]
    grid = grid_of(str(recipe_file), keys, tmp_path / "runs", tiny=False)
    assert [cell.name for cell in grid.cells] == [
        "steps=1 tasks=classify",
        "steps=1 tasks=caption",
        "steps=2 tasks=classify",
        "steps=2 tasks=caption",
    ]
    last = grid.cells[-1].recipe
    assert (last.seed, last.tuning.stages[0].steps, last.instructions.tasks) == (1, 2, ["caption"])
    assert grid.cells[-1].folder == tmp_path / "runs" / "own-ablation" / "steps=2-tasks=caption"


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        (["tuning.stages.0.step=1,2"], "cell 'step=1': .*unknown key; did you mean steps"),
        (["tuning.stages.third.steps=1,2"], "'third' is no item; .* or is one of first, second"),
        (["instructions.phrasing=plain,plane"], "cell 'phrasing=plane': unknown phrasing"),
        (["instructions.tasks=[classify],[clasify]"], "unknown task 'clasify'"),
        (["models.dialect=geochat,geocat"], "unknown dialect 'geocat'"),
        (["seed=1"], "nothing varies; give a key several values"),
        (["seed=1,1"], "'seed=1' is named twice"),
        (["name=a,b"], "is the same recipe as"),
        ([f"seed={','.join(map(str, range(201)))}"], "201 cells are more than 200"),
        (["seed=[1,2"], "override seed.*not valid YAML"),
    ],
)
def test_a_bad_key_or_value_is_refused_before_anything_is_built(
    recipe_file, tmp_path, keys, advice
):
    with pytest.raises(RecipeError, match=advice):
        grid_of(str(recipe_file), keys, tmp_path / "runs", tiny=False)
    assert not (tmp_path / "runs").exists()


def test_a_rate_of_what_does_not_learn_is_refused_too(recipe_file, tmp_path):
    keys = ["tuning.stages.first.learning_rates={},{vision: 1.0e-4}"]
    with pytest.raises(TuningError, match="which it does not train"):
        check(grid_of(str(recipe_file), keys, tmp_path / "runs", tiny=False))


def test_a_grid_is_filled_goes_on_and_tells_what_differs(recipe_file, tmp_path, monkeypatch):
    keys = ["tuning.stages.first.steps=1,2,3"]
    grid = grid_of(str(recipe_file), keys, tmp_path / "runs", tiny=False)
    built = []

    def counted(folder, *arguments):
        built.append(folder)
        return build_into(folder, *arguments)

    monkeypatch.setattr("swath.building.build_into", counted)
    with pytest.raises(EvaluationError, match="the first cell is not finished"):
        results(grid)
    for cell in grid.cells[:2]:
        experiment = experiment_of(grid, cell)
        experiment.tune()
        experiment.evaluate("tuned")
    assert built == [grid.cells[0].folder / "set"]  # the second cell's is a copy
    assert [finished(cell) for cell in grid.cells] == [True, True, False]
    rows = results(grid)
    table = write_results(grid, rows, {"steps=3": "no"})
    assert [row["name"] for row in table["cells"]] == ["steps=1", "steps=2"]
    assert table == read_json(grid.folder / "ablation.json")
    first, second = rows
    assert not first.differences and second.questions == 6
    for task, metric in headlines(rows):
        gap = second.differences[task][metric]
        assert gap.value == pytest.approx(
            second.scores[task][metric].value - first.scores[task][metric].value
        )
    picture = (grid.folder / "ablation.svg").read_text()
    assert "steps=2" in picture and picture.startswith("<svg")
    for colour in re.findall(r"var\(--(\w+)\)", picture):
        assert f"--{colour}:" in picture  # one that is not given draws nothing


def test_the_verb_fills_all_cells_and_does_nothing_twice(recipe_file, tmp_path, swath):
    command = ["ablate", str(recipe_file), "tuning.stages.*.steps=1,2", "--home", str(tmp_path)]
    code, out, err = swath(*command)
    assert code == 0 and "cell 2 of 2, steps=2" in err
    assert "minus steps=1" in out and "ablation.svg" in out
    folder = tmp_path / "own-ablation"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("steps*/**/*.json*")}
    code, out, err = swath(*command)
    assert code == 0 and "cell 1 of 2, steps=1: done" in err and "stage" not in err
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("steps*/**/*.json*")}
    shutil.rmtree(folder / "steps=2" / "evaluation")
    code, out, err = swath(*command, "--json")
    assert code == 0 and "steps=2: done" not in err
    assert [cell["name"] for cell in json.loads(out)["cells"]] == ["steps=1", "steps=2"]


def test_a_cell_that_fails_stops_no_other(recipe_file, tmp_path, swath):
    keys = ["instructions.tasks=[classify],[question],[caption, classify]"]
    code, _, err = swath("ablate", str(recipe_file), *keys, "--home", str(tmp_path))
    assert code == 1
    assert "none of the tasks question found anything to ask" in err
    table = read_json(tmp_path / "own-ablation" / "ablation.json")
    assert [row["name"] for row in table["cells"]] == [
        "tasks=classify",
        "tasks=caption, classify",
    ]
    assert list(table["failed"]) == ["tasks=question"]


@pytest.mark.parametrize("tiny", [False, True])
def test_the_papers_grid_changes_what_each_cell_names(tmp_path, tiny):
    grid = grid_of("ablations/skyeyegpt", [], tmp_path, tiny)
    cells = {cell.name: cell.recipe for cell in grid.cells}
    assert next(iter(cells)) == "two stages, merge4, rank 64" and len(cells) == 10
    own = ["single-task", "conversations"]
    for name, recipe in cells.items():
        stages = [stage.name for stage in recipe.tuning.stages if stage.name != "base"]
        assert stages == (own[:1] if name in ("one stage", "single task") else own)
    together = cells["one stage"].tuning.stages[-1]
    assert together.tasks is None and (together.epochs, together.steps) == (
        40,
        70 if tiny else None,
    )
    assert not cells["without identifiers"].instructions.task_tokens
    for name, connector in (("linear",) * 2, ("multi-linear",) * 2, ("q-former", "qformer")):
        assert cells[name].models.parts.connector == connector
    ranks = {
        name: {stage.lora.rank for stage in recipe.tuning.stages if "lora" in stage.train}
        for name, recipe in cells.items()
    }
    assert (ranks["rank 16"], ranks["rank 128"], ranks["linear"]) == ({16}, {128}, {64})
    assert [stage.train for stage in cells["without linear"].tuning.stages][-1] == ["lora"]


def test_prompt_sets_are_compared_on_the_same_captions(tmp_path):
    cells = grid_of("ablations/remoteglm", ["seed=3"], tmp_path, True).cells
    assert [cell.recipe.instructions.phrasing for cell in cells] == [
        "remoteglm",
        "chinese",
        "chinese-short",
        "chinese-expert",
    ]
    assert {cell.recipe.seed for cell in cells} == {3}


def test_a_grid_file_is_checked(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: quickstart\ncells:\n  a: {}\n  b: {seed: 1}\nkey: {}\n")
    with pytest.raises(RecipeError, match="key: unknown key; did you mean keys"):
        grid_of(str(file), [], tmp_path, False)
    file.write_text("recipe: quickstart\ncells:\n  a: {}\n  b: {}\n")
    with pytest.raises(RecipeError, match="cell 'b': is the same recipe as 'a'"):
        grid_of(str(file), [], tmp_path, False)
    file.write_text("recipe: quickstart\ncells:\n  a: {}\n  b: {seed: 1}\n")
    with pytest.raises(RecipeError, match="names its cells, and seed would make more"):
        grid_of(str(file), ["seed=1,2"], tmp_path, False)
    with pytest.raises(SwathError, match="no grid 'ablations/skyegpt'"):
        grid_of("ablations/skyegpt", [], tmp_path, False)


def test_keys_lead_into_lists_by_name_and_by_star(recipe_file):
    recipe = load_recipe(recipe_file, ["tuning.stages.*.batch_size=7", "tuning.stages.first=null"])
    assert [(stage.name, stage.batch_size) for stage in recipe.tuning.stages] == [("second", 7)]
    assert "first" not in dump(recipe)
