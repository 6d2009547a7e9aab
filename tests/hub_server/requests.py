"""HTTP: reads requests, lets faults strike, checks the token, and answers by the routes of the Hub."""

from __future__ import annotations

import json
import re
import socket
import struct
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_server.messages import Answer, Request
from tests.hub_server.routes import ROUTES
from tests.hub_server.store import Refused, Repositories

BLOCK_BYTES = 2**16


class Reset(Exception):
    """The connection is to be broken."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def repositories(self) -> Repositories:
        return self.server.repositories

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        request = f"{self.command} {unquote(urlsplit(self.path).path)}"
        self.repositories.requests.append(request)
        fault = self.repositories.faults.strike(request)
        try:
            if fault and fault.hangs:
                fault.go.wait()
                raise Reset
            body = self.read_body(fault.reset_after_bytes if fault else None)
            if fault and fault.status:
                raise Refused(fault.status, fault.message)
            answer = self.answer_to(request, body)
            if fault and fault.answer_is_lost:
                raise Reset
        except Refused as refused:
            headers = {"X-Error-Message": str(refused), "X-Error-Code": refused.code}
            headers |= fault.headers if fault else {}
            answer = Answer({"error": str(refused)}, refused.status, headers)
        except Reset:
            return self.reset()
        self.send(answer)

    do_HEAD = do_POST = do_PUT = do_GET

    def answer_to(self, request: str, body: bytes) -> Answer:
        url = urlsplit(self.path)
        for pattern, route in ROUTES:
            if found := re.fullmatch(pattern, request):
                return route(
                    Request(
                        self.repositories,
                        host=self.headers["Host"],
                        headers=self.headers,
                        values=found.groupdict(),
                        query={name: each[-1] for name, each in parse_qs(url.query).items()},
                        body=body,
                    )
                )
        raise Refused(501, f"this Hub has no {request}")

    def read_body(self, reset_after_bytes: int | None) -> bytes:
        """The whole body, of known length or in chunks.

        Raises:
            Reset: after so many bytes of it.
        """
        found = bytearray()
        for block in self._blocks():
            found += block
            if reset_after_bytes is not None and len(found) >= reset_after_bytes:
                raise Reset
        if reset_after_bytes is not None:
            raise Reset
        return bytes(found)

    def _blocks(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            block = self.rfile.read(min(left, BLOCK_BYTES))
            if not block:
                raise Reset
            left -= len(block)
            yield block

    def send(self, answer: Answer) -> None:
        content = answer.content
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(content))}
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def reset(self) -> None:
        """Ends the connection by RST, as a network does that fails."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
