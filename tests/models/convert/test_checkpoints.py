"""Converted checkpoints compute what their own code would, on tiny random state dicts.

Names are those of the repositories: haotian-liu/LLaVA and mbzuai-oryx/GeoChat (llava_arch.py,
clip_encoder.py, train.py for the LoRA), Vision-CAIR/MiniGPT-4 (minigpt_v2.py, eva_vit.py).
"""

import json
import os

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn import functional
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2VisionModel,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from typer.testing import CliRunner

from swath.cli import app
from swath.errors import ModelError
from swath.files import read_json
from swath.models.architectures.positions import resize_positions
from swath.models.convert.checkpoints import convert
from swath.models.loaded import load_folder

WORDS = 100
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 128,
}
CLIP = {
    "hidden_size": 128,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
TOWER = "model.vision_tower.vision_tower.vision_model."


def drawn(model):
    """A model whose every number matters."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    return model.eval()


def llama():
    return drawn(LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, **LLAMA)))


def clip(**other):
    return drawn(CLIPVisionModel(CLIPVisionConfig(**{**CLIP, **other})))


def write_tokenizer(folder):
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{n}": n for n in range(3, WORDS)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)


def llava_settings(**other):
    """config.json as LLaVA writes it: the language model's keys, and its own beside them."""
    own = {
        "model_type": "llava",
        "architectures": ["LlavaLlamaForCausalLM"],
        "mm_hidden_size": 128,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_vision_tower": "openai/clip-vit-large-patch14-336",
        "vocab_size": WORDS,
        "rope_theta": 5000.0,
        "pad_token_id": 0,
        "torch_dtype": "float32",
    }
    return own | LLAMA | other


def projector():
    torch.manual_seed(2)
    return {
        "model.mm_projector.0.weight": torch.randn(32, 128) * 0.1,
        "model.mm_projector.0.bias": torch.randn(32),
        "model.mm_projector.2.weight": torch.randn(32, 32) * 0.2,
        "model.mm_projector.2.bias": torch.randn(32),
    }


def llava_state(tower=None):
    state = {name: one.clone() for name, one in llama().state_dict().items()} | projector()
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    if tower is not None:
        inside = {TOWER + name: one.clone() for name, one in tower.state_dict().items()}
        state |= inside | {TOWER + "embeddings.position_ids": torch.arange(5)[None]}
    return state


def write_llava(folder, state, **settings):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(llava_settings(**settings)))
    write_tokenizer(folder)
    return folder


def reference(state, tower, pixels, ids, image_id):
    """Logits as LLaVA's own code computes them, from its own names."""
    seen = tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
    first = {part: state[f"model.mm_projector.0.{part}"] for part in ("weight", "bias")}
    second = {part: state[f"model.mm_projector.2.{part}"] for part in ("weight", "bias")}
    features = functional.linear(functional.gelu(functional.linear(seen, **first)), **second)
    decoder = LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, rope_theta=5000.0, **LLAMA)).eval()
    decoder.load_state_dict({name: state[name] for name in decoder.state_dict()})
    embedded = decoder.get_input_embeddings()(ids.clamp(max=WORDS - 1))
    embedded[ids == image_id] = features.reshape(-1, 32)
    return decoder(inputs_embeds=embedded).logits


def asked(target, pixels, patches):
    """Logits of the converted folder, and the ids they answer."""
    model, report = AutoModelForImageTextToText.from_pretrained(target, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    image_id = AutoTokenizer.from_pretrained(target).convert_tokens_to_ids("<image>")
    ids = torch.tensor([[1, 5, *[image_id] * patches, 7, 8]])
    return model.eval()(input_ids=ids, pixel_values=pixels).logits, ids, image_id


def test_llava_computes_what_its_own_code_does(tmp_path):
    state = llava_state()
    clip().save_pretrained(tmp_path / "clip")
    source = write_llava(tmp_path / "llava", state)
    done = convert(source, tmp_path / "out", vision=tmp_path / "clip")
    pixels = torch.randn(1, 3, 28, 28)
    logits, ids, image_id = asked(tmp_path / "out", pixels, 4)
    wanted = reference(state, clip(), pixels, ids, image_id)
    assert torch.allclose(logits[..., :WORDS], wanted, atol=1e-4)
    assert done.kind == "llava"
    assert set(done.used) | set(done.unused) == set(state)
    assert done.unused == ["model.layers.0.self_attn.rotary_emb.inv_freq"]
    manifest = read_json(tmp_path / "out" / "swath.json")
    assert (manifest["family"], manifest["made_from"]) == ("llava", str(source))


def test_image_and_pad_follow_the_words_and_their_rows_are_the_mean(tmp_path):
    state = llava_state(clip())
    convert(write_llava(tmp_path / "llava", state), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.convert_tokens_to_ids(["<image>", "<pad>"]) == [100, 101]
    assert tokenizer.pad_token == "<pad>"
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    assert model.config.image_token_id == 100
    # 100 words and 2 tokens, up to a multiple of 64: 128, as 32,002 become 32,064.
    for name, table in (
        ("model.embed_tokens.weight", model.get_input_embeddings().weight),
        ("lm_head.weight", model.lm_head.weight),
    ):
        assert table.shape == (128, 32)
        assert torch.equal(table[:100], state[name])
        assert torch.allclose(table[100:], state[name].mean(0).expand(28, 32), atol=1e-6)


def test_geochat_brings_its_own_tower_at_its_own_size(tmp_path):
    tower = clip(image_size=42)
    state = llava_state(tower)
    source = write_llava(tmp_path / "geochat", state, model_type="geochat")
    done = convert(source, tmp_path / "out", image_px=42)
    pixels = torch.randn(1, 3, 42, 42)
    logits, ids, image_id = asked(tmp_path / "out", pixels, 9)
    assert torch.allclose(
        logits[..., :WORDS], reference(state, tower, pixels, ids, image_id), atol=1e-4
    )
    assert set(done.used) | set(done.unused) == set(state)
    assert all("inv_freq" in name or "position_ids" in name for name in done.unused)


def test_geochat_without_its_tower_is_resized_to_504_as_its_code_does(tmp_path):
    drawn(
        CLIPModel(CLIPConfig(vision_config=CLIP, text_config=CLIP | {"vocab_size": 9}))
    ).save_pretrained(tmp_path / "clip")
    source = write_llava(tmp_path / "geochat", llava_state(), model_type="geochat")
    convert(source, tmp_path / "out", vision=tmp_path / "clip")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    assert model.config.vision_config.image_size == 504
    assert model.config.image_seq_length == 1296
    before = CLIPVisionModel.from_pretrained(tmp_path / "clip").embeddings.position_embedding.weight
    after = model.model.vision_tower.embeddings.position_embedding.weight
    assert torch.equal(after, resize_positions(before, 36))


def test_shards_of_either_form_are_read(tmp_path):
    state = llava_state(clip())
    wanted = write_llava(tmp_path / "whole", state)
    names = sorted(state)
    parts = {"00001": names[::2], "00002": names[1::2]}
    for form, write, index in (
        ("bin", torch.save, "pytorch_model.bin.index.json"),
        ("safetensors", save_file, "model.safetensors.index.json"),
    ):
        folder = tmp_path / form
        write_llava(folder, state)
        (folder / "pytorch_model.bin").unlink()
        placed = {}
        for number, held in parts.items():
            file = f"model-{number}-of-00002.{form}"
            write({name: state[name] for name in held}, str(folder / file))
            placed |= dict.fromkeys(held, file)
        (folder / index).write_text(json.dumps({"weight_map": placed}))
        convert(folder, tmp_path / f"{form}-out")
    convert(wanted, tmp_path / "whole-out")
    written = [
        (tmp_path / f"{one}-out" / "model.safetensors").read_bytes()
        for one in ("whole", "bin", "safetensors")
    ]
    assert written[0] == written[1] == written[2]
    (tmp_path / "bin" / "model-00002-of-00002.bin").unlink()
    with pytest.raises(ModelError, match=r"00002.bin: missing, though its index names it; copy it"):
        convert(tmp_path / "bin", tmp_path / "again")


def lora(prefix="base_model.model.", middle=""):
    """Pairs of rank 2 on q of the first layer and v of the second."""
    torch.manual_seed(3)
    pairs = {}
    for place in ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj"):
        pairs[f"{prefix}{place}.lora_A{middle}.weight"] = torch.randn(2, 32)
        pairs[f"{prefix}{place}.lora_B{middle}.weight"] = torch.randn(32, 2)
    return pairs


def merged(state, pairs, scale, prefix="base_model.model.", middle=""):
    """W + scale * B A, written out."""
    state = dict(state)
    for place in ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj"):
        down, up = (pairs[f"{prefix}{place}.lora_{one}{middle}.weight"] for one in "AB")
        state[f"{place}.weight"] = state[f"{place}.weight"] + scale * (up @ down)
    return state


def write_llava_lora(folder, **settings):
    folder.mkdir()
    torch.save(lora(), folder / "adapter_model.bin")
    trained = {f"base_model.model.{name}": one * 2 for name, one in projector().items()}
    torch.save(trained, folder / "non_lora_trainables.bin")
    (folder / "config.json").write_text(json.dumps(llava_settings(model_type="geochat")))
    adapter = {"r": 2, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]} | settings
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    return folder


def test_a_lora_is_merged_and_what_was_trained_beside_it_replaces_the_bases(tmp_path):
    base = write_llava(tmp_path / "base", llava_state(clip()))
    adapter = write_llava_lora(tmp_path / "lora")
    done = convert(adapter, tmp_path / "out", language=base, image_px=28)
    state = merged(llava_state(), lora(), scale=8 / 2)
    state |= {name: one * 2 for name, one in projector().items()}
    pixels = torch.randn(1, 3, 28, 28)
    logits, ids, image_id = asked(tmp_path / "out", pixels, 4)
    wanted = reference(state, clip(), pixels, ids, image_id)
    assert torch.allclose(logits[..., :WORDS], wanted, atol=1e-3)
    assert done.unused == []
    assert "LoRA of rank 2 merged with a scale of 4." in done.notes


def test_a_lora_on_a_plain_vicuna_brings_the_projector_itself(tmp_path):
    llama().save_pretrained(tmp_path / "vicuna")
    write_tokenizer(tmp_path / "vicuna")
    clip().save_pretrained(tmp_path / "clip")
    adapter = write_llava_lora(tmp_path / "lora", use_rslora=True)
    convert(adapter, tmp_path / "out", tmp_path / "vicuna", tmp_path / "clip", image_px=42)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    state = merged(llava_state(), lora(), scale=8 / 2**0.5)
    q = model.model.language_model.layers[0].self_attn.q_proj.weight
    assert torch.allclose(q, state["model.layers.0.self_attn.q_proj.weight"], atol=1e-5)
    twice = projector()["model.mm_projector.2.bias"] * 2
    assert torch.equal(model.model.multi_modal_projector.linear_2.bias, twice)


def test_half_precision_stays_half(tmp_path):
    state = {name: one.half() for name, one in llava_state(clip()).items()}
    convert(write_llava(tmp_path / "llava", state), tmp_path / "out")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    assert {one.dtype for one in model.parameters()} == {torch.float16}
    q = model.model.language_model.layers[0].self_attn.q_proj.weight
    assert torch.equal(q, state["model.layers.0.self_attn.q_proj.weight"])


def eva_state(blocks=2, side=2, prefix=""):
    """EVA's own names at a width of 32, drawn."""
    torch.manual_seed(4)
    shapes = {"cls_token": (1, 1, 32), "pos_embed": (1, 1 + side * side, 32)}
    shapes |= {"patch_embed.proj.weight": (32, 3, 14, 14), "patch_embed.proj.bias": (32,)}
    for block in range(blocks):
        for name, shape in {
            "norm1.weight": (32,),
            "norm1.bias": (32,),
            "attn.q_bias": (32,),
            "attn.v_bias": (32,),
            "attn.qkv.weight": (96, 32),
            "attn.proj.weight": (32, 32),
            "attn.proj.bias": (32,),
            "norm2.weight": (32,),
            "norm2.bias": (32,),
            "mlp.fc1.weight": (48, 32),
            "mlp.fc1.bias": (48,),
            "mlp.fc2.weight": (32, 48),
            "mlp.fc2.bias": (32,),
        }.items():
            shapes[f"blocks.{block}.{name}"] = shape
    return {prefix + name: torch.randn(shape) * 0.2 for name, shape in shapes.items()}


def eva_reference(state, pixels, blocks=2):
    """EVA's forward pass as eva_vit.py writes it, 16 heads, no final norm."""
    convolved = functional.conv2d(
        pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14
    )
    x = torch.cat([state["cls_token"], convolved.flatten(2).transpose(1, 2)], dim=1)
    x = x + state["pos_embed"]
    for block in range(blocks):
        part = {
            name.removeprefix(f"blocks.{block}."): one
            for name, one in state.items()
            if name.startswith(f"blocks.{block}.")
        }
        y = functional.layer_norm(x, (32,), part["norm1.weight"], part["norm1.bias"], 1e-6)
        bias = torch.cat([part["attn.q_bias"], torch.zeros(32), part["attn.v_bias"]])
        qkv = functional.linear(y, part["attn.qkv.weight"], bias)
        q, k, v = qkv.reshape(1, -1, 3, 16, 2).permute(2, 0, 3, 1, 4)
        attended = (q @ k.transpose(-2, -1) / 2**0.5).softmax(-1) @ v
        attended = attended.transpose(1, 2).reshape(1, -1, 32)
        x = x + functional.linear(attended, part["attn.proj.weight"], part["attn.proj.bias"])
        y = functional.layer_norm(x, (32,), part["norm2.weight"], part["norm2.bias"], 1e-6)
        y = functional.gelu(functional.linear(y, part["mlp.fc1.weight"], part["mlp.fc1.bias"]))
        x = x + functional.linear(y, part["mlp.fc2.weight"], part["mlp.fc2.bias"])
    return x


def test_an_eva_tower_computes_what_its_own_code_does(tmp_path):
    state = eva_state()
    torch.save(state, tmp_path / "eva_vit_g.pth")
    done = convert(tmp_path / "eva_vit_g.pth", tmp_path / "out")
    tower = Blip2VisionModel.from_pretrained(tmp_path / "out").eval()
    pixels = torch.randn(1, 3, 28, 28)
    wanted = functional.layer_norm(eva_reference(state, pixels), (32,))
    assert torch.allclose(tower(pixels).last_hidden_state, wanted, atol=1e-4)
    assert (done.kind, sorted(done.used), done.unused) == ("eva", sorted(state), [])


def test_evas_fortieth_block_and_head_are_left_aside_and_named(tmp_path):
    state = eva_state(blocks=40) | {"norm.weight": torch.ones(32), "head.bias": torch.ones(9)}
    torch.save(state, tmp_path / "eva_vit_g.pth")
    done = convert(tmp_path / "eva_vit_g.pth", tmp_path / "out")
    assert len(Blip2VisionModel.from_pretrained(tmp_path / "out").encoder.layers) == 39
    last = [name for name in state if name.startswith("blocks.39.")]
    assert sorted(done.unused) == sorted([*last, "norm.weight", "head.bias"])


def test_eva_is_resized_without_aligned_corners_as_lavis_does(tmp_path):
    state = eva_state()
    torch.save(state, tmp_path / "eva_vit_g.pth")
    convert(tmp_path / "eva_vit_g.pth", tmp_path / "out", image_px=56)
    table = Blip2VisionModel.from_pretrained(tmp_path / "out").embeddings.position_embedding
    wanted = resize_positions(state["pos_embed"][0], 4, align_corners=False)
    assert torch.equal(table[0], wanted)


def minigpt_state(middle=""):
    """What MiniGPT-v2 saves: what was trained, and nothing that was frozen."""
    torch.manual_seed(5)
    return {
        "llama_proj.weight": torch.randn(32, 128) * 0.1,
        "llama_proj.bias": torch.randn(32),
        **lora("llama_model.base_model.model.", middle),
    }


def write_minigpt(folder, state, **beside):
    torch.save({"model": state, "epoch": 34, **beside}, folder / "checkpoint.pth")
    llama().save_pretrained(folder / "llama")
    write_tokenizer(folder / "llama")
    torch.save(eva_state(side=4), folder / "eva_vit_g.pth")
    return folder / "checkpoint.pth"


@pytest.mark.parametrize(
    ("middle", "beside", "alpha"),
    [("", {}, 16), (".default", {"config": {"model": {"lora_alpha": 6}}}, 6)],
)
def test_minigpt_computes_what_its_own_code_does(tmp_path, middle, beside, alpha):
    state = minigpt_state(middle)
    source = write_minigpt(tmp_path, state, **beside)
    done = convert(
        source, tmp_path / "out", tmp_path / "llama", tmp_path / "eva_vit_g.pth", image_px=56
    )
    pixels = torch.randn(1, 3, 56, 56)
    logits, ids, image_id = asked(tmp_path / "out", pixels, 4)
    seen = functional.layer_norm(eva_reference(eva_state(side=4), pixels), (32,))[:, 1:]
    features = functional.linear(
        seen.reshape(1, 4, 128), state["llama_proj.weight"], state["llama_proj.bias"]
    )
    decoder = llama()
    prefix = "llama_model.base_model.model."
    decoder.load_state_dict(merged(decoder.state_dict(), state, alpha / 2, prefix, middle))
    embedded = decoder.get_input_embeddings()(ids.clamp(max=WORDS - 1))
    embedded[ids == image_id] = features
    wanted = decoder(inputs_embeds=embedded).logits
    assert torch.allclose(logits[..., :WORDS], wanted, atol=1e-3)
    assert done.kind == "minigpt"
    assert sorted(done.used) == sorted(state)
    assert done.unused == ["epoch", *beside]


def test_minigpts_last_norm_is_its_own_untrained_one_and_not_blip2s(tmp_path):
    source = write_minigpt(tmp_path, minigpt_state())
    vision = {**CLIP, "hidden_size": 32, "num_attention_heads": 16}
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = Blip2Config(
        vision_config=vision,
        qformer_config=small | {"intermediate_size": 32, "encoder_hidden_size": 32},
        text_config=small | {"model_type": "opt", "ffn_dim": 32, "vocab_size": 50},
    )
    blip2 = drawn(Blip2ForConditionalGeneration(config))
    blip2.save_pretrained(tmp_path / "blip2")
    done = convert(source, tmp_path / "out", tmp_path / "llama", tmp_path / "blip2")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    tower = model.model.vision_tower
    assert model.config.image_size == 448
    assert model.config.image_tokens == 256
    assert torch.equal(tower.post_layernorm.weight, torch.ones(32))
    assert torch.equal(tower.post_layernorm.bias, torch.zeros(32))
    # MiniGPT-v2 resizes BLIP-2's table as LAVIS does, without aligned corners.
    before = blip2.vision_model.embeddings.position_embedding[0]
    resized = resize_positions(before, 32, align_corners=False)
    assert torch.equal(tower.embeddings.position_embedding[0], resized)
    fc1 = blip2.vision_model.encoder.layers[1].mlp.fc1.weight
    assert torch.equal(tower.encoder.layers[1].mlp.fc1.weight, fc1)
    assert "The tower's last norm is MiniGPT-v2's untrained one, not BLIP-2's." in done.notes


def test_a_tower_inside_minigpt_needs_no_other(tmp_path):
    trained = {"ln_vision.weight": torch.full((32,), 2.0), "ln_vision.bias": torch.ones(32)}
    state = minigpt_state() | eva_state(side=4, prefix="visual_encoder.") | trained
    source = write_minigpt(tmp_path, state)
    done = convert(source, tmp_path / "out", tmp_path / "llama", image_px=56)
    tower = AutoModelForImageTextToText.from_pretrained(tmp_path / "out").model.vision_tower
    assert torch.equal(tower.post_layernorm.weight, torch.full((32,), 2.0))
    assert sorted(done.used) == sorted(state)


class Surprise:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("surprise",)


def test_a_pickle_that_would_run_code_is_refused_and_nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "checkpoint.pth"
    torch.save({"model": minigpt_state(), "config": Surprise()}, file)
    with pytest.raises(ModelError, match=r"holds posix.mkdir beside .* save its tensors alone: to"):
        convert(file, tmp_path / "out")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["checkpoint.pth"]


@pytest.mark.parametrize("keep", [0.5, 0.01])
def test_a_file_cut_short_is_an_error_that_names_it(tmp_path, keep):
    file = tmp_path / "checkpoint.pth"
    torch.save({"model": minigpt_state()}, file)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * keep)])
    with pytest.raises(ModelError, match=r"checkpoint.pth: .*was it cut short\?"):
        convert(file, tmp_path / "out")


@pytest.mark.parametrize("content", [b"hello", b"a", b"\x80\x02.", b"<html>Not found</html>"])
def test_a_file_of_something_else_is_an_error_that_names_it(tmp_path, content):
    file = tmp_path / "checkpoint.pth"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"checkpoint.pth: .*was it cut short\?"):
        convert(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def changed(state, **other):
    return {name: one for name, one in (state | other).items() if one is not None}


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"model.mm_projector.0.bias": None}, r"linear_1.bias is missing in the checkpoint; is ev"),
        ({"lm_head.weight": None}, "lm_head.weight is missing in the checkpoint; is every file"),
        ({TOWER + "pre_layrnorm.bias": None}, "pre_layrnorm.bias is missing in the checkpoint"),
        ({TOWER + "embeddings.patch_embedding.weight": None}, "patch_embedding.weight is missing"),
        (
            {"model.mm_projector.4.weight": torch.ones(1)},
            "model.mm_projector.4.weight has no place in the model; .* another layout or a newer",
        ),
        (
            {"model.mm_projector.2.weight": torch.ones(32, 31)},
            r"mm_projector.2.weight is \(32, 31\) and its place in the model is \(32, 32\); is it",
        ),
        (
            {TOWER + "encoder.layers.0.mlp.fc2.weight": torch.ones(3, 3)},
            r"vision_model.encoder.layers.0.mlp.fc2.weight is \(3, 3\) and its place .*\(128, 64\)",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(tmp_path, change, advice):
    source = write_llava(tmp_path / "llava", changed(llava_state(clip()), **change))
    with pytest.raises(ModelError, match=advice):
        convert(source, tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir()] == ["llava"]


def test_a_part_that_is_lacking_is_asked_for_by_its_flag(tmp_path):
    source = write_llava(tmp_path / "llava", llava_state())
    with pytest.raises(ModelError, match=r"without its vision tower; name it with --vision FOLDER"):
        convert(source, tmp_path / "out")
    with pytest.raises(ModelError, match=r"none: there is no such file or folder"):
        convert(source, tmp_path / "out", vision=tmp_path / "none")
    with pytest.raises(ModelError, match=r"has its own language model; leave --language out"):
        convert(source, tmp_path / "out", language=source)
    with pytest.raises(ModelError, match=r"is a LoRA; name its base with --language FOLDER"):
        convert(write_llava_lora(tmp_path / "lora"), tmp_path / "out")
    checkpoint = write_minigpt(tmp_path, minigpt_state())
    with pytest.raises(ModelError, match=r"stands on a LLaMA2-chat; name it with --language FOLD"):
        convert(checkpoint, tmp_path / "out")
    with pytest.raises(
        ModelError, match=r"without its vision tower; name it with --vision, a BLIP"
    ):
        convert(checkpoint, tmp_path / "out", tmp_path / "llama")


def test_what_is_there_already_need_not_be_named(tmp_path):
    source = write_llava(tmp_path / "llava", llava_state(clip()))
    with pytest.raises(ModelError, match=r"has its own vision tower; leave --vision out"):
        convert(source, tmp_path / "out", vision=tmp_path)
    with pytest.raises(
        ModelError, match=r"reads 28 px and was trained so; leave --image-px 14 out"
    ):
        convert(source, tmp_path / "out", image_px=14)


def test_an_adapter_of_another_base_is_refused(tmp_path):
    wide = llava_state(clip())
    wide["model.layers.0.self_attn.q_proj.weight"] = torch.ones(16, 32)
    base = write_llava(tmp_path / "base", wide)
    adapter = write_llava_lora(tmp_path / "lora")
    with pytest.raises(
        ModelError, match=r"do not fit model.layers.0.self_attn.q_proj.weight \(\(16"
    ):
        convert(adapter, tmp_path / "out", language=base)
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 2, "use_dora": True}))
    with pytest.raises(ModelError, match=r"use_dora cannot be merged here"):
        convert(adapter, tmp_path / "out", language=base)


def test_half_a_lora_is_refused(tmp_path):
    base = write_llava(tmp_path / "base", llava_state(clip()))
    adapter = write_llava_lora(tmp_path / "lora")
    pairs = lora()
    pairs.pop("base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight")
    torch.save(pairs, adapter / "adapter_model.bin")
    with pytest.raises(
        ModelError, match=r"layers.1.self_attn.v_proj.lora_A.weight: its other half"
    ):
        convert(adapter, tmp_path / "out", language=base)


def test_what_minigpt_cannot_place_is_named(tmp_path):
    source = write_minigpt(tmp_path, minigpt_state() | {"query_tokens": torch.ones(1, 32, 768)})
    with pytest.raises(ModelError, match="query_tokens has no place in the model"):
        convert(source, tmp_path / "out", tmp_path / "llama", tmp_path / "eva_vit_g.pth", 56)


def test_another_checkpoint_is_refused_with_what_it_holds(tmp_path):
    torch.save({"conv1.weight": torch.ones(1)}, tmp_path / "resnet.pth")
    with pytest.raises(ModelError, match=r"resnet.pth: neither LLaVA .*; it holds conv1.weight"):
        convert(tmp_path / "resnet.pth", tmp_path / "out")
    with pytest.raises(ModelError, match=r"no \*.safetensors, pytorch_model\*.bin or \*.pth in it"):
        convert(write_tokens(tmp_path / "empty"), tmp_path / "out")
    with pytest.raises(ModelError, match="nothing: there is no such file or folder"):
        convert(tmp_path / "nothing", tmp_path / "out")
    mistral = write_llava(tmp_path / "m", llava_state(clip()), model_type="llava_mistral")
    with pytest.raises(
        ModelError, match="model_type llava_mistral; only LLaVA and GeoChat on a LL"
    ):
        convert(mistral, tmp_path / "out")


def write_tokens(folder):
    folder.mkdir()
    write_tokenizer(folder)
    return folder


def test_two_files_with_the_same_tensors_are_not_mixed(tmp_path):
    for number in (0, 1):
        torch.save({"model": minigpt_state()}, tmp_path / f"checkpoint_{number}.pth")
    with pytest.raises(
        ModelError, match=r"checkpoint_1.pth: holds llama_proj.weight, which another"
    ):
        convert(tmp_path, tmp_path / "out")


def test_a_tokenizer_that_cannot_be_read_says_what_to_put_there(tmp_path):
    source = write_llava(tmp_path / "llava", llava_state(clip()))
    (source / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"llava: no tokenizer.json and no tokenizer.model in it"):
        convert(source, tmp_path / "out")
    (source / "tokenizer.model").write_bytes(b"no sentencepiece")
    with pytest.raises(
        ModelError, match=r"put the tokenizer.json .* or `pip install 'swath\[hub\]'`"
    ):
        convert(source, tmp_path / "out")


def test_a_folder_that_swath_did_not_write_is_never_replaced(tmp_path):
    source = write_llava(tmp_path / "llava", llava_state(clip()))
    with pytest.raises(ModelError, match=r"exists and was not written by swath; choose another"):
        convert(source, source)
    convert(source, tmp_path / "out")
    convert(source, tmp_path / "out")


def test_the_command_says_what_was_used_and_what_was_not(tmp_path):
    source = write_llava(tmp_path / "llava", llava_state())
    clip().save_pretrained(tmp_path / "clip")
    command = ["convert", source, "--to", tmp_path / "out", "--vision", tmp_path / "clip"]
    ran = CliRunner().invoke(app, [*map(str, command), "--image-px", "42"])
    assert ran.exit_code == 0, ran.output
    # Two layers of nine, three beside them, four of the projector.
    assert "recognised as llava; 25 tensors used." in ran.output
    assert "Vocabulary grown from 100 to 128 rows" in ran.output
    assert "Not used: model.layers.0.self_attn.rotary_emb.inv_freq" in ran.output
    assert load_folder(tmp_path / "out", "converted").image_size == 42
