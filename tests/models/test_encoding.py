import pytest
import torch
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.normalizers import Prepend, Replace, Sequence
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from swath.boxes import Boxes, iou
from swath.dialect import DIALECTS
from swath.errors import InstructionError
from swath.instructions.conversation import Conversation, assistant, system, user
from swath.models.encoding import IGNORED, Encoded, Encoder, batches, by_image, collate, join
from swath.models.inputs import Inputs
from swath.models.pixels import PixelStore, to_tensor
from swath.models.templates import TEMPLATES
from tests.making import TASKS, asks, rectangle, small_set, where

BOX = Boxes.from_rotated([[14.0, 16.0, 14.0, 6.0, 30.0]])


@pytest.fixture
def encoder(tiny):
    return Inputs(tiny).encoder


@pytest.fixture
def view(tmp_path):
    return PixelStore(32, 32).plain(rectangle(tmp_path / "red.png"))


def answer_text(tiny, encoded):
    """What the tokens that carry loss say."""
    words = [i for i, mark in zip(encoded.ids, encoded.answer, strict=True) if mark]
    return tiny.tokenizer.decode(words)


# The loss mask


def test_loss_lies_on_the_answer_and_its_end_in_every_task(tiny, encoder, tmp_path):
    store = PixelStore(32, 32)
    built = small_set(tmp_path, system="The classes are {labels}.")
    first = {one.task: one for one in reversed(built.conversations)}
    assert list(first) and set(first) == set(TASKS)
    for task, one in first.items():
        view = store.plain(one.images[0].path)
        if task == "refer":
            said = DIALECTS.get("geochat").write(one.turns[-1].parts[0].boxes, (32, 32))
        else:
            said = one.text("assistant")
        assert answer_text(tiny, encoder.encode(one, [view])) == said + "</s>"


def test_loss_lies_on_every_assistants_turn_and_on_no_other(tiny, encoder, view):
    two = Conversation(
        "two",
        "classify",
        (system("Be brief."), *asks("x").turns, user("And now?"), assistant("still a field")),
    )
    encoded = encoder.encode(two, [view])
    assert answer_text(tiny, encoded) == "a red field</s>still a field</s>"
    unmasked = [i for i, mark in zip(encoded.ids, encoded.answer, strict=True) if not mark]
    assert tiny.tokenizer.decode(unmasked) == (
        "<s><|system|>Be brief.<|user|><image><image><image><image>\nWhat is it?<|assistant|>"
        "<|user|>And now?<|assistant|>"
    )


@pytest.mark.parametrize("words", ["<|assistant|> yes", "end</s>", "an <image> in words"])
def test_answers_spelt_like_control_tokens_are_not_learnt(encoder, view, words):
    with pytest.raises(InstructionError, match=r"the answer holds '.*', which steers .* remove it"):
        encoder.encode(asks("x", answer=words), [view])


def test_a_control_token_is_not_put_together_from_pieces(tiny, encoder, view):
    pieces = Conversation("x", "ask", (user(*asks("x").images, "\nWhat</", "s> is", " it?"),))
    ids = encoder.encode(pieces, [view], ask=True).ids
    assert tiny.tokenizer.eos_token_id not in ids
    assert tiny.tokenizer.decode(ids).endswith("What</s> is it?<|assistant|>")


def test_signs_that_stand_for_control_tokens_stay_what_a_text_says(tiny, encoder, view):
    words = "a\U000f0000b\U0010ffff </s>\U000f0000 c"
    encoded = encoder.encode(asks("x", question=words), [view])
    assert f"\n{words}<|assistant|>" in tiny.tokenizer.decode(encoded.ids)
    assert answer_text(tiny, encoded) == "a red field</s>"


def test_a_tokenizer_that_puts_a_space_before_a_text_puts_none_inside_it(tiny, view):
    """As Llama's does: a space before the text's first word, and bytes for unknown signs."""
    vocabulary = ["<unk>", "<s>", "</s>", "<image>", "\u2581", *"USERAINT:aehstw</>?\n.image"]
    vocabulary += [f"<0x{byte:02X}>" for byte in range(256)]
    ids = {token: place for place, token in enumerate(dict.fromkeys(vocabulary))}
    backend = Tokenizer(BPE(ids, [], unk_token="<unk>", byte_fallback=True))
    backend.normalizer = Sequence([Prepend("\u2581"), Replace(" ", "\u2581")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = TEMPLATES.get("vicuna").jinja
    encoder = Encoder(tokenizer, tiny.family, tiny.image_tokens, longest=400)
    encoded = encoder.encode(asks("x", question="what</s> is<image>"), [view], ask=True)
    text = "".join(tokenizer.convert_ids_to_tokens(encoded.ids))
    assert "\nwhat</s>\u2581is<image>\u2581ASSISTANT:" in text
    assert encoded.ids.count(ids["</s>"]) == 1  # of the answer before
    assert encoded.ids.count(ids["<image>"]) == tiny.image_tokens


def test_asking_ends_with_the_opening_of_the_answer(tiny, encoder, view):
    whole = encoder.encode(asks("x"), [view])
    asked = encoder.encode(asks("x").question, [view], ask=True)
    assert tiny.tokenizer.decode(asked.ids).endswith("What is it?<|assistant|>")
    assert not any(asked.answer)
    assert whole.ids[: len(asked.ids)] == asked.ids
    assert whole.answer.index(True) == len(asked.ids)


def test_a_picture_becomes_its_number_of_image_tokens(tiny, encoder, view):
    ids = encoder.encode(asks("x"), [view]).ids
    assert tiny.image_tokens == 4  # 32 pixels a side, 16 a token
    assert ids.count(tiny.model.config.image_token_id) == 4


def test_each_number_of_a_box_is_one_token(tiny, encoder, view):
    encoded = encoder.encode(where("x", Boxes.from_hbb([8, 12, 20, 20])), [view])
    words = [i for i, mark in zip(encoded.ids, encoded.answer, strict=True) if mark]
    pieces = tiny.tokenizer.convert_ids_to_tokens(words)
    # The horizontal box is written turned by 90 degrees: GeoChat's angles are in (0, 90].
    assert "<90>" in pieces
    assert len([piece for piece in pieces if piece[1:-1].lstrip("-").isdigit()]) == 5


def test_a_row_longer_than_the_context_is_refused_and_not_cut(tiny, view):
    encoder = Encoder(tiny.tokenizer, tiny.family, tiny.image_tokens, longest=20)
    with pytest.raises(InstructionError, match=r"asked: \d+ tokens.*at most 20; shorten"):
        encoder.encode(asks("x", question="where " * 10), [view])


@pytest.mark.parametrize("orientation", range(8))
def test_box_text_of_a_turned_view_reads_back_to_the_true_box(tiny, encoder, tmp_path, orientation):
    path = rectangle(tmp_path / "wide.png", size_wh=(64, 40))
    view = PixelStore(32, 64).plain(path, orientation)
    truth = Boxes.from_rotated([[30.0, 18.0, 30.0, 14.0, 25.0]])
    encoded = encoder.encode(where(path, truth, (64, 40)), [view])
    text = answer_text(tiny, encoded)
    read = view.to_image(DIALECTS.get("geochat").read(text, (32, 32)))
    assert iou(read, truth)[0] > 0.8


def test_box_text_without_the_views_matrix_is_another_box(tiny, encoder, tmp_path):
    path = rectangle(tmp_path / "wide.png", size_wh=(64, 40))
    view = PixelStore(32, 64).plain(path, 1)
    truth = Boxes.from_rotated([[30.0, 18.0, 30.0, 14.0, 25.0]])
    text = answer_text(tiny, encoder.encode(where(path, truth, (64, 40)), [view]))
    unturned = DIALECTS.get("geochat").read(text, (32, 32)).scaled((2, 2))
    assert iou(unturned, truth)[0] < 0.5


# One row of several conversations


def test_several_questions_share_the_beginning_once():
    one = Encoded((1, 3, 3, 7, 8, 9), (False, False, False, False, True, True))
    two = Encoded((1, 3, 3, 6, 5), (False, False, False, False, True))
    row = join([one, two])
    # The last common token stands in both: it predicts two different ones.
    assert row.ids == [1, 3, 3, 7, 8, 9, 3, 6, 5]
    assert row.positions == [0, 1, 2, 3, 4, 5, 2, 3, 4]
    assert row.segments == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert row.answer == [False, False, False, False, True, True, False, False, True]


def test_what_answers_have_in_common_stands_in_each():
    question, marks = (1, 3, 7), (False, False, False)
    some = [Encoded((*question, 4, 4, end, 2), (*marks, *[True] * 4)) for end in (5, 6)]
    row = join(some)
    assert row.ids == [1, 3, 7, 4, 4, 5, 2, 7, 4, 4, 6, 2]
    assert row.answer == [False] * 3 + [True] * 4 + [False] + [True] * 4


def test_one_conversation_is_its_own_row():
    one = Encoded((1, 3, 7, 8), (False, False, True, True))
    row = join([one])
    assert row.ids == [1, 3, 7, 8]
    assert row.positions == [0, 1, 2, 3]
    assert row.answer == [False, False, True, True]


def test_a_batch_is_padded_and_each_token_sees_its_beginning_and_itself():
    rows = [
        join([Encoded((1, 3, 7, 8), (False, False, False, True))]),
        join(
            [
                Encoded((1, 3, 7), (False, False, True)),
                Encoded((1, 3, 9), (False, False, True)),
            ]
        ),
    ]
    batch = collate(rows, pad_id=0)
    assert batch["input_ids"].tolist() == [[1, 3, 7, 8, 0], [1, 3, 7, 3, 9]]
    assert batch["labels"].tolist() == [
        [IGNORED, IGNORED, IGNORED, 8, IGNORED],
        [IGNORED, IGNORED, 7, IGNORED, 9],
    ]
    assert batch["attention_mask"].shape == (2, 1, 5, 5)
    assert batch["attention_mask"][1, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],  # the second question sees the beginning, not the first question
        [1, 0, 0, 1, 1],
    ]


def forward(tiny, batch, pixels):
    """Log-probability of every label of a batch, in reading order."""
    with torch.inference_mode():
        given = {key: value for key, value in batch.items() if key != "segments"}
        logits = tiny.model(**given, pixel_values=pixels).logits
    labels = batch["labels"][:, 1:]
    return -functional.cross_entropy(logits, labels[labels != IGNORED], reduction="none")


@pytest.fixture
def tree(tiny, encoder, tmp_path):
    """Three questions on one picture: their pixels, their encoded rows, their separate losses."""
    path = rectangle(tmp_path / "red.png")
    view = PixelStore(32, 32).plain(path)
    questions = [
        asks(path),
        asks(path, question="What lies on the grey land?", answer="one red field, and no other"),
        asks(path, question="Where is it?", answer="here"),
    ]
    encoded = [encoder.encode(one, [view]) for one in questions]
    pixels = to_tensor([view], tiny.family.mean, tiny.family.std)
    alone = torch.cat([forward(tiny, collate([join([one])], 0), pixels) for one in encoded])
    return pixels, encoded, alone


def test_questions_on_one_shared_beginning_lose_what_they_lose_alone(tiny, tree):
    pixels, encoded, alone = tree
    together = forward(tiny, collate([join(encoded)], 0), pixels)
    assert len(together) == sum(sum(one.answer) for one in encoded)
    assert torch.allclose(together, alone, atol=1e-4)


def test_padding_beside_a_longer_row_changes_nothing(tiny, tree):
    pixels, encoded, alone = tree
    rows = [join(encoded[:1]), join(encoded)]
    batch = collate(rows, 0)
    both = forward(tiny, batch, pixels.repeat(2, 1, 1, 1))
    first = sum(encoded[0].answer)
    assert torch.allclose(both[:first], alone[:first], atol=1e-4)
    assert torch.allclose(both[first:], alone, atol=1e-4)


def test_parity_fails_when_a_question_sees_the_one_before(tiny, tree):
    pixels, encoded, alone = tree
    batch = collate([join(encoded)], 0)
    length = batch["input_ids"].shape[1]
    batch["attention_mask"] = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
    assert (forward(tiny, batch, pixels) - alone).abs().max() > 1e-2


def test_parity_fails_when_places_are_not_counted_anew(tiny, tree):
    pixels, encoded, alone = tree
    batch = collate([join(encoded)], 0)
    batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]
    assert (forward(tiny, batch, pixels) - alone).abs().max() > 1e-2


# Grouping


def test_conversations_of_one_picture_come_together_in_order():
    some = [asks("a"), asks("b"), asks("a", question="And?")]
    groups = by_image(some)
    assert [[one.images[0].path for one in group] for group in groups] == [["a", "a"], ["b"]]


def test_a_conversation_without_a_picture_is_refused():
    without = Conversation("bare", "classify", (user("Hello?"), assistant("Hello.")))
    with pytest.raises(InstructionError, match=r"bare: no image; .* leave it out"):
        by_image([without])


def test_batches_hold_at_most_so_many():
    assert [list(some) for some in batches(range(5), 2)] == [[0, 1], [2, 3], [4]]
