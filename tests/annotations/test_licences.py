import pytest

from swath.annotations.image import AnnotatedImage
from swath.annotations.licences import ledger, licence_of, named, terms, verdict


def images(**licences):
    return [AnnotatedImage(source, "", (1, 1), source=source, licence=licence)
            for source, licence in licences.items()]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC BY 4.0", "CC-BY-4.0"),
        ("cc-by-sa-3.0", "CC-BY-SA-3.0"),
        ("Creative Commons Attribution 2.5", "CC-BY-2.5"),
        ("CC BY-NC-ND 4.0", "CC-BY-NC-ND-4.0"),
        ("cc-by-nd-4.0", "CC-BY-ND-4.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0", "CC-BY-NC-SA-4.0"),
        ("CC BY-NC 4.0", "CC-BY-NC-4.0"),
        ("CC0-1.0 (drawn by swath)", "CC0-1.0"),
        ("Permission is hereby granted,\n free of charge, to any person", "MIT"),
        ("Apache License\nVersion 2.0, January 2004", "Apache-2.0"),
        ("for academic purposes only", "research only"),
        ("not stated", None),
        ("permitted", None),
    ],
)
def test_a_licence_is_known_by_its_name_or_its_words(text, name):
    assert named(text) == name


def test_terms_of_what_is_not_known_are_to_ask():
    assert (terms(None).use, terms("our own").use, terms("MIT").use) == ("ask", "ask", "any")
    assert terms("CC-BY-SA-4.0").alike and not terms("CC-BY-4.0").alike


@pytest.mark.parametrize(
    ("file", "text", "licence"),
    [
        ("LICENSE", "MIT License\n\nPermission is hereby granted", "MIT"),
        ("LICENCE.txt", "Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("README.md", "---\nlicense: cc-by-nc-4.0\n---\n# Set", "CC-BY-NC-4.0"),
        ("README.md", "# Set\n**Licence:** CC BY-SA 4.0.", "CC-BY-SA-4.0"),
        ("README.md", "# Set\nThe licence of this set is a matter of debate.", None),
        ("datapackage.json", '{"licenses": [{"name": "ODbL-1.0"}]}', "ODbL-1.0"),
        ("dataset_info.json", '{"license": "our own"}', "our own"),
        ("dataset_info.json", "{", None),
    ],
)
def test_a_folder_states_its_licence_in_a_file(tmp_path, file, text, licence):
    (tmp_path / file).write_text(text)
    assert licence_of(tmp_path) == licence
    (tmp_path / "labels.json").write_text("[]")
    assert licence_of(tmp_path / "labels.json") == licence


def test_the_ledger_has_a_row_for_each_source_and_licence():
    (one, two) = ledger([*images(a="CC BY 4.0", b=None), *images(a="CC BY 4.0")])
    assert one == {
        "source": "a",
        "licence": "CC BY 4.0",
        "images": 2,
        "use": "any",
        "credit": True,
        "share_alike": False,
    }
    assert (two["licence"], two["use"], two["images"]) == ("not stated", "ask", 1)


@pytest.mark.parametrize(
    ("licences", "said"),
    [
        ({"a": "CC0"}, "Any use, commercial too."),
        ({"a": "CC0", "b": "CC-BY-4.0"}, "Any use, commercial too; name the makers of b."),
        ({"a": "MIT", "b": "CC-BY-NC-4.0"}, "Research only, because of b (CC-BY-NC-4.0); name"),
        ({"a": "CC-BY-NC-4.0", "b": None}, "understood, or one that forbids changes, for b (not"),
        (
            {"a": "MIT", "b": "CC BY-ND 4.0"},
            "Not for publication before asking: no licence that is",
        ),
        ({"a": "ODbL"}, "name the makers of a; pass it on under ODbL if"),
    ],
)
def test_the_narrowest_licence_says_what_the_result_may_be_used_for(licences, said):
    assert said in verdict(ledger(images(**licences)))
