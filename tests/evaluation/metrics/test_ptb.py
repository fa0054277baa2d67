import pytest

from swath.evaluation.metrics.ptb import tokenise


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
        ("It’s here, it’d fit and isn’t it", "it 's here it 'd fit and is n't it"),
        ("y'all, ma'am, in '89 and the '90s", "y' all ma'am in '89 and the '90s"),
        ("a 1,500-car lot,well-kept", "a 1,500-car lot,well-kept"),
        ("b52.plane a!b fig.5 #b2", "b52.plane a!b fig. 5 #b 2"),
        ("## **two** __planes__", "## ** two ** __ planes __"),
        ("«two» – cafe\u0301 · run\u00adway\u200bend", "two cafe\u0301 · runway end"),
        ("a lawn with white '08' and lines", "a lawn with white 08 and lines"),
        ("emoji 🛩️ plane", "emoji plane"),
        ("an 𝔘nicode-𝔘 sign", "an nicode sign"),
        ("&amp; &lt;b&gt;", "& < b >"),
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
