"""How long does the page take to show the curve of a very long run?

    python benchmarks/studio_curve.py [--steps 100000] [--times 5]

writes the losses of so many steps, opens the studio's page anew each time, and counts the seconds
until the curve stands in it: from the address being opened, and from the run being chosen on a page
that is open. Printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from studio_kills import Studio, browser_of, opened

from swath.files import LOSSES, MARK, write_json, write_jsonl


def write_run(folder: Path, steps: int) -> None:
    """A run of so many steps, stopped before its end."""
    folder.mkdir()
    write_json(folder / MARK, {})
    rows = [
        {
            "stage": "all",
            "step": step,
            "steps": 2 * steps,
            "loss": 2 / math.sqrt(step) + step % 7 / 100,
            "seconds": 0.5 * step,
            **({"val": 2 / math.sqrt(step)} if step % 100 == 0 else {}),
        }
        for step in range(1, steps + 1)
    ]
    write_jsonl(folder / LOSSES, "losses", rows)


def seconds_until(page: Page, last: int, begin: float) -> float:
    """Seconds since `begin` until the curve that ends at a step is painted."""
    page.wait_for_function(
        "last => document.querySelector('#watch-curve svg')?.dataset.last === String(last)",
        arg=last,
        polling="raf",
    )
    page.evaluate("() => new Promise(requestAnimationFrame)")
    return round(time.monotonic() - begin, 2)


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="swath-studio-curve-"))
    write_run(home / "short", 10)
    write_run(home / "long", options.steps)
    studio = Studio(home)
    result: dict[str, Any] = {"steps": options.steps, "opened_s": [], "chosen_s": []}
    with sync_playwright() as play:
        browser = browser_of(play)
        for _ in range(options.times):
            begin = time.monotonic()
            page = opened(browser, studio)
            result["opened_s"].append(seconds_until(page, options.steps, begin))
            choose(page, "short")
            seconds_until(page, 10, begin)
            begin = time.monotonic()
            choose(page, "long")
            result["chosen_s"].append(seconds_until(page, options.steps, begin))
            page.close()
        browser.close()
    studio.kill()
    print(json.dumps(result))


def choose(page: Page, run: str) -> None:
    """Choose a run on the open page."""
    page.click("#watch-run input")
    page.get_by_role("option", name=run, exact=True).click()


if __name__ == "__main__":
    main()
