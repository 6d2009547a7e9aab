"""A Hub on loopback: real HTTP, real commits on disk, for the Hub's own clients in processes of their own.

It speaks the protocol as `huggingface_hub` 2.x uses it without Xet (HF_HUB_DISABLE_XET=1): repositories,
commits as NDJSON, LFS in one part or several, trees, revisions, tags, downloads by redirect and by range. And
it fails as it is told to (`tests.hub_server.faults`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from tests.hub_server.requests import Handler
from tests.hub_server.store import Repositories

CLIENT_SETTINGS = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Clients that are killed break connections; what else goes wrong is a fault of this server."""
        import sys

        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def hub(repositories: Repositories | Mapping[tuple[str, str], Path], port: int = 0) -> Iterator[str]:
    """Serves repositories, or folders by (type, id) that can only be read; yields the endpoint's address."""
    server = Server(("127.0.0.1", port), Handler)
    server.repositories = (
        repositories if isinstance(repositories, Repositories) else Repositories(repositories)
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def client_environment(endpoint: str, home: Path, token: str = "") -> dict[str, str]:
    """What a process needs to talk to this Hub alone, with a cache of its own."""
    own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "GPT2_CHAT_CACHE": str(home / "exports")}
    return {**CLIENT_SETTINGS, **own, "HF_TOKEN": token}
