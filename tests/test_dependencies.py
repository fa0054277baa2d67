"""What the package imports is what `pyproject.toml` declares: the plain install lacks nothing."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import swath

PACKAGE = Path(swath.__file__).parent
PROJECT = PACKAGE.parent / "pyproject.toml"

IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml", "pystac-client": "pystac_client"}
"""Distributions whose module has another name."""

OPTIONAL = {
    "pystac": ("stac", "imagery/catalog.py"),
    "pystac_client": ("stac", "imagery/catalog.py"),
    "requests": ("stac", "imagery/catalog.py"),
    "av": ("video", "imagery/video.py"),
    "bitsandbytes": ("qlora", "models/quantized.py"),
    "uvicorn": ("serve", "cli/serve.py"),
    "pyarrow": ("parquet", "parquet_shards.py"),
    "ray": ("cluster", "inference/cluster.py"),
    "pypdf": ("rag", "inference/pdf_pages.py"),
}
"""Modules an extra brings: the extra, and the one file that may import them, within functions."""

ROOMS = {
    "serving/studio/": ("studio", {"fastapi", "gradio", "starlette"}, ("cli/studio.py",)),
    "serving/": ("serve", {"fastapi", "starlette"}, ("cli/serve.py",)),
}
"""Folders whose files may import an extra's modules at their top: the extra, its modules, and the
files through which they are entered, which say what to install."""


def declared() -> set[str]:
    """Modules that the plain install brings."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    names = [re.split(r"[<>=!~\[ ]", line)[0].lower() for line in project["dependencies"]]
    return {IMPORTED_AS.get(name, name) for name in names}


def third_party(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Line and top-level module of each foreign import, and whether it stands in a function."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside |= {id(below) for below in ast.walk(node)}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            root = name.split(".")[0]
            if root not in sys.stdlib_module_names and root != "swath":
                yield node.lineno, root, id(node) in inside


def undeclared(file: str, source: str) -> list[str]:
    """Imports of a file that the plain install would not satisfy."""
    problems = []
    plain = declared()
    for line, module, within_function in third_party(ast.parse(source)):
        room = next((room for room in ROOMS if file.startswith(room)), "")
        if module in plain or (room and module in ROOMS[room][1]):
            continue
        extra, home = OPTIONAL.get(module, ("", ""))
        if file != home:
            problems.append(f"{file}:{line}: imports {module}, which pyproject.toml lacks")
        elif not within_function:
            problems.append(f"{file}:{line}: imports {module} of the extra '{extra}' at the top")
        elif f"swath[{extra}]" not in source:
            problems.append(f"{file}:{line}: no error names the extra '{extra}' for {module}")
    return problems


def test_every_import_is_declared():
    problems = []
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        problems += undeclared(file, path.read_text("utf-8"))
    assert not problems, "\n" + "\n".join(problems)


def test_every_extra_is_declared():
    extras = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    assert {extra for extra, _ in OPTIONAL.values()} <= set(extras)
    assert {extra for extra, _, _ in ROOMS.values()} <= set(extras)


def test_a_rooms_doors_say_what_to_install():
    for room, (extra, _, doors) in ROOMS.items():
        for door in doors:
            assert f"swath[{extra}]" in (PACKAGE / door).read_text("utf-8"), f"{room}: {door}"


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        ("boxes.py", "import sklearn", "boxes.py:1: imports sklearn, which pyproject.toml lacks"),
        ("boxes.py", "def f():\n    import av", "boxes.py:2: imports av, which"),
        ("serving/jobs.py", "import gradio", "imports gradio, which pyproject.toml lacks"),
        ("imagery/video.py", "import av", "of the extra 'video' at the top"),
        ("imagery/video.py", "def f():\n    import av", "no error names the extra 'video'"),
    ],
)
def test_an_import_nobody_declared_is_found(file, source, problem):
    (found,) = undeclared(file, source)
    assert problem in found
