import numpy as np
import pytest
from PIL import Image

from swath.annotations import fingerprints as looks
from swath.building import Building
from swath.errors import InstructionError
from swath.recipes import validate
from tests.making import rectangle


def test_a_set_is_built_without_decoding_what_was_checked(tmp_path, monkeypatch):
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        path = tmp_path / "set" / ("Port", "Farm")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    recipe = validate(
        {
            "name": "run",
            "annotations": {"source": str(tmp_path / "set")},
            "instructions": {"tasks": ["classify"]},
        },
        "here",
    )
    decoded, look = [], looks.look
    monkeypatch.setattr(looks, "look", lambda image: decoded.append(image.id) or look(image))
    checked = Building(recipe, tmp_path / "run").check()
    assert sorted(decoded) == [
        *(f"Farm/{n}" for n in (1, 3, 5, 7)),
        "Port/0",
        "Port/2",
        "Port/4",
        "Port/6",
    ]
    built = Building(recipe, tmp_path / "run").build()
    assert len(decoded) == 8
    assert [one.what for one in checked.findings] == [one["what"] for one in built.card["findings"]]


def test_a_copy_that_was_dealt_apart_is_brought_back_and_told(tmp_path):
    for number in range(12):
        pixels = np.random.default_rng(number % 10).integers(0, 256, (32, 32, 3), np.uint8)
        path = tmp_path / "set" / ("Port", "Farm")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)  # 10 is 0 again, and 11 is 1

    def built(seed):
        values = {
            "name": "run",
            "seed": seed,
            "annotations": {"source": str(tmp_path / "set"), "split": {"train": 0.5, "test": 0.5}},
            "instructions": {"tasks": ["classify"]},
        }
        made = Building(validate(values, "here"), tmp_path / f"{seed}").build()
        split = {one.scene: one.split for one in made.conversations}
        assert (split["Port/0"], split["Farm/1"]) == (split["Port/10"], split["Farm/11"])
        return [one["count"] for one in made.card["findings"] if one["kind"] == "moved together"]

    moved = [built(seed) for seed in range(4)]
    assert any(moved)  # a seed that dealt one apart


def test_content_that_no_task_asks_for_is_said_by_check_and_build(tmp_path):
    for number in range(6):
        rectangle(tmp_path / "own" / f"{number}.png", (number, 4, number + 9, 20))
    rows = [f"{number}.png,A farm of {number}.,How many barns?,{number}" for number in range(6)]
    table = "\n".join(["image,caption,question,answer", *rows])
    (tmp_path / "own" / "rows.csv").write_text(table)
    section = {"source": str(tmp_path / "own")}
    recipe = validate({"name": "own", "annotations": section}, "own.yaml")
    building = Building(recipe, tmp_path / "run")
    (finding,) = [one for one in building.check().findings if one.kind == "unused"]
    assert (finding.what, finding.count) == ("6 questions that no task asks for", 6)
    # A task that asks of something else does not silence it.
    tasks = ["classify", "caption", "dialogue", "sensor", "comparison"]
    values = {"name": "own", "annotations": section, "instructions": {"tasks": tasks}}
    findings = Building(validate(values, "own.yaml"), tmp_path / "more").check().findings
    assert [one.what for one in findings if one.kind == "unused"] == [finding.what]
    building.build()
    assert building.notes == [
        "6 questions that no task asks for; add question to instructions.tasks"
    ]
    asking = {"name": "own", "annotations": section, "instructions": {"tasks": ["classify"]}}
    with pytest.raises(
        InstructionError, match=r"6 questions and 6 captions: .*\[question, caption"
    ):
        Building(validate(asking, "own.yaml"), tmp_path / "other").build()
