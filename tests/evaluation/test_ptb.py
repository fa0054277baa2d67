import json

import pytest

from swath.evaluation.ptb import tokenise


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("Two Ships, near the pier!", "two ships near the pier"),
        ("It isn't the pier's end.", "it is n't the pier 's end"),
        ("A well-planned area and/or 1,500 cars.", "a well-planned area and/or 1,500 cars"),
        ("a road (left)", "a road -lrb- left -rrb-"),
        ("St. Louis in the U.S. at 5 p.m.", "st. louis in the u.s. at 5 p.m."),
        ("there is no. No. 5 is", "there is no no. 5 is"),
        ("45.12N and 30m", "45.12 n and 30m"),
        ("really?! no!", "really ?! no"),
        ("", ""),
        (" . , ", ""),
    ],
)
def test_words_are_those_of_the_penn_treebank_without_punctuation(caption, tokens):
    assert tokenise(caption) == tokens


@pytest.mark.parametrize("sign", ["\r\n", "\u2028", "\v", "\f", "\n"])
def test_a_line_break_of_any_kind_is_a_space(sign):
    assert tokenise(f"a road{sign}and a river") == "a road and a river"


def test_chinese_is_cut_into_characters_and_latin_words_within_it_stay_whole():
    assert tokenise("图中有3架飞机，旁边是Terminal 2。") == (
        "图 中 有 3 架 飞 机 旁 边 是 terminal 2"
    )


def test_tokens_equal_the_java_programs(vectors_folder):
    cases = json.loads((vectors_folder / "ptb_tokenizer.json").read_text())["cases"]
    for case in cases:
        assert tokenise(case["text"]) == case.get("tokens", case.get("policy_tokens")), case["id"]
    assert len(cases) == 32


def test_tokens_of_real_captions_equal_the_java_programs(vectors_folder):
    checked = 0
    for path in sorted(vectors_folder.glob("caption_*.json")):
        if "_zh_" in path.name or "_indices" in path.name:
            continue  # cut by characters, and word numbers
        for case in json.loads(path.read_text())["cases"]:
            assert tokenise(case["hyp"]) == case["hyp_tok"], f"{path.name}: {case['id']}"
            assert [tokenise(text) for text in case["refs"]] == case["refs_tok"]
            checked += 1 + len(case["refs"])
    assert checked > 2000


def test_chinese_captions_are_cut_as_in_the_vectors_save_for_case(vectors_folder):
    cases = json.loads((vectors_folder / "caption_ucm_zh_char_nopunct.json").read_text())["cases"]
    for case in cases:
        assert tokenise(case["hyp"]) == case["hyp_tok"].lower(), case["id"]
