import json

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file

from swath.errors import ModelError
from swath.files import write_json, write_text
from swath.models.engine import LocalEngine
from swath.models.loaded import EMBEDDED, load_folder, weight_digests
from swath.models.loading import base_of, load, load_base
from swath.recipe import Models, Stage
from swath.recipes import load_recipe
from swath.tuning.stages import lora_config
from tests.making import small_set

LABELS = ["red land", "green land", "blue land"]


@pytest.fixture
def questions(tmp_path):
    return small_set(tmp_path / "pictures").split("test")


def answers(loaded, questions):
    local = LocalEngine(loaded)
    scores = local.score(questions, [LABELS] * len(questions))
    return [one.text for one in local.answer(questions, 8)], torch.tensor([list(s) for s in scores])


def adapted(tiny):
    """The tiny model under an adapter that changes its answers."""
    stage = Stage(train=["projector", "lora"], lora={"rank": 4, "alpha": 8})
    model = get_peft_model(tiny.model, lora_config(tiny.model, tiny, stage))
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                parameter.normal_(0, 0.2)
    return model.eval()


def test_saved_and_loaded_again_answers_the_same(tiny, questions, tmp_path):
    before = answers(tiny, questions)
    tiny.save(tmp_path / "saved")
    after = answers(load(tmp_path / "saved"), questions)
    assert after[0] == before[0]
    assert torch.equal(after[1], before[1])


def test_merged_answers_as_the_adapter_did(tiny, tiny_base, questions):
    plain = answers(load(tiny_base), questions)
    tiny.model = adapted(tiny)
    before = answers(tiny, questions)
    tiny.model = tiny.model.merge_and_unload()
    merged = answers(tiny, questions)
    assert merged[0] == before[0]
    assert torch.allclose(merged[1], before[1], atol=1e-4)
    assert not torch.allclose(merged[1], plain[1], atol=1e-1)


def test_an_adapter_run_stands_on_its_base_again(tiny, tiny_base, questions, tmp_path):
    run = tmp_path / "run"
    tiny.model = adapted(tiny)
    tiny.model.save_pretrained(str(run / "adapter"))
    before = answers(tiny, questions)
    write_text(run / "recipe.yaml", f"name: run\nmodels: {{base: {tiny_base}}}\n")
    write_json(run / "run.json", {"base": str(tiny_base), "revision": None, "finished": True})
    loaded = load(run)
    after = answers(loaded, questions)
    assert loaded.base == str(run)
    assert after[0] == before[0]
    assert torch.allclose(after[1], before[1], atol=1e-4)


@pytest.mark.parametrize("models", ["{weights: random}", "{base: BASE}"])
def test_the_base_of_a_run_is_there_by_the_run_s_name(tiny_base, tmp_path, models):
    run = tmp_path / "run"
    imagery = "imagery: {rendering: {gamma: 1.5}}"
    models = models.replace("BASE", str(tiny_base))
    write_text(run / "recipe.yaml", f"models: {models}\n{imagery}\n")
    write_json(run / "set" / "card.json", {"system": "Answer in one word."})
    write_json(run / "run.json", {"base": "a name on no disk", "finished": True})
    base = load(base_of(run))
    recipe = load_recipe(run / "recipe.yaml")
    weights = load_base(recipe.models, (), recipe.seed, recipe.imagery).model.state_dict()
    assert base.system == "Answer in one word." and base.imagery == recipe.imagery
    assert all(torch.equal(base.model.state_dict()[name], weights[name]) for name in weights)


def test_an_adapter_of_another_base_is_refused_by_name(tiny, tmp_path):
    from tests.making import write_tiny_model

    run = tmp_path / "run"
    adapted(tiny).save_pretrained(str(run / "adapter"))
    other = write_tiny_model(tmp_path / "other", image_size=64)
    write_text(run / "recipe.yaml", f"name: run\nmodels: {{base: {other}}}\n")
    write_json(run / "run.json", {"base": str(other), "revision": None, "finished": True})
    with pytest.raises(ModelError, match=r"run/adapter does not fit its base .*other"):
        load(run)


def test_an_adapter_of_another_kind_is_not_opened(tiny, tiny_base, tmp_path):
    run = tmp_path / "run"
    adapted(tiny).save_pretrained(str(run / "adapter"))
    write_text(run / "recipe.yaml", f"name: run\nmodels: {{base: {tiny_base}}}\n")
    write_json(run / "run.json", {"base": str(tiny_base), "finished": True})
    sent = {"peft_type": "XLORA", "adapters": {"0": "attacker/adapter"}, "hidden_size": 8}
    (run / "adapter" / "adapter_config.json").write_text(json.dumps(sent))
    with pytest.raises(ModelError, match="no LoRA adapter"):
        load(run)


def test_an_unfinished_run_says_how_to_go_on(tmp_path):
    write_json(tmp_path / "run.json", {"base": "swath-nano", "finished": False})
    with pytest.raises(ModelError, match="has not finished; `swath tune` with the same recipe"):
        load(tmp_path)


def test_a_folder_without_model_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"no config.json, so this is no model folder and no run"):
        load(tmp_path)


@pytest.mark.parametrize("damage", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_file_is_an_error_that_names_the_folder(tiny, tmp_path, damage):
    tiny.save(tmp_path)
    file = tmp_path / damage
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"cannot be loaded \("):
        load(tmp_path)


def test_a_model_without_its_weights_is_an_error(tiny, tmp_path):
    tiny.save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"cannot be loaded \(.*model.safetensors"):
        load(tmp_path)


def test_a_model_without_a_weight_of_its_own_is_an_error(tiny, tmp_path):
    from safetensors.torch import save_file

    tiny.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.multi_modal_projector.linear_1.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"not whole or of another .*linear_1.weight is missing"):
        load(tmp_path)


def test_a_family_that_cannot_be_encoded_yet_is_refused_with_advice(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mllama"}))
    with pytest.raises(ModelError, match=r"family 'mllama'.*known: swath_nano, .*base=swath-nano"):
        load(tmp_path)


def test_a_base_that_is_not_here_and_cannot_be_fetched_says_what_to_use():
    with pytest.raises(ModelError, match=r"cannot be fetched from the Hub .*models.base=swath-nan"):
        load("mistral-community/pixtral-12b", fetch=True)


def test_a_name_that_is_nothing_at_all_is_refused():
    with pytest.raises(ModelError, match="there is no such run or folder, and it is no Hub name"):
        load("runs/no/such/run", fetch=True)
    with pytest.raises(
        ModelError, match="there is no such run or folder; `swath tune` makes a run"
    ):
        load("runs/none")


def test_random_weights_of_a_base_follow_the_seed(tiny_base):
    def weight(seed, weights="random"):
        section = Models(base=str(tiny_base), weights=weights)
        return load_base(section, (), seed).model.model.multi_modal_projector.linear_1.weight

    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))
    assert not torch.equal(weight(1), weight(1, "pretrained"))


def test_a_new_tokenizer_learns_the_sets_words_and_sizes_the_model():
    section = Models(weights="random", tokenizer="train")
    loaded = load_base(section, ["Zebrafinch country"] * 200, seed=0)
    assert loaded.tokenizer.tokenize("Zebrafinch country") == ["Zebrafinch", "Ġcountry"]
    assert loaded.model.config.text_config.vocab_size == len(loaded.tokenizer)


def test_pretrained_weights_do_not_take_other_words(tiny_base):
    with pytest.raises(ModelError, match=r"use it with models.weights: random"):
        load_base(Models(tokenizer="train"))
    with pytest.raises(ModelError, match=r"tokenizer: train is for swath-nano alone"):
        load_base(Models(base=str(tiny_base), tokenizer="train"))


def test_a_loaded_model_is_ready_to_answer_in_float32(tiny, tmp_path):
    tiny.model.to(torch.float16)
    tiny.save(tmp_path)
    loaded = load_folder(tmp_path, "half")
    assert not loaded.model.training
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert (loaded.image_size, loaded.image_tokens, loaded.longest) == (32, 4, 256)


def test_the_embedded_base_loads_by_its_name():
    loaded = load("swath-nano")
    assert (loaded.image_size, loaded.image_tokens) == (96, 36)
    assert (EMBEDDED / "model.safetensors").is_file()


def test_a_damaged_adapter_is_an_error_that_names_it(tiny, tiny_base, tmp_path):
    run = tmp_path / "run"
    adapted(tiny).save_pretrained(str(run / "adapter"))
    write_text(run / "recipe.yaml", "name: run\n")
    write_json(run / "run.json", {"base": str(tiny_base), "revision": None, "finished": True})
    file = run / "adapter" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ModelError, match="run/adapter does not fit its base"):
        load(run)


def test_a_download_shows_its_bar_and_tells_nobody(monkeypatch):
    import huggingface_hub
    from huggingface_hub.utils import are_progress_bars_disabled

    from swath.models.hub import fetched

    def nothing_there(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", nothing_there)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", False)
    with pytest.raises(ModelError, match="cannot be fetched from the Hub"):
        fetched("owner/model", None)
    assert not are_progress_bars_disabled()
    assert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY


def test_a_flipped_bit_in_a_run_s_weights_is_refused_with_the_file(tiny, tiny_base, tmp_path):
    run = tmp_path / "run"
    tiny.save(run / "model")
    write_text(run / "recipe.yaml", f"name: run\nmodels: {{base: {tiny_base}}}\n")
    record = {"base": str(tiny_base), "finished": True, "weights": weight_digests(run)}
    assert list(record["weights"]) == ["model/model.safetensors"]
    write_json(run / "run.json", record)
    load(run)
    (run / "model" / "pytorch_model.bin").touch()
    with pytest.raises(ModelError, match=r"pytorch_model\.bin: weights that were not there"):
        load(run)
    (run / "model" / "pytorch_model.bin").unlink()
    write_json(run / "run.json", record | {"weights": record["weights"] | {"/dev/zero": "0"}})
    with pytest.raises(ModelError, match="/dev/zero: not the bits"):  # and it is not read
        load(run)
    write_json(run / "run.json", record)
    file = run / "model" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"run/model/model.safetensors: not the bits that swath"):
        load(run)
    for wrong in ({"imagery": "x"}, {"models": {"base": 3}}, {"system": 5}):
        write_json(run / "model" / "swath.json", wrong)
        with pytest.raises(ModelError, match=r"swath\.json: its imagery, models or system"):
            load(run / "model")
    write_json(run / "model" / "swath.json", {"weights": {"model.safetensors": "0"}})
    with pytest.raises(ModelError, match=r"model.safetensors: not the bits"):
        load(run / "model")
