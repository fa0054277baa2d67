"""Does a tuning care what becomes of the page that began it, or of the studio's process?

    python benchmarks/studio_kills.py [--kills 20] [--studio-every 4] [--steps 300] [--home FOLDER]

tunes a tiny model from the page while the browser is killed so often; at every fourth of them the
studio's process is killed too and started again. Each time the page is opened anew, and its curve
has to hold every step that the run's file holds. Weights and losses have to be those of the same
command without a page, which is run afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from swath.files import LOSSES, read_json, read_losses
from swath.serving.studio.work_desk import COMMAND

WAIT_MS = 300_000
STEP_KEY = "tuning.stages.0.steps"
KEYS = {
    "annotations.drawn.count": "16",
    "annotations.drawn.size_px": "48",
    "instructions.tasks": "[classify, refer]",
    "tuning.stages.0.batch_size": "4",
}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Studio:
    """`swath studio`, killed and started again.

    Args:
        home: folder of the experiments.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.start()

    def start(self) -> None:
        """Start it, and wait until it tells its address."""
        command = [sys.executable, "-u", "-m", "swath", "studio", "--home", str(self.home)]
        self.process = subprocess.Popen(
            [*command, "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if "http://" in line)
        self.address = re.search(r"http://\S+", line)[0]

    def kill(self) -> None:
        """End it as an empty battery would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def browser_of(play: Playwright) -> Browser:
    """A browser that can be killed."""
    program = next(filter(None, map(shutil.which, PROGRAMS)))
    return play.chromium.launch(executable_path=program, args=["--no-sandbox"])


def kill_browser() -> None:
    """Kill the browser's processes: no page gets to say goodbye.

    Whether they are gone is not asked of Playwright, which hears of it only while it is called.
    """
    for process in browser_processes():
        os.kill(process, signal.SIGKILL)


def browser_processes() -> list[int]:
    """The main process of the browser that this process started."""
    command = ["ps", "--ppid", str(driver_process()), "-o", "pid="]
    return [int(word) for word in subprocess.run(command, capture_output=True).stdout.split()]


def driver_process() -> int:
    """The process by which the browser is driven."""
    command = ["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return next(int(line.split()[0]) for line in lines if "node" in line)


def opened(browser: Browser, studio: Studio) -> Page:
    """The page at its tab of tunings."""
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(studio.address)
    page.get_by_role("tab", name="Build and tune", exact=True).click()
    page.wait_for_selector("#tune-form input")
    return page


def begin(page: Page, name: str, steps: int) -> None:
    """Begin a tuning from the page."""
    values = {**KEYS, STEP_KEY: str(steps), "name": name}
    page.check("#tune-tiny input")
    page.wait_for_timeout(2000)
    for key, value in values.items():
        page.fill(f'#tune-form [data-key="{key}"]', value)
        page.keyboard.press("Tab")
    page.wait_for_function(
        "name => document.querySelector('#tune-command').innerText.includes(name)", arg=name
    )
    page.click("#tune-start")


def steps_of(run: Path) -> int:
    """Steps that a run's file holds."""
    return len(read_losses(run)) if (run / LOSSES).is_file() else 0


def until_finished(run: Path) -> None:
    """Wait until a run has its model."""
    while not (run / "run.json").is_file() or not read_json(run / "run.json").get("finished"):
        time.sleep(0.5)


def shown_steps(page: Page, least: int) -> int:
    """The last step of the curve that the page shows, once it shows as many as there were."""
    page.wait_for_function(
        "least => Number(document.querySelector('#watch-curve svg')?.dataset.last) >= least",
        arg=least,
    )
    return int(page.get_attribute("#watch-curve svg", "data-last"))


def result_of(run: Path) -> dict[str, Any]:
    """What has to be the same."""
    weights = hashlib.sha256()
    for file in sorted(run.glob("model/*.safetensors")):
        weights.update(file.read_bytes())
    losses = [[row["step"], row["loss"]] for row in read_losses(run)]
    return {"weights": weights.hexdigest(), "losses": losses}


def undisturbed(run: Path) -> Path:
    """The run's own command, run in another folder without a page."""
    *arguments, _, _, tiny = read_json(run / COMMAND)["arguments"]
    home = run.parent / "calm"
    command = [sys.executable, "-m", "swath", "tune", *arguments, "--home", str(home), tiny]
    subprocess.run(command, check=True, capture_output=True)
    return home / run.name


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--studio-every", type=int, default=4, metavar="KILLS")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    home = (options.home or Path(tempfile.mkdtemp(prefix="swath-studio-kills-"))).absolute()
    rng = random.Random(0)
    studio = Studio(home)
    counts = {"page": 0, "studio": 0, "while tuning": 0}
    curves_whole = True
    run = home / "disturbed"
    with sync_playwright() as play:
        browser = browser_of(play)
        begin(opened(browser, studio), run.name, options.steps)
        while steps_of(run) < 2:
            time.sleep(0.2)
        for number in range(1, options.kills + 1):
            time.sleep(rng.uniform(0, 2))
            kill_browser()
            counts["page"] += 1
            if number % options.studio_every == 0:
                studio.kill()
                studio.start()
                counts["studio"] += 1
            steps = steps_of(run)
            counts["while tuning"] += steps < options.steps
            browser = browser_of(play)
            shown = shown_steps(opened(browser, studio), steps)
            curves_whole &= steps <= shown <= steps_of(run)
            print(counts, "steps", steps, "shown", shown, flush=True)
        until_finished(run)
        curves_whole &= shown_steps(opened(browser, studio), options.steps) == options.steps
        kill_browser()
    studio.kill()
    same = result_of(run) == result_of(undisturbed(run))
    print(json.dumps({"kills": counts, "same": same, "curves whole": curves_whole}))
    sys.exit(not (same and curves_whole))


if __name__ == "__main__":
    main()
