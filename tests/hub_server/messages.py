"""A request to the Hub with what it may see and do, and an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.hub_server.store import Key, Refused, Repositories, Repository

STORAGE_HOST = "localhost"


@dataclass
class Answer:
    """What is sent: `content` as it is if it is bytes, else as JSON."""

    content: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    repositories: Repositories
    host: str
    headers: Mapping[str, str]
    values: dict[str, str]
    query: dict[str, str]
    body: bytes

    @property
    def key(self) -> Key:
        kind = (self.values.get("kind") or "model").rstrip("s")
        return kind, self.values["name"]

    @property
    def json(self) -> dict:
        return json.loads(self.body or b"{}")

    @property
    def has_token(self) -> bool:
        """Whether the request has the owner's token.

        Raises:
            Refused: it has another one.
        """
        token, sent = self.repositories.token, self.headers.get("Authorization", "")
        if token and sent and sent != f"Bearer {token}":
            raise Refused(401, "Invalid credentials in Authorization header")
        return bool(token and sent)

    @property
    def storage(self) -> str:
        """The address of the storage: this server by another name, so that clients take it for another."""
        return f"http://{STORAGE_HOST}:{self.host.rpartition(':')[2]}/storage"

    def readable(self) -> Repository:
        """The repository, if the request may see it."""
        try:
            repository = self.repositories.get(self.key)
        except Refused:
            # The Hub tells only those with a token that there is no such repository.
            if self.has_token or not self.repositories.token:
                raise
            raise Refused(401, "Invalid username or password.", "RepoNotFound") from None
        if not self.has_token and repository.private:
            raise Refused(401, "Invalid username or password.", "RepoNotFound")
        return repository

    def writable(self) -> Repository:
        if not self.has_token:
            raise Refused(401, "Invalid username or password.")
        self.refuse_foreign(self.key[1].split("/")[0])
        return self.readable()

    def note_leak(self) -> None:
        """The storage must never be told the token."""
        if self.headers.get("Authorization"):
            self.repositories.leaks.append("/".join(self.values.values()))

    def refuse_foreign(self, user: str) -> None:
        if user in self.repositories.foreign:
            raise Refused(403, f"You don't have the rights to write under the namespace {user}")
