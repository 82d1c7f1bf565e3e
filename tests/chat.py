"""A language model's endpoint on the loopback, as OpenAI-compatible servers answer; what it says is up to the test."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """An answer: a status, a body (text is sent as it is, anything else as JSON), headers, and how late it comes."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    late: float = 0.0


def completion(content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]}


def reworded(request: dict[str, Any]) -> Reply:
    """What a model that heeds the prompt answers."""
    asked = json.loads(request["messages"][1]["content"])
    wordings = [f"{asked['caption']}, worded anew {number}" for number in range(asked["n"])]
    return Reply(body=completion(json.dumps(wordings)))


@dataclass
class Chat:
    """What was asked, and where.

    Attributes:
        url: base URL.
        requests: bodies, in the order they came.
        headers: of each.
        most: most requests that were open at once.
    """

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most: int = 0
    open: int = 0

    def captions(self) -> list[str]:
        return [json.loads(request["messages"][1]["content"])["caption"] for request in self.requests]


@contextmanager
def chatting(answer: Callable[[dict[str, Any]], Reply] = reworded) -> Iterator[Chat]:
    chat, lock = Chat(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions"
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                chat.requests.append(request)
                chat.headers.append(dict(self.headers))
                chat.open += 1
                chat.most = max(chat.most, chat.open)
            reply = answer(request)
            time.sleep(reply.late)
            with lock:
                chat.open -= 1
            body = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())
            except (BrokenPipeError, ConnectionResetError):
                pass  # The client did not wait.

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
