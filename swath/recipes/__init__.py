"""Recipes as files: found by name or path, extended, overridden by dotted keys, described."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from swath.errors import RecipeError
from swath.files import stamp_of
from swath.recipe import Recipe, Section
from swath.registry import did_you_mean

SHIPPED = Path(__file__).parent

LARGEST = 1 << 20
"""Bytes of a recipe's file at most; the longest shipped one has 3,000."""
DEEPEST = 32
"""Sections and lists within one another at most."""
MOST_VALUES = 100_000
"""Values of a recipe at most, each counted as often as its YAML aliases repeat it."""
_SHOWN = 200
"""Signs of a refused value that an error shows."""


def load_recipe(name: str | Path, overrides: Sequence[str] = (), tiny: bool = False) -> Recipe:
    """The recipe in a YAML file, or the shipped one of that name, with dotted keys replaced.

    Args:
        name: of the recipe.
        overrides: each "section.key=value".
        tiny: the same architecture, small and random: the recipe's `tiny` keys are applied.

    Raises:
        RecipeError: there is no such recipe, it is not YAML, or a key or value is refused.
    """
    path = find_recipe(name)
    values = _with_base(path, seen=())
    values.setdefault("name", path.stem)
    if tiny:
        values = merged(values, values.pop("tiny", {}))
        values = merged(values, {"name": f"{values['name']}-tiny", "models": {"weights": "tiny"}})
    return overridden(values, overrides, path.name)


def overridden(values: dict[str, Any], overrides: Sequence[str], where: str) -> Recipe:
    """The recipe of a mapping with dotted keys replaced.

    Raises:
        RecipeError: a key or value is refused.
    """
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise RecipeError(f"'{override}': an override has the form section.key=value.")
        _set(values, key.split("."), yaml_value(value, f"override {key}"), override)
        if key == "annotations.source":  # one's own images instead of drawn ones
            values["annotations"].pop("drawn", None)
    return validate(values, where)


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path that exists, or the name of one that swath ships."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path
    shipped = SHIPPED / f"{name}.yaml"
    if str(name) in shipped_recipes():
        return shipped
    raise RecipeError(f"no recipe '{name}'{did_you_mean(str(name), shipped_recipes())}")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with swath."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def validate(values: dict[str, Any], where: str) -> Recipe:
    """The recipe of a mapping.

    Raises:
        RecipeError: a key is unknown (the nearest is offered) or a value does not fit.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(advice(error, where)) from None


def dump(recipe: Recipe) -> str:
    """The recipe as YAML; `load_recipe` reads it back."""
    text: str = yaml.safe_dump(
        recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )
    return text


def describe() -> Iterable[tuple[str, str, str]]:
    """(dotted key, default, description) of everything a recipe may hold."""
    return _describe(Recipe, "")


def _describe(section: type[Section], prefix: str) -> Iterable[tuple[str, str, str]]:
    for key, field in section.model_fields.items():
        inner = _section_of(field.annotation)
        many = "[]" if "list[" in str(field.annotation) else ""
        if inner is not None:
            yield from _describe(inner, f"{prefix}{key}{many}.")
            continue
        default = (
            "(required)" if field.is_required() else field.get_default(call_default_factory=True)
        )
        yield f"{prefix}{key}", str(default), field.description or ""


def _section_of(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = (_section_of(argument) for argument in getattr(annotation, "__args__", ()))
    return next((section for section in inner if section is not None), None)


def _with_base(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise RecipeError(f"{path.name}: extends itself, by way of {seen[-1].name}.")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise RecipeError(f"{path.name}: a recipe is a mapping of sections.")
    _rename_sides(values, path)
    base = values.pop("extends", None)
    if base is None:
        return values
    beside = path.parent / f"{base}.yaml"
    return merged(
        _with_base(beside if stamp_of(beside) else find_recipe(str(base)), (*seen, path)), values
    )


def _rename_sides(values: dict[str, Any], path: Path) -> None:
    """Recipes of an older swath, and the runs tuned by them, call `evaluation.systems` so."""
    section = values.get("evaluation")
    if not isinstance(section, dict) or "sides" not in section:
        return
    if "systems" in section:
        raise RecipeError(
            f"{path.name}: evaluation.sides is the old name of evaluation.systems; keep one."
        )
    section["systems"] = section.pop("sides")


def read_yaml(path: Path) -> Any:
    """What a YAML file of the user's holds, however it was made.

    Raises:
        RecipeError: it cannot be read, is large or no YAML, or would unfold to something huge.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise RecipeError(f"{path}: larger than {LARGEST} bytes; is this a recipe?")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error}).") from None
    return yaml_value(text, path.name)


def merged(below: Any, above: Any) -> Any:
    """A mapping with another laid over it, section by section; anything else is replaced.

    Over a list lies a mapping of its items' names or numbers, or `*` for each.
    """
    if isinstance(below, list) and isinstance(above, dict):
        items = copy.deepcopy(below)
        for key, changes in above.items():
            for number in _items(items, str(key), "extends"):
                items[number] = merged(items[number], changes)
        return items
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: merged(below[key], above[key])
            if key in below and key in above
            else copy.deepcopy(above.get(key, below.get(key)))
            for key in {**below, **above}
        }
    return copy.deepcopy(above)


def yaml_value(text: str, where: str) -> Any:
    """What a YAML text means, within the bounds of a recipe.

    Raises:
        RecipeError: it is no YAML, or would unfold to something huge.
    """
    try:
        return _apart(yaml.load(text, Loader=_BoundedLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
    except ValueError as error:  # a number of 5,000 digits, a 13th month
        line = ""
        problem = error
    raise RecipeError(f"{where}{line}: not valid YAML ({problem}).")


class _BoundedLoader(yaml.SafeLoader):
    """Refuses text that is small and means something huge, before anything of it is built."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._values = 0
        self._values_in: dict[int, int] = {}  # by a finished node's identity

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        self._depth += 1
        self._require(self._depth <= DEEPEST, f"nested more than {DEEPEST} deep", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            self._require(id(node) in self._values_in, f"*{event.anchor} holds itself", event)
            self._values += self._values_in[id(node)]
        else:
            self._values += 1
            self._values_in[id(node)] = self._values - before
        self._require(self._values <= MOST_VALUES, f"more than {MOST_VALUES} values", event)
        return node

    def _require(self, holds: bool, problem: str, event: Any) -> None:
        if not holds:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _apart(value: Any) -> Any:
    """The same with nothing shared: an override of one stage is not one of its YAML alias too."""
    if isinstance(value, dict):
        return {key: _apart(part) for key, part in value.items()}
    return [_apart(part) for part in value] if isinstance(value, list) else value


def _set(values: Any, keys: list[str], value: Any, override: str) -> None:
    """Replace what dotted keys lead to; an item of a list is its number, its name or `*`, each.

    A named item that becomes null goes out of its list.
    """
    key, *deeper = keys
    if isinstance(values, list):
        numbers = _items(values, key, override)
        if value is None and not deeper:
            values[:] = [item for number, item in enumerate(values) if number not in numbers]
            return
        for number in numbers:
            if deeper:
                _set(_section(values[number], key, override), deeper, value, override)
            else:
                values[number] = copy.deepcopy(value)
    elif deeper:
        if values.get(key) is None:
            values[key] = {}
        _set(_section(values[key], key, override), deeper, value, override)
    else:
        values[key] = value


def _section(value: Any, key: str, override: str) -> Any:
    if not isinstance(value, dict | list):
        raise RecipeError(f"'{override}': '{key}' holds a value, not a section.")
    return value


def _items(items: list[Any], key: str, override: str) -> list[int]:
    """Numbers of the items of a list that a key means."""
    if key == "*":
        return list(range(len(items)))
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if key in names:
        return [names.index(key)]
    if key.isdecimal() and int(key) < len(items):
        return [int(key)]
    called = [str(name) for name in names if name is not None]
    raise RecipeError(
        f"'{override}': '{key}' is no item; it counts from 0 to {len(items) - 1}"
        f"{', or is one of ' + ', '.join(called) if called else ''}."
    )


def advice(error: ValidationError, where: str, root: type[Section] = Recipe) -> str:
    """What is wrong with the values of a section, a misspelt key with the nearest one offered."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            section: Any = root
            for part in item["loc"][:-1]:
                if isinstance(part, str):
                    section = _section_of(section.model_fields[part].annotation)
            fields = list(section.model_fields)
            lines.append(f"{key}: unknown key{did_you_mean(str(item['loc'][-1]), fields)}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            got = repr(item["input"])
            got = got if len(got) <= _SHOWN else got[:_SHOWN] + "..."
            lines.append(f"{key}: {message} (got {got})")
    return f"{where}: " + "; ".join(lines)
