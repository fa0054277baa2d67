"""Spreadsheets of answers, as VLMEvalKit writes them."""

import zipfile

import pytest
from openpyxl import Workbook

from swath.errors import RequestError
from swath.evaluation.external import spreadsheets
from swath.evaluation.external.answer_files import read_answers
from swath.evaluation.external.spreadsheets import sheet_rows

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def book(file, sheet, shared=None):
    """The least that is a workbook, its sheet as it is given."""
    types = f'<Override PartName="/xl/workbook.xml" ContentType="{KIND}.sheet.main+xml"/>'
    types += f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{KIND}.worksheet+xml"/>'
    if shared is not None:
        types += (
            f'<Override PartName="/xl/sharedStrings.xml" ContentType="{KIND}.sharedStrings+xml"/>'
        )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>'
        f'<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{LINKS}/worksheet" Target="worksheets/sheet1.xml"/>'
        f"</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}">{sheet}</worksheet>',
    }
    if shared is not None:
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{shared}</sst>'
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
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


def test_a_spreadsheet_that_unpacks_to_too_much_is_refused_before_it_is_parsed(
    tmp_path, monkeypatch
):
    file = book(tmp_path / "a.xlsx", "<sheetData>" + "<row><c/></row>" * 100_000 + "</sheetData>")
    assert file.stat().st_size < 10_000
    monkeypatch.setattr(spreadsheets, "LARGEST", 1024**2)
    with pytest.raises(RequestError, match=r"1,50\d,\d+ bytes once unpacked.*save it as TSV"):
        sheet_rows(file)


def test_a_workbook_of_openpyxl_is_read_as_it_was_written(tmp_path):
    workbook = Workbook()
    workbook.active.append(["index", "Prediction", None])
    workbook.active.append([1.0, "river", "no name above"])
    workbook.active.append([0.5, True])
    workbook.save(tmp_path / "a.xlsx")
    assert sheet_rows(tmp_path / "a.xlsx") == [
        {"index": "1", "prediction": "river"},
        {"index": "0.5", "prediction": "True"},
    ]


@pytest.mark.parametrize("stated", ["A1", "A1:A5", "A1:B2"])
def test_a_size_that_the_sheet_states_wrongly_hides_no_row_and_no_column(tmp_path, stated):
    true = sheet_rows(book(tmp_path / "a.xlsx", SHEET, SHARED))
    lied = book(tmp_path / "b.xlsx", f'<dimension ref="{stated}"/>{SHEET}', SHARED)
    assert sheet_rows(lied) == true and len(true) == 3


def test_a_row_far_below_is_refused_before_those_between_are_made_up(tmp_path):
    far = SHEET.replace('r="5"/>', 'r="30000000"><c r="A30000000"><v>1</v></c></row>')
    with pytest.raises(RequestError, match="a row beyond number 1,048,576"):
        sheet_rows(book(tmp_path / "a.xlsx", far, SHARED))
