"""Export to a Hugging Face folder, proven by a fresh process that answers as the run did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from swath.errors import ExportError, RequestError
from swath.export.card import CURVE_FILE, loss_picture, model_card
from swath.export.endpoint_files import write_endpoint_files
from swath.files import MANIFEST, read_record, replacing_folder, write_json, write_text
from swath.instructions.builder import read_set
from swath.instructions.conversation import Conversation, write_conversations
from swath.models.family import family_of
from swath.models.loaded import weight_digests
from swath.models.loading import load
from swath.models.proof import answers_of, proof_questions
from swath.recipes import load_recipe
from swath.registry import did_you_mean

DTYPES = ("float32", "float16", "bfloat16")
PROOF = """
import json, sys
from swath.models.proof import read_back
print("ANSWERS" + json.dumps(read_back(sys.argv[1], sys.argv[2])))
"""


def export(run: Path | str, target: Path | str, dtype: str = "float32", prove_on: int = 16) -> int:
    """Write a run as one merged model folder with its card; return how many answers were proven.

    The folder is put in its place only after a fresh process has loaded it and given, to the
    first test questions, the very answers the run gives in the same number format.

    Args:
        run: folder of a finished run.
        target: folder to write; an older export there is replaced, anything else is refused.
        dtype: "float32", "float16" or "bfloat16".
        prove_on: questions asked of both.

    Raises:
        RequestError: there is no such dtype.
        ExportError: the target holds something else, or an answer differs.
        ModelError: the run is not finished or damaged.
    """
    run, target = Path(run), Path(target)
    if dtype not in DTYPES:
        raise RequestError(f"dtype '{dtype}'{did_you_mean(dtype, DTYPES)}")
    if target.exists() and not (target / MANIFEST).is_file():
        raise ExportError(
            f"{target} exists and is no export of swath; choose a folder that does not exist."
        )
    loaded = load(run, quantized=False)
    loaded.model.to(getattr(torch, dtype))
    with replacing_folder(target, MANIFEST) as folder:
        loaded.save(folder)
        recipe = load_recipe(run / "recipe.yaml")
        manifest = {
            "family": family_of(loaded.model.config),
            "imagery": recipe.imagery.model_dump(mode="json"),
            "system": loaded.system,
            "models": recipe.models.model_dump(include={"dialect", "longest"}),
            "made_from": read_record(run)["base"],
            "dtype": dtype,
            "weights": weight_digests(folder),
        }
        write_json(folder / MANIFEST, manifest)
        write_text(folder / "README.md", model_card(run))
        write_text(folder / CURVE_FILE, loss_picture(run))
        write_endpoint_files(folder, recipe.name)
        questions = _proof_questions(run, prove_on)
        # Both sides compute in float32 from the exported numbers.
        loaded.model.to(torch.float32)
        wanted = answers_of(loaded, questions)
        _compare(folder, questions, wanted)
    return len(questions)


def _proof_questions(run: Path, count: int) -> list[Conversation]:
    built = read_set(run / "set")
    return proof_questions(built.split("test") or built.split("train"), count)


def _compare(folder: Path, questions: Sequence[Conversation], wanted: Sequence[str]) -> None:
    file = folder / "proof.jsonl"
    write_conversations(file, questions)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROOF, str(folder), str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        file.unlink()
    marked = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS")]
    if done.returncode or not marked:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ExportError(f"the exported folder did not load in a fresh process ({last}).")
    given = json.loads(marked[0].removeprefix("ANSWERS"))
    for question, one, other in zip(questions, wanted, given, strict=True):
        if one != other:
            raise ExportError(
                f"exported and tuned model differ on {question.id}: '{other}' instead of '{one}'; "
                f"nothing was written. Try export.dtype=float32."
            )
