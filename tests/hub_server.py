"""A Hub on loopback: real HTTP with the routes that the Hub's clients read and commit small files by."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "a" * 40


class Repositories(dict):
    """Folders by (type, id), such as ("dataset", "user/name").

    Attributes:
        token: what a client needs to write, and to see private repositories.
        home: folder for repositories that clients create; None lets them create none.
        private: the repositories that only the token's owner sees.
        foreign: users in whose name the token's owner may write nothing.
        commits: the messages of what was committed, with the repository's id.
    """

    def __init__(self, folders: dict, token: str = "", home: Path | None = None):
        super().__init__(folders)
        self.token, self.home = token, home
        self.private: set[tuple[str, str]] = set()
        self.foreign: set[str] = set()
        self.commits: list[tuple[str, str]] = []

    def create(self, asked: dict) -> str | None:
        """Makes what `POST /api/repos/create` asks for; the id, or None where there is such a one."""
        key = (asked.get("type", "model"), f"{asked['organization']}/{asked['name']}")
        if key in self:
            return None
        self[key] = self.home / key[0] / key[1]
        self[key].mkdir(parents=True)
        if asked.get("visibility") == "private":
            self.private.add(key)
        return key[1]

    def commit(self, kind: str, name: str, operations: list[dict]) -> str:
        """Carries out the lines of a commit that has neither LFS files nor copies; its id."""
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "header":
                self.commits.append((name, value["summary"]))
            elif operation["key"] == "file":
                file = Path(self[kind, name]) / value["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(base64.b64decode(value["content"]))
            else:
                raise NotImplementedError(operation["key"])
        return f"{len(self.commits):040x}"

    def files(self, kind: str, name: str) -> dict[str, Path] | None:
        folder = self.get((kind, name))
        if folder is None:
            return None
        return {
            path.relative_to(folder).as_posix(): path
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path = unquote(urlsplit(self.path).path)
        written = re.fullmatch(r"/api/(model|dataset|space)s/([^/]+/[^/]+)/(preupload|commit)/[^/]+", path)
        if path == "/api/repos/create" or written:
            if not self.has_token():
                return self.refuse(401)
            return self.write(*written.groups(), body) if written else self.create(json.loads(body))
        asked = json.loads(body).get("paths", []) if body.startswith("{") else parse_qs(body).get("paths", [])
        self.answer(with_body=True, asked=asked)

    def has_token(self) -> bool:
        token = self.server.repositories.token
        return bool(token) and self.headers.get("Authorization") == f"Bearer {token}"

    def refuse(self, status: int) -> None:
        self.send_json({"error": "You may not."}, status)

    def create(self, asked: dict) -> None:
        if asked["organization"] in self.server.repositories.foreign:
            return self.refuse(403)
        name = self.server.repositories.create(asked)
        url = f"http://{self.headers['Host']}/{asked['type']}s/{asked['organization']}/{asked['name']}"
        self.send_json({"url": url, "name": name}, status=200 if name else 409)

    def write(self, kind: str, name: str, route: str, body: str) -> None:
        if (kind, name) not in self.server.repositories:
            return self.missing("Repo")
        if route == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
            return self.send_json({"files": modes})
        commit = self.server.repositories.commit(kind, name, [json.loads(line) for line in body.splitlines()])
        self.send_json({"commitUrl": f"http://{self.headers['Host']}/{name}", "commitOid": commit})

    def answer(self, with_body: bool, asked: list[str] | None = None) -> None:
        path = unquote(urlsplit(self.path).path)
        api = re.fullmatch(r"/api/(model|dataset|space)s/([^/]+/[^/]+)(/.*)?", path)
        resolve = re.fullmatch(r"/(?:(dataset|space)s/)?([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        key = (api[1], api[2]) if api else (resolve[1] or "model", resolve[2]) if resolve else ("", "")
        files = self.server.repositories.files(*key)
        if files is None or (key in self.server.repositories.private and not self.has_token()):
            return self.missing("Repo")
        if api and (api[3] or "").startswith("/auth-check"):
            is_foreign = key[1].split("/")[0] in self.server.repositories.foreign
            return self.refuse(403) if is_foreign or not self.has_token() else self.send_json({})
        if api:
            return self.describe(key, api[3] or "", files, asked)
        if resolve[3] not in files:
            return self.missing("Entry")
        self.send_file(files[resolve[3]], with_body)

    def describe(self, key: tuple, route: str, files: dict[str, Path], asked: list[str] | None) -> None:
        entries = [
            {"type": "file", "path": path, "size": file.stat().st_size, "oid": etag(file)}
            for path, file in files.items()
        ]
        if route.startswith("/tree/"):
            return self.send_json(self.listing(entries, route.removeprefix("/tree/").partition("/")[2]))
        if route.startswith("/paths-info/"):
            return self.send_json([entry for entry in entries if entry["path"] in asked])
        siblings = [{"rfilename": path} for path in files]
        is_private = key in self.server.repositories.private
        self.send_json({"id": key[1], "sha": COMMIT, "siblings": siblings, "private": is_private, "tags": []})

    def listing(self, entries: list[dict], folder: str) -> list[dict]:
        """What is below a folder: all files, or unless `recursive` its own files and folders."""
        prefix = f"{folder}/" if folder else ""
        below = [entry for entry in entries if entry["path"].startswith(prefix)]
        if parse_qs(urlsplit(self.path).query).get("recursive") == ["true"]:
            return below
        inner = [entry["path"].removeprefix(prefix).split("/") for entry in below]
        folders = sorted({parts[0] for parts in inner if len(parts) > 1})
        own = [entry for entry, parts in zip(below, inner, strict=True) if len(parts) == 1]
        return own + [
            {"type": "directory", "path": prefix + name, "size": 0, "oid": COMMIT} for name in folders
        ]

    def send_json(self, value, status: int = 200) -> None:
        self.send_bytes(json.dumps(value).encode(), {"Content-Type": "application/json"}, True, status)

    def send_file(self, file: Path, with_body: bool) -> None:
        content = file.read_bytes()
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"ETag": f'"{etag(file)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if span and with_body:
            start, end = int(span[1]), int(span[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            return self.send_bytes(content[start : end + 1], headers, True, status=206)
        self.send_bytes(content, headers, with_body)

    def send_bytes(self, content: bytes, headers: dict, with_body: bool, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def missing(self, what: str) -> None:
        self.send_bytes(b"{}", {"X-Error-Code": f"{what}NotFound"}, self.command != "HEAD", status=404)


def etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextmanager
def hub(repositories: dict[tuple[str, str], Path]):
    """Serves the folders, or `Repositories` that can be written to; yields the endpoint's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repositories = (
        repositories if isinstance(repositories, Repositories) else Repositories(repositories)
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
