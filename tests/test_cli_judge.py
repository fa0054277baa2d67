"""`swath evaluate` in shards and beside a model elsewhere, and `swath judge`, as typed."""

import json

import pytest
from typer.testing import CliRunner

from swath import endpoint as http
from swath.cli import app
from swath.experiment import Experiment
from swath.recipes import load_recipe
from tests.endpoints import endpoint


@pytest.fixture
def run(tmp_path, tiny_base, monkeypatch):
    monkeypatch.setattr(http, "PAUSE_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / "demo.yaml").write_text(
        "extends: quickstart\n"
        "annotations: {drawn: {count: 24, size_px: 48}}\n"
        f"models: {{base: '{tiny_base}'}}\n"
        "tuning:\n"
        "  stages: [{train: [projector], steps: 2, batch_size: 4}]\n"
        "evaluation: {max_new_tokens: 4, resamples: 20}\n"
    )
    experiment = Experiment(load_recipe(tmp_path / "demo.yaml"), tmp_path / "runs" / "demo")
    experiment.tune()
    return experiment.folder


def swath(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_shards_a_model_elsewhere_and_a_judge_follow_each_other(run):
    with endpoint(lambda prompt: "B" if "Answer A" in prompt else "4") as stand:
        sides = f"evaluation.systems=[tuned, '{stand.address}#far']"
        for shard in ("1/2", "2/2"):
            assert swath("evaluate", run, sides, "--shard", shard).exit_code == 0
        assert not list(run.rglob("scores.json"))
        asked = len(stand.bodies)
        done = swath("evaluate", run, "--json")
        assert done.exit_code == 0 and len(stand.bodies) == asked
        assert "accuracy" in done.output
        judged = swath("judge", run, "--by", f"{stand.address}#judge")
        assert judged.exit_code == 0, judged.output
        assert "an opinion, not a score" in judged.output
        assert "tuned, caption: 4.00 of 5" in judged.output
        assert swath("report", run).exit_code == 0
        one = swath("judge", run / "evaluation" / "tuned", "--by", f"{stand.address}#judge")
        assert "tuned, caption: 4.00 of 5" in one.output
    page = (run / "report.html").read_text()
    assert "far (127.0.0.1" in page
    assert json.loads((run / "evaluation" / "judged.json").read_text())["pairs"]


def test_a_judge_is_sent_the_users_own_key_and_not_one_that_a_runs_recipe_names(run, monkeypatch):
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("OPENAI_API_KEY", "SOME_SECRET"))
    assert "SOME_SECRET" in recipe.read_text()
    monkeypatch.setenv("SOME_SECRET", "do-not-send")
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    monkeypatch.setenv("JUDGE_KEY", "another")
    with endpoint(lambda prompt: "4") as stand:
        assert swath("evaluate", run).exit_code == 0
        judging = ("judge", run, "--by", f"{stand.address}#judge")
        assert swath(*judging).exit_code == 0
        (run / "evaluation" / "judge.jsonl").unlink()
        assert swath(*judging, "--key", "JUDGE_KEY").exit_code == 0
    keys = {headers["Authorization"] for headers in stand.headers}
    assert keys == {"Bearer mine", "Bearer another"}
