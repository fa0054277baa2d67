"""Our caption measures beside pycocoevalcap's: seconds of each, and the largest difference.

    python benchmarks/captions.py CAPTIONS [--images N] [--references N] [--out JSON]

CAPTIONS is a caption file that swath reads, or its folder. Each of N images is given the sentences
of one drawn from it as references, and as its caption a sentence of its own or of another in turn.
Both sides get the same words; where Java is installed its tokeniser is compared as well. Times are
of one run, one after the other, on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from measured import finish, machine

from swath.annotations.readers import unmeasured
from swath.annotations.source import Source
from swath.errors import AnnotationError, SwathError
from swath.evaluation.metrics import ngrams
from swath.evaluation.metrics.ptb import tokenise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("captions", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--references", type=int, default=5)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    try:
        answers, references = drawn(asked.captions, asked.images, asked.references)
    except SwathError as error:
        sys.exit(str(error))
    result = {"machine": machine(), "captions": len(answers), "references": asked.references}
    finish({**result, **compared(answers, references)}, asked.out)


def drawn(path: Path, images: int, count: int) -> tuple[list[str], list[list[str]]]:
    """Captions and references in words as they were written."""
    sets = [list(image.captions[:count]) for image in unmeasured(Source(path), "captions")]
    sets = [sentences for sentences in sets if len(sentences) == count]
    if not sets:
        raise AnnotationError(f"{path}: no image with {count} sentences; ask for fewer.")
    rng = random.Random(0)
    references = [rng.choice(sets) for _ in range(images)]
    answers = [
        rng.choice(own if number % 2 else rng.choice(sets)) for number, own in enumerate(references)
    ]
    return answers, references


def compared(answers: list[str], references: list[list[str]]) -> dict[str, Any]:
    """Seconds of ours and theirs, their ratio, and the largest difference of any caption."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    start = time.perf_counter()
    words = [tokenise(text) for text in answers]
    others = [[tokenise(text) for text in several] for several in references]
    tokens = {"ours_s": time.perf_counter() - start}
    if shutil.which("java"):
        start = time.perf_counter()
        theirs = _java(answers, references)
        tokens["theirs_s"] = time.perf_counter() - start
        ours = [words, *map(list, zip(*others, strict=True))]
        tokens["texts_that_differ"] = sum(
            one != two
            for a, b in zip(ours, theirs, strict=True)
            for one, two in zip(a, b, strict=True)
        )
    truth = dict(enumerate(others))
    given = {number: [text] for number, text in enumerate(words)}
    held: list[ngrams.Sentences] = []
    pairs = {
        "n-grams, for all three": (lambda: _counted(words, others, held), lambda: 0),
        "BLEU-4": (
            lambda: _bleu(held[0]),
            lambda: _last(Bleu(4).compute_score(truth, given)),
        ),
        "ROUGE-L": (
            lambda: ngrams.rouge_l(held[0]),
            lambda: Rouge().compute_score(truth, given)[1],
        ),
        "CIDEr": (
            lambda: ngrams.cider(held[0]),
            lambda: Cider().compute_score(truth, given)[1],
        ),
    }
    rows: dict[str, Any] = {}
    for name, sides in pairs.items():
        seconds, values = [], []
        for side in sides:
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                values.append(np.asarray(side()))
            seconds.append(time.perf_counter() - start)
        difference = float(np.abs(values[0] - values[1]).max())
        rows[name] = {"ours_s": seconds[0], "theirs_s": seconds[1], "difference": difference}
    ours_s = sum(row["ours_s"] for row in rows.values())
    theirs_s = sum(row["theirs_s"] for row in rows.values())
    total = {"ours_s": ours_s, "theirs_s": theirs_s, "ratio": theirs_s / ours_s}
    return {"tokens": tokens, "measures": rows, "total": total}


def _counted(words: list[str], others: list[list[str]], held: list[ngrams.Sentences]) -> int:
    held.append(ngrams.Sentences.of(words, others))
    return len(held[0].counts) - ngrams.LONGEST


def _bleu(some: ngrams.Sentences) -> np.ndarray:
    rows = ngrams.bleu_rows(some)
    return np.append(ngrams.bleu(rows), ngrams.bleu(rows.sum(axis=0)))


def _last(scores: tuple[list[float], list[list[float]]]) -> np.ndarray:
    return np.append(scores[1][-1], scores[0][-1])


def _java(answers: list[str], references: list[list[str]]) -> list[list[str]]:
    """Captions, then each place among the references, as the Java program tokenises them."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    found = []
    for texts in [answers, *zip(*references, strict=True)]:
        given = {number: [{"caption": text}] for number, text in enumerate(texts)}
        tokens = PTBTokenizer().tokenize(given)
        found.append([tokens[number][0] for number in range(len(texts))])
    return found


if __name__ == "__main__":
    main()
