"""`swath index` and `swath ask --with`, as they are typed."""

import json

import pytest

from tests.making import BLUE, RED, rectangle


@pytest.fixture
def swath(swath, monkeypatch, tmp_path, tiny_base):
    """Run a command line in a folder of documents and labelled pictures; exit code and output."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "sites.md").write_text("# Kelby\nOwned by Ember.\n")
    (tmp_path / "docs" / "old.docx").write_bytes(b"PK")
    for number in range(3):
        box = (2 + number, 3, 14 + number, 22)
        rectangle(tmp_path / "labelled" / "red land" / f"{number}.png", box, colour=RED)
        rectangle(tmp_path / "labelled" / "blue land" / f"{number}.png", box, colour=BLUE)
    rectangle(tmp_path / "new.png", (3, 3, 15, 22), colour=RED)
    (tmp_path / "model").symlink_to(tiny_base)

    return swath


MADE = ("index", "docs", "labelled", "--model", "model", "--to", "site.index")


def test_an_index_is_made_and_asked_with_its_sources_cited(swath):
    code, output, _ = swath(*MADE)
    assert code == 0
    assert "site.index: 1 passages of documents, 6 labelled pictures" in output
    assert "of 6 labelled pictures 100% are named rightly" in output
    assert "unread document: docs: 1 .docx: of no kind that is read" in output
    code, output, _ = swath("ask", "model", "new.png", "Who owns Kelby?", "--with", "site.index")
    assert code == 0
    assert "source 1: docs/sites.md, Kelby, line 2" in output
    assert "like labelled/red land/" in output


def test_as_many_passages_are_shown_as_in_tuning(swath, tmp_path):
    from swath.files import write_json
    from swath.inference.retrieval import passages_of

    assert passages_of("model") is None
    card = {"instructions": {"documents": {"index": "site.index", "passages": 1}}}
    (tmp_path / "run" / "set").mkdir(parents=True)
    write_json(tmp_path / "run" / "set" / "card.json", card)
    assert passages_of(tmp_path / "run") == 1
    write_json(tmp_path / "run" / "set" / "card.json", {"instructions": {"documents": None}})
    assert passages_of(tmp_path / "run") is None


def test_neighbours_answer_with_a_class_and_its_confidence_as_json(swath):
    swath(*MADE)
    command = ("ask", "model", "new.png", "Which?", "--with", "site.index", "--neighbours")
    code, output, _ = swath(*command, "--json")
    answer = json.loads(output)
    assert code == 0
    assert answer["answer"] == "red land" and answer["confidence"] > 0.8
    assert answer["pictures"][0]["label"] == "red land"


def test_a_question_that_no_document_answers_says_so(swath):
    swath("index", "docs", "--to", "texts.index")
    _, output, _ = swath("ask", "model", "new.png", "Which airfield?", "--with", "texts.index")
    assert "no source: nothing in the index shares a word with the question" in output


@pytest.mark.parametrize(
    ("command", "code", "advice"),
    [
        (("index", "absent", "--to", "x.index"), 2, "no such folder or file"),
        (("index", "docs", "--to", "docs"), 2, "not written by swath"),
        (("ask", "model", "new.png", "Which?", "--with", "docs"), 1, "no index here"),
        (("ask", "model", "new.png", "Which?", "--neighbours"), 2, "needs --with INDEX"),
        (("ask", "swath-nano", "new.png", "Which?", "--with", "site.index"), 2, "--model swath-na"),
    ],
)
def test_a_wrong_request_is_one_line_with_advice(swath, command, code, advice):
    swath(*MADE)
    ended, _, error = swath(*command)
    assert ended == code
    assert error.startswith("swath: ") and error.count("\n") == 1 and advice in error
