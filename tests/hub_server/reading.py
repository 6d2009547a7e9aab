"""What the Hub tells of repositories: information, trees, files."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import parse_qs

import yaml

from tests.hub_server.messages import Answer, Request
from tests.hub_server.store import Refused, git_oid


def info(request: Request) -> Answer:
    repository, revision = request.readable(), request.values.get("revision") or "main"
    commit = request.repositories.resolve(request.key, revision)
    files = repository.commits[commit]["files"]
    date = datetime.fromtimestamp(repository.commits[commit]["date"], UTC)
    found = {
        "id": request.key[1],
        "author": request.key[1].split("/")[0],
        "sha": commit,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "lastModified": date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "tags": [],
        "siblings": [{"rfilename": path} for path in files],
        "cardData": _card_data(request, files),
    }
    if request.key[0] == "space":
        found["sdk"] = repository.settings.get("sdk")
    return Answer(found)


def _card_data(request: Request, files: dict[str, dict]) -> dict:
    """The metadata at the top of the README, as YAML."""
    if "README.md" not in files:
        return {}
    card = request.repositories.blob(files["README.md"]["sha256"]).read_text(encoding="utf-8")
    found = re.match(r"---\r?\n(.*?)\n---\r?\n", card, re.DOTALL)
    return yaml.safe_load(found[1]) if found else {}


def refs(request: Request) -> Answer:
    repository = request.readable()

    def listed(names: dict[str, str], where: str) -> list[dict]:
        return [
            {"name": name, "ref": f"refs/{where}/{name}", "targetCommit": commit}
            for name, commit in names.items()
        ]

    found = {"branches": listed(repository.branches, "heads"), "tags": listed(repository.tags, "tags")}
    return Answer({**found, "converts": []})


def _described(path: str, entry: dict) -> dict:
    found = {"type": "file", "path": path, "size": entry["size"], "oid": entry["oid"]}
    if entry["lfs"]:
        found["lfs"] = {"oid": entry["sha256"], "size": entry["size"], "pointerSize": 130}
    return found


def tree(request: Request) -> Answer:
    """What is below a folder: all files, or unless `recursive` its own files and folders."""
    request.readable()
    files = request.repositories.tree(request.key, request.values["revision"])
    folder = (request.values.get("path") or "").strip("/")
    prefix = f"{folder}/" if folder else ""
    below = {path: entry for path, entry in files.items() if path.startswith(prefix)}
    if prefix and not below:
        raise Refused(404, f"{folder} does not exist", "EntryNotFound")
    is_recursive = request.query.get("recursive", "").lower() in ("true", "1")
    own = [path for path in below if is_recursive or "/" not in path.removeprefix(prefix)]
    parents = {"/".join(path.split("/")[:depth]) for path in below for depth in range(1, path.count("/") + 1)}
    inner = {each for each in parents if each.startswith(prefix)}
    shown = {each for each in inner if is_recursive or "/" not in each.removeprefix(prefix)}
    folders = [
        {"type": "directory", "path": path, "size": 0, "oid": git_oid(path.encode())}
        for path in sorted(shown)
    ]
    return Answer([*folders, *(_described(path, below[path]) for path in own)])


def paths_info(request: Request) -> Answer:
    request.readable()
    is_json = request.headers.get("Content-Type", "").startswith("application/json")
    asked = request.json["paths"] if is_json else parse_qs(request.body.decode()).get("paths", [])
    files = request.repositories.tree(request.key, request.values["revision"])
    found = []
    for path in asked if isinstance(asked, list) else [asked]:
        if path in files:
            found.append(_described(path, files[path]))
        elif any(each.startswith(f"{path}/") for each in files):
            found.append({"type": "directory", "path": path, "size": 0, "oid": git_oid(path.encode())})
    return Answer(found)


def resolve(request: Request) -> Answer:
    """A file, or of a large one the way to the storage."""
    request.readable()
    commit = request.repositories.resolve(request.key, request.values["revision"])
    entry = request.repositories.tree(request.key, commit).get(request.values["path"])
    if entry is None:
        raise Refused(404, "Entry not found", "EntryNotFound")
    etag = entry["sha256"] if entry["lfs"] else entry["oid"]
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes", "ETag": f'"{etag}"'}
    if not entry["lfs"]:
        return _file(request, entry["sha256"], headers)
    headers |= {"X-Linked-Size": str(entry["size"]), "X-Linked-ETag": f'"{etag}"'}
    return Answer(b"", 302, {**headers, "Location": f"{request.storage}/{entry['sha256']}?signature=1"})


def download(request: Request) -> Answer:
    request.note_leak()
    return _file(request, request.values["sha256"], {"ETag": f'"{request.values["sha256"]}"'})


def _file(request: Request, sha256: str, headers: dict[str, str]) -> Answer:
    path = request.repositories.blob(sha256)
    if not path.is_file():
        raise Refused(404, "no such object")
    content = path.read_bytes()
    headers = {**headers, "Content-Type": "application/octet-stream"}
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if not span:
        return Answer(content, 200, headers)
    start, end = int(span[1]), min(int(span[2] or len(content) - 1), len(content) - 1)
    if start >= len(content):
        return Answer(b"", 416, {**headers, "Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
    return Answer(content[start : end + 1], 206, headers)
