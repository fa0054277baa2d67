import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from swath.building import Building
from swath.experiment import Experiment
from swath.files import read_json
from swath.instructions.builder import read_set
from swath.recipes import load_recipe, shipped_recipes
from tests.making import annotated, rectangle, write_demo

QUESTION = "Which category fits this site best?"


def process(*arguments, **options):
    """Run a command line in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory, tiny_base):
    """A recipe for a tiny quickstart: 24 small scenes, two steps, the tiny base."""
    folder = tmp_path_factory.mktemp("cli")
    write_demo(folder, tiny_base)
    return folder


@pytest.fixture(scope="module")
def run(own):
    """The tiny quickstart, tuned and evaluated."""
    experiment = Experiment(load_recipe(own / "demo.yaml"), own / "runs" / "demo")
    experiment.tune()
    for name in experiment.systems:
        experiment.evaluate(name)
    return experiment.folder


# The whole way


def test_build_tune_evaluate_report_ask_and_export_follow_each_other(own, swath, tmp_path):
    home, recipe = tmp_path / "runs", own / "demo.yaml"
    code, out, _ = swath("build", recipe, "--home", home)
    assert code == 0
    assert "train: 16 images, " in out and "test: 8 images, 8 caption" in out
    folder = home / "demo"
    assert {path.name for path in (folder / "set").iterdir()} == {
        "images.jsonl",
        "conversations.jsonl",
        "card.json",
    }

    code, out, err = swath("tune", recipe, "--home", home)
    assert code == 0
    assert "of its start)" in out
    assert "read back from disk it gives 8 of 8 of its answers" in out
    assert "stage tune: 2 steps" in err
    assert (folder / "model" / "model.safetensors").is_file()

    code, out, _ = swath("evaluate", folder)
    assert code == 0
    assert "base" in out and "tuned" in out and "accuracy" in out
    for name in ("base", "tuned"):
        assert (folder / "evaluation" / name / "predictions.jsonl").is_file()
        assert (folder / "evaluation" / name / "scores.json").is_file()

    code, out, _ = swath("report", folder)
    assert (code, out.strip()) == (0, str(folder / "report.html"))
    page = (folder / "report.html").read_text()
    assert "<html" in page and "base" in page and "tuned" in page and "swath report" in page

    picture = next((folder / "drawn").rglob("*.jpg"))
    code, out, _ = swath("ask", folder, picture, QUESTION, "--choice", "one", "--choice", "two")
    assert code == 0
    assert out.split()[0] in ("one", "two") and out.rstrip().endswith("%)")

    code, out, _ = swath("export", folder, "--to", tmp_path / "exported")
    assert code == 0
    assert "a fresh process gave the same 4 answers" in out
    assert (tmp_path / "exported" / "README.md").is_file()


def test_the_quickstart_goes_the_whole_way_in_one_command(own, swath, tmp_path, tiny_base):
    keys = ["annotations.drawn.count=24", "annotations.drawn.size_px=48"]
    keys += [f"models.base={tiny_base}", "evaluation.max_new_tokens=4", "evaluation.resamples=20"]
    keys += ["tuning.stages.0.steps=2", "tuning.stages.0.batch_size=4"]
    code, out, _ = swath("quickstart", *keys, "--home", tmp_path)
    assert code == 0
    assert (tmp_path / "quickstart" / "report.html").is_file()
    assert "drawn:" in out  # the recipe is shown
    assert "Ask it: swath ask" in out
    assert load_recipe(tmp_path / "quickstart.yaml").annotations.drawn.count == 24


def test_the_quickstart_takes_a_folder_of_your_own_whatever_it_is_called(
    swath, tmp_path, tiny_base
):
    folder = tmp_path / "2024"
    for number in range(8):
        name = ["harbour", "forest"][number % 2]
        rectangle(folder / name / f"{number}.png", (number, 4, number + 9, 20))
    keys = [f"models.base={tiny_base}", "tuning.stages.0.steps=2", "evaluation.resamples=20"]
    code, out, err = swath("quickstart", folder, *keys, "--home", tmp_path / "runs")
    assert code == 0, err
    assert "recognised as folders" in out
    assert load_recipe(tmp_path / "runs" / "2024.yaml").annotations.source == str(folder)
    assert (tmp_path / "runs" / "2024" / "report.html").is_file()


def test_the_quickstart_keeps_a_recipe_that_was_edited(own, swath, tmp_path, tiny_base):
    keys = ["annotations.drawn.count=24", "annotations.drawn.size_px=48"]
    keys += [f"models.base={tiny_base}", "evaluation.max_new_tokens=4", "evaluation.resamples=20"]
    keys += ["tuning.stages.0.steps=2", "tuning.stages.0.batch_size=4", "--home", tmp_path]
    assert swath("quickstart", *keys)[0] == 0
    file = tmp_path / "quickstart.yaml"
    edited = file.read_text().replace("seed: 0", "seed: 5", 1)
    file.write_text(edited)
    code, _, err = swath("quickstart", *keys)
    assert code == 2
    assert "says otherwise; go on with `swath tune" in err
    assert file.read_text() == edited
    assert swath("quickstart", *keys, "--fresh")[0] == 0
    assert "seed: 0" in file.read_text()


def test_a_finished_run_is_tuned_again_only_when_told_to(own, swath, run):
    before = (run / "model" / "model.safetensors").stat().st_mtime_ns
    code, _, err = swath("tune", own / "demo.yaml", "--home", own / "runs")
    assert (code, err) == (0, "")
    assert (run / "model" / "model.safetensors").stat().st_mtime_ns == before
    recipe = own / "demo.yaml"
    code, _, err = swath(
        "tune", recipe, "seed=0", "tuning.stages.0.steps=3", "--home", own / "runs"
    )
    assert code == 1
    assert "swath: " in err and "another recipe or other data" in err and "--fresh" in err


# What is printed


def test_json_is_the_only_thing_on_standard_output(swath, run, own):
    picture = next((run / "drawn").rglob("*.jpg"))
    for arguments in (
        ("evaluate", run, "--json"),
        ("show", run, "--json"),
        ("show", "quickstart", "--json"),
        ("recipes", "--json"),
        ("check", own / "demo.yaml", "--home", own / "runs", "--json"),
        ("ask", run, picture, QUESTION, "--json"),
        ("ask", run, picture, QUESTION, "--choice", "a", "--choice", "b", "--json"),
    ):
        code, out, _ = swath(*arguments)
        assert code == 0
        assert isinstance(json.loads(out), dict), arguments


def test_json_of_an_evaluation_holds_the_scores_of_both_sides(swath, run):
    _, out, _ = swath("show", run, "--json")
    scores = json.loads(out)
    assert set(scores) == {"base", "tuned"}
    accuracy = scores["tuned"]["classify"]["accuracy"]
    assert accuracy["n"] == 8 and accuracy["unreadable"] == 0
    assert scores["base"].keys() == scores["tuned"].keys()


def test_json_of_an_answer_holds_confidence_with_choices_only(swath, run):
    picture = next((run / "drawn").rglob("*.jpg"))
    _, out, _ = swath("ask", run, picture, QUESTION, "--choice", "a", "--choice", "b", "--json")
    answer = json.loads(out)
    assert answer["answer"] in ("a", "b") and 0.5 <= answer["confidence"] <= 1
    _, out, _ = swath("ask", run, picture, QUESTION, "--json")
    assert json.loads(out)["confidence"] is None


def test_recipes_are_listed_with_what_they_are_for(swath):
    code, out, _ = swath("recipes")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == shipped_recipes()


def test_check_plans_for_a_named_card_and_its_price(swath, own, run):
    told = ("check", own / "demo.yaml", "--home", own / "runs", "--card", "T4")
    code, out, _ = swath(*told, "--price-hour", "0.5", "--json")
    plan = json.loads(out)["plan"]
    assert code == 0 and plan["card"] == "T4" and plan["fits"]
    assert plan["cost"] == pytest.approx(plan["stages"][0]["seconds"] / 3600 * 0.5)
    _, out, _ = swath(*told, "--cards", "2")
    assert "fits: 2 x T4 of 16,106 MB" in out and "optimiser" in out


def test_keys_are_shown_with_default_and_meaning(swath):
    _, out, _ = swath("show", "keys")
    assert "| `tuning.stages[].learning_rate` | `0.0001` | Peak rate, after warm-up. |" in out


def test_the_documented_keys_are_those_of_the_code(swath):
    code, out, _ = swath("show", "keys")
    documented = Path(__file__).parent.parent / "docs" / "recipe.md"
    assert (code, out) == (0, documented.read_text())


def test_a_recipe_is_shown_as_resolved(swath, tmp_path):
    _, out, _ = swath("show", "quickstart", "seed=9")
    path = tmp_path / "copy.yaml"
    path.write_text(out)
    assert load_recipe(path) == load_recipe("quickstart", ["seed=9"])


def test_training_rows_are_drawn_to_a_sheet(swath, own, run, tmp_path):
    code, out, _ = swath("show", run, "--sheet", tmp_path / "sheet.png")
    assert code == 0 and "read back from the model's own text" in out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 240, 3 * 360)


def test_rows_of_a_set_are_written_to_a_page(swath, own, run, tmp_path):
    page = tmp_path / "rows.html"
    code, out, _ = swath("show", run, "--html", page, "--rows", "5", "--dialect", "qwen3-vl")
    assert code == 0 and "rows.html: 5 of " in out and "as qwen3-vl writes" in out
    assert page.read_text("utf-8").count("<article>") == 5


def test_doctor_tells_of_the_machine(swath):
    code, out, _ = swath("doctor")
    assert code == 0
    assert "torch" in out and "CPU threads" in out and "swath-nano: " in out


def test_help_answers_without_heavy_libraries():
    script = (
        "import runpy, sys\n"
        "sys.argv = ['swath', '--help']\n"
        "try:\n"
        "    runpy.run_module('swath', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'transformers', 'peft', 'rasterio', 'numpy'} & set(sys.modules)\n"
        "    print('CODE', end.code, 'HEAVY', sorted(heavy))\n"
    )
    done = process("-c", script)
    assert "CODE 0 HEAVY []" in done.stdout
    for verb in ("quickstart", "check", "build", "tune", "evaluate", "report", "ask", "export"):
        assert verb in done.stdout


def test_a_folder_is_pushed_without_heavy_libraries():
    script = (
        "import sys, swath.export.publishing\n"
        "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))\n"
    )
    assert process("-c", script).stdout == "[]\n"


# What is refused


def one_line(err):
    """The error line: nothing but it, and no traceback."""
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("swath: "), err
    return lines[0]


def test_a_wrong_request_ends_with_2_and_one_line(swath, tmp_path):
    code, out, err = swath("tune", "quikstart", "--home", tmp_path)
    assert (code, out) == (2, "")
    assert "no recipe 'quikstart'; did you mean quickstart?" in one_line(err)

    code, _, err = swath("tune", "quickstart", "tuning.stages.0.epoch=1", "--home", tmp_path)
    assert code == 2
    assert "tuning.stages.0.epoch: unknown key; did you mean epochs?" in one_line(err)

    code, _, err = swath("build", "captions", "--home", tmp_path)
    assert code == 2
    assert "annotations: name either `source`" in one_line(err)

    code, out, err = swath("check", "quickstart", "--card", "3091", "--home", tmp_path)
    assert (code, out) == (2, "")
    assert "unknown card '3091'; did you mean 3090?" in one_line(err)  # before any data are read
    code, _, err = swath("check", "quickstart", "--cards", "4", "--home", tmp_path)
    assert code == 2 and "--cards: of which kind?" in one_line(err)

    code, _, err = swath("show", "quickstart", "instructions.tasks=[clasify]")
    assert code == 0  # a plugin may add tasks; they are looked up when asked
    code, _, err = swath(
        "build", "quickstart", "instructions.tasks=[clasify]", "annotations.drawn.count=2",
        "--home", tmp_path,
    )  # fmt: skip
    assert code == 2
    assert "unknown task 'clasify'; did you mean classify?" in err
    assert list(tmp_path.glob("*/set")) == []


def test_a_folder_without_images_ends_with_2(swath, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = swath("quickstart", tmp_path / "empty", "--home", tmp_path / "runs")
    assert code == 2
    assert "empty: holds no images, found an empty folder" in one_line(err)
    code, _, err = swath("quickstart", tmp_path / "gone", "--home", tmp_path / "runs")
    assert code == 2
    assert "no such folder or file" in one_line(err)
    assert not (tmp_path / "runs").exists()


def test_one_class_only_ends_with_2(swath, tmp_path):
    for number in range(4):
        rectangle(tmp_path / "AID" / "harbour" / f"{number}.png", (number, 4, number + 9, 20))
    code, _, err = swath(
        "tune", "pixtral-aid-nano", f"annotations.source={tmp_path / 'AID'}", "--home", tmp_path
    )
    assert code == 2
    assert "one class only ('harbour'): there is nothing to tell apart" in err
    assert "Traceback" not in err


def test_a_missing_argument_ends_with_2(swath):
    code, _, err = swath("tune")
    assert code == 2
    assert "Missing argument 'recipe'" in err


NAMES_NOTHING = [
    (["evaluate", "gone"], "gone: no run here; `swath tune RECIPE` makes one"),
    (["report", "gone"], "gone: no run here"),
    (["export", "gone", "--to", "new"], "gone: no run here"),
    (["ask", "gone", "."], "'gone': there is no such run or folder"),
    (["ask", "swath-nano", "gone.png"], "gone.png: no such file; check the path"),
    (["scan", "swath-nano", "gone.tif"], "gone.tif: no such file; check the path"),
    (["compare", "swath-nano", ".", "gone.tif#frame=3"], "gone.tif#frame=3: no such file"),
    (["chat", "gone"], "'gone': there is no such run or folder"),
    (["chat", "swath-nano", "gone.tif"], "gone.tif: no such file; check the path"),
]


@pytest.mark.parametrize(("arguments", "words"), NAMES_NOTHING)
def test_what_is_not_there_ends_with_2(swath, arguments, words):
    code, out, err = swath(*arguments, *([QUESTION] if arguments[0] == "ask" else []))
    assert (code, out) == (2, "")
    assert words in one_line(err)


def test_what_is_not_there_is_said_before_heavy_libraries_are_loaded():
    script = (
        "import sys\n"
        "from swath.cli import main\n"
        f"for arguments in {[arguments for arguments, _ in NAMES_NOTHING]!r}:\n"
        "    arguments += ['Where is it?'] * (arguments[0] == 'ask')\n"
        "    sys.argv = ['swath', *arguments]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        heavy = {'torch', 'transformers'} & set(sys.modules)\n"
        "        print(arguments[0], end.code, *heavy)\n"
    )
    done = process("-c", script)
    verbs = [arguments[0] for arguments, _ in NAMES_NOTHING]
    assert done.stdout.splitlines() == [f"{verb} 2" for verb in verbs]


def test_failed_work_ends_with_1(swath, tmp_path, run):
    (tmp_path / "taken").mkdir()
    code, _, err = swath("export", run, "--to", tmp_path / "taken")
    assert code == 1
    assert "is no export of swath; choose a folder that does not exist" in one_line(err)


def test_a_wrong_number_format_ends_with_2(swath, run, tmp_path):
    code, _, err = swath("export", run, "--to", tmp_path / "x", "--dtype", "float23")
    assert code == 2
    assert "dtype 'float23'; did you mean float32?" in one_line(err)


def test_a_base_that_cannot_be_fetched_ends_with_advice(swath, own, tmp_path):
    code, _, err = swath(
        "tune", own / "demo.yaml", "models.base=mistral-community/pixtral-12b", "--home", tmp_path
    )
    assert code == 1
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("swath: 'mistral-community/pixtral-12b' is no folder here and cannot be")
    assert "use models.base=swath-nano or a folder, or --tiny: the architecture, small" in last


def test_check_ends_with_1_when_a_picture_is_in_train_and_test(swath, tmp_path, tiny_base):
    for image in annotated(tmp_path / "drawn", 8):
        for split in ("train", "test"):
            copy = tmp_path / "AID" / split / image.label / f"{image.id}.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(image.path, copy)
    keys = (f"annotations.source={tmp_path / 'AID'}", f"models.base={tiny_base}")
    recipe = ("pixtral-aid-nano", *keys, "--home", tmp_path)
    code, out, _ = swath("check", *recipe)
    assert code == 1
    assert "leak: 8" in out and "... and 3 more (--json lists all)" in out
    code, _, err = swath("build", *recipe)
    assert code == 2
    assert "8 pictures stand in train and test alike" in err
    code, _, _ = swath("check", *recipe, "annotations.allow_leakage=true")
    assert code == 0
    code, _, _ = swath("build", *recipe, "annotations.allow_leakage=true")
    assert code == 0
    card = read_set(tmp_path / "pixtral-aid-nano" / "set").card
    assert card["leaks"] == 8


def test_check_lists_missing_pictures_and_build_leaves_them_out_where_asked_to(
    swath, tmp_path, tiny_base
):
    rows = []
    for image in annotated(tmp_path / "drawn", 8):
        rows.append(f"{Path(image.path).name},{image.label}")
    (tmp_path / "set").mkdir()
    for image in annotated(tmp_path / "drawn", 8):
        shutil.copy(image.path, tmp_path / "set")
    table = "image,label\n" + "\n".join([*rows, "gone.png,harbour"]) + "\n"
    (tmp_path / "set" / "labels.csv").write_text(table)
    keys = (f"annotations.source={tmp_path / 'set'}", f"models.base={tiny_base}")
    recipe = ("pixtral-aid-nano", *keys, "--home", tmp_path)
    code, out, err = swath("check", *recipe)
    assert code == 1
    assert "missing picture: 1 (1 row; building is refused, or it is left out with" in out
    assert "gone.png: named by 1 row of labels.csv" in out
    assert "1 of 9 pictures missing or not readable" in err
    code, out, _ = swath("check", *recipe, "annotations.unreadable=drop")
    assert code == 0 and "missing picture: 1" in out and "stage" in out
    (found,) = [
        one
        for one in read_set(tmp_path / "pixtral-aid-nano" / "set").card["findings"]
        if one["kind"] == "missing picture"
    ]
    assert (found["where"], found["count"]) == ("gone.png", 1)


def test_an_interrupt_ends_with_130_and_says_how_to_go_on(swath, monkeypatch, tmp_path):
    def interrupted(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(Building, "build", interrupted)
    code, _, err = swath("build", "quickstart", "--home", tmp_path)
    assert code == 130
    assert "swath: interrupted; the same command continues." in err


def test_a_process_of_its_own_behaves_alike(tmp_path):
    done = process("-m", "swath", "tune", "quikstart", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == "swath: no recipe 'quikstart'; did you mean quickstart?"
    assert not (tmp_path / "runs").exists()


def test_a_run_remembers_what_it_was_tuned_from(run, tiny_base):
    assert read_json(run / "run.json")["base"] == str(tiny_base)
