from transformers import pipeline

import swath
from swath.export.card import _pipeline
from swath.models.loading import load_base, models_of
from swath.recipes import load_recipe
from tests.making import rectangle

QUESTION = "Describe the image."


def test_an_encoder_decoder_answers_through_transformers_own_pipeline(tmp_path):
    recipe = load_recipe("satgpt", tiny=True)
    loaded = load_base(models_of(recipe), [QUESTION], 0, recipe.imagery)
    loaded.save(tmp_path / "model")
    picture = rectangle(tmp_path / "a.png")
    pipe = pipeline("image-text-to-text", model=str(tmp_path / "model"))
    prompt = f"{pipe.tokenizer.bos_token}Question: {QUESTION} Answer:"
    (reply,) = pipe(images=[str(picture)], text=prompt, max_new_tokens=8, return_full_text=False)
    own = swath.load(tmp_path / "model").ask(picture, QUESTION, max_new_tokens=8).text
    assert reply["generated_text"].strip() == own != ""


def test_the_card_says_so_for_what_transformers_has_itself():
    assert 'pipeline("image-text-to-text"' in _pipeline(load_recipe("satgpt"))
    assert _pipeline(load_recipe("skyeyegpt")) == _pipeline(load_recipe("geochat")) == ""
