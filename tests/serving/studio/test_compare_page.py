"""Base and tuned side by side, and failures clicked through, on a run that was evaluated."""

import pytest

from swath.experiment import Experiment
from swath.recipes import load_recipe
from tests.serving.studio.conftest import go_to

KEYS = (
    *("name=compared", "annotations.drawn.count=24", "annotations.drawn.size_px=48"),
    *("instructions.tasks=[classify, refer]", "tuning.stages.0.steps=4"),
    *("tuning.stages.0.batch_size=4", "tuning.prove=0", "evaluation.resamples=10"),
)


@pytest.fixture(scope="module")
def compared(studio, tiny_base):
    recipe = load_recipe("quickstart", [*KEYS, f"models.base={tiny_base}"])
    experiment = Experiment(recipe, studio.home / "compared")
    experiment.tune()
    for system in experiment.systems:
        experiment.evaluate(system)
    return experiment


@pytest.fixture
def comparing(compared, page):
    page.reload()
    go_to(page, "Compare", "#compare-run input")
    page.wait_for_function("document.querySelector('#failures-run input').value === 'compared'")
    return page


def test_both_answers_come_with_their_probabilities_and_the_commands(comparing, compared):
    page = comparing
    image = compared.set().conversations[0].images[0].path
    page.click("#compare-run input")
    page.get_by_role("option", name="compared").first.click()
    page.fill("#compare-paths textarea", image)
    page.keyboard.press("Tab")
    page.wait_for_selector("#compare-canvas svg image[href]")
    page.fill("#compare-question textarea", "What is it?")
    page.fill("#compare-choices textarea", "a port\na field")
    page.click("#compare-ask")
    page.locator("#compare-answers .model").nth(1).wait_for()
    for number, system in enumerate(("base", "tuned")):
        notes = (
            page.locator("#compare-answers .model").nth(number).locator("small").all_inner_texts()
        )
        assert notes[0].startswith(f"{system}: ")
        shares = [float(note.split("%")[0]) for note in notes[1:]]
        assert len(shares) == 2 and sum(shares) == pytest.approx(100, abs=0.2)
    run = compared.folder
    first, second = page.inner_text("#compare-command code").splitlines()
    assert f" base:{run} " in first and f" {run} " in second


def test_failures_are_listed_and_shown_with_every_systems_answer(comparing, compared):
    page = comparing
    predictions = compared.runs()[-1].predictions
    page.click("#failures-task input")
    page.get_by_role("option", name="refer").last.click()
    page.locator("#failures-rows .model").first.wait_for()
    page.locator("#failures-canvas polygon.true").wait_for()
    assert page.locator("#failures-canvas polygon.true").count() == 1
    about = page.inner_text("#failures-about")
    assert "✗ tuned" in about and "base" in about
    refers = [one for one in predictions if one.task == "refer"]
    assert page.locator("#failures-rows .model").count() <= len(refers)
    page.locator("#failures-rows .model").last.click()
    page.wait_for_function(
        "text => document.querySelector('#failures-about').innerText !== text", arg=about
    )
