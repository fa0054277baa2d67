import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from swath.cli import app
from swath.errors import ModelError
from swath.evaluation.metrics import clipscore
from swath.evaluation.predictions import Prediction
from swath.evaluation.scoring import score
from tests.evaluation.making import predicted


def test_opposite_directions_score_nothing_and_equal_ones_two_and_a_half():
    images, captions = np.array([[2.0, 0], [1, 0], [3, 4]]), np.array([[5.0, 0], [-1, 0], [0, 1]])
    assert clipscore.clip_score(images, captions) == pytest.approx([2.5, 0, 2.5 * 0.8])


def test_the_best_reference_counts_and_the_mean_is_harmonic():
    nearest = clipscore.nearest_reference(np.array([[1.0, 0]]), [np.array([[0, 1], [3, 4]])])
    assert nearest == pytest.approx([0.6])
    scores = clipscore.ref_clip_score(np.array([1.0, 0.0]), np.array([0.6, -0.5]))
    assert scores == pytest.approx([2 * 0.6 / 1.6, 0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random CLIP checkpoint whose tokenizer knows a few words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", "<end>", "A", "photo", "depicts", "two", "ships", "a", "road"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "$A <end>", special_tokens=[("<end>", 2)]
    )
    size = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    torch.manual_seed(0)
    text = {
        **size,
        "vocab_size": len(words),
        "eos_token_id": 2,
        "bos_token_id": 1,
        "pad_token_id": 0,
    }
    vision = {**size, "image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    path = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(path)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    ).save_pretrained(path)
    side = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    CLIPImageProcessorPil(**side).save_pretrained(path)
    return path


def test_scores_of_a_checkpoint_do_not_depend_on_the_batches(folder, tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(path)
    captions = ["two ships", "a road", "two"]
    references = [["two ships", "a road"], ["a"], ["ships", "road"]]
    whole = clipscore.clip_scores(folder, paths, captions, references)
    parts = clipscore.clip_scores(folder, paths, captions, references, batch_size=1)
    assert whole.clip == pytest.approx(parts.clip, abs=1e-6)
    assert whole.ref_clip == pytest.approx(parts.ref_clip, abs=1e-6)
    # The first caption is one of its references: cosine 1, so 2 a / (a + 1).
    a = whole.clip[0]
    assert whole.ref_clip[0] == pytest.approx(2 * a / (a + 1), abs=1e-6)


def test_features_are_those_of_the_model_itself(folder, tmp_path):
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    picture = Image.new("RGB", (16, 16), (200, 30, 90))
    picture.save(tmp_path / "one.png")
    scores = clipscore.clip_scores(folder, [tmp_path / "one.png"], ["a road"], [["two"]])
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(picture, return_tensors="pt")
    ids = AutoTokenizer.from_pretrained(folder)("A photo depicts a road", return_tensors="pt")
    ids.pop("token_type_ids", None)
    with torch.no_grad():
        out = CLIPModel.from_pretrained(folder).eval()(**pixels, **ids)
    cosine = float((out.image_embeds * out.text_embeds).sum())
    assert scores.clip == pytest.approx([2.5 * max(cosine, 0)], abs=1e-5)


def test_a_folder_without_clip_is_refused(tmp_path, tiny_base):
    with pytest.raises(ModelError, match="give a folder saved by transformers"):
        clipscore.clip_scores(tmp_path, [], [], [])
    with pytest.raises(ModelError, match="needs a CLIP checkpoint"):
        clipscore.clip_scores(tiny_base, [], [], [])


def test_captions_get_both_scores_and_other_answers_none(folder, tmp_path):
    path = tmp_path / "one.png"
    Image.new("RGB", (16, 16), (200, 30, 90)).save(path)
    truth = {"captions": ["two ships", "a road"]}
    some = [
        replace(predicted(1, "caption", truth, answer="a road"), image=str(path)),
        predicted(2, "count", {"count": 3}, count=3),
    ]
    caption, count = clipscore.with_clip(some, folder)
    scores = clipscore.clip_scores(folder, [path], ["a road"], [truth["captions"]])
    assert count.clip is None
    assert caption.clip == {
        "score": pytest.approx(scores.clip[0]),
        "ref": pytest.approx(scores.ref_clip[0]),
        "by": folder.name,
    }
    found = score([Prediction.from_row(caption.to_row())])["caption"]
    assert found["clip_score"].value == pytest.approx(scores.clip[0])
    assert found["ref_clip_score"].value == pytest.approx(scores.ref_clip[0])
    assert "clip_score" not in score(some[:1])["caption"]


def test_command_scores_captions_by_a_checkpoint(folder, tmp_path):
    home = tmp_path / "rsicd"
    home.mkdir()
    Image.new("RGB", (16, 16), (200, 30, 90)).save(home / "one.png")
    rows = [{"filename": "one.png", "split": "test", "sentences": [{"raw": "two ships"}]}]
    (home / "dataset_rsicd.json").write_text(json.dumps({"images": rows}))
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"question_id": "one.png", "answer": "two ships"}))
    words = ["score", answers, "--suite", f"rsicd={home}", "--clip", folder, "--json"]
    done = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    found = json.loads(done.stdout)["rsicd"]
    a = found["scores"]["clip_score"]["value"]
    assert found["scores"]["ref_clip_score"]["value"] == pytest.approx(2 * a / (a + 1), abs=1e-6)
    assert found["notes"]["clip"] == str(folder)
