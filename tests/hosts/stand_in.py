"""A stand-in for a git host's REST interface: it checks every request against the host's schema, and remembers.

`github.json` holds the operations that gittrack uses as GitHub publishes them (OpenAPI), `gitlab.json` those of GitLab as its
reference describes them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema

HERE = Path(__file__).parent


@dataclass
class StandIn:
    """`answers` are statuses to give instead, one for each request that comes, as long as there are any; `broken` what was wrong.

    `odd` are the bytes that a method is answered with, whatever it asks for; an answer of None breaks off in its midst.
    Comments are of the token's owner, but for the `foreign` ones; those that are `locked` nobody may edit. `anonymous`: the
    token may not ask whose it is, as the one of a job may not. `between` happens when a comment is posted, just before it.
    """

    schema: Mapping[str, Any]
    token: tuple[str, str]
    address: str = ""
    comments: dict[int, str] = field(default_factory=dict)
    states: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    odd: dict[str, bytes] = field(default_factory=dict)
    foreign: set[int] = field(default_factory=set)
    locked: set[int] = field(default_factory=set)
    anonymous: bool = False
    between: Callable[[], None] | None = None

    def answer(self, method: str, target: str, headers: Mapping[str, str], data: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        self.asked.append(f"{method} {unquote(parts.path)}")
        if self.answers:
            status = self.answers.pop(0)
            return (500, None) if status is None else (status, {"message": "as the test wants it"})
        if method in self.odd:
            return 200, self.odd[method]
        name, value = self.token
        if headers.get(name) != value:
            return 401, {"message": "Bad credentials"}
        found = self._operation(method, parts.path)
        if found is None:
            self.broken.append(f"{method} {parts.path} is no operation of the schema")
            return 404, {"message": "Not Found"}
        path, operation, words = found
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        body = json.loads(data) if data else None
        self._check(operation, words, query, body)
        return self._do(method, path, words, query, body)

    def _operation(self, method: str, path: str) -> tuple[str, Mapping[str, Any], dict[str, str]] | None:
        for template, methods in self.schema["paths"].items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template))
            found = re.fullmatch(pattern, path)
            if found and method.lower() in methods:
                return template, methods[method.lower()], {key: unquote(one) for key, one in found.groupdict().items()}
        return None

    def _check(self, operation: Mapping[str, Any], words: dict[str, str], query: dict[str, str], body: Any) -> None:
        said = {"path": words, "query": query}
        for one in operation["parameters"]:
            there = said[one["in"]].get(one["name"])
            if there is None:
                if one.get("required"):
                    self.broken.append(f"{one['name']} is missing")
                continue
            value: Any = int(there) if one["schema"].get("type") == "integer" and there.isdigit() else there
            self._validate(value, one["schema"], one["name"])
        known = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        self.broken += [f"there is no query word {key}" for key in query.keys() - known]
        schema = operation.get("requestBody")
        if schema is not None:
            self._validate(body, schema, "body")
            self.broken += [f"the body has no {key}" for key in body.keys() - schema["properties"].keys()]
        elif body is not None:
            self.broken.append("a body where there is none")

    def _validate(self, value: Any, schema: Mapping[str, Any], what: str) -> None:
        try:
            jsonschema.validate(value, schema)
        except jsonschema.ValidationError as error:
            self.broken.append(f"{what}: {error.message}")

    def _do(self, method: str, path: str, words: dict[str, str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        if path.endswith("statuses/{sha}"):
            self.states.append({**body, "sha": words["sha"]})
            return 201, {"id": len(self.states)}
        if path == "/user":
            return (403, {"message": "Forbidden"}) if self.anonymous else (200, self._author(0))
        if method == "GET":
            size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
            every = [self._comment(at) for at in sorted(self.comments)]
            return 200, every[size * (page - 1) : size * page]
        if method == "POST":
            if self.between is not None:
                happens, self.between = self.between, None
                happens()
            at = max(self.comments, default=0) + 1
            self.comments[at] = body["body"]
            return 201, self._comment(at)
        at = int(words.get("comment_id") or words["note_id"])
        if at in self.locked:
            return 403, {"message": "Forbidden"}
        if method == "DELETE":
            del self.comments[at]
            return 204, b""
        self.comments[at] = body["body"]
        return 200, self._comment(at)

    def _author(self, at: int) -> dict[str, Any]:
        if at in self.foreign:
            return {"id": 2, "login": "mallory", "type": "User"}
        return {"id": 1, "login": "reporter", "type": "Bot" if self.anonymous else "User"}

    def _comment(self, at: int) -> dict[str, Any]:
        by = self._author(at)
        return {"id": at, "body": self.comments[at], "html_url": f"http://host/{at}", "user": by, "author": by}


@contextmanager
def stand_in(host: str, token: tuple[str, str]) -> Iterator[StandIn]:
    """A server on loopback for as long as the block lasts."""
    state = StandIn(json.loads((HERE / f"{host}.json").read_text(encoding="utf-8")), token)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, plain = state.answer(self.command, self.path, self.headers, data)
            text = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
            self.send_response(status)
            if plain is None:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"not the length of a chunk")
                return
            if 300 <= status < 400:
                self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
