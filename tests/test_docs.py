"""What the pages print can be typed, and what they list is what swath has, no more and no less."""

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from PIL import Image, ImageDraw
from typer.main import get_command

from swath.annotations.findings import EFFECTS
from swath.annotations.readers import READERS, read_sound, recognise
from swath.annotations.writers import WRITERS
from swath.cli import app
from swath.errors import RecipeError
from swath.evaluation.metrics.base import METRICS
from swath.evaluation.suites.table import groups, shipped
from swath.instructions.tasks.words import TASKS
from swath.recipes import describe, load_recipe, shipped_recipes

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
SECTIONS = "imagery|annotations|instructions|models|tuning|evaluation|export"
KEYS = {re.sub(r"\[\]", "", key) for key, _, _ in describe()}
CLI = get_command(app)
SUITES = {*shipped(), *groups()}


def blocks(page: Path, *languages: str) -> list[str]:
    """Fenced blocks of these languages."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [text for language, text in fenced if language in languages]


def commands(page: Path) -> list[tuple[list[str], str]]:
    """Words of each `swath` command in a page's blocks, and the line printed after it."""
    found = []
    for text in blocks(page, "sh", "console"):
        block = text.replace("\\\n", " ")
        for name, first in re.findall(r"for (\w+) in (\S+)", block):
            block = block.replace(f"${name}", first)
        lines = block.splitlines()
        for line, after in zip(lines, [*lines[1:], ""], strict=True):
            command = line.strip().removeprefix("$ ")
            for one in re.split(r"&&|;", command):
                if one.strip().removeprefix("do ").startswith("swath "):
                    words = shlex.split(re.sub(r"\s#\s.*", "", one.strip().removeprefix("do ")))
                    found.append((words[1:], after))
    return found


PRINTED = [
    pytest.param(words, after, id=f"{page.relative_to(ROOT)}: {' '.join(words)}"[:90])
    for page in PAGES
    for words, after in commands(page)
]


def test_commands_are_found_in_the_pages():
    assert len(PRINTED) > 40


@pytest.mark.parametrize(("words", "after"), PRINTED)
def test_a_printed_command_can_be_typed(words, after):
    verb, *arguments = words
    assert verb in CLI.commands, f"no verb {verb}"
    context = CLI.commands[verb].make_context(verb, [*arguments])  # a wrong flag is an error
    suites = context.params.get("suite") or []
    for name in suites.split(",") if isinstance(suites, str) else ",".join(suites).split(","):
        assert not name or name.endswith(".yaml") or name.partition("=")[0] in SUITES, name
    recipe = context.params.get("recipe") or context.params.get("what")
    if verb == "quickstart":
        recipe = recipe or "quickstart"
    overrides = list(context.params.get("overrides") or ())
    if recipe not in shipped_recipes():  # a run, or a file of the reader's own
        recipe = "quickstart"
        overrides = [one for one in overrides if ".stages." not in one]
    if after.startswith("swath: "):
        with pytest.raises(RecipeError) as refused:
            load_recipe(recipe, overrides)
        assert after == f"swath: {refused.value}"
        return
    load_recipe(recipe, overrides, tiny=bool(context.params.get("tiny")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_verbs_and_keys_that_exist(page):
    for code in re.findall(r"`([^`\n]+)`", page.read_text("utf-8")):
        if verb := re.match(r"swath ([a-z]+)\b", code):
            assert verb[1] in CLI.commands, code
        for name in re.findall(rf"(?<![\w./-])((?:{SECTIONS})\.[\w.]+)", code):
            key = re.sub(r"\.\d+\b", "", name).rstrip(".")
            inside = key in KEYS or any(other.startswith(f"{key}.") for other in KEYS)
            below = any(key.startswith(f"{other}.") for other in KEYS)  # a mapping's own names
            assert inside or below or key.endswith((".py", ".yaml")), f"{code}: no key {key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_pages_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_pages_yaml_is_a_recipe_or_a_part_of_one(page, tmp_path):
    for number, block in enumerate(blocks(page, "yaml")):
        values = yaml.safe_load(block)
        if not set(values) & {"extends", *SECTIONS.split("|")}:
            continue  # a row of another table
        file = tmp_path / f"page{number}.yaml"
        file.write_text(yaml.safe_dump({"extends": "quickstart", **values}))
        load_recipe(file)


def test_a_wrong_flag_or_verb_in_a_page_would_be_seen():
    with pytest.raises(Exception, match="--tinny"):
        CLI.commands["tune"].make_context("tune", ["geochat", "--tinny"])
    assert "tunne" not in CLI.commands


PICTURES = {".jpg", ".JPG", ".png", ".tif"}
FORMATS = sorted(set((ROOT / "docs/formats").glob("*.md")) - {ROOT / "docs/formats/README.md"})
EXAMPLES = [
    pytest.param(page, block, id=f"{page.stem}-{number}")
    for page in FORMATS
    for number, block in enumerate(blocks(page, ""))
]


def lay_out(block: str, folder: Path, side: int = 800) -> None:
    """Write the files that a page shows: a path a line, then its text, which goes on indented.

    Args:
        side: of its pictures, in pixels.
    """
    texts: dict[str, list[str]] = {}
    for line in block.splitlines():
        name, _, text = ("", "", line) if line[0] == " " else line.partition(" ")
        texts.setdefault(name or next(reversed(texts)), []).append(text.strip())
    for name, lines in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if Path(name).suffix in PICTURES:
            picture(folder / name, side)
        else:
            (folder / name).write_text("\n".join(lines) + "\n")


def picture(path: Path, side: int) -> None:
    """A plain picture, one with a place on the ground, or a mask with a patch in it."""
    if path.parent.name in {"label", "masks", "gray"}:
        mask = Image.new("L", (side, side), 255 if path.parent.name == "gray" else 0)
        ImageDraw.Draw(mask).rectangle((10, 20, 39, 34), fill=1)
        mask.save(path)
    elif path.name == "scene.tif":
        shape = {"width": side, "height": side, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
        grid = rasterio.transform.from_bounds(14.9, 45.1, 15.1, 45.3, side, side)
        with rasterio.open(path, "w", transform=grid, **shape) as file:
            file.write(np.ones((1, side, side), np.uint8))
    else:
        Image.new("RGB", (side, side), "grey").save(path)


def reads(page: Path) -> set[str]:
    """The readers a page is about, from its title."""
    return set(re.findall(r"`(\w+)`", page.read_text("utf-8").partition("\n")[0]))


@pytest.mark.parametrize(("page", "block"), EXAMPLES)
def test_a_formats_example_is_read_whole_by_the_reader_of_its_page(page, block, tmp_path):
    lay_out(block, tmp_path)
    assert recognise(tmp_path).name in reads(page)
    reading = read_sound(tmp_path)
    found = reading.findings
    images = reading.images
    assert {one.kind for one in found} <= {"difficult"}  # DOTA's, kept
    for image in images:
        assert image.label or image.captions or image.questions or len(image.boxes), image.id


def test_every_reader_has_a_page_with_an_example_and_a_row_in_the_list_of_formats():
    listed = dict(table(ROOT / "docs/formats/README.md", "reader", of=(0, -1)))
    assert list(listed) == [name for name, _ in READERS.items()]
    shown = {page for page in FORMATS if blocks(page, "")}
    for name, pages in listed.items():
        linked = {ROOT / "docs/formats" / one for one in re.findall(r"\((\S+)\)", pages)}
        assert linked <= shown and all(name in reads(page) for page in linked), name


def test_a_page_that_a_writer_writes_says_so():
    printed = " ".join(page.read_text("utf-8") for page in FORMATS)
    ends = " ".join(re.findall(r"^Written by (.*)", printed, re.MULTILINE))
    said = {code.split()[-1] for code in re.findall(r"`([^`]+)`", ends)}
    assert said == {name for name, _ in WRITERS.items()}


def test_every_suite_stands_in_its_table_as_it_runs():
    of = (0, 1, 2, 3, 4, 5, 6)
    listed = table(ROOT / "docs/suites.md", "suite", of)
    assert listed == [
        (one.name, one.title, one.task, one.metric, ", ".join(one.modes), one.protocol, one.status)
        for one in shipped().values()
    ]


def test_the_readme_counts_and_names_what_there_is():
    page = (ROOT / "README.md").read_text("utf-8")
    counted = [re.search(rf"(\d+) {what}", page)[1] for what in ("suites", "formats")]
    assert counted == [str(len(shipped())), str(len([*READERS.items()]))]
    tree = page[page.index("```\nswath/") :].partition("\n```\n")[0]
    inside = [one for one in (ROOT / "swath").iterdir() if one.name[0] not in "_."]
    names = {one.name + "/" * one.is_dir() for one in inside} - {"py.typed"}
    assert names - {*re.findall(r"[\w.]+/?", tree)} == set()


def test_every_metric_and_every_task_is_explained():
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    assert {*METRICS} - {*re.findall(r"`([^`\n]+)`", page)} == set()
    tasks = [task for (task,) in table(ROOT / "docs/formats.md", "task")]
    assert [*tasks[:-1]] == [name for name, _ in TASKS.items()]
    assert tasks[-1] == "converse"  # rows of several tasks, of `instructions.turns`


def test_every_kind_of_finding_is_explained():
    page = (ROOT / "docs/trust.md").read_text("utf-8")
    kinds = {*EFFECTS}
    for module in (ROOT / "swath/annotations").rglob("*.py"):
        for call in ast.walk(ast.parse(module.read_text("utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            function = getattr(call.func, "attr", "") or getattr(call.func, "id", "")
            counted = function == "count" and len(call.args) > 2  # text and lists count as well
            if call.args and (counted or function in {"note", "Finding"}):
                words = (getattr(node, "value", None) for node in ast.walk(call.args[0]))
                kinds |= {word for word in words if isinstance(word, str)}
    assert len(kinds) > 30
    assert kinds - {*re.findall(r"`([^`\n]+)`", page)} == set()


def table(page: Path, first: str, of: tuple[int, ...] = (0,)) -> list[tuple[str, ...]]:
    """Cells of the rows under the heading `first`, code marks dropped."""
    text = page.read_text("utf-8")
    rows = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows, f"{page}: no table of '{first}'"
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows[1].splitlines()]
    return [tuple(row[at].strip().strip("`") for at in of) for row in cells]
