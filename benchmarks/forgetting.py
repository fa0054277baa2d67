"""What tuning costs a model's general English: 40 plain questions before and after.

    python benchmarks/forgetting.py RUN [--out JSON]

RUN is a finished run. Each question has one right answer and three wrong ones of its kind; no
picture goes with it. RUN's model and the one it was tuned from give the log-probability of every
answer after the same prompt: how often the right one is the most probable of the four (chance:
0.25), and how the right one's log-probability a character changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from measured import described, finish, machine
from numpy.typing import NDArray

from swath.instructions.conversation import Conversation, Text, Turn
from swath.models.inputs import Inputs
from swath.models.loaded import Loaded
from swath.models.loading import base_of, load

QUESTIONS = """
What is the capital of France? | Paris | Madrid | Vienna | Oslo
What is the capital of Japan? | Tokyo | Seoul | Hanoi | Delhi
What is the capital of Italy? | Rome | Athens | Lisbon | Berlin
On which continent is Egypt? | Africa | Europe | Asia | Australia
On which continent is Brazil? | South America | North America | Africa | Europe
Which planet is closest to the sun? | Mercury | Mars | Saturn | Neptune
Which planet is known for its rings? | Saturn | Venus | Mercury | Mars
What do plants take from the air? | carbon dioxide | helium | iron | salt
What is frozen water called? | ice | steam | sand | smoke
At what temperature in degrees Celsius does water boil? | 100 | 10 | 37 | 250
How many days are in a week? | seven | five | nine | twelve
How many months are in a year? | twelve | ten | seven | twenty
How many legs does a spider have? | eight | two | four | ten
How many wheels does a bicycle have? | two | three | six | eight
What is two plus two? | four | one | seven | nine
What is ten minus three? | seven | two | thirteen | five
What color is the sky on a clear day? | blue | green | red | purple
What color is fresh snow? | white | black | orange | green
What color is a ripe banana? | yellow | blue | gray | purple
What is the opposite of hot? | cold | warm | dry | loud
What is the opposite of big? | small | tall | heavy | wide
What is the opposite of early? | late | soon | fast | near
What is the plural of child? | children | childs | childes | childrens
What is the past tense of go? | went | goed | gone to | going
What is a baby dog called? | puppy | kitten | calf | chick
What is a baby cat called? | kitten | puppy | foal | lamb
Which animal gives us wool? | sheep | pig | horse | duck
Which animal barks? | dog | cow | cat | bird
What do bees make? | honey | milk | bread | silk
What do we drink milk from, usually? | cup | fork | plate | hat
What do you use to cut paper? | scissors | spoon | pillow | soap
What do you wear on your feet? | shoes | gloves | hats | scarves
Who wrote Romeo and Juliet? | William Shakespeare | Charles Dickens | Mark Twain | Isaac Newton
Who painted the Mona Lisa? | Leonardo da Vinci | Pablo Picasso | Vincent van Gogh | Claude Monet
Which organ pumps blood through the body? | the heart | the liver | the lungs | the skin
Which sense do we use our ears for? | hearing | smell | taste | sight
Which season comes after winter? | spring | autumn | summer | fall
Where does a fish live? | in water | in trees | in sand | in the sky
What do you call a person who teaches? | a teacher | a farmer | a pilot | a baker
Which ocean lies between Europe and America? | the Atlantic | the Pacific | the Indian | the Arctic
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = [[part.strip() for part in line.split("|")] for line in QUESTIONS.strip().splitlines()]
    lengths = np.array([[len(answer) for answer in row[1:]] for row in rows])
    per_sign = {
        system: log_probabilities(load(name), rows) / lengths
        for system, name in {"base": base_of(args.run), "tuned": str(args.run)}.items()
    }
    right = {system: values.argmax(axis=1) == 0 for system, values in per_sign.items()}
    change = per_sign["tuned"][:, 0] - per_sign["base"][:, 0]
    result = {
        "run": described(args.run),
        "questions": len(rows),
        "right": {system: int(values.sum()) for system, values in right.items()},
        "lost": [
            row[0]
            for row, (a, b) in zip(rows, zip(*right.values(), strict=True), strict=True)
            if a and not b
        ],
        "log_probability_a_sign": {
            system: float(values[:, 0].mean()) for system, values in per_sign.items()
        },
        "change_a_sign": {"mean": float(change.mean()), "worst": float(change.min())},
        "machine": machine(),
    }
    finish(result, args.out)
    for system, number in result["right"].items():
        print(f"{system}: {number} of {len(rows)} right", result["log_probability_a_sign"][system])


def log_probabilities(loaded: Loaded, rows: list[list[str]]) -> NDArray[np.float64]:
    """Of every answer after its question, (questions, answers); the right one stands first."""
    encoder = Inputs(loaded).encoder
    scores = []
    for question, *answers in rows:
        for answer in answers:
            turns = (Turn("user", (Text(question),)), Turn("assistant", (Text(answer),)))
            encoded = encoder.encode(Conversation(question, "vqa", turns), ())
            ids = torch.tensor([encoded.ids])
            with torch.inference_mode():
                logits = loaded.model(input_ids=ids).logits[0, :-1].float()
            of_words = logits.log_softmax(dim=-1).gather(1, ids[0, 1:, None])[:, 0]
            scores.append(float(of_words[torch.tensor(encoded.answer[1:])].sum()))
    return np.array(scores).reshape(len(rows), -1)


if __name__ == "__main__":
    main()
