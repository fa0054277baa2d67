"""swath-nano's tokenizer: byte-level BPE with one token for each number of a box."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from swath.models.templates import TEMPLATES

SIZE = 2048
LEXICON = Path(__file__).parent / "lexicon.txt"
"""Words of the trade, so that a user's classes and captions are not spelt letter by letter."""
NUMBERS = range(-50, 181)
"""Numbers of box text with a token each: corners turned out of the picture, and angles."""

PAD, BEGIN, END, IMAGE = "<pad>", "<s>", "</s>", "<image>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")


def train_tokenizer(texts: Iterable[str], size: int = SIZE) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `size` tokens, learnt from the texts and the lexicon.

    The first four ids are padding, begin, end and image, as `NanoConfig` expects.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [PAD, BEGIN, END, IMAGE, *ROLES]
    numbers = [f"<{number}>" for number in NUMBERS]
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(numbers),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lexicon = LEXICON.read_text(encoding="utf-8").splitlines()
    # Each word of the lexicon counts as often as a word said forty times.
    tokenizer.train_from_iterator(itertools.chain(texts, *itertools.repeat(lexicon, 40)), trainer)
    tokenizer.add_tokens([AddedToken(number, normalized=False) for number in numbers])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=[IMAGE, *ROLES],
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
    wrapped.chat_template = TEMPLATES.get("nano").jinja
    return wrapped
