"""Tuning from the page: the run is its own process, whatever becomes of the page."""

import json
import signal
import time

import pytest

from swath.files import read_json, read_losses
from swath.models.loading import load
from tests.making import write_tiny_model
from tests.serving.studio.conftest import WAIT_S, Studio, go_to, opened
from tests.tuning.runs import same, without_times

KEYS = {
    "annotations.drawn.count": "16",
    "annotations.drawn.size_px": "48",
    "instructions.tasks": "[classify, refer]",
    "tuning.stages.0.steps": "40",
    "tuning.stages.0.batch_size": "4",
    "tuning.sample_every": "10",
}


def fill(page, **values):
    go_to(page, "Build and tune", "#tune-form input")
    for key, value in values.items():
        page.fill(f'#tune-form [data-key="{key}"]', value)
        page.keyboard.press("Tab")


def until(true, what):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.2)
    raise AssertionError(f"{what} did not happen")


def steps_of(run):
    return len(read_losses(run)) if (run / "losses.jsonl").is_file() else 0


def finished(run):
    return (
        (run / "run.json").is_file()
        and read_json(run / "run.json")["finished"]
        and (run / "model").is_dir()
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A studio of these tests' own, to be killed."""
    running = [Studio(tmp_path_factory.mktemp("own"))]
    yield running
    running[-1].stop()


def test_killing_the_page_changes_nothing_of_the_run(chromium, own, base):
    folder = own[0].folder
    with opened(chromium, own[0]) as page:
        fill(page, **KEYS, **{"name": "undisturbed", "models.base": str(base)})
        page.click("#tune-start")
        until(lambda: finished(own[0].home / "undisturbed"), "the first tuning")
        fill(page, name="disturbed")
        page.click("#tune-start")
        run = own[0].home / "disturbed"
        until(lambda: steps_of(run) >= 3, "the second tuning")
        page.reload()
        own[0].stop(signal.SIGKILL)
    assert not finished(run)
    own.append(Studio(folder))
    with opened(chromium, own[-1]) as page:  # come back to: the run that was last at work
        go_to(page, "Build and tune", "#watch-curve svg[data-last]")
        assert page.locator("#watch-run input").input_value() == "disturbed"
        until(lambda: finished(run), "the second tuning's end")
        page.wait_for_selector('#watch-curve svg[data-last="40"]')
        page.wait_for_function(
            "document.querySelector('#watch-status').innerText.includes('Finished')"
        )
        page.wait_for_selector("#watch-answers .model")
    other = own[-1].home / "undisturbed"
    assert without_times(read_losses(run)) == without_times(read_losses(other))
    assert same(load(run).model.state_dict(), load(other).model.state_dict())


def test_a_run_is_stopped_and_continued_from_the_page(chromium, own, base):
    with opened(chromium, own[-1]) as page:
        fill(
            page,
            **{**KEYS, "tuning.stages.0.steps": "400"},
            **{"name": "halted", "models.base": str(base)},
        )
        page.fill("#tune-further textarea", "tuning.save_every=5")
        page.click("#tune-start")
        run = own[-1].home / "halted"
        until(lambda: steps_of(run) >= 12, "some steps")
        page.click("#watch-stop")
        page.wait_for_function(
            "document.querySelector('#watch-status').innerText.includes('Stopped')"
        )
        stopped_at = steps_of(run)
        assert 12 <= stopped_at < 400
        page.wait_for_selector("#watch-resume:not([disabled])")
        page.click("#watch-resume")
        until(lambda: steps_of(run) > stopped_at, "the continued run")
        page.click("#watch-stop")
        page.wait_for_function(
            "document.querySelector('#watch-status').innerText.includes('Stopped')"
        )
    steps = [row["step"] for row in read_losses(run)]
    assert steps == list(range(1, len(steps) + 1))


def test_the_plan_comes_from_check_and_a_wrong_key_from_the_recipe(chromium, own, base):
    with opened(chromium, own[-1]) as page:
        fill(page, **KEYS, **{"name": "planned", "models.base": str(base)})
        page.wait_for_function(
            "document.querySelector('#tune-command').innerText.includes('planned')"
        )
        assert "tuning.stages.0.steps=40" in page.inner_text("#tune-command")
        page.click("#tune-check")
        page.wait_for_function(
            "document.querySelector('#watch-plan').innerText.includes('40 steps')"
        )
        plan = json.loads((own[-1].home / "planned" / "check" / "check.json").read_text())["plan"]
        assert f"{plan['memory_mb']:,.0f} MB" in page.inner_text("#watch-plan")
        page.fill("#tune-further textarea", "tuning.stages.0.epoch=3")
        page.click("#tune-start")
        page.wait_for_function(
            "document.querySelector('#tune-notice').innerText.includes('did you mean epochs')"
        )
        assert not (own[-1].home / "planned" / "run.json").exists()


def test_what_is_changed_while_the_page_is_answered_counts(chromium, own):
    with opened(chromium, own[-1]) as page:
        fill(page, **{"tuning.stages.0.steps": "41"})
        page.wait_for_function("document.querySelector('#tune-command').innerText.includes('41')")
        own[-1].process.send_signal(signal.SIGSTOP)
        for name in ("first", "second"):
            fill(page, name=name)
            page.wait_for_timeout(200)  # the first is on its way
        own[-1].process.send_signal(signal.SIGCONT)
        page.wait_for_function(
            "document.querySelector('#tune-command').innerText.includes('second')"
        )
        assert "tuning.stages.0.steps=41" in page.inner_text("#tune-command")


def test_a_run_that_fails_says_why(chromium, own):
    with opened(chromium, own[-1]) as page:
        fill(page, **KEYS, **{"name": "lost", "models.base": str(own[-1].folder / "gone")})
        page.click("#tune-start")
        page.wait_for_function(
            "document.querySelector('#watch-status').innerText.includes('Failed: ')"
        )
        assert "gone" in page.inner_text("#watch-status")
