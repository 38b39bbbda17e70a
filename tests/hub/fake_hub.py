"""A hub on this machine that speaks as much of the hub's protocol as push and pull use, and that can misbehave.

Made after what huggingface_hub 2.4 sends and reads: create a repository, validate a card, preupload, upload as git-lfs
does, commit, describe a revision, and give a file, large ones by a redirect to another place.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 4000  # bytes from which on a file is stored as git-lfs does; of a tiny run only the model has as many
TOKEN = "hf_letmein"


@dataclass
class Repository:
    """Its commits, newest last: the files of each by name."""

    private: bool = False
    ignored: tuple[str, ...] = ()  # what its .gitignore keeps out
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)  # besides main, the newest commit

    def __post_init__(self) -> None:
        self.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})  # as the hub begins

    def commit(self, files: dict[str, bytes]) -> str:
        """Add files to the newest ones; the new commit."""
        newest = list(self.commits.values())[-1] if self.commits else {}
        name = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[name] = newest | files
        return name

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit that a revision is, and its files."""
        name = list(self.commits)[-1] if revision == "main" else self.branches.get(revision, revision)
        return (name, self.commits[name]) if name in self.commits else None


class Ask(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: "FakeHub"

    def log_message(self, format: str, *arguments: Any) -> None:
        del format, arguments

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server, urlsplit(self.path).path
        hub.asked.append((self.command, self.path, dict(self.headers)))
        if hub.fault is not None and hub.fault(self):
            self.close_connection = True
            return
        parts = path.strip("/").split("/")
        if path.startswith("/store/"):
            self.content(hub.store[parts[2]], **{"X-Repo-Commit": parts[1], "ETag": f'"{parts[2]}"'})
        elif path.startswith("/api/models/"):
            repo, revision = "/".join(parts[2:4]), unquote(parts[5]) if len(parts) > 5 else "main"
            self.describe(repo, revision)
        else:
            self.resolve("/".join(parts[:2]), unquote(parts[3]), "/".join(parts[4:]))

    def do_POST(self) -> None:
        hub, path = self.server, urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        hub.asked.append(("POST", self.path, dict(self.headers)))
        if path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.json({"error": "Invalid credentials"}, status=401)
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            status = 409 if name in hub.repositories else 200
            hub.repositories.setdefault(name, Repository(private=asked.get("visibility") == "private"))
            return self.json({"url": f"{hub.address}/{name}", "name": name}, status=status)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.json({"transfer": "basic", "objects": [self.place(one) for one in json.loads(body)["objects"]]})
        repository = hub.repositories["/".join(parts[2:4])]
        if parts[4] == "preupload":
            return self.json({"files": [self.mode(one, repository) for one in json.loads(body)["files"]]})
        files = dict(self.committed(json.loads(line)) for line in body.splitlines()[1:])
        oid = repository.commit(files)
        return self.json({"commitUrl": f"{hub.address}/{'/'.join(parts[2:4])}/commit/{oid}", "commitOid": oid})

    def do_PUT(self) -> None:
        self.server.asked.append(("PUT", self.path, dict(self.headers)))
        oid = self.path.rpartition("/")[2]
        self.server.store[oid] = self.rfile.read(int(self.headers["Content-Length"]))
        self.json({})

    def place(self, one: dict[str, Any]) -> dict[str, Any]:
        """Where git-lfs shall put an object."""
        href = f"{self.server.address}/upload/{one['oid']}"
        return {"oid": one["oid"], "size": one["size"], "actions": {"upload": {"href": href}}}

    def mode(self, one: dict[str, Any], repository: Repository) -> dict[str, Any]:
        """How a file shall be sent."""
        mode = "lfs" if one["size"] >= LARGE else "regular"
        return {"path": one["path"], "uploadMode": mode, "shouldIgnore": one["path"] in repository.ignored}

    def committed(self, line: dict[str, Any]) -> tuple[str, bytes]:
        value = line["value"]
        if line["key"] == "lfsFile":
            return value["path"], self.server.store[value["oid"]]
        return value["path"], base64.b64decode(value["content"])

    def found(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """A revision, if it is there and may be seen."""
        repository = self.server.repositories.get(repo)
        may = repository and (not repository.private or self.headers.get("Authorization") == f"Bearer {TOKEN}")
        return repository.at(revision) if repository and may else None

    def describe(self, repo: str, revision: str) -> None:
        found = self.found(repo, revision)
        if found is None:
            return self.json({"error": "Repository not found"}, status=404)
        files = [entry(name, content) for name, content in found[1].items()]
        private = self.server.repositories[repo].private
        return self.json({"id": repo, "sha": found[0], "private": private, "siblings": files})

    def resolve(self, repo: str, revision: str, name: str) -> None:
        found = self.found(repo, revision)
        if found is None or name not in found[1]:
            return self.json({"error": "Entry not found"}, status=404)
        content = found[1][name]
        headers = {"X-Repo-Commit": found[0], "Accept-Ranges": "bytes"}
        if len(content) < LARGE:
            return self.content(content, **headers, ETag=f'"{git_hash(content)}"')
        oid = hashlib.sha256(content).hexdigest()
        self.server.store[oid] = content
        return self.answer(302, b"", Location=f"{self.server.address}/store/{found[0]}/{oid}?signature=x", **headers)

    def content(self, content: bytes, **headers: str) -> None:
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if begin:
            told = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            return self.answer(206, content[begin:], **headers, **{"Content-Range": told})
        return self.answer(200, content, **headers)

    def json(self, value: Any, *, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), **{"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """A complete response."""
        self.head(status, length=len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def head(self, status: int, *, length: int, **headers: str) -> None:
        """The beginning of a response that promises so many bytes."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()


Fault = Callable[[Ask], bool]  # answers in place of the hub, or tells that it does not


class FakeHub(ThreadingHTTPServer):
    """The hub itself; `fault` misbehaves, and `asked` has all that it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Ask)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, Repository] = {}
        self.store: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.fault: Fault | None = None
        self.over = Event()  # set when a fault that waits shall wait no longer

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request, client_address  # whoever asked has gone


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(name: str, content: bytes) -> dict[str, Any]:
    """What the hub tells of a file."""
    told: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
    if len(content) >= LARGE:
        told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 132}
    return told


@contextmanager
def running() -> Iterator[FakeHub]:
    """A hub that answers until the block ends."""
    hub = FakeHub()
    thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        hub.shutdown()
        hub.server_close()
        thread.join()
