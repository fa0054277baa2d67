import pytest
from typer.testing import CliRunner

from swath.cli import app
from swath.cli.review import ask
from swath.instructions.review import FILE, Review
from tests.making import annotated, small_set, write_set


@pytest.fixture
def built(tmp_path):
    made = small_set(tmp_path / "pictures", count=4, test=1)
    write_set(tmp_path / "run" / "set", annotated(tmp_path / "pictures", 4, test=1), made)
    return made


@pytest.fixture
def given(tmp_path, built):
    review = Review(tmp_path / "run" / FILE, built.choices["classify"])
    yield review
    review.close()


def test_in_the_terminal_rows_are_accepted_rejected_and_corrected(built, given, capsys):
    said = iter(["a", "r", "c", "A square.", "b", "r", "x", "q"])
    ask(list(built.conversations), given, lambda words: next(said))
    verdicts = [given.verdict(one) for one in built.conversations[:4]]
    assert verdicts == ["accept", "reject", "reject", None]
    assert "What kind of scene is this?" in capsys.readouterr().out


def test_going_back_twice_goes_two_rows_back(built, given):
    said = iter(["a", "a", "b", "b", "r", "q"])
    ask(list(built.conversations), given, lambda words: next(said))
    assert [given.verdict(one) for one in built.conversations[:3]] == ["reject", "accept", None]


def test_the_command_keeps_verdicts_beside_the_set_and_counts_them(built, tmp_path):
    for folder in ("run", "run/set"):
        done = CliRunner().invoke(
            app, ["review", str(tmp_path / folder), "--terminal"], input="r\nq\n"
        )
        assert done.exit_code == 0, done.output
    assert "2 rejected" in done.output and "the next build replays them" in done.output
    assert (tmp_path / "run" / FILE).is_file()


def test_rows_that_are_not_there_are_refused(built, tmp_path):
    run = str(tmp_path / "run")
    done = CliRunner().invoke(
        app, ["review", str(tmp_path / "run"), "--terminal", "--task", "describe"]
    )
    assert "no rows of that task and split" in str(done.exception)
    done = CliRunner().invoke(app, ["review", str(tmp_path)])
    assert "no set here; `swath build RECIPE` makes one" in str(done.exception)
    done = CliRunner().invoke(app, ["review", run, "--task", "refer"])
    assert "are chosen on the page, or go with --terminal" in str(done.exception)
