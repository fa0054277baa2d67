import json
import subprocess
import sys
from pathlib import Path

import pytest

from swath.errors import (
    AnnotationError,
    EndpointError,
    EvaluationError,
    RequestError,
    TuningError,
)
from swath.evaluation.predictions import read_predictions
from swath.experiment import Experiment
from swath.files import lock, read_json
from swath.recipes import dump, load_recipe, validate
from tests.making import BLUE, GREEN, RED, rectangle

pytestmark = pytest.mark.numeric

STAGE = {"train": ["projector"], "steps": 2, "batch_size": 4}


@pytest.fixture
def source(tmp_path):
    """Twelve pictures in three class folders."""
    for number in range(12):
        name, colour = [("red", RED), ("green", GREEN), ("blue", BLUE)][number % 3]
        rectangle(tmp_path / "own" / name / f"{number}.png", (number, 4, number + 9, 20), (32, 32),
                  colour)  # fmt: skip
    return tmp_path / "own"


def recipe(base, source, **sections):
    values = {
        "name": "own",
        "annotations": {"source": str(source), "split": {"train": 0.5, "test": 0.5}},
        "models": {"base": str(base)},
        "tuning": {"stages": [STAGE], "precision": "fp32", "threads": 1},
        "evaluation": {"max_new_tokens": 4, "resamples": 20},
    }
    return validate(values | sections, "own.yaml")


@pytest.fixture
def experiment(tiny_base, source, tmp_path):
    return Experiment(recipe(tiny_base, source), tmp_path / "runs" / "own")


def test_verbs_fill_one_folder_in_order(experiment):
    experiment.build()
    experiment.tune()
    for name in experiment.systems:
        experiment.evaluate(name)
    experiment.report("swath report own")
    assert sorted(path.name for path in experiment.folder.iterdir()) == [
        ".lock",
        "evaluation",
        "looks.sqlite",
        "losses.jsonl",
        "model",
        "recipe.yaml",
        "report.html",
        "report.json",
        "run.json",
        "set",
    ]
    assert load_recipe(experiment.folder / "recipe.yaml") == experiment.recipe


def test_a_set_is_built_once_and_again_when_the_recipe_asks_for_another(experiment):
    first = experiment.set()
    card = experiment.folder / "set" / "card.json"
    before = card.stat().st_mtime_ns
    assert experiment.set().conversations == first.conversations
    assert card.stat().st_mtime_ns == before
    values = experiment.recipe.model_dump()
    values["instructions"]["phrasing"] = "varied"
    other = Experiment(type(experiment.recipe)(**values), experiment.folder)
    assert other.set().card["instructions"]["phrasing"] == "varied"


def test_closed_answers_are_all_valid_and_open_ones_are_counted(tiny_base, source, tmp_path):
    for closed in (True, False):
        given = recipe(
            tiny_base, source, evaluation={"closed": closed, "max_new_tokens": 4, "resamples": 20}
        )
        experiment = Experiment(given, tmp_path / str(closed))
        experiment.tune()
        answers = experiment.evaluate("tuned")
        assert len(answers) == 6
        assert all(one.closed == closed for one in answers)
        if closed:
            assert {one.label for one in answers} <= {"red", "green", "blue"}
            assert not any(one.unreadable for one in answers)
        saved = list(read_predictions(experiment.folder / "evaluation/tuned/predictions.jsonl"))
        assert [one.answer for one in saved] == [one.answer for one in answers]


def test_closed_validation_questions_are_asked_too_for_a_threshold(tiny_base, source, tmp_path):
    shares = {"train": 0.5, "val": 0.25, "test": 0.25}
    given = recipe(tiny_base, source, annotations={"source": str(source), "split": shares})
    experiment = Experiment(given, tmp_path / "held")
    experiment.tune()
    for name in experiment.systems:
        experiment.evaluate(name)
    base, tuned = experiment.runs()
    held = {one.id for one in experiment.set().split("val") if one.task == "classify"}
    assert {one.id for one in tuned.validation} == held and held
    assert not held & {one.id for one in tuned.predictions}
    assert all(one.confidence is not None for one in tuned.validation)
    assert base.validation == ()
    page = experiment.report("swath report").read_text()
    assert f"chosen on validation ({len(held)} answers)" in page
    assert "Not measured: blind (the tuned model without pictures)" in page
    right = sum(one.answer == one.truth.label for one in tuned.validation) / len(held)
    known, least = experiment.sure_from(right)
    assert sorted(known) == ["blue", "green", "red"]
    assert least == min(one.confidence for one in tuned.validation)
    with pytest.raises(RequestError, match=r"learned among .*; leave --choice away, or --unsure"):
        experiment.sure_from(0.5, ["red", "blue"])
    (experiment.folder / "evaluation" / "tuned" / "validation.jsonl").unlink()
    with pytest.raises(EvaluationError, match="writes them where the set has classes and a 'val'"):
        experiment.sure_from(0.5)


def test_base_and_tuned_are_asked_the_same_questions(experiment):
    experiment.tune()
    base, tuned = (experiment.evaluate(name) for name in experiment.systems)
    assert [one.id for one in base] == [one.id for one in tuned]
    assert base[0].confidence != tuned[0].confidence
    runs = experiment.runs()
    assert [run.name for run in runs] == ["base", "tuned"]
    assert runs[0].seconds is None and runs[1].seconds >= 0
    assert len(runs[1].losses) == 2


def test_a_model_from_nothing_is_compared_with_no_base(tiny_base, source, tmp_path):
    given = recipe(tiny_base, source, models={"base": str(tiny_base), "weights": "random"})
    experiment = Experiment(given, tmp_path / "random")
    assert experiment.systems == ("tuned",)
    experiment.tune()
    experiment.evaluate("tuned")
    assert [run.name for run in experiment.runs()] == ["tuned"]


def test_blind_baselines_answer_every_question(experiment):
    asked = experiment.questions(experiment.set())
    for answers in experiment.baselines().values():
        assert {one.id for one in answers} <= {one.id for one in asked}
    assert any(len(answers) == len(asked) for answers in experiment.baselines().values())


def test_captions_can_be_limited(tiny_base, tmp_path):
    drawn = {"drawn": {"kinds": "quickstart", "count": 16, "size_px": 48}}
    given = recipe(tiny_base, "unused", annotations=drawn, evaluation={"captions_limit": 1})
    experiment = Experiment(given, tmp_path / "drawn")
    asked = experiment.questions(experiment.set())
    assert sum(one.task == "caption" for one in asked) == 1
    assert sum(one.task == "classify" for one in asked) > 1


def test_fresh_forgets_the_run_and_keeps_the_set(experiment):
    experiment.tune()
    experiment.evaluate("tuned")
    card = (experiment.folder / "set" / "card.json").stat().st_mtime_ns
    values = experiment.recipe.model_dump()
    values["tuning"]["stages"][0]["steps"] = 3
    other = Experiment(type(experiment.recipe)(**values), experiment.folder)
    other.tune(fresh=True)
    assert read_json(experiment.folder / "run.json")["stages"][0]["steps"] == 3
    assert load_recipe(experiment.folder / "recipe.yaml") == other.recipe
    assert not (experiment.folder / "evaluation").exists()
    assert (experiment.folder / "set" / "card.json").stat().st_mtime_ns == card


def test_what_was_not_done_yet_is_named_with_the_verb_that_does_it(experiment, tmp_path):
    with pytest.raises(RequestError, match="no run here; `swath tune RECIPE` makes one"):
        Experiment.of_run(tmp_path)
    experiment.tune()
    with pytest.raises(EvaluationError, match="not evaluated yet; run `swath evaluate "):
        Experiment.of_run(experiment.folder).runs()


def test_a_split_without_rows_is_named(tiny_base, source, tmp_path):
    given = recipe(tiny_base, source, evaluation={"split": "val"})
    experiment = Experiment(given, tmp_path / "val")
    with pytest.raises(EvaluationError, match=r"no 'val' rows; see annotations.split or evaluatio"):
        experiment.questions(experiment.set())


def test_one_picture_in_train_and_test_stops_the_build(tiny_base, source, tmp_path):
    for split in ("train", "test"):
        for name in ("red", "blue"):
            folder = tmp_path / "split" / split / name
            folder.mkdir(parents=True)
            for picture in (source / name).iterdir():
                (folder / picture.name).write_bytes(picture.read_bytes())
    given = {"source": str(tmp_path / "split")}
    experiment = Experiment(recipe(tiny_base, source, annotations=given), tmp_path / "leaky")
    assert experiment.check().leaks == 8
    with pytest.raises(
        AnnotationError, match=r"8 pictures stand in train and test alike.*allow_le"
    ):
        experiment.build()
    assert not (experiment.folder / "set").exists()
    allowed = recipe(tiny_base, source, annotations=given | {"allow_leakage": True})
    assert Experiment(allowed, tmp_path / "leaky").build().card["leaks"] == 8


def test_drawn_scenes_lie_in_the_experiments_folder(tiny_base, tmp_path):
    drawn = {"drawn": {"kinds": "quickstart", "count": 8, "size_px": 48}}
    experiment = Experiment(recipe(tiny_base, "x", annotations=drawn), tmp_path / "drawn")
    built = experiment.build()
    pictures = {Path(one.images[0].path) for one in built.conversations}
    assert all(path.is_relative_to(tmp_path / "drawn" / "drawn") for path in pictures)
    assert built.card["licences"] == {"CC0-1.0 (drawn by swath)": 8}


def test_a_model_is_not_scored_on_a_set_it_was_not_tuned_on(experiment, source):
    experiment.tune()
    for number in range(12, 18):
        rectangle(source / "red" / f"{number}.png", (number, 4, number + 9, 20), (32, 32), BLUE)
    with pytest.raises(TuningError, match="another recipe or other data"):
        experiment.build()
    rebuilt = Experiment(experiment.recipe, experiment.folder.parent / "rebuilt")
    rebuilt.build()
    (experiment.folder / "set" / "conversations.jsonl").write_bytes(
        (rebuilt.folder / "set" / "conversations.jsonl").read_bytes()
    )
    with pytest.raises(EvaluationError, match="not the set this model was tuned on"):
        experiment.evaluate("tuned")


def test_evaluation_keys_change_after_tuning_and_no_others(experiment):
    experiment.tune()
    again = Experiment.of_run(experiment.folder, ["evaluation.views=2"])
    assert again.recipe.evaluation.views == 2
    assert load_recipe(experiment.folder / "recipe.yaml") == again.recipe
    again.evaluate("tuned")
    with pytest.raises(RequestError, match=r"only evaluation. and export. keys can still change"):
        Experiment.of_run(experiment.folder, ["seed=3"])


def test_limited_captions_are_spread_over_the_set(tiny_base, tmp_path):
    drawn = {"drawn": {"kinds": "quickstart", "count": 64, "size_px": 48}}
    given = recipe(tiny_base, "unused", annotations=drawn, evaluation={"captions_limit": 8})
    experiment = Experiment(given, tmp_path / "drawn")
    asked = experiment.questions(experiment.set())
    labels = {one.truth.label for one in asked if one.task == "caption"}
    assert sum(one.task == "caption" for one in asked) == 8
    assert len(labels) > 4


def test_a_picture_damaged_behind_its_header_is_refused_or_dropped(tiny_base, source, tmp_path):
    from PIL import Image

    file = source / "red" / "cut.jpg"
    Image.new("RGB", (64, 64), (9, 80, 200)).save(file)
    file.write_bytes(file.read_bytes()[:-300])
    given = recipe(tiny_base, source)
    with pytest.raises(AnnotationError, match=r"(?s)1 of 13 pictures.*unreadable=drop"):
        Experiment(given, tmp_path / "refused").build()
    annotations = {**given.annotations.model_dump(), "unreadable": "drop"}
    dropping = recipe(tiny_base, source, annotations=annotations)
    assert sum(Experiment(dropping, tmp_path / "dropped").build().card["images"].values()) == 12


def test_classes_that_no_answer_could_tell_apart_stop_the_build(tiny_base, source, tmp_path):
    (source / "red").rename(source / "ArtMuseum")
    (source / "blue").rename(source / "art_museum")
    with pytest.raises(EvaluationError, match="cannot be told apart"):
        Experiment(recipe(tiny_base, source), tmp_path / "odd").build()


def test_more_sides_stand_in_the_report_beside_base_and_tuned(experiment):
    experiment.tune()
    keys = ["evaluation.systems=[tuned, blind, few-shot, base]", "evaluation.shots=2"]
    more = Experiment.of_run(experiment.folder, keys)
    for name in more.systems:
        more.evaluate(name)
    assert [run.name for run in more.runs()] == ["base", "blind", "few-shot", "tuned"]
    page = more.report("swath report").read_text()
    assert "few-shot</th>" in page and "blind</th>" in page


def test_evaluating_again_asks_nothing_and_says_the_same(experiment, monkeypatch):
    from swath.models.engine import LocalEngine

    experiment.tune()
    first = experiment.evaluate("tuned")
    scores = (experiment.folder / "evaluation/tuned/scores.json").read_bytes()

    def refuses(*_):
        raise AssertionError("the model is asked again")

    monkeypatch.setattr(LocalEngine, "score", refuses)
    monkeypatch.setattr(LocalEngine, "answer", refuses)
    assert experiment.evaluate("tuned") == first
    assert (experiment.folder / "evaluation/tuned/scores.json").read_bytes() == scores


def test_shards_put_together_are_the_whole_evaluation(tiny_base, tmp_path, monkeypatch):
    from swath.models.engine import LocalEngine

    drawn = {"drawn": {"kinds": "quickstart", "count": 16, "size_px": 48}}
    given = recipe(tiny_base, "unused", annotations=drawn)
    experiment = Experiment(given, tmp_path / "drawn")
    experiment.tune()
    whole = experiment.evaluate("tuned")
    folder = experiment.folder / "evaluation" / "tuned"
    scores = json.loads((folder / "scores.json").read_bytes())
    for file in folder.iterdir():
        file.unlink()
    parts = [experiment.evaluate("tuned", shard=f"{number}/2") for number in (1, 2)]
    assert len(parts[0]) + len(parts[1]) == len(whole)
    assert sorted(path.name for path in folder.iterdir()) == [
        "replies-1-of-2.jsonl",
        "replies-2-of-2.jsonl",
    ]
    monkeypatch.setattr(LocalEngine, "answer", None)  # nothing is left to ask
    monkeypatch.setattr(LocalEngine, "score", None)
    assert [one.answer for one in experiment.evaluate("tuned")] == [one.answer for one in whole]
    assert_alike(json.loads((folder / "scores.json").read_bytes()), scores)


def assert_alike(value, expected, place="scores"):
    """Equal, numbers to four digits: probabilities depend on the batch they were computed in."""
    if isinstance(expected, float):
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-4), place
    elif isinstance(expected, dict):
        assert value.keys() == expected.keys(), place
        for key in expected:
            assert_alike(value[key], expected[key], f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(value) == len(expected), place
        for number, item in enumerate(expected):
            assert_alike(value[number], item, f"{place}[{number}]")
    else:
        assert value == expected, place


def test_scores_that_differ_by_more_than_rounding_are_told_apart():
    with pytest.raises(AssertionError, match=r"scores.tasks\[0\].n"):
        assert_alike({"tasks": [{"n": 1.001}]}, {"tasks": [{"n": 1.0}]})


def test_a_run_s_own_recipe_sends_no_key_to_an_address(experiment, monkeypatch):
    experiment.tune()
    stranger = "http://127.0.0.1:9/v1#listener"
    keys = {"systems": ["tuned", stranger], "remote": {"key": "SOMEONES_SECRET", "tries": 1}}
    row = experiment.recipe.model_dump(mode="json")
    row["evaluation"] |= keys
    (experiment.folder / "recipe.yaml").write_text(dump(validate(row, "sent.yaml")))
    monkeypatch.setenv("SOMEONES_SECRET", "abc")
    sent = Experiment.of_run(experiment.folder)
    with pytest.raises(RequestError, match=r"not you, says to send SOMEONES_SECRET to http://127"):
        sent.evaluate(stranger)
    with pytest.raises(RequestError, match=r"not you, says to send SOMEONES_SECRET"):
        Experiment.of_run(experiment.folder, ["evaluation.views=1"]).evaluate(stranger)
    named = Experiment.of_run(experiment.folder, [f"evaluation.systems=[tuned, '{stranger}']"])
    with pytest.raises(EndpointError, match="gave no answer"):  # nobody listens there
        named.evaluate(stranger)
    monkeypatch.delenv("SOMEONES_SECRET")
    with pytest.raises(EndpointError, match="gave no answer"):
        sent.evaluate(stranger)


def test_a_report_asks_no_writer_that_a_run_s_recipe_names(experiment, monkeypatch):
    experiment.tune()
    for name in experiment.systems:
        experiment.evaluate(name)
    monkeypatch.setattr(Experiment, "build", None)
    card = experiment.folder / "set" / "card.json"
    card.write_text(card.read_text().replace('"seed": 0', '"seed": 1'))
    assert Experiment.of_run(experiment.folder).report("swath report own").is_file()


def test_a_mistyped_side_is_not_kept(experiment):
    experiment.tune()
    with pytest.raises(RequestError, match=r"'tunde' is none.*did you mean tuned"):
        Experiment.of_run(experiment.folder, ["evaluation.systems=[tunde]"])
    assert Experiment.of_run(experiment.folder).systems == ("base", "tuned")


def test_verdicts_of_a_review_are_replayed_by_the_next_build(experiment):
    from swath.instructions.review import FILE, Review

    first = experiment.set()
    review = Review(experiment.folder / FILE, first.choices["classify"])
    gone, kept = first.conversations[:2]
    review.give(gone, "reject")
    review.give(kept, "accept")
    review.close()
    again = experiment.set()
    assert len(again.conversations) == len(first.conversations) - 1
    assert gone.id not in {one.id for one in again.conversations}
    said = dict(again.card["review"])
    assert (said.pop("digest"), said) != ("", {}) and said == {"rejected": 1, "accepted": 1}
    card = experiment.folder / "set" / "card.json"
    before = card.stat().st_mtime_ns
    experiment.set()
    assert card.stat().st_mtime_ns == before


def test_the_card_says_what_the_result_may_be_used_for(tiny_base, source, tmp_path):
    experiment = Experiment(recipe(tiny_base, source), tmp_path / "runs" / "own")
    assert experiment.build().card["use"].startswith("Not for publication before asking")
    values = experiment.recipe.model_dump()
    values["annotations"]["licence"] = "CC BY-NC 4.0"
    card = Experiment(type(experiment.recipe)(**values), experiment.folder).build().card
    assert card["use"].startswith("Research only, because of own (CC BY-NC 4.0)")
    assert [row["images"] for row in card["ledger"]] == [12]


def test_leakage_that_was_allowed_stands_on_top_of_the_report(tiny_base, source, tmp_path):
    import shutil

    for split in ("train", "test"):
        shutil.copytree(source, tmp_path / "leaky" / split)
    given = recipe(tiny_base, tmp_path / "leaky")
    with pytest.raises(AnnotationError, match=r"12 pictures stand in train and test alike"):
        Experiment(given, tmp_path / "runs" / "leaky").build()
    values = given.model_dump()
    values["annotations"]["allow_leakage"] = True
    experiment = Experiment(type(given)(**values), tmp_path / "runs" / "leaky")
    experiment.tune()
    for name in experiment.systems:
        experiment.evaluate(name)
    text = experiment.report("swath report leaky").read_text("utf-8")
    assert "Leakage was allowed</b> (allow_leakage): 12 findings" in text


def test_a_picture_replaced_after_build_stops_tune_evaluate_and_report(experiment):
    built = experiment.build()
    first = {split: built.split(split)[0].images[0].path for split in ("train", "test")}

    def swapped():
        for name in (first["test"], first["train"]):
            Path(name).rename(f"{name}.old")
        Path(f"{first['train']}.old").rename(first["test"])
        Path(f"{first['test']}.old").rename(first["train"])

    swapped()
    with pytest.raises(AnnotationError, match=r"2 of 12 pictures .* holds what .* held"):
        experiment.tune()
    swapped()
    experiment.tune()
    for name in experiment.systems:
        experiment.evaluate(name)
    swapped()
    for step in (lambda: experiment.evaluate("tuned"), lambda: experiment.report("report")):
        with pytest.raises(AnnotationError, match=r"1 of 6 pictures .* put them back"):
            step()
    assert not (experiment.folder / "report.html").exists()


def test_a_second_tune_of_a_run_is_refused_until_the_first_ends(experiment):
    refusals = []

    def report(row):
        if row["step"] == 1:
            home = experiment.folder.parent
            recipe = str(experiment.folder / "recipe.yaml")
            refusals.append(
                subprocess.run(
                    [sys.executable, "-m", "swath", "tune", recipe, "--home", str(home)],
                    capture_output=True,
                    text=True,
                    check=False,
                )
            )

    experiment.tune(report)
    (refusal,) = refusals
    assert refusal.returncode == 2
    assert refusal.stderr.startswith(f"swath: {experiment.folder}: another process tunes this run")
    assert len(refusal.stderr.splitlines()) == 1
    assert experiment.tune() == experiment.folder


def test_a_lock_is_free_when_its_holder_was_killed(tmp_path):
    command = "import sys, time; from pathlib import Path; from swath.files import lock\n"
    command += "held = lock(Path(sys.argv[1]), 'no'); print('held', flush=True); time.sleep(60)"
    arguments = [sys.executable, "-c", command, str(tmp_path / "lock")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(RequestError, match="taken"):
            lock(tmp_path / "lock", "taken")
        holder.kill()
    lock(tmp_path / "lock", "taken").close()
