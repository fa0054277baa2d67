"""Model folders that bring code, want packages or are gated."""

import io
import json
import shutil
from importlib.metadata import PackageNotFoundError

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, PretrainedConfig
from transformers.utils import import_utils

from swath.errors import ModelError
from swath.evaluation.metrics.clipscore import clip_scores
from swath.models import hub
from swath.models.loaded import EMBEDDED, load_folder
from swath.models.loading import load_base
from swath.recipe import Models
from tests.hub import Repository, hub_for


@pytest.fixture
def silent(monkeypatch):
    """Standard input that must not be read."""

    def asked(*_):
        raise AssertionError("something asked on standard input")

    monkeypatch.setattr("builtins.input", asked)


def acting(folder, names):
    """Give a folder's configuration an `auto_map` to a file that writes another one."""
    folder.mkdir(exist_ok=True)
    done = folder / "done"
    code = f"open({str(done)!r}, 'w').close()\nclass Acting: pass\n"
    (folder / "acting.py").write_text(code)
    for file, kinds in names.items():
        path = folder / file
        values = json.loads(path.read_text()) if path.is_file() else {}
        values |= {"auto_map": dict.fromkeys(kinds, "acting.Acting")}
        if file == "config.json":
            values |= {"model_type": "acting"}
        path.write_text(json.dumps(values))
    return done


@pytest.mark.parametrize("part", ["base", "vision", "language"])
@pytest.mark.parametrize("weights", ["pretrained", "tiny"])
def test_code_in_a_model_folder_is_never_run(silent, tmp_path, part, weights):
    done = acting(tmp_path / "model", {"config.json": ["AutoConfig", "AutoModel"]})
    own, folder = str(EMBEDDED), str(tmp_path / "model")
    section = {"base": folder}
    if part != "base":
        parts = {"vision": own, "language": own, "connector": "linear"} | {part: folder}
        section = {"parts": parts}
    with pytest.raises(ModelError):
        load_base(Models(weights=weights, **section))
    assert not done.exists()


def test_the_error_says_that_a_model_wants_code_run(silent, tmp_path):
    acting(tmp_path / "model", {"config.json": ["AutoConfig"]})
    with pytest.raises(ModelError, match="names Python code"):
        load_folder(tmp_path / "model", "model")


def test_code_for_a_tokenizer_is_never_run(silent, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    values = json.loads((folder / "tokenizer_config.json").read_text())
    values |= {"tokenizer_class": "Acting", "auto_map": {"AutoTokenizer": ["acting.Acting", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    done = acting(folder, {})
    with pytest.raises(ModelError, match="its tokenizer names Python code"):
        load_folder(folder, "model")
    assert not done.exists()


def test_code_in_a_clip_folder_is_never_run(silent, tmp_path):
    done = acting(tmp_path / "clip", {"config.json": ["AutoConfig"]})
    with pytest.raises(ModelError, match="clip"):
        clip_scores(tmp_path / "clip", [], [], [])
    assert not done.exists()


def test_transformers_asks_nobody_for_a_part_that_it_opens_itself(silent):
    config = PretrainedConfig(auto_map={"AutoModel": "acting.Acting"})
    with pytest.raises(ValueError, match="custom code"):
        AutoModel.from_config(config)


@pytest.mark.parametrize("package", ["sentencepiece", "protobuf"])
def test_a_missing_tokenizer_package_is_named_with_its_extra(monkeypatch, package):
    def lacking(name):
        raise PackageNotFoundError(name)

    _, words = import_utils.BACKENDS_MAPPING[package]
    monkeypatch.setitem(import_utils.BACKENDS_MAPPING, package, (lambda: False, words))
    monkeypatch.setattr(hub, "version", lacking)
    with (
        pytest.raises(ModelError, match=rf"without {package}; run pip install 'swath\[hub\]'"),
        hub.reading("folder", "its tokenizer"),
    ):
        import_utils.requires_backends("LlamaConverter", [package])


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A Hub on this machine that HF_ENDPOINT would name."""
    with hub_for(monkeypatch, tmp_path) as mirror:
        yield mirror


def repository(folder, **more):
    """The files of a folder, as the Hub holds them."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return Repository(files=files | more)


def pickled(files, content):
    """The same repository with weights as `torch.save` writes them."""
    stream = io.BytesIO()
    torch.save(content, stream)
    del files["model.safetensors"]
    files["pytorch_model.bin"] = stream.getvalue()


def test_a_model_is_fetched_from_a_mirror_without_what_swath_does_not_read(mirror, tiny_base):
    mirror.repositories["me/tiny"] = repository(
        tiny_base, **{"pytorch_model.bin": b"old", "onnx/model.safetensors": b"other"}
    )
    loaded = load_base(Models(base="me/tiny"))
    assert loaded.digest == load_folder(tiny_base, "tiny").digest
    fetched = {line.rpartition("/")[2] for line in mirror.log if line.startswith("GET")}
    assert "model.safetensors" in fetched and "pytorch_model.bin" not in fetched
    assert not any("onnx" in line for line in mirror.log)


def test_pickled_weights_are_fetched_where_there_are_no_others(mirror, tiny_base):
    mirror.repositories["me/old"] = repository(tiny_base)
    state = load_file(tiny_base / "model.safetensors")
    pickled(mirror.repositories["me/old"].files, state)
    loaded = load_base(Models(base="me/old"))
    assert loaded.digest == load_folder(tiny_base, "tiny").digest


class Acting:
    """An object that writes a file when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (open, (self.place, "w"))


def test_pickled_code_is_never_run(mirror, tiny_base, tmp_path):
    mirror.repositories["me/bad"] = repository(tiny_base)
    pickled(mirror.repositories["me/bad"].files, {"weight": Acting(str(tmp_path / "done"))})
    with pytest.raises(ModelError, match="holds pickled objects other than weights"):
        load_base(Models(base="me/bad"))
    assert not (tmp_path / "done").exists()


def test_parts_are_fetched_at_their_own_revisions(mirror, tiny_base):
    mirror.repositories["me/tower"] = mirror.repositories["me/words"] = repository(tiny_base)
    parts = {"vision": "me/tower", "language": "me/words", "connector": "linear"}
    commits = {"vision_revision": "a" * 40, "language_revision": "b" * 40}
    with pytest.raises(ModelError):  # a swath-nano is no tower; its files have been asked for
        load_base(Models(parts=parts | commits))
    fetches = "\n".join(mirror.log)
    assert f"/me/tower/resolve/{'a' * 40}/config.json" in fetches
    assert f"/me/words/resolve/{'b' * 40}/config.json" in fetches
    with pytest.raises(ValueError, match="parts have vision_revision and language_revision"):
        Models(parts=parts, revision="a" * 40)


def test_a_gated_model_says_where_its_licence_is_accepted(mirror, tiny_base):
    mirror.repositories["owner/gated"] = repository(tiny_base)
    mirror.repositories["owner/gated"].gated = True
    words = rf"accept its licence; do so at {mirror.address}/owner/gated, then run `hf auth login`"
    with pytest.raises(ModelError, match=words):
        load_base(Models(base="owner/gated"))
