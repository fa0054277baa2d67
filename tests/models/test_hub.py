"""Model folders that bring code, want packages or are gated."""

import json
import shutil
from importlib.metadata import PackageNotFoundError

import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError
from transformers import AutoModel, PretrainedConfig
from transformers.utils import import_utils

from swath.errors import ModelError
from swath.evaluation.metrics.clipscore import clip_scores
from swath.models import hub
from swath.models.loaded import EMBEDDED, load_folder
from swath.models.loading import load_base
from swath.recipe import Models


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


def test_a_gated_model_says_where_its_licence_is_accepted(monkeypatch):
    def gated(name, file, **_):
        response = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co"))
        raise GatedRepoError("403 Client Error.", response=response)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", gated)
    with pytest.raises(ModelError, match=r"huggingface\.co/owner/gated, then run `hf auth login`"):
        hub.fetched("owner/gated", None)
