"""The rules of the house that no tool checks: which way imports point, and what no module does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import swath

PACKAGE = Path(swath.__file__).parent

GROUND_FLOOR = (
    "boxes",
    "dialect",
    "recipe",
    "recipes",
    "registry",
    "errors",
    "files",
    "endpoint",
    "parquet_shards",
    "folder_kinds",
    "vector_files",
    "sent_folders",
)
STAGES = (
    "imagery",
    "annotations",
    "instructions",
    "models",
    "tuning",
    "evaluation",
    "inference",
    "serving",
    "export",
)
TOP = ("cli", "ablation", "building", "experiment", "grid", "__init__", "__main__")
LONGEST = 500
NEVER_IMPORTED = {
    "torchvision": "one built for another torch breaks transformers; compute with torch",
    "timm": "it needs torchvision; take the tower from transformers",
    "pickle": "unpickling runs code; write safetensors or JSON",
    "cloudpickle": "unpickling runs code; write safetensors or JSON",
    "dill": "unpickling runs code; write safetensors or JSON",
    "joblib": "unpickling runs code; write safetensors or JSON",
}


def level(module: str) -> int | None:
    """Height of `swath.x.y` in the house, 0 on the ground floor; None for a name not in it."""
    place = [*module.split("."), "__init__"][1]
    if place in GROUND_FLOOR:
        return 0
    if place in STAGES:
        return 1 + STAGES.index(place)
    return 1 + len(STAGES) if place in TOP else None


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, wherever it stands in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "swath":
            # `from swath import boxes` brings a module, `from swath import load` the package.
            for alias in node.names:
                inside = level(f"swath.{alias.name}") is not None
                yield node.lineno, f"swath.{alias.name}" if inside else "swath"
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and name_of(node.func) in (
            "importlib.import_module",
            "import_module",
            "__import__",
        ):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def name_of(node: ast.AST | None) -> str:
    """`a.b.c` of a chain of names; "" for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def misplaced(module: str, tree: ast.AST) -> Iterator[str]:
    """Imports that point the wrong way, or at what is never imported."""
    here = level(module)
    if here is None:
        yield f"1: '{module}' is no stage; add its folder to the order in DESIGN and here"
        return
    for line, target in imported(tree):
        root = target.split(".")[0]
        if root in NEVER_IMPORTED:
            yield f"{line}: imports {root}; {NEVER_IMPORTED[root]}"
        if root != "swath":
            continue
        there = level(target)
        if there is None or there > here:
            yield f"{line}: imports {target}, which lies above it; pass it in from cli"


def forbidden(module: str, tree: ast.AST) -> Iterator[str]:
    """What no module does."""
    prints = level(module) == 1 + len(STAGES)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{node.lineno}: relative import; write it from swath"
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(name_of(one) in ("", "Exception", "BaseException") for one in caught):
                yield f"{node.lineno}: catches everything; name the errors expected here"
        if isinstance(node, ast.Constant) and node.value == "trust_remote_code":
            yield f"{node.lineno}: trust_remote_code; swath runs no code from the Hub"
        if not isinstance(node, ast.Call):
            continue
        called = name_of(node.func)
        given = {word.arg: word.value for word in node.keywords}
        if called == "print" and not prints:
            yield f"{node.lineno}: prints; only cli does"
        if not false(given.get("trust_remote_code")):
            yield f"{node.lineno}: trust_remote_code; swath runs no code from the Hub"
        if not false(given.get("allow_pickle")):
            yield f"{node.lineno}: allow_pickle; unpickling runs code"
        if called == "torch.load" and not true(given.get("weights_only")):
            yield f"{node.lineno}: torch.load without weights_only=True unpickles, which runs code"


def false(node: ast.AST | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is False)


def true(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def problems(module: str, source: str) -> list[str]:
    """Every broken rule of one module, each with its line."""
    tree = ast.parse(source)
    found = [*misplaced(module, tree), *forbidden(module, tree)]
    length = len(source.splitlines())
    if length > LONGEST:
        found.append(f"{length}: longer than {LONGEST} lines; one module holds one idea")
    return found


def test_house_keeps_its_rules():
    broken = []
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        module = ".".join(("swath", *inside.with_suffix("").parts))
        source = path.read_text(encoding="utf-8")
        broken += [f"swath/{inside}:{problem}" for problem in problems(module, source)]
    assert not broken, "\n" + "\n".join(broken)


def test_every_stage_and_ground_floor_module_is_known():
    assert level("swath.boxes") == 0
    assert level("swath.imagery.scene") == 1
    assert level("swath.export") == 9
    assert level("swath") == level("swath.cli") == level("swath.cli.build") == 10
    assert level("swath.utils.misc") is None


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("swath.boxes", "from swath.imagery.scene import Scene"),
        ("swath.imagery.scene", "import swath.annotations.image"),
        ("swath.models.architectures.nano", "from swath import tuning"),
        ("swath.models.architectures.nano", "from swath import load"),
        ("swath.models.architectures.nano", "import swath"),
        ("swath.evaluation.predicting", "def f():\n    from swath.inference.ask import ask"),
        ("swath.tuning.train", "if TYPE_CHECKING:\n    from swath.evaluation.scoring import Score"),
        ("swath.tuning.train", "import importlib\nimportlib.import_module('swath.export.card')"),
        ("swath.export.card", "from swath.cli import main"),
    ],
)
def test_import_from_above_is_found(module, source):
    (problem,) = problems(module, source)
    assert "lies above it; pass it in from cli" in problem


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("swath.boxes", "from swath.errors import ShapeError"),
        ("swath.imagery.scene", "from swath import boxes"),
        ("swath.imagery.scene", "from swath.imagery.tiling import Tile"),
        ("swath.evaluation.predicting", "from swath.models.engine import Engine"),
        ("swath.cli", "from swath.export.card import write\nprint(write)"),
        ("swath.cli.build", "from swath.cli.shared import console\nprint(console)"),
        ("swath.models.load", "f(trust_remote_code=False)\ntorch.load(p, weights_only=True)"),
        ("swath.models.load", "try:\n    f()\nexcept (OSError, json.JSONDecodeError):\n    pass"),
    ],
)
def test_sound_modules_have_no_problem(module, source):
    assert problems(module, source) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("from .tiling import Tile", "relative import"),
        ("try:\n    f()\nexcept Exception:\n    pass", "3: catches everything"),
        ("try:\n    f()\nexcept (OSError, Exception):\n    pass", "3: catches everything"),
        ("try:\n    f()\nexcept:\n    pass", "3: catches everything"),
        ("print('done')", "only cli does"),
        ("load(name, trust_remote_code=True)", "no code from the Hub"),
        ("load(name, **{'trust_remote_code': True})", "no code from the Hub"),
        ("import pickle", "unpickling runs code"),
        ("numpy.load(path, allow_pickle=True)", "unpickling runs code"),
        ("torch.load(path)", "without weights_only=True"),
        ("torch.load(path, weights_only=False)", "without weights_only=True"),
        ("import torchvision.transforms", "breaks transformers"),
        ("from timm import create_model", "needs torchvision"),
        ("\n" * 501, "501: longer than 500 lines"),
    ],
)
def test_breaking_module_is_found(source, problem):
    (found,) = problems("swath.imagery.scene", source)
    assert problem in found


def test_folder_outside_the_order_is_found():
    (found,) = problems("swath.utils.misc", "x = 1")
    assert "is no stage" in found
