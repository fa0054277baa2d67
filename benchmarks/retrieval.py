"""Facts that stand only in documents: asked without them, with them, and with shuffled ones.

    python benchmarks/retrieval.py FOLDER [--sites N] [--seed S] [--set KEY=VALUE ...] [--out JSON]

Draws a world of sites: a picture of each, and pages that say who owns it, when it was opened and
which code it has. Recipe `retrieval` tunes swath-nano on questions about four in five sites, with
the passages of `swath index` before them. Questions about the other sites are asked three times:
without documents, with theirs, and with pages on which every fact stands under another site. Only
the second can be answered: the first measures what is guessed, the third what is read. A fourth
time the question says "this site" and the picture, taken on another day, leads to its name.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from measured import core_seconds, described, finish, machine
from PIL import Image as Picture

from swath.experiment import Experiment
from swath.files import claim
from swath.imagery.synthetic import QUICKSTART_KINDS, draw
from swath.inference.context import with_context
from swath.inference.neighbours import Tower
from swath.inference.retrieval import Index, Retrieved, open_index, write_index
from swath.instructions.conversation import Conversation, Image, user
from swath.models.engine import LocalEngine
from swath.models.loading import load
from swath.recipes import load_recipe

OWNERS = (
    *("Alder", "Birch", "Cobalt", "Delta", "Ember", "Falcon"),
    *("Granite", "Heron", "Indigo", "Juniper", "Kestrel", "Lantern"),
)
YEARS = range(1950, 2020)
SIDE_PX = 112

_BEGINNINGS = ("Bar", "Cor", "Dun", "El", "Fen", "Gar", "Hol", "Ing", "Kel", "Lan", "Mar", "Nor")
_MIDDLES = ("a", "e", "i", "o", "u", "an", "en", "on", "or", "er")
_ENDS = ("by", "dale", "ford", "ham", "ley", "mere", "more", "stead", "ton", "wick", "field")
PAGE = "{name} is owned by {owner}. It was opened in {year}. Its code is {code}."
ASKED = {
    "owner": "Who owns {name}?",
    "year": "When was {name} opened?",
    "name": "Which site has the code {code}?",
}
QUOTED = "What is written about {name}?"


@dataclass(frozen=True)
class Site:
    """One site and all that is true of it."""

    name: str
    kind: str
    owner: str
    year: str
    code: str
    number: int
    test: bool

    def page(self) -> str:
        """What its page says."""
        return PAGE.format(**vars(self))


def sites_of(count: int, seed: int) -> list[Site]:
    """Sites of different names and codes; every fifth is asked about in the test alone."""
    rng = random.Random(seed)
    every = [f"{a}{b}{c}" for a in _BEGINNINGS for b in _MIDDLES for c in _ENDS]
    names = rng.sample(every, count)
    codes = rng.sample([f"{letter}{n}" for letter in "ABCDEFGH" for n in range(100, 1000)], count)
    return [
        Site(
            name,
            QUICKSTART_KINDS[number % len(QUICKSTART_KINDS)],
            rng.choice(OWNERS),
            str(rng.choice(YEARS)),
            code,
            number,
            number % 5 == 4,
        )
        for number, (name, code) in enumerate(zip(names, codes, strict=True))
    ]


def shuffled(sites: Sequence[Site], seed: int) -> list[Site]:
    """The same sites, every fact moved to another one."""
    order = random.Random(seed).sample(range(len(sites)), len(sites))
    moved = dict(zip(order, [*order[1:], order[0]], strict=True))  # one ring: none stays
    facts = [sites[moved[place]] for place in range(len(sites))]
    return [
        replace(site, owner=fact.owner, year=fact.year, code=fact.code)
        for site, fact in zip(sites, facts, strict=True)
    ]


def write_pages(folder: Path, sites: Sequence[Site]) -> None:
    """A Markdown file a kind of site, a heading a site."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in QUICKSTART_KINDS:
        pages = [f"# {one.name}\n\n{one.page()}\n" for one in sites if one.kind == kind]
        (folder / f"{kind.replace(' ', '-')}.md").write_text("\n".join(pages), encoding="utf-8")


def another_day(pixels: np.ndarray, seed: int) -> np.ndarray:
    """The same place in other light, a little shifted, through another sensor."""
    rng = np.random.default_rng(seed)
    moved = np.roll(pixels, rng.integers(-3, 4, size=2), axis=(0, 1)).astype(float)
    lit = moved * rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, size=3)
    return np.clip(lit + rng.normal(0, 4, size=pixels.shape), 0, 255).astype(np.uint8)


def draw_world(folder: Path, sites: Sequence[Site], seed: int) -> Path:
    """Pictures, pages, shuffled pages and questions; return the table of questions."""
    for site in sites:
        pixels = draw(site.kind, seed * 1_000_000 + site.number, SIDE_PX).pixels
        for place, shown in (
            (folder / "pictures" / f"{site.name}.jpg", pixels),
            (folder / "archive" / site.name / "earlier.jpg", another_day(pixels, site.number)),
        ):
            place.parent.mkdir(parents=True, exist_ok=True)
            Picture.fromarray(shown).save(place, quality=92)
    write_pages(folder / "docs", sites)
    write_pages(folder / "docs-shuffled", shuffled(sites, seed))
    table = folder / "questions.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image", "question", "answer", "kind", "split"])
        for site in sites:
            split = "test" if site.test else "train"
            answers = {kind: getattr(site, kind) for kind in ASKED}
            asked = {kind: words.format(**vars(site)) for kind, words in ASKED.items()}
            answers["quote"], asked["quote"] = site.page(), QUOTED.format(name=site.name)
            for kind, words in asked.items():
                rows.writerow([f"pictures/{site.name}.jpg", words, answers[kind], kind, split])
    return table


def asked_of(folder: Path, site: Site, words: str) -> Conversation:
    """A question about a site's picture."""
    path = str((folder / "pictures" / f"{site.name}.jpg").absolute())
    turn = user(Image(path, (SIDE_PX, SIDE_PX)), "\n" + words)
    return Conversation(f"{site.name} {words}", "question", (turn,))


def measured(
    engine: LocalEngine,
    folder: Path,
    sites: Sequence[Site],
    told: Callable[[Site, str], tuple[str, str]],
    asked: Mapping[str, str] = ASKED,
) -> dict[str, Any]:
    """Share of answers that are the truth to the letter, by kind of question and of all.

    Args:
        told: gives a question as it is put, and what stands before it.
    """
    right: dict[str, list[bool]] = {}
    for kind, wording in asked.items():
        questions = []
        for site in sites:
            words = wording.format(**vars(site))
            words, context = told(site, words)
            questions.append(with_context(asked_of(folder, site, words), context))
        answers = engine.answer(questions, max_new_tokens=16)
        pairs = zip(answers, sites, strict=True)
        right[kind] = [answer.text.strip() == getattr(site, kind) for answer, site in pairs]
    shares: dict[str, Any] = {kind: float(np.mean(marks)) for kind, marks in right.items()}
    every = [mark for marks in right.values() for mark in marks]
    return {**shares, "all": float(np.mean(every)), "n": len(every)}


def as_named(index: Index) -> Callable[[Site, str], tuple[str, str]]:
    return lambda site, words: as_ask_puts(index.search(words), words)


def as_ask_puts(retrieved: Retrieved, words: str) -> tuple[str, str]:
    """A question of a run tuned on passages and what stands before it, as in `swath ask --with`."""
    return retrieved.named(words), retrieved.pages


def found_first(index: Index, sites: Sequence[Site]) -> float:
    """Share of questions whose first passage is the page of the site asked about."""
    right = [
        site.name == index.search(wording.format(**vars(site))).passages[0].title
        for site in sites
        for wording in ASKED.values()
    ]
    return float(np.mean(right))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sites", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], help="keys of recipe `retrieval`")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder, seed = options.folder, options.seed
    claim(folder)
    sites = sites_of(options.sites, seed)
    table = draw_world(folder, sites, seed)
    write_index(folder / "site.index", [folder / "docs"])
    write_index(folder / "shuffled.index", [folder / "docs-shuffled"])
    keys = [f"annotations.source={table}", f"instructions.documents.index={folder}/site.index"]
    keys += ["annotations.allow_leakage=true", *options.set]
    run = Experiment(load_recipe("retrieval", keys), folder / "run")
    documents = run.recipe.instructions.documents
    assert documents is not None
    index = open_index(folder / "site.index", documents.passages)
    wrong = open_index(folder / "shuffled.index", documents.passages)
    run.tune()
    engine = LocalEngine(load(run.folder))
    test = [site for site in sites if site.test]

    archive = folder / "archive.index"
    write_index(archive, [folder / "docs", folder / "archive"], Tower(engine))
    by_picture, tower = open_index(archive, documents.passages), Tower(engine)
    pictures = [str((folder / "pictures" / f"{site.name}.jpg").absolute()) for site in test]
    features = dict(zip([site.name for site in test], tower.vectors(pictures), strict=True))
    near = [by_picture.neighbours.nearest(features[site.name], 1)[0][0] for site in test]
    named = [by_picture.pictures[row].label for row in near]
    result = {
        "without": measured(engine, folder, test, lambda site, words: (words, "")),
        "with": measured(engine, folder, test, as_named(index)),
        "shuffled": measured(engine, folder, test, as_named(wrong)),
        "by_picture": measured(
            engine,
            folder,
            test,
            lambda site, words: as_ask_puts(by_picture.search(words, features[site.name]), words),
            {"owner": "Who owns this site?", "year": "When was this site opened?"},
        ),
        "chance": {"owner": 1 / len(OWNERS), "year": 1 / len(YEARS), "name": 1 / len(sites)},
        "page_found_first": found_first(index, test),
        "picture_names_site": float(
            np.mean([a == s.name for a, s in zip(named, test, strict=True)])
        ),
        "sites": {"train": len(sites) - len(test), "test": len(test)},
        "core_seconds": core_seconds(run.folder),
        "run": described(run.folder),
        "machine": machine(),
    }
    finish(result, options.out)


if __name__ == "__main__":
    main()
