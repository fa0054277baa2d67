"""What goes wrong in a user's hands: one clear line, no traceback, and nothing half-written."""

import json
import os
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

import nano  # noqa: F401 (adds the kinds that these tests draw)
from swath.files import read_json
from swath.models import loading
from swath.models.loading import load_base
from swath.recipe import Imagery, Models
from tests.endpoints import endpoint
from tests.making import annotated, rectangle

STAGE = "{name: all, train: [vision, projector, language], steps: 2, batch_size: 4}"
ADAPTER = "{name: all, train: [lora], steps: 2, batch_size: 4, lora: {rank: 2}}"


@pytest.fixture
def swath(swath, monkeypatch, tmp_path):
    """Run a command line in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    return swath


@pytest.fixture(scope="session")
def llava(tmp_path_factory):
    """Folder of a small LLaVA."""
    folder = tmp_path_factory.mktemp("llava") / "base"
    section = Models(base="llava-hf/llava-1.5-7b-hf", weights="tiny")
    load_base(section, imagery=Imagery()).save(folder)
    return folder


@pytest.fixture
def base(llava, tmp_path):
    """A copy of it, to be damaged."""
    folder = tmp_path / "base"
    folder.mkdir()
    for file in llava.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def recipe(folder, stage=STAGE, **more):
    """A recipe of ten small scenes on the model in `base/`."""
    lines = [
        "name: bad",
        "annotations: {drawn: {kinds: base, count: 10, size_px: 48}}",
        "instructions: {tasks: [classify, caption]}",
        "models: {base: base}",
        f"tuning: {{stages: [{stage}], precision: fp32, threads: 1, prove: 2}}",
        *(f"{key}: {value}" for key, value in more.items()),
    ]
    file = folder / "bad.yaml"
    file.write_text("\n".join(lines) + "\n")
    return file


def change(file, **values):
    """Other values in a JSON file; None takes one out."""
    content = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: one for key, one in content.items() if one is not None}))


def refused(result, advice):
    """Whether a command ended with one line that holds the advice."""
    code, _, error = result
    lines = [line for line in error.splitlines() if not line.startswith(("build: ", "tune ", "  "))]
    said = [line for line in lines if not line.startswith("stage ")]
    assert code == 1 and len(said) == 1, error
    assert said[0].startswith("swath: ")
    assert advice in said[0], said[0]
    return True


def holds_no_model(folder):
    """Whether a run's folder has neither a model nor what looks like a finished run."""
    run = folder / "run.json"
    return (
        not (folder / "model").exists()
        and not (folder / "adapter").exists()
        and not (run.exists() and read_json(run)["finished"])
    )


def change_words(folder, token):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([token])
    tokenizer.save_pretrained(folder)


def change_shapes(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] *= 2
    (folder / "config.json").write_text(json.dumps(config))


def lose_a_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "layers.1.mlp.up_proj" in name))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def nudge_a_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights[next(name for name in weights if "layers.1.mlp.up_proj" in name)] += 0.1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


DAMAGES = {
    "another image token": (
        lambda base: change(base / "config.json", image_token_id=7),
        "expects 7 for an image; the two do not belong together",
    ),
    "more features than image tokens": (
        lambda base: change(base / "config.json", vision_feature_select_strategy="full"),
        "put back the one it was published with",
    ),
    "more words than the model": (
        lambda base: change_words(base, "heliport"),
        "the two do not belong together",
    ),
    "no padding and no end": (
        lambda base: change(base / "tokenizer_config.json", pad_token=None, eos_token=None),
        "set pad_token in tokenizer_config.json",
    ),
    "no weights": (lambda base: (base / "model.safetensors").unlink(), "copy it anew"),
    "weights cut short": (
        lambda base: (base / "model.safetensors").write_bytes(
            (base / "model.safetensors").read_bytes()[:9000]
        ),
        "copy it anew",
    ),
    "a weight missing": (lose_a_weight, "up_proj.weight is missing or of another shape"),
    "weights of other shapes": (change_shapes, "is missing or of another shape; copy it anew"),
    "no tokenizer": (
        lambda base: [file.unlink() for file in base.glob("tokenizer*")],
        "its tokenizer cannot be loaded",
    ),
    "another family": (
        lambda base: change(base / "config.json", model_type="fuyu"),
        "start from swath-nano",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_base_that_cannot_be_used_is_one_line_and_leaves_no_model(damage, base, swath, tmp_path):
    harm, advice = DAMAGES[damage]
    harm(base)
    assert refused(swath("tune", recipe(tmp_path)), advice)
    assert holds_no_model(tmp_path / "runs" / "bad")


def test_the_same_base_undamaged_is_tuned(base, swath, tmp_path):
    code, out, _ = swath("tune", recipe(tmp_path))
    assert code == 0 and "it gives 2 of 2 of its answers" in out


def test_a_tower_with_other_features_is_refused_when_asked_as_well(base, swath, tmp_path):
    change(base / "config.json", vision_feature_select_strategy="full")
    picture = rectangle(tmp_path / "a.png")
    assert refused(swath("ask", "base", picture, "What?"), "37 features of a picture")


def test_a_row_of_words_alone_is_named(base, swath, tmp_path):
    file = recipe(tmp_path)
    assert swath("build", file)[0] == 0
    rows = tmp_path / "runs/bad/set/conversations.jsonl"
    head, *lines = rows.read_text().splitlines()
    bare = json.loads(next(line for line in lines if '"train"' in line))
    bare["id"] = "bare"
    bare["turns"][0]["parts"] = [{"text": "Who are you?"}]
    rows.write_text("\n".join([head, *lines, json.dumps(bare)]) + "\n")
    assert refused(swath("tune", file), "bare: no image; rows of words alone are not tuned on")
    assert holds_no_model(tmp_path / "runs" / "bad")


def test_rows_longer_than_the_context_are_dropped_and_counted(base, swath, tmp_path):
    file = recipe(tmp_path)
    assert refused(swath("tune", file, "models.longest=20"), "shorten the system instruction")
    assert holds_no_model(tmp_path / "runs" / "bad")
    # With a class a row has 140 to 142 tokens, with a caption 143 to 152.
    code, out, _ = swath("tune", file, "models.longest=142", "name=some")
    left = read_json(tmp_path / "runs/some/run.json")["left_out"]
    assert code == 0 and f"not in the picture: {len(left)} rows, first {left[0]}" in out
    assert len(left) == 29 and all("caption" in one for one in left)


def test_a_box_that_the_crop_cuts_off_is_not_learnt_from(base, swath, tmp_path):
    rows = [
        # A picture of 64 x 32: its middle reaches from 16 to 48.
        {"image": f"{place}.png", "width": 64, "height": 32, "box": [place, 8, place + 8, 16]}
        for place in (2, 14, 22, 38, 45, 54)
    ]
    coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "red field"}]}
    for number, row in enumerate(rows):
        x1, y1, x2, y2 = row["box"]
        rectangle(tmp_path / "data" / row["image"], (x1, y1, x2, y2), (64, 32))
        coco["images"].append({"id": number, "file_name": row["image"], "width": 64, "height": 32})
        box = {"id": number, "image_id": number, "category_id": 1}
        coco["annotations"].append(box | {"bbox": [x1, y1, x2 - x1, y2 - y1]})
    (tmp_path / "data" / "boxes.json").write_text(json.dumps(coco))
    more = {"imagery": "{fit: centre_crop}"}
    file = recipe(tmp_path, **more)
    own = ["annotations={source: data, split: {train: 1}, allow_leakage: true}"]
    code, *said = swath("tune", file, *own, "instructions.tasks=[refer]")
    assert code == 0, said
    left = read_json(tmp_path / "runs/bad/run.json")["left_out"]
    assert sorted(one.split("#")[0] for one in left) == ["2", "45", "54"]


def test_a_loss_that_is_no_number_says_what_to_lower_and_the_run_can_begin_again(
    base, swath, tmp_path
):
    stage = STAGE.replace("steps: 2", "steps: 9, learning_rate: 1.0e+30, clip: 1.0e+30, warmup: 0")
    file = recipe(tmp_path, stage)
    assert refused(swath("tune", file), "lower tuning.stages learning_rate (now 1e+30)")
    assert holds_no_model(tmp_path / "runs" / "bad")
    assert swath("tune", file, "tuning.stages.0.learning_rate=1e-4")[0] == 0


def test_an_adapter_of_another_base_is_refused_though_its_shapes_fit(base, swath, tmp_path):
    assert swath("tune", recipe(tmp_path, ADAPTER))[0] == 0
    picture = rectangle(tmp_path / "a.png")
    assert swath("ask", "runs/bad", picture, "What?")[0] == 0
    nudge_a_weight(base)
    advice = "was tuned on other weights than base holds now; put back the base"
    assert refused(swath("ask", "runs/bad", picture, "What?"), advice)
    assert refused(swath("export", "runs/bad", "--to", "out"), advice)
    assert not (tmp_path / "out").exists()


def test_a_run_does_not_go_on_over_a_base_that_has_changed(base, swath, tmp_path):
    file = recipe(tmp_path)
    assert swath("tune", file)[0] == 0
    change(tmp_path / "runs/bad/run.json", finished=False)
    nudge_a_weight(base)
    assert refused(swath("tune", file), "holds other weights than when this run began")


RUBBISH = {
    "no completion": lambda prompt: (200, b"<html>Busy</html>"),
    "no words": lambda prompt: "",
    "no Chinese": lambda prompt: "Sorry, I cannot.",
    "no key": lambda prompt: (401, "who are you?"),
}


@pytest.mark.parametrize("kind", RUBBISH)
def test_an_endpoint_that_answers_rubbish_leaves_no_set_and_a_better_one_goes_on(
    kind, swath, tmp_path
):
    captions = [
        {"filename": f"{image.id}.png", "captions": list(image.captions)}
        for image in annotated(tmp_path / "data", 4, test=0)
    ]
    (tmp_path / "data" / "captions.json").write_text(json.dumps(captions))
    asked = [
        "annotations={source: data, split: {train: 0.75, test: 0.25}, allow_leakage: true}",
        "name=zh",
    ]

    def build(stand):
        writer = f"instructions.writer={{endpoint: '{stand.address}', model: m, at_once: 1}}"
        return swath("build", "remoteglm", *asked, writer)

    with endpoint(RUBBISH[kind]) as stand:
        name = "OPENAI_API_KEY" if kind == "no key" else "cannot be used"
        assert refused(build(stand), name)
    assert not (tmp_path / "runs/zh/set").exists()
    with endpoint(lambda prompt: "灰色土地上有一块田。") as stand:
        assert build(stand)[0] == 0
    rows = (tmp_path / "runs/zh/set/conversations.jsonl").read_text().splitlines()[1:]
    assert len(rows) == 4 and all("灰色土地上有一块田" in row for row in rows)


def test_every_python_that_swath_starts_leaves_the_folder_one_is_in_alone(swath):
    """`python -m` and `python -c` import from the working folder first, which may be anybody's."""
    package = Path(loading.__file__).parent.parent
    sources = [path.read_text("utf-8") for path in package.rglob("*.py")]
    starts = [line for text in sources for line in text.splitlines() if "[sys.executable," in line]
    assert len(starts) >= 4
    assert all('[sys.executable, "-P",' in line or '"-I"' in line for line in starts)
    assert os.environ["PYTHONSAFEPATH"] == "1"  # of what multiprocessing starts
