import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    CLIPVisionConfig,
    CLIPVisionModel,
    CohereConfig,
    Dinov2WithRegistersConfig,
    GlmConfig,
    GPT2Config,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    OPTConfig,
    Qwen2Config,
    SiglipVisionConfig,
    T5Config,
    ViTConfig,
)

from swath.errors import ModelError, ShapeError
from swath.models.architectures.composed import (
    ComposedForConditionalGeneration,
    compose,
    composed_config,
)
from swath.models.architectures.connectors import Linear

IMAGE = 3
LAYERED = {"num_hidden_layers": 3, "num_attention_heads": 2, "initializer_range": 0.2}
SEES = {"hidden_size": 16, "intermediate_size": 32, "image_size": 28, "patch_size": 7, **LAYERED}
TOWERS = {
    "clip": CLIPVisionConfig(**SEES),
    "eva": Blip2VisionConfig(**SEES),
    "siglip": SiglipVisionConfig(**SEES),
    "vit": ViTConfig(**SEES),
    "dinov2 with registers": Dinov2WithRegistersConfig(**SEES, mlp_ratio=2),
}
SPEAKS = {"vocab_size": 40, "hidden_size": 24, "intermediate_size": 48, **LAYERED}
SPEAKS |= {"num_key_value_heads": 1, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LANGUAGES = {
    "llama": LlamaConfig(**SPEAKS),
    "tied llama": LlamaConfig(**SPEAKS, tie_word_embeddings=True),
    "gpt2": GPT2Config(vocab_size=40, n_embd=24, n_layer=2, n_head=2, bos_token_id=1),
    "glm": GlmConfig(**SPEAKS, head_dim=12),
    "qwen2": Qwen2Config(**SPEAKS),
}
ASKS = Blip2QFormerConfig(hidden_size=16, intermediate_size=32, **LAYERED)


def config_of(tower="clip", language="llama", connector="mlp2x_gelu", **other):
    if connector == "qformer":
        other = {"qformer_config": ASKS, "query_tokens": 4, **other}
    return composed_config(TOWERS[tower], LANGUAGES[language], connector, IMAGE, **other)


def made(*parts, **other):
    torch.manual_seed(0)
    return ComposedForConditionalGeneration(config_of(*parts, **other)).eval()


def row(model, images=1, words=(7, 8, 9)):
    """Token numbers of one row: a start, images each followed by a 5, and words."""
    image = [*[IMAGE] * model.config.image_tokens, 5]
    return torch.tensor([[1, *image * images, *words]])


def pixels(images=1):
    return torch.randn(images, 3, 28, 28, generator=torch.Generator().manual_seed(1))


# Connectors


def test_merge4_lays_four_neighbours_side_by_side():
    merge = Linear(width=2, hidden=8, merged=4)
    with torch.no_grad():
        merge.linear.weight.copy_(torch.eye(8))
        merge.linear.bias.zero_()
        merged = merge(torch.arange(16.0).reshape(1, 8, 2))
    assert merged.tolist() == [[[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]]]


@pytest.mark.parametrize(
    ("tower", "connector", "other", "tokens"),
    [
        ("clip", "mlp2x_gelu", {}, 16),  # 28 px in patches of 7, the class token dropped
        ("clip", "linear", {"keep_class_token": True}, 17),
        ("siglip", "linear", {"keep_class_token": True}, 16),  # it has no class token
        ("dinov2 with registers", "multi-linear", {}, 16),
        ("dinov2 with registers", "linear", {"keep_class_token": True}, 21),  # and 4 registers
        ("eva", "merge4", {}, 4),
        ("vit", "merge4", {}, 4),
        ("eva", "qformer", {}, 4),
    ],
)
def test_an_image_becomes_as_many_tokens_as_the_config_says(tower, connector, other, tokens):
    model = made(tower, "llama", connector, **other)
    assert model.config.image_tokens == tokens
    assert model.get_image_features(pixels(2)).shape == (2, tokens, 24)


def test_published_sizes_give_the_published_numbers_of_tokens():
    eva = Blip2VisionConfig(image_size=448, patch_size=14)
    clip = CLIPVisionConfig(image_size=504, patch_size=14)
    llama = LANGUAGES["llama"]
    assert composed_config(eva, llama, "merge4", IMAGE).image_tokens == 256  # MiniGPT-v2
    assert composed_config(clip, llama, "mlp2x_gelu", IMAGE).image_tokens == 1296  # GeoChat
    assert composed_config(eva, llama, "qformer", IMAGE).image_tokens == 32  # BLIP-2


def test_no_connector_hands_the_towers_features_on():
    wide = CLIPVisionConfig(**{**SEES, "hidden_size": 24})
    config = composed_config(wide, LANGUAGES["llama"], "none", IMAGE)
    model = ComposedForConditionalGeneration(config).eval()
    assert torch.equal(model.get_image_features(pixels()), model.model.see(pixels()))


def test_random_queries_differ_from_one_another():
    model = made("eva", "llama", "qformer")
    queries = model.model.multi_modal_projector.query_tokens[0]
    assert len(queries.unique(dim=0)) == 4


@pytest.mark.parametrize(
    ("tower", "connector", "other", "advice"),
    [
        ("clip", "mlp", {}, "unknown connector 'mlp'; known: linear, multi-linear, mlp2x_gelu"),
        ("clip", "merge-4", {}, "unknown connector 'merge-4'; did you mean merge4?"),
        ("clip", "none", {}, "16 numbers a token to a language model of 24; choose linear"),
    ],
)
def test_parts_that_no_connector_joins_are_refused(tower, connector, other, advice):
    with pytest.raises(ModelError, match=advice):
        made(tower, "llama", connector, **other)


def test_merge4_of_seventeen_tokens_is_refused():
    with pytest.raises(ModelError, match="the tower gives 17; drop its class token"):
        _ = config_of("clip", "llama", "merge4", keep_class_token=True).image_tokens


@pytest.mark.parametrize(
    ("language", "advice"),
    [
        (CohereConfig(logit_scale=0.25), r"'cohere' rescales its logits \(logit_scale\)"),
        (T5Config(), "'t5' has an encoder too, which a composed model does not repeat; take a"),
    ],
)
def test_language_models_that_would_answer_otherwise_are_refused(language, advice):
    with pytest.raises(ModelError, match=advice):
        composed_config(TOWERS["clip"], language, "linear", IMAGE)


# The whole


@pytest.mark.parametrize("connector", ["linear", "multi-linear", "merge4", "qformer"])
def test_every_image_reaches_the_loss_and_every_part_learns(connector):
    model = made("eva", "llama", connector).train()
    ids, shown = row(model, images=2), pixels(2).requires_grad_()
    labels = torch.where(torch.arange(ids.shape[1]) >= ids.shape[1] - 2, ids, -100)
    model(input_ids=ids, pixel_values=shown, labels=labels).loss.backward()
    assert (shown.grad.abs().amax((1, 2, 3)) > 0).all()
    assert [name for name, one in model.named_parameters() if one.grad is None] == []


def test_the_order_of_the_images_matters():
    model = made()
    one = model(input_ids=row(model, 2), pixel_values=pixels(2)).logits[:, -1]
    other = model(input_ids=row(model, 2), pixel_values=pixels(2).flip(0)).logits[:, -1]
    assert (one - other).abs().max() > 1e-4


def test_a_composed_clip_and_llama_answers_as_llava_of_the_same_weights():
    model = made("clip", "llama", "mlp2x_gelu")
    llava = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=TOWERS["clip"],
            text_config=LANGUAGES["llama"],
            image_token_index=IMAGE,
            tie_word_embeddings=False,
        )
    ).eval()
    llava.load_state_dict(model.state_dict(), strict=True)
    inputs = {"input_ids": row(model, 2), "pixel_values": pixels(2)}
    with torch.no_grad():
        assert torch.allclose(model(**inputs).logits, llava(**inputs).logits, atol=1e-6)


def test_a_blip2_hands_its_tower_q_former_and_queries_over():
    torch.manual_seed(0)
    text = OPTConfig(vocab_size=40, hidden_size=24, ffn_dim=48, word_embed_proj_dim=24, **LAYERED)
    blip2 = Blip2ForConditionalGeneration(
        Blip2Config(vision_config=TOWERS["eva"], qformer_config=ASKS, text_config=text)
    ).eval()
    torch.nn.init.normal_(blip2.query_tokens)
    llama = AutoModelForCausalLM.from_config(LANGUAGES["llama"])
    model = compose(blip2, llama, "qformer", IMAGE)
    joint = model.model.multi_modal_projector
    assert (model.config.image_tokens, model.config.keep_class_token) == (32, True)
    assert joint.qformer is blip2.qformer
    joint.linear = blip2.language_projection  # the only part that is new
    with torch.no_grad():
        theirs = blip2.get_image_features(pixels(), return_dict=True).pooler_output
        assert torch.equal(model.get_image_features(pixels()), theirs)


@pytest.mark.parametrize("language", ["tied llama", "glm"])
def test_composing_takes_loaded_parts_over_without_a_copy(language, tmp_path):
    torch.manual_seed(0)
    tower = CLIPVisionModel(TOWERS["clip"])
    speaks = AutoModelForCausalLM.from_config(LANGUAGES[language])
    words, head = speaks.get_input_embeddings().weight, speaks.get_output_embeddings().weight
    model = compose(tower, speaks, "mlp2x_gelu", IMAGE)
    assert model.model.vision_tower is tower
    assert model.get_input_embeddings().weight is words
    assert model.lm_head.weight is head
    assert not any(one.is_meta for one in (*model.parameters(), *model.buffers()))
    ids = torch.tensor([[1, 7, 8, 9]])
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, speaks.eval()(input_ids=ids).logits)
        answered = model(input_ids=row(model), pixel_values=pixels()).logits
        model.save_pretrained(tmp_path)
        back = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
        assert torch.equal(back(input_ids=row(model), pixel_values=pixels()).logits, answered)


def test_a_new_q_former_starts_with_queries_that_differ():
    speaks = AutoModelForCausalLM.from_config(LANGUAGES["llama"])
    tower = CLIPVisionModel(TOWERS["clip"])
    model = compose(tower, speaks, "qformer", IMAGE, qformer_config=ASKS)
    assert len(model.model.multi_modal_projector.query_tokens[0].unique(dim=0)) == 32


def test_a_language_model_without_its_head_is_refused():
    headless = AutoModelForCausalLM.from_config(LANGUAGES["llama"]).model
    with pytest.raises(ModelError, match="load the language model with AutoModelForCausalLM"):
        compose(CLIPVisionModel(TOWERS["clip"]), headless, "linear", IMAGE)


def test_projected_features_answer_as_their_pixels():
    model = made("eva", "glm", "qformer")
    with torch.no_grad():
        one = model(input_ids=row(model), pixel_values=pixels()).logits
        features = model.get_image_features(pixels())
        assert torch.equal(one, model(input_ids=row(model), image_features=features).logits)


def test_a_row_cut_through_its_image_is_refused():
    model = made()
    with pytest.raises(ShapeError, match="15 image tokens and the images give 16 features; was a"):
        model(input_ids=row(model)[:, 2:], pixel_values=pixels())


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_generation_is_greedy_by_hand_and_sees_the_image_once(language):
    model = made("clip", language)
    by_hand = row(model)
    with torch.no_grad():
        for _ in range(4):
            logits = model(input_ids=by_hand, pixel_values=pixels()).logits[:, -1]
            by_hand = torch.cat([by_hand, logits.argmax(-1, keepdim=True)], 1)
    seen = []
    model.model.vision_tower.register_forward_hook(lambda *_: seen.append(1))
    ids = row(model)
    answered = model.generate(
        input_ids=ids,
        pixel_values=pixels(),
        attention_mask=torch.ones_like(ids),
        max_new_tokens=4,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert answered.tolist() == by_hand.tolist()
    assert len(seen) == 1


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_two_questions_share_one_image_under_a_block_mask(language):
    model = made("clip", language)
    start, questions = row(model, words=()), (torch.tensor([[7, 8]]), torch.tensor([[9, 10]]))
    n = start.shape[1]
    mask = torch.ones(n + 4, n + 4).tril().bool()
    mask[n + 2 :, n : n + 2] = False  # the second question sees the image, not the first one
    place = torch.tensor([[*range(n), n, n + 1, n, n + 1]])
    with torch.no_grad():
        joined = model(
            input_ids=torch.cat([start, *questions], 1),
            pixel_values=pixels(),
            attention_mask=mask[None, None],
            position_ids=place,
        ).logits
        for i, question in enumerate(questions):
            alone = model(input_ids=torch.cat([start, question], 1), pixel_values=pixels()).logits
            both = joined[:, n + 2 * i : n + 2 * i + 2]
            assert torch.allclose(both, alone[:, n:], atol=1e-5)


def test_padding_on_the_left_changes_no_answer():
    model = made("clip", "gpt2")
    ids = row(model)
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), ids], 1)
    more = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    mask = torch.ones_like(padded)
    mask[:, :3] = 0
    one = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels(), **more
    )
    other = model.generate(input_ids=padded, attention_mask=mask, pixel_values=pixels(), **more)
    assert one[0, ids.shape[1] :].tolist() == other[0, padded.shape[1] :].tolist()


@pytest.mark.parametrize(
    ("tower", "language", "connector"),
    [
        ("clip", "llama", "mlp2x_gelu"),
        ("eva", "tied llama", "merge4"),
        ("eva", "glm", "qformer"),
        ("siglip", "gpt2", "multi-linear"),
        ("vit", "qwen2", "linear"),
        ("dinov2 with registers", "llama", "linear"),
    ],
)
def test_a_saved_model_comes_back_through_the_auto_class(tmp_path, tower, language, connector):
    model = made(tower, language, connector)
    model.save_pretrained(tmp_path)
    back, report = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert back.config.image_tokens == model.config.image_tokens
    tied = back.lm_head.weight is back.get_input_embeddings().weight
    assert tied == (language in ("tied llama", "gpt2"))
    with torch.no_grad():
        inputs = {"input_ids": row(model), "pixel_values": pixels()}
        assert torch.equal(back.eval()(**inputs).logits, model(**inputs).logits)


def test_a_new_token_can_be_added():
    model = made("clip", "tied llama")
    model.resize_token_embeddings(43)
    assert model.config.text_config.vocab_size == 43
    ids = torch.cat([row(model), torch.tensor([[42]])], 1)
    assert model(input_ids=ids, pixel_values=pixels()).logits.shape[-1] == 43
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_checkpointed_gradients_are_those_without():
    def gradients(checkpointed):
        model = made("eva", "llama", "qformer")
        if checkpointed:
            model.activation_checkpointing_enable({"use_reentrant": False})
            assert model.is_activation_checkpointing
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for module in model.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = 0.0
        ids = row(model)
        model(input_ids=ids, pixel_values=pixels(), labels=ids).loss.backward()
        return {name: one.grad for name, one in model.named_parameters()}

    plain, again = gradients(False), gradients(True)
    assert all(torch.allclose(plain[name], again[name], atol=1e-6) for name in plain)


def test_half_precision_parts_go_together():
    torch.manual_seed(0)
    tower = CLIPVisionModel(TOWERS["clip"])
    speaks = AutoModelForCausalLM.from_config(LANGUAGES["llama"]).to(torch.bfloat16)
    model = compose(tower, speaks, "linear", IMAGE)
    assert model(input_ids=row(model), pixel_values=pixels()).logits.dtype == torch.bfloat16
