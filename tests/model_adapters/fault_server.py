"""A real HTTP server on loopback that answers as a test tells it to, and remembers what it was sent."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """status and body; seconds: before it; cut: the connection is closed after so many bytes of the body,
    for 0 before the answer begins.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    cut: int | None = None


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """seen: every request, in the order of arrival; peak: most requests that were open at once."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    open: int = 0
    peak: int = 0


def chat(text: str, **more: Any) -> Reply:
    """A chat completion that says `text`."""
    message = {"role": "assistant", "content": text}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **more}
    return Reply(body=json.dumps(answer).encode())


def problem(status: int, message: str = "no", code: str = "", **headers: str) -> Reply:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def serving(answer: Callable[[Seen], Reply]) -> Iterator[Server]:
    """A server that gives `answer(request)` to every POST."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen = Seen(self.path, dict(self.headers), body)
            with lock:
                server.seen.append(seen)
                server.open += 1
                server.peak = max(server.peak, server.open)
            try:
                self.reply(answer(seen))
            finally:
                with lock:
                    server.open -= 1

        def reply(self, given: Reply) -> None:
            time.sleep(given.seconds)
            if given.cut == 0:
                self.hang_up()
                return
            self.send_response(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            if given.cut is not None:
                self.wfile.write(given.body[: given.cut])
                self.wfile.flush()
                self.hang_up()
                return
            self.wfile.write(given.body)

        def hang_up(self) -> None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Tests print nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients that have gone are part of the tests."""

    listening = Quiet(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{listening.server_port}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
