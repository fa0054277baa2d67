"""The page's words in each of its languages, from `words.yaml`."""

from __future__ import annotations

from pathlib import Path

import yaml

LANGUAGES = {"en": "English", "zh": "中文"}
"""Languages of the page, and what each calls itself."""

_FILE = Path(__file__).with_name("words.yaml")


class Words:
    """The words of one language.

    Args:
        language: "en" or "zh".

    Called with a key it gives the key's words, with `{names}` filled in.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        rows = all_words()
        self._words = {key: row[language] for key, row in rows.items()}

    def __call__(self, key: str, **values: object) -> str:
        """The words of a key."""
        return self._words[key].format(**values) if values else self._words[key]

    def group(self, start: str) -> dict[str, str]:
        """The words of the keys that begin with `start.`, by what follows it."""
        before = f"{start}."
        return {
            key.removeprefix(before): words
            for key, words in self._words.items()
            if key.startswith(before)
        }


def all_words() -> dict[str, dict[str, str]]:
    """Words by key and language."""
    rows: dict[str, dict[str, str]] = yaml.safe_load(_FILE.read_text("utf-8"))
    return rows
