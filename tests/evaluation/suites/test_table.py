"""Suites as rows, groups of them, a user's own, and data that is not there."""

import pytest

from swath.errors import RecipeError, RequestError
from swath.evaluation.metrics.base import METRICS
from swath.evaluation.papers.modes import MODES
from swath.evaluation.scored_tasks import SCORED
from swath.evaluation.suites.published import published
from swath.evaluation.suites.running import LAYOUTS
from swath.evaluation.suites.table import chosen, data_of, read_row, shipped

OWN = """name: roofs
title: Our roofs
task: classify
prompt: "Which of {labels}?"
metric: accuracy
"""


def test_every_shipped_suite_can_be_read_asked_and_scored():
    for suite in shipped().values():
        assert suite.task in SCORED, suite.name
        assert suite.metric in METRICS, suite.name
        assert suite.reader in LAYOUTS, suite.name
        assert all(MODES.get(mode).task == suite.task for mode in suite.modes), suite.name
        assert suite.where, suite.name
        assert suite.status in ("run", "layout-tested"), suite.name


def test_geochat_names_exactly_its_seven():
    names = [suite.name for suite, _ in chosen(["geochat"])]
    assert names == [
        *("aid", "ucm", "rsvqa-lr", "rsvqa-hr2"),
        *("geochat-refer", "geochat-grounding", "geochat-region"),
    ]


def test_vleo_covers_its_six_tasks():
    tasks = {suite.task for suite, _ in chosen(["vleo"])}
    assert tasks == {"question", "caption", "classify", "classes", "refer", "count", "damage"}


def test_several_suites_and_their_folders_are_named_in_one_word(tmp_path):
    found = chosen([f"aid={tmp_path},rsicd", "aid"])
    assert [(suite.name, folder) for suite, folder in found] == [("aid", None), ("rsicd", None)]
    assert chosen([f"aid={tmp_path}"])[0][1] == tmp_path


def test_the_folder_of_a_group_holds_a_folder_a_suite(tmp_path):
    found = {suite.name: folder for suite, folder in chosen([f"geochat={tmp_path}"])}
    assert found["aid"] == tmp_path / "aid"
    assert found["rsvqa-hr2"] == tmp_path / "rsvqa-hr"


def test_misspelt_suite_is_answered_with_its_neighbour():
    with pytest.raises(RequestError, match="unknown suite 'rsvqa-l'; did you mean rsvqa-lr"):
        chosen(["rsvqa-l"])


def test_own_suite_is_one_row_of_yaml(tmp_path):
    file = tmp_path / "roofs.yaml"
    file.write_text(OWN)
    ((suite, _),) = chosen([str(file)])
    assert (suite.name, suite.status, suite.reader) == ("roofs", "own", "images")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)
"""A few hundred bytes that unfold to hundreds of millions of values."""


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (OWN + "promt: x\n", "promt: unknown key; did you mean prompt"),
        (OWN.replace("task:", "tsk:"), "tsk: unknown key; did you mean task"),
        ("- a list\n", "roofs.yaml: .*valid dictionary"),
        ("name: Roofs!\n", "name: "),
        ("{", "not valid YAML"),
        (BOMB, "more than .* values"),
    ],
)
def test_row_that_is_no_suite_is_refused(tmp_path, text, advice):
    file = tmp_path / "roofs.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=advice):
        read_row(file)


def test_absent_data_says_where_to_get_it_from_whom_and_under_which_licence(tmp_path):
    aid = shipped()["aid"]
    with pytest.raises(RequestError, match=r"captain-whu.*licence: not stated.*--suite aid=FOLDER"):
        data_of(aid, None, tmp_path)
    with pytest.raises(RequestError, match="neither --data nor SWATH_SUITES"):
        data_of(aid, None, None)


def test_data_lies_in_a_folder_of_the_suite_below_data_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "rsvqa-hr").mkdir()
    suite = shipped()["rsvqa-hr2"]  # shares its folder with test 1
    assert data_of(suite, None, tmp_path) == tmp_path / "rsvqa-hr"
    monkeypatch.setenv("SWATH_SUITES", str(tmp_path))
    assert data_of(suite, None, None) == tmp_path / "rsvqa-hr"


def test_published_rows_are_of_the_suites_protocol_and_name_their_source():
    rows = published(shipped()["aid"])
    geochat = next(row for row in rows if row.system == "GeoChat-7B")
    assert geochat.values == {"accuracy": 72.03}
    assert geochat.source == "GeoChat Table 5 (arXiv:2311.15826)"
    assert {row.protocol for row in rows} == {"zero-shot"}
    every = published(shipped()["aid"], every=True)
    assert any(row.protocol == "supervised" for row in every)
    assert len(every) > len(rows)


def test_numbers_whose_protocol_no_source_states_are_left_out():
    systems = {row.system for row in published(shipped()["rsvqa-lr"])}
    assert systems == {"LLaVA-1.5", "Qwen-VL", "MiniGPTv2"}
