"""A stand-in for the Hub on this machine: repositories in memory, spoken to by the real client.

It knows no Xet, so the client is to be told HF_HUB_DISABLE_XET.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

TOKEN = "hf_secretsecretsecret"
REPO = r"(?P<repo>(datasets/)?[\w.-]+/[\w.-]+)"


@dataclass
class Repository:
    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    gated: bool = False

    @property
    def sha(self):
        return f"{self.commits:040x}"


@dataclass
class Hub:
    """What lies there, what was asked (`log`), and how it misbehaves.

    Args:
        stuck: how many bytes an object has whose upload is never answered; None: all are.
        status: a code that every commit is answered with.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    owners: tuple[str, ...] = ("me",)
    large: int = 4000
    stuck: int | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    status: int | None = None
    address: str = ""

    def verbs(self):
        """The requests without repetition of the same path."""
        return list(dict.fromkeys(self.log))


def _handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, body=b"", **headers):
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                with suppress(BrokenPipeError):
                    self.wfile.write(raw)

        def refuse(self, status, code, words):
            self.answer(status, {"error": words}, X_Error_Code=code, X_Error_Message=words)

        def body(self):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def handle_any(self):
            path = unquote(urlparse(self.path).path)
            hub.log.append(f"{self.command} {path}")
            allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            for method, pattern, act in routes:
                match = re.fullmatch(pattern, path)
                if method == self.command and match:
                    act(self, allowed, **match.groupdict())
                    return
            self.body()
            self.refuse(404, "EntryNotFound", f"no such path {path}")

        do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

        def found(self, allowed, repo):
            """The repository, if it is there and may be seen."""
            repository = hub.repositories.get(repo)
            if repository is None or (repository.private and not allowed):
                self.refuse(404 if allowed else 401, "RepoNotFound", "Repository not found")
                return None
            return repository

        def log_message(self, *_):
            pass

    def create(self, allowed):
        row = json.loads(self.body())
        prefix = "datasets/" if row.get("type") == "dataset" else ""
        repo = f"{prefix}{row['organization']}/{row['name']}"
        if not allowed:
            self.refuse(401, "", f"Invalid token {self.headers['Authorization']}")
        elif row["organization"] not in hub.owners:
            self.refuse(403, "", "You don't have the rights to create under this namespace")
        else:
            private = row.get("visibility") == "private"
            new = Repository(private, {".gitattributes": b"*.safetensors filter=lfs\n"})
            hub.repositories.setdefault(repo, new)
            self.answer(200, {"url": f"{hub.address}/{repo}"})

    def info(self, allowed, repo, revision=None):
        repository = self.found(allowed, repo)
        if repository:
            siblings = [{"rfilename": name} for name in sorted(repository.files)]
            row = {"id": repo.removeprefix("datasets/"), "sha": repository.sha}
            self.answer(200, row | {"private": repository.private, "siblings": siblings})

    def tree(self, allowed, repo, revision):
        repository = self.found(allowed, repo)
        if repository:
            rows = []
            for name, content in sorted(repository.files.items()):
                digest = hashlib.sha256(content).hexdigest()
                row = {"type": "file", "path": name, "size": len(content), "oid": digest[:40]}
                if len(content) > hub.large:
                    row["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
                rows.append(row)
            self.answer(200, rows)

    def validate(self, allowed):
        content = json.loads(self.body())["content"]
        valid = content.startswith("---\n")
        errors = [] if valid else [{"message": "no metadata"}]
        self.answer(200 if valid else 400, {"errors": errors, "warnings": []})

    def preupload(self, allowed, repo, revision):
        rows = json.loads(self.body())["files"]
        if not allowed:
            self.refuse(403, "", "read-only token")
            return
        modes = [
            {
                "path": row["path"],
                "uploadMode": "lfs" if row["size"] > hub.large else "regular",
                "shouldIgnore": False,
            }
            for row in rows
        ]
        self.answer(200, {"files": modes})

    def batch(self, allowed, repo):
        rows = []
        for item in json.loads(self.body())["objects"]:
            row = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in hub.objects:
                upload = {"href": f"{hub.address}/lfs/{item['oid']}"}
                verify = {"href": f"{hub.address}/verify"}
                row["actions"] = {"upload": upload, "verify": verify}
            rows.append(row)
        self.answer(200, {"transfer": "basic", "objects": rows})

    def put(self, allowed, oid):
        content = self.body()
        if len(content) == hub.stuck:
            hub.reached.set()
            return  # the client waits for an answer until it is killed
        assert hashlib.sha256(content).hexdigest() == oid
        hub.objects[oid] = content
        self.answer(200)

    def verify(self, allowed):
        known = json.loads(self.body())["oid"] in hub.objects
        self.answer(200 if known else 404)

    def commit(self, allowed, repo, revision):
        lines = [json.loads(line) for line in self.body().splitlines()]
        repository = hub.repositories[repo]
        parent = lines[0]["value"].get("parentCommit")
        if hub.status:
            self.refuse(hub.status, "", f"not now, {self.headers['Authorization']}")
            return
        if parent and parent != repository.sha:
            self.refuse(412, "", "A commit has happened since")
            return
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = hub.objects[value["oid"]]
            else:
                del repository.files[value["path"]]
        repository.commits += 1
        address = f"{hub.address}/{repo}/commit/{repository.sha}"
        self.answer(200, {"commitUrl": address, "commitOid": repository.sha})

    def resolve(self, allowed, repo, revision, file):
        repository = self.found(allowed, repo)
        if repository is None:
            return
        if repository.gated:
            self.refuse(403, "GatedRepo", f"Access to model {repo} is restricted")
            return
        content = repository.files.get(file)
        if content is None:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        digest = hashlib.sha256(content).hexdigest()
        self.answer(200, content, ETag=f'"{digest}"', X_Repo_Commit=repository.sha)

    routes = (
        ("POST", "/api/repos/create", create),
        ("POST", "/api/validate-yaml", validate),
        ("POST", rf"/api/(models/)?{REPO}/preupload/(?P<revision>\w+)", preupload),
        ("POST", rf"/api/(models/)?{REPO}/commit/(?P<revision>\w+)", commit),
        ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", batch),
        ("PUT", r"/lfs/(?P<oid>\w+)", put),
        ("POST", "/verify", verify),
        ("GET", rf"/api/(models/)?{REPO}(/revision/(?P<revision>\w+))?", info),
        ("GET", rf"/api/(models/)?{REPO}/tree/(?P<revision>\w+)", tree),
        ("GET", rf"/{REPO}/resolve/(?P<revision>\w+)/(?P<file>.+)", resolve),
        ("HEAD", rf"/{REPO}/resolve/(?P<revision>\w+)/(?P<file>.+)", resolve),
    )
    return Handler


@contextmanager
def standing_in(**settings):
    """A Hub at `hub.address`."""
    hub = Hub(**settings)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hub_for(monkeypatch, folder, **settings):
    """A Hub that this process's client speaks to, with a login and an empty cache in `folder`."""
    from huggingface_hub import constants

    with standing_in(**settings) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub
