import subprocess
from pathlib import Path

import pytest

from swath.inference import documents
from swath.inference.documents import Passage, read_documents

MARKDOWN = """# Harbours

All of them lie on the coast.

## Marlow

Marlow is owned by Cobalt.
It was opened in 1953.

```
# not a heading
```

Kelby
-----

Closed.
"""


def read(source):
    """Passages and what was noted beside them."""
    findings = []
    passages = list(read_documents(source, findings))
    return passages, [finding.what for finding in findings]


def test_a_passage_of_markdown_says_its_headings_and_its_line(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "sites.md").write_text(MARKDOWN)
    passages, _ = read(tmp_path / "docs")
    assert passages == [
        Passage("All of them lie on the coast.", "docs/sites.md", "line 3", "Harbours"),
        Passage(
            "Marlow is owned by Cobalt. It was opened in 1953. ``` # not a heading ```",
            "docs/sites.md",
            "line 7",
            "Harbours > Marlow",
        ),
        Passage("Closed.", "docs/sites.md", "line 17", "Harbours > Kelby"),
    ]
    assert passages[2].cited == "docs/sites.md, Harbours > Kelby, line 17"
    assert passages[2].words == "Harbours > Kelby: Closed."


def test_long_texts_are_cut_at_ends_of_sentences_and_each_piece_says_its_line(tmp_path):
    sentence = "A pier stands in the bay." + " " * 5
    (tmp_path / "long.txt").write_text(sentence * 30 + "\n\nThe end.\n")
    passages, _ = read(tmp_path / "long.txt")
    assert [len(one.text) for one in passages] == [597, 190]  # 23 and 7 sentences, and the end
    assert all(one.text.endswith(".") for one in passages)
    assert [one.place for one in passages] == ["line 1", "line 1"]


def test_a_sentence_longer_than_a_passage_is_cut_and_nothing_is_lost(tmp_path):
    (tmp_path / "sign.txt").write_text("字" * 1500)
    passages, _ = read(tmp_path / "sign.txt")
    assert "".join(one.text for one in passages) == "字" * 1500
    assert max(len(one.text) for one in passages) == 600


def test_a_row_of_a_table_is_a_passage_with_the_names_of_its_columns(tmp_path):
    (tmp_path / "sites.csv").write_text('Name;Owner\nMarlow;"Cobalt; Ltd"\nKelby;\n')
    passages, _ = read(tmp_path / "sites.csv")
    assert [(one.text, one.place) for one in passages] == [
        ("name: Marlow; owner: Cobalt; Ltd", "row 2"),
        ("name: Kelby", "row 3"),
    ]


def test_what_cannot_be_read_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "LARGEST_FILE", 100)
    (tmp_path / "secret.txt").write_text("the key")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "garbled.txt").write_bytes(b"caf\xe9")
    (docs / "huge.txt").write_text("x" * 101)
    (docs / "linked.txt").symlink_to(tmp_path / "secret.txt")
    (docs / "old.docx").write_bytes(b"PK")
    (docs / "broken.csv").write_text("a,b\n1,2,3\n")
    (docs / "good.txt").write_text("Kelby is closed.")
    passages, problems = read(docs)
    assert [one.text for one in passages] == ["Kelby is closed."]
    assert len(problems) == 5
    for words in ("not UTF-8", "more than 100", "link to a file outside", "1 .docx", "more fields"):
        assert sum(words in problem for problem in problems) == 1, words


def pdf(path: Path, *pages: str) -> Path:
    """A PDF that shows a line on each page."""
    bodies = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    bodies.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    bodies.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, words in enumerate(pages):
        shown = f"BT /F1 12 Tf 72 720 Td ({words}) Tj ET".encode()
        resources = "/Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 612 792]"
        page = f"<< /Type /Page /Parent 2 0 R {resources} /Contents {5 + 2 * number} 0 R >>"
        bodies.append(page.encode())
        bodies.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown))
    content, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(bodies) + 1
    content += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    path.write_bytes(content + trailer % (size, content.rfind(b"xref\n0")))
    return path


def test_a_passage_of_a_pdf_says_its_page(tmp_path):
    pytest.importorskip("pypdf", reason="the extra `rag` is not installed")
    passages, problems = read(pdf(tmp_path / "report.pdf", "Marlow is owned by Cobalt.", "Kelby."))
    assert [(one.text, one.place) for one in passages] == [
        ("Marlow is owned by Cobalt.", "page 1"),
        ("Kelby.", "page 2"),
    ]
    assert problems == []


def test_a_pdf_without_text_or_of_rubbish_is_left_out_and_said(tmp_path):
    pytest.importorskip("pypdf", reason="the extra `rag` is not installed")
    pdf(tmp_path / "scan.pdf", "")
    (tmp_path / "rubbish.pdf").write_bytes(b"%PDF-1.7\nnothing")
    passages, problems = read(tmp_path)
    assert passages == []
    assert "cannot be read as PDF" in problems[0] and "holds no text" in problems[1]


def test_a_pdf_that_takes_too_long_is_left_out_and_said(tmp_path, monkeypatch):
    pytest.importorskip("pypdf", reason="the extra `rag` is not installed")
    monkeypatch.setattr("swath.inference.pdf_pages.SECONDS", 0.001)
    _, problems = read(pdf(tmp_path / "slow.pdf", "Marlow"))
    assert "takes longer than 0.001 s" in problems[0]


def test_a_pdfs_faults_are_not_told_one_by_one(tmp_path, monkeypatch):
    pytest.importorskip("pypdf", reason="the extra `rag` is not installed")
    ended = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: ended.append(run(*a, **k)) or ended[-1])
    file = pdf(tmp_path / "report.pdf", "Marlow is owned by Cobalt.")
    file.write_bytes(file.read_bytes().replace(b"startxref\n", b"startxref\n1"))  # pypdf warns
    passages, problems = read(file)
    assert len(passages) == 1 and problems == []
    assert ended[0].stderr == b""


def test_no_module_beside_documents_is_run(tmp_path, monkeypatch):
    pytest.importorskip("pypdf", reason="the extra `rag` is not installed")
    pdf(tmp_path / "report.pdf", "Marlow is owned by Cobalt.")
    for name in ("orjson", "pypdf", "swath"):
        (tmp_path / f"{name}.py").write_text("open('acted', 'w')")
    monkeypatch.chdir(tmp_path)
    passages, problems = read(tmp_path / "report.pdf")
    assert not (tmp_path / "acted").exists()
    assert len(passages) == 1 and problems == []
