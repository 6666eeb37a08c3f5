"""Comments and check states through the REST interfaces of git hosts; the only place that speaks HTTP to them.

Sources: GitHub's REST reference (issue comments, commit statuses) and GitLab's (notes, commit statuses), version 4.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol

from gittrack.errors import HostRefused, UsageError
from gittrack.values import dataclass

State = Literal["success", "failure"]
_SECONDS = 30.0
_TRIES = 3
_PAGE, _PAGES = 100, 50
_SHORT = 140
# A host that cannot answer now may a moment later.
_AGAIN = frozenset({429, 500, 502, 503, 504})


class Host(Protocol):
    """A pull request, or merge request, on a host."""

    @property
    def room(self) -> int:
        """Characters that a comment may have."""

    def ours(self, marker: str) -> Iterator[str]:
        """Ids of our comments that begin with the marker, oldest first; those of others only where the host does not say whose."""

    def create(self, body: str) -> tuple[str, str]:
        """Post a comment; returns its id and address."""

    def edit(self, comment: str, body: str) -> str:
        """Returns its address."""

    def delete(self, comment: str) -> None: ...

    def set_state(self, commit: str, state: State, text: str, context: str) -> None:
        """Say at a commit whether it is good; `text` in a line, `context` tells several states apart."""


def find_host(environ: Mapping[str, str], number: str | None = None) -> Host:
    """The host that CI's variables describe; `number` of the pull request where they do not say it.

    Raises UsageError when they describe none, or when there is no token.
    """
    if number is not None and not (number.isascii() and number.isdigit()):
        raise UsageError("--pull-request takes the number of a pull request, like 7")
    if environ.get("CI_API_V4_URL") and environ.get("CI_PROJECT_ID"):
        return _gitlab(environ, number)
    if environ.get("GITHUB_REPOSITORY"):
        return _github(environ, number)
    raise UsageError(
        "nothing here says which pull request to comment on; run it in GitHub Actions or GitLab CI, or set GITHUB_REPOSITORY "
        "and --pull-request, or CI_API_V4_URL and CI_PROJECT_ID"
    )


def _github(environ: Mapping[str, str], number: str | None) -> GitHub:
    token = _token(environ, "GITHUB_TOKEN") or _token(environ, "GH_TOKEN")
    if not token:
        raise UsageError("there is no token for GitHub; pass GITHUB_TOKEN in the step's environment")
    found = number or _github_number(environ)
    api = environ.get("GITHUB_API_URL") or "https://api.github.com"
    return GitHub(
        _Api(api, {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}, "GitHub"),
        environ["GITHUB_REPOSITORY"],
        found,
        in_actions=environ.get("GITHUB_ACTIONS") == "true",
    )


def _token(environ: Mapping[str, str], name: str) -> str:
    """A token as a header can carry it. What is none is not shown either: it may be one but for a character."""
    token = environ.get(name, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise UsageError(f"{name} holds characters that no token has, such as the end of a line; set it again")
    return token


def _github_number(environ: Mapping[str, str]) -> str:
    _, _, rest = environ.get("GITHUB_REF", "").partition("refs/pull/")
    found = rest.partition("/")[0]
    if not found.isdigit():
        raise UsageError("this is no run for a pull request; name it with --pull-request N")
    return found


def _gitlab(environ: Mapping[str, str], number: str | None) -> GitLab:
    token = _token(environ, "GITLAB_TOKEN")
    if not token:
        raise UsageError(
            "there is no token for GitLab; make a project access token with the scope api and pass it as GITLAB_TOKEN"
        )
    found = number or environ.get("CI_MERGE_REQUEST_IID")
    if not found:
        raise UsageError("this is no pipeline for a merge request; name it with --pull-request N")
    return GitLab(_Api(environ["CI_API_V4_URL"], {"PRIVATE-TOKEN": token}, "GitLab"), environ["CI_PROJECT_ID"], found)


def head_commit(environ: Mapping[str, str], head: str) -> str:
    """The commit at which a state belongs: of a pull request its newest, where CI has checked out a merge of it."""
    path = environ.get("GITHUB_EVENT_PATH")
    if path:
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)["pull_request"]["head"]["sha"]
            if isinstance(found, str) and found.isascii() and found.isalnum():
                return found
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
    return environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or environ.get("CI_COMMIT_SHA") or head


def context(key: str) -> str:
    """The name of a commit's state; `key` as of the comment."""
    return "gittrack" if key == "default" else f"gittrack/{key}"


def post(host: Host, marker: str, body: str) -> str:
    """One comment, edited in place: ours that begins with the marker, else a new one; returns its address."""
    there = _edit(host, marker, body)
    if there is not None:
        return there
    made, address = host.create(body)
    # Of two jobs at once neither found a comment: the one that came second takes its own back.
    there = _edit(host, marker, body, before=made)
    if there is None:
        return address
    host.delete(made)
    return there


def _edit(host: Host, marker: str, body: str, before: str | None = None) -> str | None:
    """The address of the oldest comment that could be edited; None where there is none, or none `before` that one."""
    for comment in host.ours(marker):
        if comment == before:
            return None
        try:
            return host.edit(comment, body)
        except HostRefused as error:
            # Of somebody else who copied our text, or deleted just now: ours may be another one.
            if error.status not in (403, 404):
                raise
    return None


# --- the two hosts


@dataclass(frozen=True, slots=True)
class GitHub:
    api: _Api
    repository: str
    number: str
    in_actions: bool = False
    room: int = 65_536

    @property
    def _place(self) -> str:
        return f"/repos/{urllib.parse.quote(self.repository)}"

    def ours(self, marker: str) -> Iterator[str]:
        found = self.api.pages(f"{self._place}/issues/{self.number}/comments")
        return _ours(self.api, found, marker, "user", "login", self._may_be_ours)

    def _may_be_ours(self, user: Mapping[str, Any]) -> bool:
        """The token of a job may not ask who it is; it is a bot."""
        return not self.in_actions or user.get("type", "Bot") == "Bot"

    def create(self, body: str) -> tuple[str, str]:
        found = self.api.change("POST", f"{self._place}/issues/{self.number}/comments", {"body": body})
        return str(found["id"]), str(found.get("html_url", ""))

    def edit(self, comment: str, body: str) -> str:
        found = self.api.change("PATCH", f"{self._place}/issues/comments/{comment}", {"body": body})
        return str(found.get("html_url", ""))

    def delete(self, comment: str) -> None:
        self.api.ask("DELETE", f"{self._place}/issues/comments/{comment}")

    def set_state(self, commit: str, state: State, text: str, context: str) -> None:
        said = {"state": state, "description": text[:_SHORT], "context": context}
        self.api.change("POST", f"{self._place}/statuses/{commit}", said)


@dataclass(frozen=True, slots=True)
class GitLab:
    api: _Api
    project: str
    number: str
    room: int = 1_000_000

    @property
    def _place(self) -> str:
        return f"/projects/{urllib.parse.quote(self.project, safe='')}"

    @property
    def _notes(self) -> str:
        return f"{self._place}/merge_requests/{self.number}/notes"

    def ours(self, marker: str) -> Iterator[str]:
        found = self.api.pages(self._notes, sort="asc", order_by="created_at")
        return _ours(self.api, found, marker, "author", "id")

    def create(self, body: str) -> tuple[str, str]:
        found = self.api.change("POST", self._notes, {"body": body})
        return str(found["id"]), self._address(found)

    def edit(self, comment: str, body: str) -> str:
        return self._address(self.api.change("PUT", f"{self._notes}/{comment}", {"body": body}))

    def delete(self, comment: str) -> None:
        self.api.ask("DELETE", f"{self._notes}/{comment}")

    def _address(self, note: Mapping[str, Any]) -> str:
        return f"note {note['id']} of merge request !{self.number}"

    def set_state(self, commit: str, state: State, text: str, context: str) -> None:
        said = {"state": "success" if state == "success" else "failed", "description": text[:_SHORT], "name": context}
        self.api.change("POST", f"{self._place}/statuses/{commit}", said)


def _ours(
    api: _Api,
    comments: Iterator[Mapping[str, Any]],
    marker: str,
    author: str,
    name: str,
    may_be: Callable[[Mapping[str, Any]], bool] = lambda author: True,
) -> Iterator[str]:
    """Ids of those with the marker whose `author` has the `name` of the token's owner; where nobody tells that, `may_be` decides."""
    marked = [one for one in comments if str(one.get("body") or "").startswith(marker)]
    me = api.myself().get(name) if marked else None
    for one in marked:
        found = one.get(author)
        by = found if isinstance(found, dict) else {}
        if may_be(by) if me is None else by.get(name) == me:
            yield str(one["id"])


# --- HTTP


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to the host that it is for, and to no other that this one names."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Api:
    """One host: its address, what every request carries, and its name for people."""

    address: str
    headers: Mapping[str, str]
    host: str

    def pages(self, path: str, **query: str) -> Iterator[Mapping[str, Any]]:
        """Every object with an id that a list holds, page by page."""
        for page in range(1, _PAGES + 1):
            words = urllib.parse.urlencode({**query, "per_page": str(_PAGE), "page": str(page)})
            found = self.ask("GET", f"{path}?{words}")
            if not isinstance(found, list):
                raise self._odd("no list of comments")
            yield from map(self._object, found)
            if len(found) < _PAGE:
                return

    def myself(self) -> Mapping[str, Any]:
        """Whose token it is; empty where the host does not tell it that."""
        try:
            return self._object(self.ask("GET", "/user"))
        except HostRefused as error:
            if error.status not in (403, 404):
                raise
            return {}

    def change(self, method: str, path: str, body: Mapping[str, str]) -> Mapping[str, Any]:
        """What the host made of it, with its id; raises HostRefused."""
        return self._object(self.ask(method, path, body))

    def _object(self, found: Any) -> Mapping[str, Any]:
        if not isinstance(found, dict) or found.get("id") is None:
            raise self._odd("nothing with an id")
        return found

    def _odd(self, what: str) -> HostRefused:
        return HostRefused(f"{self.host} sent {what}; is {self.address} the address of its REST interface?")

    def ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        """The answer as JSON; raises HostRefused. What may have happened already is not asked for a second time."""
        if not self.address.startswith(("http://", "https://")):
            raise HostRefused(f"{self.address} is no address of a REST interface; one begins with https://")
        opener = urllib.request.build_opener(_NoRedirect)
        for left in range(_TRIES - 1, -1, -1):
            try:
                request = urllib.request.Request(
                    self.address.rstrip("/") + path,
                    method=method,
                    data=None if body is None else json.dumps(body).encode("utf-8"),
                    headers={**self.headers, "User-Agent": "gittrack", "Content-Type": "application/json"},
                )
                with opener.open(request, timeout=_SECONDS) as answer:
                    text = answer.read()
                break
            except urllib.error.HTTPError as error:
                with error:
                    if not (left and error.code in _AGAIN and method != "POST"):
                        raise self._refused(error, method, path) from None
            except ValueError:
                # Its words may hold what it stumbled over, which may be the token.
                raise HostRefused(f"{self.host} cannot be asked at {self.address}; is that its address?") from None
            except (OSError, http.client.HTTPException) as error:
                if not left or method == "POST":
                    reason = getattr(error, "reason", error)
                    raise HostRefused(f"{self.host} does not answer at {self.address}: {reason}") from None
            _wait(_TRIES - left)
        try:
            return json.loads(text) if text else {}
        except (ValueError, RecursionError):
            raise self._odd("no JSON") from None

    def _refused(self, error: urllib.error.HTTPError, method: str, path: str) -> HostRefused:
        try:
            said = _message(error.read(10_000))
        except (OSError, http.client.HTTPException):
            said = ""
        where = f"{method} {path.partition('?')[0]}"
        advice = {
            401: "the token is wrong or has expired",
            403: "the token may not do that: on GitHub the job needs 'permissions: {pull-requests: write, statuses: write}', and "
            "a pull request from a fork gets no such token",
            404: "there is no such pull request, or the token may not see it",
            413: "the comment is too long",
            422: "it does not take the comment",
            429: "too many requests; try again later",
        }.get(error.code, "it moved" if 300 <= error.code < 400 else "try again later")
        return HostRefused(f"{self.host} refused {where} ({error.code}{said}): {advice}", error.code)


def _wait(tries: int) -> None:
    import time

    time.sleep(min(4.0, 0.5 * 2**tries))


def _message(data: bytes) -> str:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    said = found.get("message") or found.get("error") if isinstance(found, dict) else None
    return f", {str(said)[:200]}" if said else ""
