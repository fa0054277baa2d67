"""A short run of `make fuzz`, and texts that hypothesis makes up."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.dialect import DIALECTS, holds_boxes
from swath.errors import SwathError
from swath.evaluation.external.answer_files import read_answers
from swath.files import read_json, read_jsonl
from tests.fuzz.mutating import mutated
from tests.fuzz.seeds import TEXTS

ROOT = Path(__file__).parent.parent.parent
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_changed_files_give_results_or_errors_of_ours():
    command = [sys.executable, "-m", "tests.fuzz", "--cases", "20000", "--seconds", "15"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 0


def test_a_change_is_the_same_for_the_same_seed_and_differs_from_the_file():
    sound = b'{"image": "a.png", "boxes": [[1, 2, 3, 4]]}'
    changes = [mutated(sound, ".json", random.Random(seed)) for seed in range(50)]
    assert changes == [mutated(sound, ".json", random.Random(seed)) for seed in range(50)]
    assert sum(change != sound for change in changes) > 40


@settings(deadline=5000, max_examples=200)
@given(st.lists(st.text() | st.sampled_from(TEXTS)), st.tuples(*[st.integers(1, 9999)] * 2))
def test_every_dialect_reads_finite_boxes_from_any_text(pieces, size_wh):
    text = "".join(pieces)
    assert holds_boxes(text) in (True, False)
    for _, dialect in DIALECTS.items():
        assert np.isfinite(dialect.read(text, size_wh).quads).all()


@settings(deadline=5000, max_examples=100)
@given(st.binary() | VALUES.map(lambda value: str(value).encode("utf-8", "replace")))
def test_any_bytes_are_rows_or_an_error_of_ours(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    for suffix in (".json", ".jsonl", ".txt", ".tsv"):
        file = folder / f"file{suffix}"
        file.write_bytes(content)
        for read in (read_json, read_answers, lambda file: list(read_jsonl(file, "images"))):
            try:
                read(file)
            except SwathError as error:
                assert len(str(error)) < 2000
