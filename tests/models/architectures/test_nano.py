import pytest
import torch
from transformers import AutoModelForImageTextToText

from swath.errors import ShapeError
from swath.imagery.synthetic import QUICKSTART_KINDS
from swath.instructions.phrasing import PHRASINGS
from swath.models.architectures.nano import NanoConfig, NanoForConditionalGeneration, NanoModel
from swath.models.loaded import EMBEDDED
from swath.models.loading import load
from swath.recipes import load_recipe


def test_96_pixels_become_36_tokens_of_the_decoders_width():
    config = NanoConfig()
    assert config.image_tokens == 36
    model = NanoModel(config).eval()
    with torch.no_grad():
        assert model.vision_tower(torch.zeros(2, 3, 96, 96)).shape == (2, 36, 256)
        assert model.get_image_features(torch.zeros(2, 3, 96, 96)).shape == (2, 36, 192)


def test_the_whole_model_has_at_most_seven_million_parameters():
    model = NanoForConditionalGeneration(NanoConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) <= 7_000_000


def test_features_stand_in_the_places_of_the_image_tokens(tiny):
    model = tiny.model.model
    features = torch.arange(4.0 * 32).reshape(1, 4, 32)
    embedded = model.embed(torch.tensor([[1, 3, 3, 3, 3, 9]]), features)
    assert torch.equal(embedded[0, 1:5], features[0])
    assert torch.equal(embedded[0, 5], model.get_input_embeddings().weight[9])


def test_a_row_cut_through_its_image_is_refused(tiny):
    with pytest.raises(ShapeError, match="3 image tokens and the images give 4 features; was a"):
        tiny.model.model.embed(torch.tensor([[1, 3, 3, 3, 9]]), torch.zeros(1, 4, 32))


def test_projected_features_answer_as_their_pixels(tiny):
    pixels = torch.randn(1, 3, 32, 32)
    ids = torch.tensor([[1, 5, 3, 3, 3, 3, 30, 31]])
    with torch.inference_mode():
        features = tiny.model.model.get_image_features(pixels)
        one = tiny.model(input_ids=ids, pixel_values=pixels).logits
        other = tiny.model(input_ids=ids, image_features=features).logits
    assert torch.equal(one, other)


def test_logits_with_labels_are_those_of_the_labelled_places(tiny):
    pixels = torch.randn(1, 3, 32, 32)
    ids = torch.tensor([[1, 5, 3, 3, 3, 3, 30, 31, 2]])
    labels = torch.tensor([[-100] * 7 + [31, 2]])
    with torch.inference_mode():
        whole = tiny.model(input_ids=ids, pixel_values=pixels).logits
        some = tiny.model(input_ids=ids, pixel_values=pixels, labels=labels)
    assert some.logits.shape == (2, len(tiny.tokenizer))
    assert torch.allclose(some.logits, whole[0, 6:8], atol=1e-6)
    expected = torch.nn.functional.cross_entropy(whole[0, 6:8], torch.tensor([31, 2]))
    assert float(some.loss) == pytest.approx(float(expected), abs=1e-5)


def test_head_and_word_embeddings_are_one_tensor_also_after_loading(tiny, tiny_base):
    weight = tiny.model.get_input_embeddings().weight
    assert tiny.model.get_output_embeddings().weight.data_ptr() == weight.data_ptr()
    back = AutoModelForImageTextToText.from_pretrained(tiny_base)
    assert type(back) is NanoForConditionalGeneration
    assert back.lm_head.weight.data_ptr() == back.get_input_embeddings().weight.data_ptr()


def test_a_config_comes_back_as_it_was(tmp_path):
    config = NanoConfig(image_size=64, stem_width=8, widths=(8, 16, 24))
    config.text_config.hidden_size = 48
    config.save_pretrained(tmp_path)
    back = NanoConfig.from_pretrained(tmp_path)
    assert (back.image_size, back.stem_width, back.widths) == (64, 8, [8, 16, 24])
    assert back.text_config.hidden_size == 48
    assert back.image_tokens == 16


def test_the_same_seed_gives_the_same_random_model():
    def made(seed):
        torch.manual_seed(seed)
        config = NanoConfig(image_size=32, stem_width=8, widths=(8, 8, 8))
        return NanoForConditionalGeneration(config).state_dict()

    one, same, other = made(0), made(0), made(1)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["lm_head.weight"], other["lm_head.weight"])


# The embedded base


def test_the_embedded_model_is_small_and_whole():
    loaded = load("swath-nano")
    assert sum(parameter.numel() for parameter in loaded.model.parameters()) <= 7_000_000
    assert all(torch.isfinite(parameter).all() for parameter in loaded.model.parameters())
    assert len(loaded.tokenizer) == loaded.model.config.text_config.vocab_size
    files = [path for path in EMBEDDED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16_000_000
    assert {"config.json", "model.safetensors"} <= {path.name for path in files}


def test_what_the_quickstart_shows_and_asks_is_new_to_the_base():
    nano, quickstart = load_recipe("nano/nano.yaml"), load_recipe("quickstart")
    assert nano.annotations.drawn.kinds == "base"
    assert quickstart.annotations.drawn.kinds == "quickstart"
    one = PHRASINGS.get(nano.instructions.phrasing)
    other = PHRASINGS.get(quickstart.instructions.phrasing)
    for task in quickstart.instructions.tasks:
        assert not set(one.wordings[task]) & set(other.wordings[task])


def test_no_class_or_thing_of_the_quickstart_is_named_in_the_bases_scenes():
    from nano import BASE_KINDS
    from swath.imagery.synthetic import draw

    def said(kinds):
        """Labels and names of things of ten scenes of each kind."""
        drawn = [draw(kind, seed, 48) for kind in kinds for seed in range(10)]
        return {one.label for one in drawn} | {name for one in drawn for name in one.names}

    base, new = said(BASE_KINDS), said(QUICKSTART_KINDS)
    assert len(QUICKSTART_KINDS) >= 8
    assert not base & new
