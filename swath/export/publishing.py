"""A run or a built set as a repository of the Hub, whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_token,
)
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from swath.errors import ExportError, RequestError, first_line
from swath.export.dataset import dataset_files
from swath.files import MANIFEST, RUN_FILE, is_ours
from swath.instructions.builder import ROWS

CARD = "card.json"
"""In a dataset repository: what is known of the set, and the sign that swath wrote it."""

_STALE = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".jsonl")
"""Files that would be read beside or instead of those of this push."""


@dataclass(frozen=True)
class Pushed:
    """What lies on the Hub now.

    Args:
        kind: "model" or "dataset".
        address: of the repository's page.
        commit: its hash.
        files: how many the repository holds of this push.
        private: whether only its owner sees it.
    """

    kind: str
    address: str
    commit: str
    files: int
    private: bool


def push(
    source: Path,
    name: str,
    public: bool = False,
    overwrite: bool = False,
    pictures: bool = True,
    dtype: str | None = None,
    prove_on: int = 16,
) -> Pushed:
    """Write a run, an exported folder or a built set into a repository of the Hub.

    All files arrive in one commit, so a reader finds the old state or the new one. What a push
    that was killed had uploaded is not uploaded again.

    Args:
        source: a finished run, a folder that `swath export` wrote, or a run's `set`.
        name: "owner/name"; made if it is not there.
        public: let everybody see it.
        overwrite: also where a repository is not swath's.
        pictures: whether a set's pictures go along.
        dtype, prove_on: of the export, for a run alone.

    Raises:
        RequestError: `source` is none of these, or no run and a `dtype` is named; or the
            repository is another's or public.
        ExportError: no login, no such owner, no network, or the Hub refuses.
    """
    kind = _kind_of(source)
    if dtype is not None and not (source / RUN_FILE).is_file():
        raise RequestError(
            f"{source}: --dtype is for a run, which is exported on its way; this goes as it is."
        )
    api = HfApi(endpoint=constants.ENDPOINT)
    # The variable of this name was read when huggingface_hub was imported.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    with _refusals(name), tempfile.TemporaryDirectory() as temporary:
        if name.count("/") != 1:
            raise HFValidationError(name)
        if get_token() is None:
            raise ExportError("no login to the Hub; run `hf auth login`, or set HF_TOKEN.")
        if not _is_there(api, name, kind):
            # Made before the export, so that a wrong owner costs no minutes.
            api.create_repo(name, private=not public, repo_type=kind, exist_ok=True)
        repository = api.repo_info(name, repo_type=kind)
        if not repository.private and not public:
            raise RequestError(
                f"'{name}' is public on the Hub, so everybody sees what is pushed there; say "
                f"--public if that is meant, or choose another name."
            )
        present = set(api.list_repo_files(name, repo_type=kind, revision=repository.sha))
        if not overwrite:
            _refuse_foreign(api, name, kind, present)
        if kind == "dataset":
            files = dataset_files(source, Path(temporary), pictures, public)
        else:
            files = _model_files(source, Path(temporary), dtype, prove_on)
        stale = {place for place in present if place.endswith(_STALE)} - set(files)
        commit = api.create_commit(
            name,
            [
                *(CommitOperationAdd(place, path) for place, path in sorted(files.items())),
                *(CommitOperationDelete(place) for place in sorted(stale)),
            ],
            commit_message=f"Push {source.resolve().name} with swath",
            repo_type=kind,
            parent_commit=repository.sha,
        )
    prefix = constants.REPO_TYPES_URL_PREFIXES.get(kind, "")
    address = f"{constants.ENDPOINT}/{prefix}{name}"
    return Pushed(kind, address, commit.oid, len(files), bool(repository.private))


def _kind_of(source: Path) -> str:
    """ "model" or "dataset"; what is neither is refused."""
    if (source / CARD).is_file() and (source / ROWS).is_file():
        return "dataset"
    if (source / RUN_FILE).is_file() or is_ours(source / MANIFEST):
        return "model"
    raise RequestError(
        f"{source}: neither a run, nor a folder that `swath export` wrote, nor a run's set; "
        f"`swath tune` makes a run and its set."
    )


def _is_there(api: HfApi, name: str, kind: str) -> bool:
    try:
        api.repo_info(name, repo_type=kind)
    except RepositoryNotFoundError:  # or one that this login may not see
        return False
    return True


def _refuse_foreign(api: HfApi, name: str, kind: str, present: set[str]) -> None:
    """Leave alone a repository that swath did not write; a new one holds nobody's files."""
    manifest = CARD if kind == "dataset" else MANIFEST
    if present <= {".gitattributes"}:
        return
    if manifest in present and is_ours(Path(api.hf_hub_download(name, manifest, repo_type=kind))):
        return
    raise RequestError(
        f"'{name}' is on the Hub and was not written by swath; nothing in it is touched. Choose "
        f"another name, or say --overwrite to put this push in place of its weights and rows."
    )


def _model_files(
    source: Path, temporary: Path, dtype: str | None, prove_on: int
) -> dict[str, Path]:
    """Paths in the repository of an exported folder's files; a run is exported first."""
    folder = source
    if (source / RUN_FILE).is_file():
        from swath.export.huggingface import export  # what is exported already needs no torch

        folder = temporary / "model"
        export(source, folder, dtype or "float32", prove_on)
    files = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if not path.is_file() or any(name.startswith(".") for name in place.parts):
            continue
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ExportError(
                f"{path}: a link to a file elsewhere, which is not pushed; take it out, or put the "
                f"file itself there."
            )
        files[place.as_posix()] = path
    return files


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """What the Hub or the network refuses becomes one error, and never shows the token."""
    owner = name.partition("/")[0]
    again = "nothing was changed there, and the same command goes on"
    try:
        yield
    except HFValidationError:
        raise RequestError(
            f"'{name}' is no name of a repository; write it as owner/name."
        ) from None
    except OfflineModeIsEnabled:
        raise ExportError(
            "HF_HUB_OFFLINE forbids the network, and a push needs it; unset it."
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            words = "the Hub does not accept this login; run `hf auth login` with a valid token"
        elif status in (403, 404):
            words = (
                f"this login may not write there: is there an owner '{owner}', do you belong to "
                f"it, and does the token allow writing? `hf auth whoami` tells"
            )
        elif status == 412:
            words = "somebody changed it meanwhile; look at it, and push again"
        else:
            words = f"the Hub answers {status} ({_without_token(first_line(error))}); {again}"
        raise ExportError(f"'{name}': {words}.") from None
    except HTTPError as error:
        raise ExportError(
            f"'{name}': {constants.ENDPOINT} cannot be reached "
            f"({_without_token(first_line(error))}); {again}."
        ) from None


def _without_token(text: str) -> str:
    token = get_token()
    return text.replace(token, "...") if token else text
