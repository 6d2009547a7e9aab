"""The Hub's repositories: blobs by checksum on disk, and commits that are there whole or not at all."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.hub_server.faults import Faults

LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt", ".pth", ".arrow", ".onnx")
LARGEST_REGULAR_BYTES = 10 * 2**20
Key = tuple[str, str]


class Refused(Exception):
    """What is answered instead: a status, the Hub's code for it and a message."""

    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Repository:
    """
    Attributes:
        branches, tags: names to ids of commits.
        commits: by id, their `parent`, `summary`, `date` and `files`: by path the blob's sha256, the size in
            bytes, git's checksum (`oid`) and whether it is an LFS file.
        settings: what a Space was given: `sdk`, `variables`, and secrets by name alone.
    """

    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict] = field(default_factory=dict)
    settings: dict = field(default_factory=dict)


class Repositories:
    """All repositories, by (type, id) such as ("dataset", "user/name"); files are kept under `home`.

    Attributes:
        token: what a client needs to write, and to see private repositories; "" lets nobody write.
        foreign: users in whose name the token's owner may write nothing.
        part_bytes: files of more come in parts of so many bytes.
        faults: what is to go wrong.
        requests: "METHOD path" of all that was asked for.
        leaks: requests to the storage, which is another host than the Hub, that had a token with them.
    """

    def __init__(
        self,
        folders: Mapping[Key, Path] | None = None,
        token: str = "",
        part_bytes: int = 5 * 2**20,
    ):
        self._temporary = tempfile.TemporaryDirectory(prefix="hub-")
        self.home = Path(self._temporary.name)
        self._repositories: dict[Key, Repository] = {}
        self.token, self.part_bytes = token, part_bytes
        self.foreign: set[str] = set()
        self.faults = Faults()
        self.requests: list[str] = []
        self.leaks: list[str] = []
        self.lock = threading.RLock()
        for part in ("blobs", "uploads"):
            (self.home / part).mkdir()
        for key, folder in (folders or {}).items():
            self.import_folder(key, Path(folder))

    def import_folder(self, key: Key, folder: Path, private: bool = False) -> str:
        """Makes the repository, with a folder's files as a commit; the commit's id."""
        if not self.exists(key):
            self.create(key, private=private)
        files = {}
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            files[name] = self._entry(
                self.put_blob(content), content, is_lfs(name, content[:512], len(content))
            )
        with self.lock:
            return self._add_commit(key, "main", files, "Import")

    def create(self, key: Key, private: bool = False, **settings) -> None:
        with self.lock:
            if self.exists(key):
                raise Refused(409, "You already created this repo")
            self._repositories[key] = Repository(private=private, settings=settings)
            attributes = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
            entry = self._entry(self.put_blob(attributes), attributes, lfs=False)
            self._add_commit(key, "main", {".gitattributes": entry}, "initial commit")

    def exists(self, key: Key) -> bool:
        return key in self._repositories

    def get(self, key: Key) -> Repository:
        """A copy, which changes nothing till it is put in the place of the repository."""
        if not self.exists(key):
            raise Refused(404, "Repository not found", "RepoNotFound")
        return copy.deepcopy(self._repositories[key])

    def resolve(self, key: Key, revision: str) -> str:
        """The id of the commit that a branch, a tag or an id (or its beginning) names."""
        repository = self.get(key)
        named = {**repository.tags, **repository.branches}
        if revision in named:
            return named[revision]
        found = [
            commit for commit in repository.commits if len(revision) >= 7 and commit.startswith(revision)
        ]
        if len(found) == 1:
            return found[0]
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def tree(self, key: Key, revision: str = "main") -> dict[str, dict]:
        """By path, the files of a revision: `sha256`, `size`, `oid`, `lfs`."""
        return self.get(key).commits[self.resolve(key, revision)]["files"]

    def contents(self, key: Key, revision: str = "main") -> dict[str, bytes]:
        """By path, the files of a revision, without the one that the Hub itself puts there."""
        files = {
            path: self.blob(entry["sha256"]).read_bytes() for path, entry in self.tree(key, revision).items()
        }
        return {path: content for path, content in files.items() if path != ".gitattributes"}

    def log(self, key: Key, revision: str = "main") -> list[dict]:
        """The revision's commits, newest first, with their ids."""
        commits, commit, found = self.get(key).commits, self.resolve(key, revision), []
        while commit:
            found.append({"id": commit, **commits[commit]})
            commit = commits[commit]["parent"]
        return found

    def messages(self, key: Key, revision: str = "main") -> list[str]:
        """The summaries of a revision's commits, oldest first, without that which made the repository."""
        return [each["summary"] for each in reversed(self.log(key, revision))][1:]

    def commit(self, key: Key, branch: str, operations: list[dict]) -> str:
        """Carries out the lines of a commit, all or none; the commit's id."""
        with self.lock:
            repository = self.get(key)
            if branch not in repository.branches:
                raise Refused(404, f"Invalid rev id: {branch}", "RevisionNotFound")
            header = next(each["value"] for each in operations if each["key"] == "header")
            parent = repository.branches[branch]
            if header.get("parentCommit") not in (None, parent):
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
            files = dict(repository.commits[parent]["files"])
            for operation in operations:
                self._apply(files, operation["key"], operation["value"])
            return self._add_commit(key, branch, files, header["summary"])

    def _apply(self, files: dict[str, dict], kind: str, value: dict) -> None:
        if kind == "file":
            content = base64.b64decode(value["content"])
            files[value["path"]] = self._entry(self.put_blob(content), content, lfs=False)
        elif kind == "lfsFile":
            blob = self.blob(value["oid"])
            if not blob.is_file():
                raise Refused(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
            files[value["path"]] = self._entry(value["oid"], None, lfs=True)
        elif kind in ("deletedFile", "deletedFolder"):
            path = value["path"].rstrip("/")
            doomed = [each for each in files if each == path or each.startswith(f"{path}/")]
            if not doomed:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
            for each in doomed:
                del files[each]
        elif kind != "header":
            raise Refused(400, f"unknown operation {kind}")

    def branch(self, key: Key, name: str, revision: str) -> None:
        with self.lock:
            repository = self.get(key)
            if name in repository.branches:
                raise Refused(409, "Reference already exists")
            repository.branches[name] = self.resolve(key, revision)
            self._repositories[key] = repository

    def tag(self, key: Key, name: str, revision: str) -> None:
        with self.lock:
            repository = self.get(key)
            if name in repository.tags:
                raise Refused(409, "Tag already exists")
            repository.tags[name] = self.resolve(key, revision)
            self._repositories[key] = repository

    def change(self, key: Key, private: bool | None = None, **settings) -> None:
        """Changes who sees a repository, or the settings of a Space."""
        with self.lock:
            repository = self.get(key)
            repository.private = repository.private if private is None else private
            repository.settings.update(settings)
            self._repositories[key] = repository

    def blob(self, sha256: str) -> Path:
        return self.home / "blobs" / sha256

    def put_blob(self, content: bytes, sha256: str | None = None) -> str:
        """Keeps content by its checksum, which is checked where the client named one."""
        found = hashlib.sha256(content).hexdigest()
        if sha256 not in (None, found):
            raise Refused(400, "The checksum of the content is another one than was said")
        # Whole or not at all: others read it meanwhile.
        scratch = self.blob(f".{found}.{threading.get_ident()}")
        scratch.write_bytes(content)
        os.replace(scratch, self.blob(found))
        return found

    def _entry(self, sha256: str, content: bytes | None, lfs: bool) -> dict:
        size = self.blob(sha256).stat().st_size
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return {"sha256": sha256, "size": size, "oid": git_oid(pointer if lfs else content), "lfs": lfs}

    def _add_commit(self, key: Key, branch: str, files: dict, summary: str) -> str:
        repository = self.get(key)
        parent = repository.branches.get(branch)
        commit = {"parent": parent, "summary": summary, "date": time.time(), "files": files}
        name = hashlib.sha1(json.dumps([*key, commit], sort_keys=True).encode()).hexdigest()
        repository.commits[name] = commit
        repository.branches[branch] = name
        self._repositories[key] = repository
        return name


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(path: str, sample: bytes, size: int) -> bool:
    """Whether the Hub keeps a file outside git: by its name, its size, or since it is no text."""
    return path.endswith(LFS_SUFFIXES) or size > LARGEST_REGULAR_BYTES or b"\0" in sample
