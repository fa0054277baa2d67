from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from swath.boxes import Boxes, iou
from swath.errors import ModelError
from swath.instructions.conversation import Conversation, assistant, system
from swath.models import candidates as trie
from swath.models import engine, inputs
from swath.models import packing as scoring
from swath.models.engine import LocalEngine
from swath.models.generating.image_prefix import Seen
from tests.making import asks, rectangle, small_set

pytestmark = pytest.mark.numeric

LABELS = ["red land", "red lands", "red", "a field of another colour", "green land"]


@pytest.fixture
def questions(tmp_path):
    """Sixteen test questions of four tasks and of different length on four pictures."""
    return small_set(tmp_path).split("test")


def alone(local, question, text):
    """Summed log-probability of one answer by a plain forward pass, every token by itself."""
    view = local.store.plain(question.images[0].path)
    whole = local.inputs.encoder.encode(
        Conversation("x", "classify", (*question.question.turns, assistant(text))), [view]
    )
    ids = torch.tensor([whole.ids])
    with torch.inference_mode():
        logits = local.loaded.model(input_ids=ids, pixel_values=local.inputs.tensor([view])).logits
    logs = functional.log_softmax(logits.double(), dim=-1)[0, :-1]
    each = logs[torch.arange(len(whole.ids) - 1), ids[0, 1:]]
    return float(each[torch.tensor(whole.answer[1:])].sum())


def test_scoring_together_equals_scoring_each_candidate_alone(tiny, questions):
    local = LocalEngine(tiny, batch_size=6)
    scores = local.score(questions, [LABELS] * len(questions))
    for question, row in zip(questions[:5], scores, strict=False):
        expected = [alone(local, question, text) for text in LABELS]
        assert row == pytest.approx(expected, abs=1e-4)
    assert len(scores) == len(questions)


def test_candidates_with_nothing_everything_or_only_the_end_in_common_score_as_alone(
    tiny, questions
):
    local = LocalEngine(tiny)
    for some in (
        ["yes", "no"],
        ["red land", "red land"],
        ["red", "red land"],
        ['{"label": "red land"}', '{"label": "green"}', '{"label": "red"}'],
        ["red"],
        ["", "a"],
    ):
        (row,) = local.score(questions[:1], [some])
        assert row == pytest.approx([alone(local, questions[0], text) for text in some], abs=1e-4)


def test_score_parity_fails_when_candidates_see_each_other(tiny, questions, monkeypatch):
    local = LocalEngine(tiny)
    right = local.score(questions[:1], [LABELS])[0]

    def causal(tries, pad_id):
        batch = trie.collate_tries(tries, pad_id)
        length = batch["input_ids"].shape[1]
        batch["attention_mask"] = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        return batch

    monkeypatch.setattr(inputs, "collate_tries", causal)
    assert np.abs(local.score(questions[:1], [LABELS])[0] - right).max() > 1e-2


def test_score_parity_fails_when_places_count_through_the_row(tiny, questions, monkeypatch):
    local = LocalEngine(tiny)
    right = local.score(questions[:1], [LABELS])[0]

    def onward(tries, pad_id):
        batch = trie.collate_tries(tries, pad_id)
        return batch | {"position_ids": torch.arange(batch["input_ids"].shape[1])[None]}

    monkeypatch.setattr(inputs, "collate_tries", onward)
    assert np.abs(local.score(questions[:1], [LABELS])[0] - right).max() > 1e-2


def test_questions_about_one_picture_stand_in_one_row(tiny, questions, monkeypatch):
    local, rows = LocalEngine(tiny, batch_size=16), []

    def counting(given, some, images):
        rows.extend(some)
        return scoring.log_probabilities(given, some, images)

    monkeypatch.setattr(engine, "log_probabilities", counting)
    scores = local.score(questions, [LABELS] * len(questions))
    pictures = {one.images[0].path for one in questions}
    assert [[*map(len, row)] for row in rows] == [[len(LABELS)] * 4] * len(pictures)
    for question, row in zip(questions, scores, strict=True):
        (single,) = local.score([question], [LABELS])
        assert row == pytest.approx(single, abs=1e-4)


def test_rows_do_not_grow_without_end(tiny, questions, monkeypatch):
    local, rows = LocalEngine(tiny, batch_size=16), []
    right = local.score(questions, [LABELS] * len(questions))

    def counting(given, some, images):
        rows.extend(some)
        return scoring.log_probabilities(given, some, images)

    monkeypatch.setattr(engine, "log_probabilities", counting)
    for longest, alone in ((1, True), (130, False)):
        monkeypatch.setattr(engine, "LONGEST_ROW", longest)
        rows.clear()
        again = local.score(questions, [LABELS] * len(questions))
        assert (len(rows) == len(questions)) is alone
        assert np.allclose(again, right, atol=1e-4)
    assert len(questions) / 4 < len(rows)


def listed(path, question="Which class?"):
    """A question after a long instruction that stands before the picture."""
    whole = asks(path, question=question)
    before = system("Answer with one of red land, green land, blue land and nothing else at all.")
    return replace(whole, turns=(before, *whole.turns))


@pytest.fixture
def after_instructions(tmp_path):
    pictures = [rectangle(tmp_path / f"{x}.png", (x, 4, x + 8, 12)) for x in (2, 12, 20)]
    return [listed(path) for path in pictures]


def test_an_instruction_before_all_pictures_is_read_once(tiny, after_instructions, monkeypatch):
    local, lengths, forward = LocalEngine(tiny), [], tiny.model.forward

    def counted(**given):
        lengths.append(tuple(given["input_ids"].shape))
        return forward(**given)

    monkeypatch.setattr(tiny.model, "forward", counted)
    monkeypatch.setattr(scoring, "LEAST_LEFT", 1000)
    scores = local.score(after_instructions, [LABELS] * 3)
    (one, common), (rows, rest) = lengths
    assert (one, rows) == (1, 3) and common >= scoring.LEAST_SHARED
    lengths.clear()
    for question, row in zip(after_instructions, scores, strict=True):
        (single,) = local.score([question], [LABELS])
        assert row == pytest.approx(single, abs=1e-4)
    assert lengths == [(1, common + rest)] * 3


def test_parity_fails_when_the_shared_instruction_is_of_another_place(
    tiny, after_instructions, monkeypatch
):
    local = LocalEngine(tiny)
    right = np.array(local.score(after_instructions, [LABELS] * 3))
    once = scoring._Passes.read_once

    def moved(passes, common):
        places = passes._batch["position_ids"]
        passes._batch["position_ids"] = places + 9
        once(passes, common)
        passes._batch["position_ids"] = places

    monkeypatch.setattr(scoring._Passes, "read_once", moved)
    assert np.abs(np.array(local.score(after_instructions, [LABELS] * 3)) - right).max() > 1e-3


def test_a_picture_goes_through_the_tower_once_for_all_its_questions(tiny, questions, monkeypatch):
    seen, tower = [], tiny.model.model.vision_tower
    tower.register_forward_hook(lambda module, given, output: seen.append(len(output)))
    local, pictures = LocalEngine(tiny, batch_size=4), {one.images[0].path for one in questions}
    answers = local.answer(questions, max_new_tokens=4)
    assert sum(seen) == len(pictures) == len(questions) / 4
    seen.clear()
    local.score(questions, [LABELS] * len(questions))
    assert sum(seen) == 2 * len(pictures)  # two questions a pass, four a picture
    given = Seen.of
    monkeypatch.setattr(Seen, "of", lambda self, rows: given(self, [rows[0]] * len(rows)))
    wrong = local.answer(questions, max_new_tokens=4)
    assert [one.text for one in wrong] != [one.text for one in answers]


def test_a_batch_of_unlike_length_answers_as_each_question_alone(tiny, questions):
    together = LocalEngine(tiny, batch_size=16).answer(questions, max_new_tokens=8)
    single = LocalEngine(tiny, batch_size=1).answer(questions, max_new_tokens=8)
    assert [one.text for one in together] == [one.text for one in single]
    assert len({one.text for one in together}) > 4  # the answers do depend on the question


def test_generation_parity_fails_without_the_mask_of_the_padding(tiny, questions, monkeypatch):
    local = LocalEngine(tiny, batch_size=16)
    right = [one.text for one in local.answer(questions, max_new_tokens=8)]
    generate = tiny.model.generate

    def unmasked(**given):
        return generate(**{**given, "attention_mask": torch.ones_like(given["attention_mask"])})

    monkeypatch.setattr(tiny.model, "generate", unmasked)
    assert [one.text for one in local.answer(questions, max_new_tokens=8)] != right


def test_generation_with_its_cache_says_what_plain_passes_say(tiny, questions):
    local = LocalEngine(tiny)
    question = questions[2]
    text = local.answer([question], max_new_tokens=6)[0].text
    view = local.store.plain(question.images[0].path)
    ids = list(local.inputs.encoder.encode(question.question, [view], ask=True).ids)
    begin, pixels = len(ids), local.inputs.tensor([view])
    with torch.inference_mode():
        for _ in range(6):
            logits = tiny.model(input_ids=torch.tensor([ids]), pixel_values=pixels).logits
            ids.append(int(logits[0, -1].argmax()))
    said = tiny.tokenizer.decode(ids[begin:], skip_special_tokens=True).strip()
    assert text == said


def test_scores_depend_on_the_picture(tiny, tmp_path):
    red = asks(rectangle(tmp_path / "red.png", (2, 2, 30, 30)))
    blue = asks(rectangle(tmp_path / "blue.png", (2, 2, 30, 30), colour=(30, 30, 220)))
    one, other = LocalEngine(tiny).score([red, blue], [LABELS] * 2)
    assert np.abs(one - other).max() > 1e-2


def test_several_views_are_the_mean_of_the_turned_and_flipped_pictures(tiny, tmp_path):
    question = asks(rectangle(tmp_path / "red.png"))
    mean = LocalEngine(tiny, views=8).score([question], [LABELS])[0]
    local = LocalEngine(tiny)
    with torch.inference_mode():
        each = [local._score_rows([[(question, LABELS)]], turn)[0] for turn in range(8)]
    assert mean == pytest.approx(np.mean(each, axis=0), abs=1e-9)
    assert np.std(each, axis=0).max() > 1e-3


def test_views_beyond_the_eight_turns_and_flips_are_refused(tiny):
    with pytest.raises(ModelError, match="9 views asked for; there are 1 to 8"):
        LocalEngine(tiny, views=9)


def test_boxes_of_an_answer_are_pixels_of_the_picture(tiny, tmp_path, monkeypatch):
    # 64 x 40 pixels become 32 x 20 in a view of 32 x 32 with 6 rows above and below.
    wide = asks(rectangle(tmp_path / "wide.png", size_wh=(64, 40)), (64, 40))
    local = LocalEngine(tiny)
    said = "{<25><50><75><75>|<90>}"  # upright 16 x 8 at (16, 20), turned by a quarter
    monkeypatch.setattr(local, "_generate", lambda *given: [said])
    (answer,) = local.answer([wide])
    truth = Boxes.from_hbb([24, 12, 40, 44])
    assert answer.text == said
    assert iou(answer.boxes, truth)[0] == pytest.approx(1)


def test_an_answer_without_box_has_none(tiny, tmp_path, monkeypatch):
    local = LocalEngine(tiny)
    monkeypatch.setattr(local, "_generate", lambda *given: ["a field {<1><2>"])
    assert local.answer([asks(rectangle(tmp_path / "red.png"))])[0].boxes is None


def test_answers_come_in_the_order_of_the_questions_and_progress_is_told(
    tiny, tmp_path, monkeypatch
):
    path = rectangle(tmp_path / "red.png")
    some = [asks(path, question="x" * length) for length in (5, 1, 3)]
    local, told = LocalEngine(tiny, batch_size=2), []

    def echo(asked, *rest):
        read = [local.loaded.tokenizer.decode(one.ids) for one in asked]
        return [text.partition("\n")[2].partition("<|")[0] for text in read]

    monkeypatch.setattr(local, "_generate", echo)
    answers = local.answer(some, progress=lambda done, total: told.append((done, total)))
    assert [one.text for one in answers] == ["xxxxx", "x", "xxx"]
    assert told == [(2, 3), (3, 3)]


def test_the_truth_of_a_conversation_is_not_shown_to_the_model(tiny, tmp_path):
    path = rectangle(tmp_path / "red.png")
    local = LocalEngine(tiny)
    some = [asks(path, answer="yes"), asks(path, answer="a very long other answer")]
    one, other = local.answer(some, max_new_tokens=6)
    assert one == other
    first, second = local.score(some, [LABELS] * 2)
    assert first == pytest.approx(second)


def test_features_are_one_mean_a_picture(tiny, tmp_path):
    paths = [rectangle(tmp_path / f"{x}.png", (x, 4, x + 8, 12)) for x in (2, 12, 20)]
    features = LocalEngine(tiny, batch_size=2).features(paths)
    assert features.shape == (3, 16)
    assert np.abs(features[0] - features[1]).max() > 1e-3
