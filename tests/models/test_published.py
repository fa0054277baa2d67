"""Parameter counts on the meta device, where a tensor has a shape and no memory.

The counts are those that each repository's safetensors header sums up to, as its page on the Hub
shows them, unless another source is named.
"""

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    VisionEncoderDecoderModel,
)

from swath.errors import ModelError
from swath.models.architectures.composed import ComposedForConditionalGeneration, composed_config
from swath.models.published import published_config, published_names
from swath.models.shrink import encoder_decoder

BLIP2 = "Salesforce/blip2-opt-2.7b"


def on_meta(kind, config):
    with torch.device("meta"):
        return getattr(kind, "from_config", kind)(config)


def size(module):
    """Parameters, tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("mistral-community/pixtral-12b", AutoModelForImageTextToText, 12_682_739_712),
        ("llava-hf/llava-1.5-7b-hf", AutoModelForImageTextToText, 7_063_427_072),
        ("lmsys/vicuna-7b-v1.5", AutoModelForCausalLM, 6_738_415_616),
        ("meta-llama/Llama-2-7b-chat-hf", AutoModelForCausalLM, 6_738_415_616),
        ("zai-org/glm-4-9b-chat-hf", AutoModelForCausalLM, 9_399_951_360),
        ("Salesforce/blip2-opt-2.7b", AutoModelForImageTextToText, 3_744_761_856),
        ("google/vit-base-patch16-224-in21k", AutoModel, 86_389_248),  # its pooler among them
        ("openai-community/gpt2", AutoModelForCausalLM, 124_439_808),
        ("openai/clip-vit-large-patch14-336", AutoModel, 427_944_193),
        ("Qwen/Qwen2.5-VL-3B-Instruct", AutoModelForImageTextToText, 3_754_622_976),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", AutoModelForCausalLM, 134_515_008),
        # 4.652 M of github.com/tensorflow/tpu less its classifier of 1,000 classes.
        ("swath/efficientnet-lite0", AutoModel, 3_371_008),
        ("HuggingFaceTB/SmolVLM-256M-Instruct", AutoModelForImageTextToText, 256_484_928),
        ("Qwen/Qwen3-VL-2B-Instruct", AutoModelForImageTextToText, 2_127_532_032),
        ("google/paligemma-3b-mix-224", AutoModelForImageTextToText, 2_923_466_480),
        ("google/gemma-3-4b-it", AutoModelForImageTextToText, 4_300_079_472),
        (
            "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
            AutoModelForImageTextToText,
            24_011_361_280,
        ),
        ("OpenGVLab/InternVL3-1B-hf", AutoModelForImageTextToText, 938_193_024),
        # Of these two only rounded sizes, 10.3B and 0.9B, were compared, and from memory.
        ("zai-org/GLM-4.1V-9B-Thinking", AutoModelForImageTextToText, 10_292_777_472),
        (
            "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
            AutoModelForImageTextToText,
            893_675_552,
        ),
    ],
)
def test_a_configuration_gives_the_published_number_of_parameters(name, kind, count):
    assert size(on_meta(kind, published_config(name))) == count


def test_every_shipped_configuration_is_counted_above():
    (counted,) = (
        mark
        for mark in test_a_configuration_gives_the_published_number_of_parameters.pytestmark
        if mark.name == "parametrize"
    )
    assert sorted(row[0] for row in counted.args[1]) == published_names()


def test_towers_and_q_former_have_their_papers_sizes():
    blip2 = on_meta(AutoModelForImageTextToText, published_config(BLIP2))
    # "ViT-g/14 from EVA-CLIP" of 1.0B, its last layer removed (arXiv:2301.12597, section 3.3).
    assert size(blip2.vision_model) == 985_952_256
    # The paper's Q-Former of 188M also reads text: a feed-forward layer in each of 12 layers and
    # words of BERT. For images alone there remain:
    text_layers = 12 * (2 * 768 * 3072 + 3072 + 768 + 2 * 768)
    words = (30_522 + 512 + 2) * 768
    assert size(blip2.qformer) + blip2.query_tokens.numel() == 105_162_240
    assert 185e6 < size(blip2.qformer) + text_layers + words < 188e6
    clip = on_meta(AutoModel, published_config("openai/clip-vit-large-patch14-336"))
    assert size(clip.vision_model) == 303_507_456  # ViT-L/14 of 0.3B (arXiv:2103.00020)
    pixtral = on_meta(
        AutoModelForImageTextToText, published_config("mistral-community/pixtral-12b")
    )
    assert round(size(pixtral.model.vision_tower) / 1e6) == 403  # "400M" (arXiv:2410.07073)


def test_skyeyegpt_has_eva_clip_a_layer_of_merged_tokens_and_llama():
    blip2 = published_config(BLIP2)
    blip2.vision_config.image_size = 448
    llama = published_config("meta-llama/Llama-2-7b-chat-hf")
    config = composed_config(blip2, llama, "merge4", image_token_id=32_000)
    model = on_meta(ComposedForConditionalGeneration, config)
    assert config.image_tokens == 256
    # Positions of 448 px instead of 224: 1024 - 256 more, 1408 numbers each.
    assert size(model.model.vision_tower) == 985_952_256 + 768 * 1408
    # MiniGPT-v2's llama_proj: 5632 numbers to 4096.
    assert size(model.model.multi_modal_projector) == 5632 * 4096 + 4096
    assert size(model) == 987_033_600 + 23_072_768 + 6_738_415_616 == 7_748_521_984


def test_remoteglm_has_blip2s_tower_and_q_former_and_glm():
    glm = published_config("zai-org/glm-4-9b-chat-hf")
    config = composed_config(published_config(BLIP2), glm, "qformer", image_token_id=151_343)
    model = on_meta(ComposedForConditionalGeneration, config)
    assert config.image_tokens == 32
    assert size(model.model.multi_modal_projector) == 105_162_240 + 768 * 4096 + 4096
    assert size(model) == 985_952_256 + 108_312_064 + 9_399_951_360 == 10_494_215_680


def test_satgpt_has_the_size_of_its_published_likeness():
    vit = published_config("google/vit-base-patch16-224-in21k")
    config = encoder_decoder(vit, published_config("openai-community/gpt2"))
    model = on_meta(VisionEncoderDecoderModel, config)
    # nlpconnect/vit-gpt2-image-captioning, of the same two parts, says 239M.
    assert size(model) == 86_389_248 + 124_439_808 + 12 * (4 * 768 * 768 + 4 * 768 + 2 * 768)
    assert round(size(model) / 1e6) == 239
    assert (config.decoder_start_token_id, config.pad_token_id) == (50_256, 50_256)


def test_an_older_name_of_a_repository_is_understood():
    older, newer = "THUDM/glm-4-9b-chat-hf", "zai-org/glm-4-9b-chat-hf"
    assert published_config(older).to_dict() == published_config(newer).to_dict()


def test_an_unknown_name_is_met_with_the_nearest():
    with pytest.raises(ModelError, match=r"did you mean llava-hf/llava-1\.5-7b-hf\?"):
        published_config("llava-hf/llava-1.5-13b-hf")
