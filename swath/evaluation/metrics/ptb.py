"""The words of a caption as COCO's scorers see them: Penn Treebank tokens without punctuation.

The rules are those of Stanford's PTBTokenizer 3.4.1 for what captions hold. Chinese, Japanese and
Korean, for which it has no rule, are cut into characters.
"""

from __future__ import annotations

import re
from functools import lru_cache

TOKENISER = "swath-ptb-3"
"""Stanford PTB 3.4.1, lower case, coco-caption's punctuation dropped; each Chinese, Japanese or
Korean character alone, Latin words and numbers among them whole; line breaks are spaces."""

_EAST = re.compile(
    "([\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uff0f\uff1a-\uff20])"
)
_SPELT = dict.fromkeys(
    ".?!,:;-\"'`“”‘’«»‹›…–—―\x85、。〃《》〈〉「」『』【】〔〕〖〗！＂＇（），－．／：；？", ""
)
_SPELT |= {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_SPELT |= {"£": "#", "€": "$", "¢": "cents", "½": "1/2", "¼": "1/4", "¾": "3/4"}
_SPELT |= {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
_SPELT |= {"...": "", "....": "", "''": "", "``": ""}
"""How the tokeniser spells signs; "" where coco-caption drops them, as it does dashes."""

_GONE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f\u200b-\u200d\ufe00-\ufe0f\ufeff\ufffd\U00010000-\U0010ffff]"
)
"""Signs without a shape, and those beyond 16 bits, which part words; a soft hyphen joins them."""

_LETTER = r"(?:[^\W\d_\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f]|[\u0300-\u036f])"
_SIGN = rf"(?:{_LETTER}|\d)"  # a letter or digit
_WORD = rf"{_LETTER}{_SIGN}*"
_QUOTE = "['\u2019]"
_SHORT = (
    "jan feb mar apr jun jul aug sept? oct nov dec mon tues? wed thu thurs fri ala ariz calif "
    "colo conn ct dak fla ga ind kans? ky md mich minn mo mont neb nev okla penn tenn va vt wisc? "
    "wyo inc cos? corp pt[ey] ltd plc rt bancorp dept bhd assn univ intl sys invt elec natl mfg jr "
    "sr bros blvd bldg rd esq est sq ext tel ft ph mrs? ms drs? profs? sens? reps? attys? lt col "
    "gen messrs govs? adm rev maj sgt cpl pvt mt capt ste? ave pres lieut hon brig cmdr comdr pfc "
    "spc supts? det vs cf etc al seq [a-z] (?-i:Az|Ark|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash)"
).replace(" ", "|")
_PARTED = {"cannot", "gonna", "gotta", "lemme", "gimme", "wanna"}
_NUMBERED = {"no.", "nos.", "prop.", "fig.", "figs.", "pp.", "art.", "ca."}

_TOKENS = re.compile(
    rf"""
    </?[a-z][^>]*>                                                  # <p>
    | https?://[^"<>|()]+[^"<>|.!?(){{}},-]                           # addresses
    | [a-z0-9][^"<>|()]*@(?:[^"<>|().]+\.)*[^"<>|().]+
    | [a-z0-9][a-z0-9.,]*(?:-[a-z0-9]+)+(?![a-z0-9/_-])                     # 1,500-car
    | {_LETTER}+[aeiouy]{_QUOTE}(?:[aeiou]|(?-i:[A-Z])){_LETTER}*         # ma'am
    | [yj]{_QUOTE}(?={_LETTER}) | '(?:em(?!{_SIGN})|n')                   # y' all  'em
    | {_LETTER}+?(?=n{_QUOTE}t(?!{_SIGN})) | n{_QUOTE}t(?!{_SIGN})        # do n't
    | (?:can(?=not)|gon(?=na)|got(?=ta)|lem(?=me)|gim(?=me)|wan(?=na))(?=...?(?!{_SIGN}))
    | 't(?=(?:is|was)(?!{_SIGN}))                                    # 't is
    | {_QUOTE}(?:s|m|d|re|ve|ll)(?!{_SIGN}) | {_QUOTE}(?:\d\d|[2-9]0s)(?!{_SIGN}|')  # it 's  '90s
    | [dol]{_QUOTE}{_LETTER}+                                        # o'clock
    | {_SIGN}+(?:-{_LETTER}+){{0,2}}(?:/{_SIGN}+(?:-{_LETTER}+){{0,2}}){{1,2}}(?!{_SIGN})  # and/or
    | (?-i:[A-Z]+&(?:amp;)?[A-Z]+) | c(?:\+\+|\#) | ph\.d\.?
    | {_LETTER}(?:\.{_LETTER})+\.?(?!{_SIGN})                         # u.s.  e.g.
    | (?:{_SHORT})\.(?!{_LETTER}) | {_LETTER}+\.(?=[,;])                 # mr.
    | (?:nos?|prop|figs?|pp|art|ca)\.(?=\d)                           # fig.5
    | {_WORD}(?:\.{_WORD})+ | {_WORD}[!?]{_WORD}                         # field.the
    | [-+]?\d*(?:[.:,]\d+)+ | [-+]\d+                                # 1,234  3.5  12:30  -4
    | {_SIGN}+(?:[_-]{_SIGN}+)*                                      # well-planned  30m
    | \#{_LETTER}+ | @{_LETTER}[\w-]*                                 # #tag
    | \.\.\.\.? | --+ | \*+ | __+ | \#\#+ | [!?]+ | &(?:amp|lt|gt); | .
    """,
    re.VERBOSE | re.IGNORECASE,
)

_SUFFIX = re.compile("^(n?)’(s|m|d|re|ve|ll|t)$")  # it ’s: spelt as it 's


def tokenise(caption: str) -> str:
    """The words of a caption joined by single spaces, by the rule of `TOKENISER`.

    Line breaks of every kind become spaces: the Java tokeniser would shift all later captions to
    the wrong image at `\\r` or U+2028.
    """
    text = _GONE.sub(" ", caption.replace("\xad", ""))
    chunks = _EAST.sub(r" \1 ", text).split()
    tokens: list[str] = []
    for chunk, following in zip(chunks, [*chunks[1:], ""], strict=False):
        numbers = following[:1].isdigit() and chunk.lower() in _NUMBERED  # no. 5
        tokens.extend([chunk.lower()] if numbers else _tokens(chunk))
    return " ".join(tokens)


@lru_cache(maxsize=1 << 16)
def _tokens(chunk: str) -> tuple[str, ...]:
    """The tokens of signs between two spaces."""
    if chunk.isascii() and chunk.isalpha() and chunk.lower() not in _PARTED:
        return (chunk.lower(),)
    tokens = []
    for sign in _TOKENS.findall(chunk):
        token = _SPELT.get(sign, sign.lower())
        if token.strip("-"):
            tokens.append(_SUFFIX.sub(r"\1'\2", token))
    return tuple(tokens)
