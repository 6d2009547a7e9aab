"""A Hub on loopback: real HTTP with the routes that the Hub's clients read repositories by."""

from __future__ import annotations

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
    """Folders by (type, id), such as ("dataset", "user/name")."""

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
        asked = json.loads(body).get("paths", []) if body.startswith("{") else parse_qs(body).get("paths", [])
        self.answer(with_body=True, asked=asked)

    def answer(self, with_body: bool, asked: list[str] | None = None) -> None:
        path = unquote(urlsplit(self.path).path)
        api = re.fullmatch(r"/api/(model|dataset|space)s/([^/]+/[^/]+)(/.*)?", path)
        resolve = re.fullmatch(r"/(?:(dataset|space)s/)?([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        if api:
            files = self.server.repositories.files(api[1], api[2])
            return (
                self.missing("Repo") if files is None else self.describe(api[2], api[3] or "", files, asked)
            )
        if resolve:
            files = self.server.repositories.files(resolve[1] or "model", resolve[2])
            if files is None or resolve[3] not in files:
                return self.missing("Repo" if files is None else "Entry")
            return self.send_file(files[resolve[3]], with_body)
        return self.missing("Repo")

    def describe(self, name: str, route: str, files: dict[str, Path], asked: list[str] | None) -> None:
        entries = [
            {"type": "file", "path": path, "size": file.stat().st_size, "oid": etag(file)}
            for path, file in files.items()
        ]
        if route.startswith("/tree/"):
            return self.send_json(self.listing(entries, route.removeprefix("/tree/").partition("/")[2]))
        if route.startswith("/paths-info/"):
            return self.send_json([entry for entry in entries if entry["path"] in asked])
        siblings = [{"rfilename": path} for path in files]
        self.send_json({"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})

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

    def send_json(self, value) -> None:
        self.send_bytes(json.dumps(value).encode(), {"Content-Type": "application/json"}, True)

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
    """Serves the folders; yields the endpoint's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repositories = Repositories(repositories)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
