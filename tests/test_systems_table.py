"""The recipes of the five systems, held against what the systems say of their own training.

None stands where a paper or post says nothing; docs/systems says where each number was read.
"""

import json
from pathlib import Path

import pytest

from swath.evaluation.reading import Labels
from swath.instructions.builder import build
from swath.models.published import published_names
from swath.recipes import load_recipe, shipped_recipes
from tests.making import annotated

SYSTEMS = ("satgpt", "pixtral-aid", "geochat", "skyeyegpt", "remoteglm")

# Of each stage: what trains, LoRA's rank, learning rate, images a step, epochs, steps.
TRAINING = {
    "satgpt": [(["vision", "projector", "language"], None, 5e-5, 4, 3, None)],
    "pixtral-aid": [(["lora"], None, 1e-4, "auto", 2, None)],
    "geochat": [(["lora"], 64, 2e-5, 144, None, 2400), (["lora"], 64, 2e-5, 144, None, 1600)],
    # One image on each of four cards.
    "skyeyegpt": [
        (["projector", "lora"], 64, 1e-5, 4, 35, None),
        (["projector", "lora"], 64, 1e-5, 4, 5, None),
    ],
    # One image on each of eight devices; the projector too, as its last layer is new to GLM-4.
    "remoteglm": [(["projector", "lora"], 10, 1e-4, 8, None, 1500)],
}

# Weight decay, share of steps to warm up, schedule.
OTHER = {
    "satgpt": (0, 0, "linear"),  # the library's defaults
    "pixtral-aid": (0.1, 0.05, None),
    "geochat": (0, None, None),
    "skyeyegpt": (0.05, None, "cosine"),
    "remoteglm": (None, 0.02, "cosine"),
}

# Side of the images, and the hub names of what is tuned.
MODELS = {
    "satgpt": (224, ["google/vit-base-patch16-224-in21k", "openai-community/gpt2"]),
    "pixtral-aid": (None, ["mistral-community/pixtral-12b"]),
    "geochat": (504, ["llava-hf/llava-1.5-7b-hf"]),
    "skyeyegpt": (448, ["Salesforce/blip2-opt-2.7b", "meta-llama/Llama-2-7b-chat-hf"]),
    "remoteglm": (224, ["Salesforce/blip2-opt-2.7b", "zai-org/glm-4-9b-chat-hf"]),
}


def names_of(models):
    """Hub names that a recipe's `models` section would fetch."""
    if models.parts is None:
        return [models.base]
    return [models.parts.vision, models.parts.language]


def a_step(stage):
    """Images whose gradients make one step."""
    return "auto" if stage.batch_size == "auto" else stage.batch_size * stage.accumulate


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_trained_as_it_says(name):
    stages = load_recipe(name).tuning.stages
    assert len(stages) == len(TRAINING[name])
    for stage, (train, rank, rate, batch, epochs, steps) in zip(
        stages, TRAINING[name], strict=True
    ):
        assert sorted(stage.train) == sorted(train)
        assert rank is None or stage.lora.rank == rank
        assert stage.learning_rate == rate and not stage.learning_rates
        assert a_step(stage) == batch
        assert stage.steps == steps
        assert epochs is None or stage.epochs == epochs


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_decays_and_warms_up_as_it_says(name):
    decay, warmup, schedule = OTHER[name]
    for stage in load_recipe(name).tuning.stages:
        assert decay is None or stage.weight_decay == decay
        assert warmup is None or stage.warmup == warmup
        assert schedule is None or stage.schedule == schedule


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_made_of_its_own_parts_at_its_own_size(name):
    side, names = MODELS[name]
    recipe = load_recipe(name)
    assert names_of(recipe.models) == names
    assert side is None or side == (recipe.imagery.image_px or 224)  # 224 is ViT's own
    assert recipe.imagery.fit == "pad"


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("name", SYSTEMS)
def test_what_swath_adds_to_a_system_is_in_a_recipe_of_its_own_and_is_all_of_it(name, tiny):
    system, plus = load_recipe(name, tiny=tiny), load_recipe(f"{name}-plus", tiny=tiny)
    for stage in plus.tuning.stages:
        assert (stage.augment.turn, stage.augment.crop, stage.augment.colour) == (True, 0.6, 0.2)
        assert (stage.beta2, stage.clip) == (0.98, 2)
    added = [
        stage.model_copy(update={key: getattr(own, key) for key in ("augment", "beta2", "clip")})
        for stage, own in zip(plus.tuning.stages, system.tuning.stages, strict=True)
    ]
    assert added == system.tuning.stages
    others = {"name", "about", "tuning", "tiny"}
    assert plus.model_dump(exclude=others) == system.model_dump(exclude=others)


def test_satgpt_has_a_loss_on_the_image_too_and_the_trainers_own_settings():
    (stage,) = load_recipe("satgpt").tuning.stages
    assert stage.text_loss > 0 and stage.image_loss.label > 0
    assert (stage.beta2, stage.clip, stage.rows_per_image) == (0.999, 1, 1)
    assert load_recipe("satgpt").models.parts.connector == "cross-attention"


def test_pixtral_aid_trains_on_four_of_five_images_and_answers_in_json():
    recipe = load_recipe("pixtral-aid")
    assert recipe.annotations.split == {"train": 0.8, "test": 0.2}  # 8,000 and 2,000
    assert (recipe.instructions.answer, recipe.evaluation.closed) == ("fenced", True)


def test_pixtral_aid_asks_with_the_posts_instruction_and_answers_in_its_fence(tmp_path):
    section = load_recipe("pixtral-aid").instructions
    built = build(annotated(tmp_path, 3), section, seed=0)
    row = built.conversations[0]
    answer = row.text("assistant")
    # Its words are those of mistral.ai's post on Pixtral and satellite imagery.
    assert row.text("system") == (
        "Classify the following image into the category it belongs to.\n"
        "- These category labels are blue land; green land; red land.\n"
        "- Output your result using exclusively the following schema: "
        "{'image_description': FieldInfo(annotation=str, required=True), "
        "'label': FieldInfo(annotation=str, required=True)}\n"
        "- Put your results between a json tag\n"
        "```json ```"
    )
    label = row.truth.label
    values = {"image_description": f"An aerial view of a {label}", "label": label}
    assert answer == f"```json\n{json.dumps(values)}\n```"
    assert Labels(built.labels).read(answer) == (label, None)
    assert built.choices["classify"][label] == answer


def test_the_nano_form_of_pixtral_aid_asks_as_it_was_measured():
    section = load_recipe("pixtral-aid-nano").instructions
    assert section.answer == "json" and section.system.startswith("You are an expert in aerial")


def test_geochat_reads_2048_tokens_and_grounds_in_its_second_stage():
    recipe = load_recipe("geochat")
    first, second = recipe.tuning.stages
    assert recipe.models.longest == 2048
    assert first.lora.targets == second.lora.targets == ["q_proj", "v_proj"]
    assert first.tasks is None
    assert second.tasks == ["refer", "ground", "identify", "region", "describe"]
    assert (recipe.instructions.phrasing, recipe.instructions.task_tokens) == ("geochat", True)
    assert (recipe.evaluation.closed, recipe.evaluation.max_new_tokens) == (False, 256)


def test_skyeyegpt_learns_single_tasks_then_mostly_conversations():
    recipe = load_recipe("skyeyegpt")
    first, second = recipe.tuning.stages
    assert recipe.models.parts.connector == "merge4"
    assert (recipe.models.template, recipe.models.dialect) == ("minigpt", "minigpt")
    # MiniGPT-v2's adapter, which SkyEyeGPT takes over.
    assert (first.lora.alpha, first.lora.dropout) == (16, 0.05)
    assert first.lora.targets == ["q_proj", "v_proj"]
    assert "converse" not in first.tasks
    assert {"ground", "region"} <= {*first.tasks} & {*recipe.instructions.tasks}
    single = sum(share for task, share in second.mix.items() if task != "converse")
    assert second.mix["converse"] > single
    assert recipe.instructions.turns > 1


def test_remoteglm_learns_one_chinese_description_an_image():
    recipe = load_recipe("remoteglm")
    assert recipe.models.parts.connector == "qformer"
    assert recipe.instructions.tasks == ["caption"]
    assert recipe.instructions.phrasing == "remoteglm"
    assert recipe.instructions.captions_per_image == 1


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_runs_tiny_on_drawn_scenes_in_the_same_architecture(name):
    full, tiny = load_recipe(name), load_recipe(name, tiny=True)
    assert tiny.name == f"{name}-tiny"
    assert (tiny.models.weights, full.models.weights) == ("tiny", "pretrained")
    small = {"weights": "tiny", "quantize": "none"}  # a tiny model needs no four bits
    assert full.models.model_copy(update=small) == tiny.models
    assert full.annotations.drawn is None and tiny.annotations.drawn.count <= 100
    # A first stage may stand for what the parts have learnt; the system's own stages follow.
    own = [stage.name for stage in full.tuning.stages]
    assert [stage.name for stage in tiny.tuning.stages][-len(own) :] == own
    for one, other in zip(full.tuning.stages, tiny.tuning.stages[-len(own) :], strict=True):
        assert (one.train, one.tasks, one.mix, one.lora) == (
            other.train,
            other.tasks,
            other.mix,
            other.lora,
        )


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads_tiny_and_its_models_are_known_without_the_hub(name):
    recipe = load_recipe(name, tiny=True)
    assert recipe.models.weights == "tiny" and recipe.name.endswith("-tiny")
    hub = set(names_of(recipe.models)) - {"swath-nano"}
    assert hub <= set(published_names())


def rate(stage):
    """A learning rate as the pages write it."""
    return f"{stage.learning_rate:.0e}".replace("e-0", "e-")


# What a system's page says of its recipe: the page's words, the numbers from the recipe itself.
SAID = {
    "satgpt": lambda recipe, first, last: [
        f"{rate(first)}, {first.batch_size} a device, {first.epochs:g}",
        f"weight {first.image_loss.label:g}",
    ],
    "pixtral-aid": lambda recipe, first, last: [
        f"{rate(first)}, {first.weight_decay:g}, {first.warmup:g}, {first.epochs:g}",
        f"{first.lora.rank}, {first.lora.alpha:g}",
        f"{recipe.imagery.image_px} px",
    ],
    "geochat": lambda recipe, first, last: [
        f"{first.steps:,}, then {last.steps:,} on grounding",
        f"{first.lora.rank} on q, v",
        f"{recipe.models.longest:,} tokens, {first.weight_decay:g}",
        f"{first.batch_size} images, {first.accumulate} batches a step",
        f"| {rate(first)}; `tuning",
    ],
    "skyeyegpt": lambda recipe, first, last: [
        f"{first.epochs:g} + {last.epochs:g} epochs",
        f"LoRA {first.lora.rank} on the language model",
        f"{rate(first)}, {first.schedule}, {first.weight_decay:g}",
        f"{first.accumulate} batches of one image a step",
        f"the second mixes {last.mix['converse']:g} conversations with one",
        *(f"`{task}`" for task in recipe.instructions.tasks if task != "dialogue"),
    ],
    "remoteglm": lambda recipe, first, last: [
        f"{rate(first)}, {first.schedule}, {first.warmup:g}, {first.steps:,}",
        f"rank {first.lora.rank} on q, k, v; alpha {first.lora.alpha:g}",
        f"{first.accumulate} batches of one image a step",
        f"{recipe.imagery.image_px} px",
    ],
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_systems_page_names_the_numbers_of_its_recipe(name):
    recipe = load_recipe(name)
    page = (Path(__file__).parent.parent / "docs/systems" / f"{name}.md").read_text("utf-8")
    for words in SAID[name](recipe, recipe.tuning.stages[0], recipe.tuning.stages[-1]):
        assert words in page
