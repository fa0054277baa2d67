"""JSON by schema: at each step the model chooses among the tokens that the schema allows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from torch import Tensor
from transformers import LogitsProcessor

from swath.errors import RequestError
from swath.models.loaded import Loaded

Schema = Mapping[str, Any]

CLOSERS = ("}", "]", "null", '"', ",")
"""What ends the value at hand, tried in this order; within a text it is the quotation mark."""


class Grammar:
    """A schema as a model's tokens.

    Objects are written as `json.dumps` writes them, on one line, their keys in the schema's order.

    Args:
        loaded: the model.
        schema: JSON schema; llguidance says which keywords it knows.
        tokens: of an earlier grammar of this model; they take time to make.

    Raises:
        RequestError: the schema cannot be followed.
    """

    def __init__(self, loaded: Loaded, schema: Schema, tokens: Any = None) -> None:
        self.end: int = loaded.tokenizer.convert_tokens_to_ids(loaded.end)
        self.tokens = tokens or from_tokenizer(loaded.tokenizer, eos_token=self.end)
        written = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
        text = json.dumps({**schema, "x-guidance": written}, ensure_ascii=False)
        # Templates that end a question without a space let the answer begin with one.
        self.grammar = LLMatcher.grammar_from_lark(f"start: / ?/ answer\nanswer: %json {text}")
        problem = LLMatcher.validate_grammar(self.grammar, self.tokens)
        if problem:
            alone = LLMatcher.grammar_from_json_schema(json.dumps(dict(schema)))
            # Of the schema by itself it is said in fewer words.
            reason = " ".join((LLMatcher.validate_grammar(alone) or problem).split())[:300]
            raise RequestError(f"the JSON schema cannot be followed ({reason}); leave that out.")
        self.closers = [self.tokens.tokenize_str(closer)[0] for closer in CLOSERS]
        self.reserve = len(text.encode())  # no token is shorter than a byte
        self.usual = len(self.tokens.tokenize_str(text))  # tokens that closing takes, about

    def within_text(self, ids: list[int]) -> bool:
        """Whether the JSON so far ends between the quotation marks of a text."""
        plain = re.sub(rb"\\.", b"", self.tokens.decode_bytes(ids), flags=re.DOTALL)
        return plain.count(b'"') % 2 == 1

    def hold(self, rows: int, max_new_tokens: int) -> Held:
        """What keeps so many answers to the schema while they are generated."""
        return Held(self, rows, max_new_tokens)


class Held(LogitsProcessor):
    """Answers in the making.

    From `max_new_tokens` on what is open is closed as soon as the schema lets it, so that a model
    that would not stop ends with valid JSON as well.

    Args:
        grammar: they follow.
        rows: answers at once.
        max_new_tokens: see above.
    """

    def __init__(self, grammar: Grammar, rows: int, max_new_tokens: int) -> None:
        self.grammar, self.closing = grammar, max_new_tokens
        self.most = max_new_tokens + grammar.reserve
        self._matchers = [LLMatcher(grammar.tokens, grammar.grammar) for _ in range(rows)]
        self._begin = self._read = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (rows, vocabulary), minus infinity where the schema does not allow a token."""
        length = input_ids.shape[1]
        if not self._read:
            self._begin = self._read = length
        for matcher, ids in zip(self._matchers, input_ids[:, self._read :].tolist(), strict=True):
            if not matcher.is_stopped():
                matcher.consume_tokens(ids)
        self._read = length
        allowed = np.zeros(scores.shape, dtype=bool)
        for number, (row, matcher) in enumerate(zip(allowed, self._matchers, strict=True)):
            if matcher.is_stopped():  # `generate` pads what has ended
                row[self.grammar.end] = True
                continue
            bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            tokens = np.unpackbits(bits, bitorder="little")[: len(row)].astype(bool)
            row[: len(tokens)] = tokens
            if length - self._begin >= self.closing:
                within = self.grammar.within_text(input_ids[number, self._begin :].tolist())
                closers = self.grammar.closers[-2:-1] if within else self.grammar.closers
                closer = next((token for token in closers if row[token]), None)
                if closer is not None:
                    row[:] = False
                    row[closer] = True
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), -torch.inf)
