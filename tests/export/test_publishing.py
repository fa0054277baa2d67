import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

import swath
from swath.errors import AnnotationError, ExportError, InstructionError, RequestError
from swath.experiment import Experiment
from swath.export import huggingface
from swath.export.publishing import push
from swath.files import read_json, write_json, write_jsonl
from swath.instructions.conversation import (
    Conversation,
    Image,
    assistant,
    user,
    write_conversations,
)
from swath.models.loading import load, load_base
from swath.recipe import Models
from swath.recipes import load_recipe
from tests.hub import TOKEN, Repository, hub_for, standing_in
from tests.making import write_demo

LABELS = ["airport", "farm", "port"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_base):
    """A finished run of the command line's own making, with drawn scenes."""
    folder = tmp_path_factory.mktemp("push")
    recipe = write_demo(folder, tiny_base, "projector, lora")
    Experiment(load_recipe(recipe), folder / "runs" / "demo").tune()
    return folder / "runs" / "demo"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_for(monkeypatch, tmp_path) as hub:
        yield hub


@pytest.fixture
def trusting(monkeypatch):
    """Leave out the fresh process, which takes seconds."""
    monkeypatch.setattr(huggingface, "_compare", lambda *given: None)


def test_a_pushed_run_loads_again_by_its_name(hub, run, trusting):
    pushed = push(run, "me/demo")
    repository = hub.repositories["me/demo"]
    assert pushed.private and repository.private and pushed.commit == repository.sha
    needed = {"config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"}
    assert needed | {"README.md", "swath.json"} <= set(repository.files)
    assert b"chat_template" in b" ".join(name.encode() for name in repository.files)
    picture = next((run / "drawn" / "images").rglob("*.png"), None) or next(
        (run / "drawn" / "images").rglob("*.jpg")
    )
    loaded = load_base(Models(base="me/demo"))
    assert loaded.imagery == load(run).imagery
    before = swath.load(run).ask(picture, "What is it?", LABELS)
    snapshots = Path(constants.HF_HUB_CACHE) / "models--me--demo" / "snapshots"
    (snapshot,) = snapshots.iterdir()
    after = swath.load(snapshot).ask(picture, "What is it?", LABELS)
    assert after.confidence == pytest.approx(before.confidence, abs=1e-4)


def test_the_client_asks_in_the_hubs_order(hub, run, trusting):
    push(run, "me/demo")
    verbs = [line for line in hub.verbs() if not line.startswith("GET")]
    objects = [line for line in verbs if line.startswith("PUT /lfs/")]
    assert objects
    assert [line for line in verbs if line not in objects] == [
        "POST /api/repos/create",
        "POST /api/validate-yaml",
        "POST /api/models/me/demo/preupload/main",
        "POST /me/demo.git/info/lfs/objects/batch",
        "POST /verify",
        "POST /api/models/me/demo/commit/main",
    ]


def test_what_a_killed_push_had_uploaded_is_not_uploaded_again(run, tmp_path):
    huggingface.export(run, tmp_path / "out", prove_on=1)
    weights = (tmp_path / "out" / "model.safetensors").stat().st_size
    with standing_in(stuck=weights) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1"}
        environment |= {"HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-m", "swath", "push", str(tmp_path / "out"), "me/demo"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert hub.reached.wait(60)
        while not hub.objects:  # another file arrives beside the one that hangs
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert set(hub.repositories["me/demo"].files) == {".gitattributes"}
        first = set(hub.objects)
        hub.stuck = None
        hub.log.clear()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "private, commit" in done.stdout
        assert TOKEN not in done.stdout + done.stderr
        assert not any(f"PUT /lfs/{oid}" in hub.log for oid in first)
        assert len(hub.repositories["me/demo"].files["model.safetensors"]) == weights


def test_a_second_push_replaces_weights_and_keeps_a_persons_files(hub, run, trusting):
    push(run, "me/demo")
    files = hub.repositories["me/demo"].files
    files["model-00002-of-00002.safetensors"] = b"old"
    files["notes.md"] = b"mine"
    push(run, "me/demo", dtype="bfloat16")
    assert "model-00002-of-00002.safetensors" not in files
    assert files["notes.md"] == b"mine"
    assert json.loads(files["swath.json"])["dtype"] == "bfloat16"


def test_a_foreign_repository_is_touched_only_when_told(hub, run, trusting):
    files = {"config.json": b"{}", "swath.json": b'{"made": "elsewhere"}', "model.bin": b"old"}
    hub.repositories["me/theirs"] = Repository(True, dict(files))
    with pytest.raises(RequestError, match=r"was not written by swath.*--overwrite"):
        push(run, "me/theirs")
    assert hub.repositories["me/theirs"].files == files
    push(run, "me/theirs", overwrite=True)
    assert "model.bin" not in hub.repositories["me/theirs"].files


def test_a_public_repository_is_filled_only_when_told(hub, run, trusting):
    hub.repositories["me/open"] = Repository(private=False)
    with pytest.raises(RequestError, match=r"is public on the Hub.*--public"):
        push(run, "me/open")
    assert hub.repositories["me/open"].files == {}
    assert not push(run, "me/open", public=True).private
    assert not push(run, "me/new", public=True).private


def test_a_sets_rows_and_pictures_become_a_dataset(hub, run, tmp_path):
    pushed = push(run / "set", "me/rows")
    files = hub.repositories["datasets/me/rows"].files
    assert pushed.kind == "dataset" and pushed.private
    for name, content in files.items():
        path = tmp_path / "fetched" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    row = json.loads(files["train.jsonl"].splitlines()[0])
    assert row["messages"][0]["content"].startswith("<image>")
    assert (tmp_path / "fetched" / row["images"][0]).is_file()
    assert str(run).encode() not in files["card.json"] + files["train.jsonl"] + files["README.md"]
    again = load_recipe(
        "captions", [f"annotations.source={tmp_path / 'fetched'}", "instructions.tasks=[refer]"]
    )
    checked = Experiment(again, tmp_path / "again").check()
    assert checked.images["train"] == read_json(run / "set" / "card.json")["images"]["train"]


def test_no_file_is_pushed_because_a_set_or_a_link_says_so(hub, run, tmp_path):
    secret = tmp_path / "id_rsa"
    secret.write_text("a private key")
    evil = tmp_path / "set"
    evil.mkdir()
    for file in (run / "set").iterdir():
        (evil / file.name).write_bytes(file.read_bytes())
    row = Conversation("a", "question", (user(Image(str(secret), (9, 9)), "?"), assistant("!")))
    write_conversations(evil / "conversations.jsonl", [row])
    with pytest.raises(ExportError, match="says nothing of what 1 of 1 pictures held"):
        push(evil, "me/rows")
    image = json.loads((run / "set" / "images.jsonl").read_text().splitlines()[1])
    files = [[str(secret), 13, "0" * 64]]  # it cannot say what it holds
    write_jsonl(evil / "images.jsonl", "images", [image | {"files": files}])
    with pytest.raises(AnnotationError, match="id_rsa holds another picture"):
        push(evil, "me/rows")
    row = Conversation("a", "question", (user("<image>?"), assistant("!")))
    write_conversations(evil / "conversations.jsonl", [row])
    with pytest.raises(InstructionError, match="its words hold '<image>'"):
        push(evil, "me/rows")
    model = tmp_path / "model"
    (model / ".git").mkdir(parents=True)
    (model / ".git" / "config").write_text("a token")
    write_json(model / "swath.json", {})
    push(model, "me/demo")
    assert ".git/config" not in hub.repositories["me/demo"].files
    (model / "notes.txt").symlink_to(secret)
    with pytest.raises(ExportError, match=r"notes\.txt: a link to a file elsewhere"):
        push(model, "me/demo")


def test_pictures_without_a_licence_are_not_published(hub, run, tmp_path):
    card = read_json(run / "set" / "card.json")
    for name in ("conversations.jsonl", "images.jsonl"):
        (tmp_path / name).write_bytes((run / "set" / name).read_bytes())
    row = {"source": "AID", "licence": "research only", "images": 3, "use": "research"}
    (tmp_path / "card.json").write_text(json.dumps(card | {"ledger": [row]}))
    with pytest.raises(RequestError, match=r"pictures of AID .*--no-pictures"):
        push(tmp_path, "me/rows", public=True)
    push(tmp_path, "me/rows", public=True, pictures=False)
    files = hub.repositories["datasets/me/rows"].files
    assert not any(name.startswith("pictures/") for name in files)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "the Hub answers 500"),
        (412, "somebody changed it meanwhile"),
        (403, "this login may not write there"),
    ],
)
def test_what_the_hub_refuses_is_one_error_without_the_token(hub, run, trusting, status, words):
    hub.status = status
    with pytest.raises(ExportError, match=words) as error:
        push(run, "me/demo")
    assert TOKEN not in str(error.value)


def test_no_login_no_owner_and_no_network_are_told_apart(hub, run, monkeypatch):
    with pytest.raises(ExportError, match="is there an owner 'nobody'"):
        push(run, "nobody/demo")
    with pytest.raises(RequestError, match="write it as owner/name"):
        push(run, "a/b/c")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(ExportError, match="does not accept this login") as error:
        push(run, "me/demo")
    assert "hf_other" not in str(error.value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ExportError, match="HF_HUB_OFFLINE forbids"):
        push(run, "me/demo")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ExportError, match="cannot be reached"):
        push(run, "me/demo")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(ExportError, match="run `hf auth login`"):
        push(run, "me/demo")


def test_the_verb_pushes_and_says_where(hub, run, trusting, swath):
    code, output, errors = swath("push", run, "me/demo", "--json")
    assert not code
    assert json.loads(output)["address"] == f"{hub.address}/me/demo"
    assert TOKEN not in output + errors


def test_a_folder_that_is_no_run_is_refused(hub, tmp_path):
    with pytest.raises(RequestError, match="neither a run"):
        push(tmp_path, "me/demo")


def test_a_number_format_is_refused_for_what_is_not_exported(hub, run):
    with pytest.raises(RequestError, match="--dtype is for a run"):
        push(run / "set", "me/demo", dtype="bfloat16")
    assert not hub.repositories
