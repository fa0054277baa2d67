import json

import pytest

from swath.errors import FormatError
from swath.files import read_losses
from swath.recipe import Tuning
from swath.tuning.run import tune
from swath.tuning.samples import SAMPLES, read_samples, sampler
from tests.making import small_set
from tests.tuning.runs import recipe, same, stage, stopping, weights, with_val, without_times


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return small_set(tmp_path_factory.mktemp("images"))


def tuned(built, base, folder, report=None, **tuning):
    settings = recipe(base, stage(steps=5), **tuning)
    return tune(built, settings, folder, report, probe=sampler(built, settings.tuning, folder))


def test_answers_are_written_every_so_many_steps_and_at_the_end(built, tiny_base, tmp_path):
    run = tuned(built, tiny_base, tmp_path / "run", sample_every=2)
    rows = read_samples(run)
    assert [row["step"] for row in rows] == [2] * 6 + [4] * 6 + [5] * 6
    first = rows[0]
    truth = next(one for one in built.conversations if one.id == first["id"])
    assert first["image"] == truth.images[0].path
    refers = [row for row in rows if row["task"] == "refer"]
    assert refers and all(len(row["true"]) == 1 for row in refers)
    assert all(isinstance(row["answer"], str) for row in rows)


def test_samples_change_neither_losses_nor_weights(built, tiny_base, tmp_path):
    plain = tuned(built, tiny_base, tmp_path / "plain")
    sampled = tuned(built, tiny_base, tmp_path / "sampled", sample_every=1)
    assert not (plain / SAMPLES).exists()
    assert without_times(read_losses(plain)) == without_times(read_losses(sampled))
    assert same(weights(plain), weights(sampled))


def test_questions_are_held_out_where_there_are_any(built, tiny_base, tmp_path):
    run = tuned(with_val(built), tiny_base, tmp_path / "run", sample_every=5)
    assert {row["split"] for row in read_samples(run)} == {"val"}


def test_a_continued_run_writes_no_sample_twice(built, tiny_base, tmp_path):
    settings = {"sample_every": 2, "save_every": 3}
    with pytest.raises(KeyboardInterrupt):
        tuned(built, tiny_base, tmp_path / "run", stopping(("all", 5)), **settings)
    with (tmp_path / "run" / SAMPLES).open("ab") as file:
        file.write(b'{"key": "cut sho')  # killed while it wrote
    run = tuned(built, tiny_base, tmp_path / "run", **settings)
    assert [row["step"] for row in read_samples(run)] == [2] * 6 + [4] * 6 + [5] * 6


def test_a_run_without_samples_has_none_and_a_damaged_file_is_named(tmp_path):
    assert read_samples(tmp_path) == []
    (tmp_path / SAMPLES).write_text(json.dumps({"format": 1, "kind": "samples"}) + "\nno json\n")
    with pytest.raises(FormatError, match=r"samples.jsonl:2: not valid JSON"):
        read_samples(tmp_path)
    assert sampler(None, Tuning(), tmp_path) is None
