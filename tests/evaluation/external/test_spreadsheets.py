"""Spreadsheets of answers, as VLMEvalKit writes them."""

import zipfile

import pytest

from swath.errors import RequestError
from swath.evaluation.external.answer_files import read_answers
from swath.evaluation.external.spreadsheets import sheet_rows

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def book(file, sheet, shared=None):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {MAIN}>{sheet}</worksheet>")
        if shared is not None:
            archive.writestr("xl/sharedStrings.xml", f"<sst {MAIN}>{shared}</sst>")
    return file


SHEET = (
    '<sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    '<row r="2"><c r="A2"><v>7</v></c><c r="B2" t="s"><v>2</v></c></row>'
    '<row r="3"><c r="A3"><v>8</v></c></row>'
    '<row r="4"><c r="A4"><v>9</v></c><c r="B4" t="inlineStr"><is><t>no_x000A_2</t></is></c></row>'
    '<row r="5"/></sheetData>'
)
SHARED = (
    "<si><t>index</t></si><si><t>Prediction</t></si><si><r><t>A &amp;</t></r><r><t> B</t></r></si>"
)


def test_rows_stand_under_the_names_of_the_first_with_gaps_as_none(tmp_path):
    file = book(tmp_path / "a.xlsx", SHEET, SHARED)
    assert sheet_rows(file) == [
        {"index": "7", "prediction": "A & B"},
        {"index": "8", "prediction": None},
        {"index": "9", "prediction": "no\n2"},
    ]
    kind, given = read_answers(file)
    assert kind == "VLMEvalKit table"
    assert [(one.id, one.text) for one in given] == [("7", "A & B"), ("8", ""), ("9", "no\n2")]


@pytest.mark.parametrize(
    ("sheet", "shared"),
    [(SHEET, None), ("<sheetData><row", ""), ("<!DOCTYPE x><sheetData/>", "")],
)
def test_damaged_spreadsheets_say_what_to_save_instead(tmp_path, sheet, shared):
    with pytest.raises(RequestError, match="save it as TSV or JSON"):
        sheet_rows(book(tmp_path / "a.xlsx", sheet, shared))
    (tmp_path / "b.xlsx").write_text("no archive")
    with pytest.raises(RequestError, match="save it as TSV or JSON"):
        sheet_rows(tmp_path / "b.xlsx")
