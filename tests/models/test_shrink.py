import copy

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    VisionEncoderDecoderModel,
)

from swath.models.architectures.composed import ComposedForConditionalGeneration, composed_config
from swath.models.published import published_config
from swath.models.shrink import encoder_decoder, shrink

IMAGE = 9
IDS = {"image_token_id": IMAGE, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}

CLIP, BLIP2 = "openai/clip-vit-large-patch14-336", "Salesforce/blip2-opt-2.7b"
VIT, GPT2 = "google/vit-base-patch16-224-in21k", "openai-community/gpt2"
LLAMA, GLM = "meta-llama/Llama-2-7b-chat-hf", "zai-org/glm-4-9b-chat-hf"
LLAVA, PIXTRAL = "llava-hf/llava-1.5-7b-hf", "mistral-community/pixtral-12b"
QWEN, SMOLVLM = "Qwen/Qwen2.5-VL-3B-Instruct", "HuggingFaceTB/SmolVLM-256M-Instruct"


def composed(vision, language, connector):
    return composed_config(published_config(vision), published_config(language), connector, IMAGE)


def small(config, px=84):
    torch.manual_seed(0)
    config = shrink(config, 300, px, IDS)
    kinds = {
        "swath_composed": ComposedForConditionalGeneration,
        "vision-encoder-decoder": VisionEncoderDecoderModel,
    }
    if config.model_type in kinds:
        return kinds[config.model_type](config).eval()
    joint = hasattr(config, "vision_config")
    kind = AutoModelForImageTextToText if joint else AutoModelForCausalLM
    return kind.from_config(config).eval()


def rows(tokens, brightness):
    """Two rows of an image and four words, and 84 px images as most families take them."""
    ids = torch.tensor([[1, *[IMAGE] * tokens, 20, 21, 22, 23]]).repeat(2, 1)
    noise = torch.randn(2, 3, 84, 84, generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, noise * brightness


def plain(tokens):
    def inputs(brightness):
        words, pixels = rows(tokens, brightness)
        return {**words, "pixel_values": pixels}

    return inputs


def pixtral(brightness):
    words, pixels = rows(25, brightness)
    return {
        **words,
        "pixel_values": pixels[..., :80, :80],
        "image_sizes": torch.tensor([[80, 80], [80, 80]]),
    }


def qwen(brightness):
    words, pixels = rows(9, brightness)  # 6 x 6 patches, merged 2 x 2
    cut = pixels.repeat(1, 2, 1, 1).unfold(2, 14, 14).unfold(3, 14, 14)
    patches = cut.permute(0, 2, 3, 1, 4, 5).reshape(72, 2 * 3 * 14 * 14)
    kinds = (words["input_ids"] == IMAGE).int()
    grid = torch.tensor([[1, 6, 6], [1, 6, 6]])
    return {**words, "pixel_values": patches, "image_grid_thw": grid, "mm_token_type_ids": kinds}


def smolvlm(brightness):
    words, _ = rows(4, brightness)  # 8 x 8 patches, 4 x 4 of them shuffled into one
    noise = torch.randn(2, 1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    return {**words, "pixel_values": noise * brightness}


def captioning(brightness):
    words, pixels = rows(0, brightness)
    words = {f"decoder_{name}": value for name, value in words.items()}
    return {**words, "pixel_values": torch.nn.functional.pad(pixels, (6, 6, 6, 6))}


SYSTEMS = {
    "llava (geochat)": (lambda: published_config(LLAVA), 84, plain(36)),
    "pixtral (pixtral-aid)": (lambda: published_config(PIXTRAL), 80, pixtral),
    "skyeyegpt": (lambda: composed(BLIP2, LLAMA, "merge4"), 84, plain(9)),
    "remoteglm": (lambda: composed(BLIP2, GLM, "qformer"), 84, plain(8)),
    "satgpt": (
        lambda: encoder_decoder(published_config(VIT), published_config(GPT2)),
        96,
        captioning,
    ),
    "clip and gpt2": (lambda: composed(CLIP, GPT2, "mlp2x_gelu"), 84, plain(36)),
    "blip-2": (lambda: published_config(BLIP2), 84, plain(8)),
    "qwen2.5-vl": (lambda: published_config(QWEN), 84, qwen),
    "smolvlm": (lambda: published_config(SMOLVLM), 128, smolvlm),
}


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_a_small_model_is_small_learns_everywhere_and_answers(system):
    config, px, inputs = SYSTEMS[system]
    model = small(config(), px)
    assert sum(one.numel() for one in model.parameters()) < 3_000_000
    given = inputs(1.0)
    ids = given.get("input_ids", given.get("decoder_input_ids"))
    model.train()
    model(**given, labels=ids).loss.backward()
    idle = [name for name, one in model.named_parameters() if one.grad is None]
    unread = (".layers.2.", "post_layernorm", "pooler")  # what lies behind the layer that is read
    assert [name for name in idle if not any(one in name for one in unread)] == []
    model.eval()
    answered = model.generate(**given, max_new_tokens=3, do_sample=False, eos_token_id=None)
    assert answered.shape[1] in (3, ids.shape[1] + 3)  # with the question before it, or alone


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_a_small_random_model_tells_one_image_from_another(system):
    config, px, inputs = SYSTEMS[system]
    model = small(config(), px)
    with torch.no_grad():
        dark, bright = (model(**inputs(light)).logits[:, -1] for light in (-1.0, 1.0))
    assert (dark - bright).abs().max() > 1e-3 * dark.abs().max()


def test_ratios_of_heads_and_widths_stay():
    text = shrink(published_config(QWEN), 300, 84, IDS).text_config
    assert (text.num_attention_heads, text.num_key_value_heads) == (8, 1)  # 16 and 2
    assert text.hidden_size // 8 == 16
    assert text.rope_parameters["mrope_section"] == [2, 3, 3]  # [16, 24, 24] of 128 numbers
    mistral = shrink(published_config(PIXTRAL), 300, 96, IDS).text_config
    assert (mistral.num_attention_heads, mistral.num_key_value_heads) == (4, 1)  # 32 and 8
    assert mistral.hidden_size / (4 * mistral.head_dim) == 1.25  # 5120 / (32 x 128)
    glm = shrink(published_config(GLM), 300, 84, IDS)
    assert (glm.num_attention_heads, glm.num_key_value_heads, glm.head_dim) == (16, 1, 8)
    llama = shrink(published_config(LLAMA), 300, 84, IDS)
    assert (llama.num_attention_heads, llama.num_key_value_heads) == (4, 4)


def test_what_makes_an_architecture_stays():
    llava = shrink(published_config(LLAVA), 300, 84, IDS)
    assert (llava.vision_feature_layer, llava.vision_config.patch_size) == (-2, 14)
    assert llava.vision_config.image_size == 84
    assert llava.text_config.max_position_embeddings == 4096
    qwen = shrink(published_config(QWEN), 300, 84, IDS)
    assert qwen.vision_config.fullatt_block_indexes == [2]  # the other two look at windows
    assert qwen.vision_config.window_size == 56  # 2 x 2 merged patches of 28 px
    assert qwen.vision_config.out_hidden_size == qwen.text_config.hidden_size
    assert qwen.tie_word_embeddings
    assert not llava.tie_word_embeddings
    satgpt = shrink(SYSTEMS["satgpt"][0](), 300, 96, IDS)
    assert satgpt.encoder.hidden_size == satgpt.decoder.hidden_size  # so, without a projection
    assert satgpt.decoder.add_cross_attention


def test_special_tokens_are_those_given_and_others_of_the_large_vocabulary_are_gone():
    config = shrink(published_config(QWEN), 300, 84, IDS)
    assert (config.image_token_id, config.text_config.eos_token_id) == (IMAGE, 2)
    assert config.video_token_id == -1  # 151656, which 300 tokens do not have
    alone = shrink(published_config(GLM), 300, 84)
    assert (alone.pad_token_id, alone.eos_token_id) == (None, None)
    assert shrink(published_config(LLAVA), 300, 84, IDS).image_token_id == IMAGE


def test_the_large_configuration_is_left_as_it_is():
    config = composed(BLIP2, GLM, "qformer")
    before = copy.deepcopy(config.to_dict())
    shrink(config, 300, 84, IDS)
    assert config.to_dict() == before


@pytest.mark.parametrize("name", [VIT, CLIP])
def test_a_tower_alone_is_shrunk_too(name):
    px = 96 if name == VIT else 84
    tower = AutoModel.from_config(shrink(published_config(name), 300, px, IDS))
    assert sum(one.numel() for one in tower.parameters()) < 1_000_000
