"""What the pages print can be typed: verbs, flags, recipe keys and links exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from swath.cli import app
from swath.errors import RecipeError
from swath.recipes import describe, load_recipe, shipped_recipes

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
SECTIONS = "imagery|annotations|instructions|models|tuning|evaluation|export"
KEYS = {re.sub(r"\[\]", "", key) for key, _, _ in describe()}
CLI = get_command(app)


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
                    words = shlex.split(one.strip().removeprefix("do "), comments=True)
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
    recipe = context.params.get("recipe") or context.params.get("what")
    if verb == "quickstart":
        recipe = recipe or "quickstart"
    overrides = [one for one in arguments if "=" in one and not one.startswith("-")]
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
