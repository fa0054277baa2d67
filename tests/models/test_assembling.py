"""Models put together from folders of tiny random parts, as they would be from the Hub's."""

import shutil

import pytest
import torch
from transformers import (
    AutoTokenizer,
    Blip2ForConditionalGeneration,
    CLIPModel,
    CLIPVisionModel,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    ViTModel,
)

from swath.errors import ModelError
from swath.models.engine import LocalEngine
from swath.models.loaded import EMBEDDED, load_folder
from swath.models.loading import load_base
from swath.models.pixels import PixelStore
from swath.models.published import published_config
from swath.models.shrink import shrink
from swath.recipe import Imagery, Models
from tests.making import asks, rectangle

KINDS = {
    "clip": ("openai/clip-vit-large-patch14-336", CLIPModel),
    "vit": ("google/vit-base-patch16-224-in21k", ViTModel),
    "blip": ("Salesforce/blip2-opt-2.7b", Blip2ForConditionalGeneration),
    "llama": ("meta-llama/Llama-2-7b-chat-hf", LlamaForCausalLM),
    "gpt2": ("openai-community/gpt2", GPT2LMHeadModel),
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Folders of tiny towers and language models, with tokenizers where there are words."""
    root = tmp_path_factory.mktemp("parts")
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    tokenizer.chat_template = None
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    for name, (hub, kind) in KINDS.items():
        config = published_config(hub)
        side = (
            4 * getattr(config, "vision_config", config).patch_size
            if name in ("clip", "vit", "blip")
            else 0
        )
        small = shrink(config, len(tokenizer), side, ids)
        torch.manual_seed(0)
        kind(small).save_pretrained(root / name)
        if name in ("llama", "gpt2"):
            tokenizer.save_pretrained(root / name)
    return root


def made(parts, vision, connector, language, **more):
    names = {"vision": str(parts / vision), "language": language}
    if (parts / language).is_dir():
        names["language"] = str(parts / language)
    section = Models(parts={**names, "connector": connector})
    return load_base(section, seed=3, **more)


@pytest.mark.parametrize(
    ("vision", "connector", "language"),
    [
        ("clip", "mlp2x_gelu", "llama"),
        ("clip", "linear", "llama"),
        ("clip", "multi-linear", "llama"),
        ("blip", "merge4", "llama"),
        ("blip", "qformer", "llama"),
        ("vit", "cross-attention", "gpt2"),
    ],
)
def test_parts_answer_together_and_after_being_saved(parts, tmp_path, vision, connector, language):
    model = made(parts, vision, connector, language)
    question = asks(rectangle(tmp_path / "a.png")).question
    (scores,) = LocalEngine(model).score([question], [["a red field", "a blue field"]])
    assert len(set(scores)) == 2
    model.save(tmp_path / "saved")
    again = load_folder(tmp_path / "saved", "again")
    (same,) = LocalEngine(again).score([question], [["a red field", "a blue field"]])
    assert scores.tolist() == same.tolist()


def test_the_parts_keep_their_weights(parts):
    model = made(parts, "blip", "qformer", "llama").model
    whole = Blip2ForConditionalGeneration.from_pretrained(parts / "blip")
    tower, theirs = model.model.vision_tower.state_dict(), whole.vision_model.state_dict()
    assert all(torch.equal(tower[name], theirs[name]) for name in theirs)
    words = LlamaForCausalLM.from_pretrained(parts / "llama").model.embed_tokens.weight
    assert torch.equal(model.get_input_embeddings().weight[: len(words)], words)


def test_a_tower_is_enlarged_before_its_tokens_are_counted(parts):
    model = made(parts, "blip", "merge4", "llama", imagery=Imagery(image_px=84))
    assert (model.image_size, model.image_tokens) == (84, 9)


def test_the_same_seed_draws_the_same_connector(parts):
    one, other = (made(parts, "clip", "linear", "llama").model for _ in range(2))
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            one.model.multi_modal_projector.parameters(),
            other.model.multi_modal_projector.parameters(),
            strict=True,
        )
    )


def test_a_part_that_is_not_there_says_what_to_do(parts):
    with pytest.raises(ModelError, match="cannot be fetched from the Hub"):
        made(parts, "clip", "linear", "nobody/nothing")
    with pytest.raises(ModelError, match="weights are not whole or of another architecture"):
        broken = parts / "broken"
        CLIPVisionModel.from_pretrained(parts / "clip").save_pretrained(broken)
        other = published_config("google/vit-base-patch16-224-in21k")
        shrink(other, 100, 64, {}).save_pretrained(broken)
        made(parts, "broken", "linear", "llama")


def test_the_image_token_comes_beside_a_tokenizers_own_control_tokens(parts, tmp_path):
    language = tmp_path / "glm"
    shutil.copytree(parts / "llama", language)
    tokenizer = AutoTokenizer.from_pretrained(language)
    control = ["<|user|>", "<|assistant|>", "[gMASK]"]
    tokenizer.add_special_tokens({"additional_special_tokens": control})
    tokenizer.save_pretrained(language)
    names = {"vision": str(parts / "clip"), "language": str(language), "connector": "linear"}
    loaded = load_base(Models(parts=names), seed=3)
    assert {*control, "<image>"} <= set(loaded.tokenizer.all_special_tokens)
    user = loaded.tokenizer.convert_tokens_to_ids("<|user|>")
    ids = loaded.tokenizer("A caption <|user|> and more")["input_ids"]
    assert user in ids  # a token for the tokenizer, and words for a question
    picture = rectangle(tmp_path / "a.png")
    question = asks(picture, question="A caption <|user|> and more")
    view = PixelStore(32, 32).plain(picture)
    assert user not in LocalEngine(loaded).inputs.encoder.encode(question, [view], ask=True).ids
