import re
import string
from pathlib import Path

import swath
from swath.serving.studio.application import TABS
from swath.serving.studio.page_words import LANGUAGES, Words, all_words

ROOM = Path(swath.__file__).parent / "serving" / "studio"


def fields(words):
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


def test_every_key_has_its_words_in_each_language_with_the_same_fields():
    for key, row in all_words().items():
        assert set(row) == set(LANGUAGES), key
        assert all(isinstance(words, str) and words.strip() for words in row.values()), key
        assert fields(row["en"]) == fields(row["zh"]), key


def test_every_word_that_the_page_asks_for_is_there_and_none_is_idle():
    code = "\n".join(path.read_text("utf-8") for path in ROOM.rglob("*.py"))
    asked = set(re.findall(r"""words\(\s*["']([a-z_.]+)["']""", code))
    asked |= {f"{name}.tab" for name in TABS}
    groups = set(re.findall(r'words\.group\("([a-z_.]+)"\)', code))
    known = set(all_words())
    assert asked - known == set()
    assert {key for key in known - asked if key.rpartition(".")[0] not in groups} == set()


def test_fields_are_filled_in():
    assert Words("zh")("page.home", home="runs") == "实验目录：runs"
    assert Words("en").group("canvas")["fit"] == "Whole picture"
