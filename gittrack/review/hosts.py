"""Comments and check states through the REST interfaces of git hosts; the only place that speaks HTTP to them.

Sources: GitHub's REST reference (issue comments, commit statuses) and GitLab's (notes, commit statuses), version 4.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
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
_CONTEXT = "gittrack"


class Host(Protocol):
    """A pull request, or merge request, on a host."""

    @property
    def room(self) -> int:
        """Characters that a comment may have."""

    def comments(self) -> Iterator[tuple[str, str]]:
        """Id and text of each comment, oldest first."""

    def create(self, body: str) -> str:
        """Post a comment; returns its address."""

    def edit(self, comment: str, body: str) -> str: ...

    def set_state(self, commit: str, state: State, text: str) -> None:
        """Say at a commit whether it is good; `text` in a line."""


def find_host(environ: Mapping[str, str], number: str | None = None) -> Host:
    """The host that CI's variables describe; `number` of the pull request where they do not say it.

    Raises UsageError when they describe none, or when there is no token.
    """
    if environ.get("CI_API_V4_URL") and environ.get("CI_PROJECT_ID"):
        return _gitlab(environ, number)
    if environ.get("GITHUB_REPOSITORY"):
        return _github(environ, number)
    raise UsageError(
        "nothing here says which pull request to comment on; run it in GitHub Actions or GitLab CI, or set GITHUB_REPOSITORY "
        "and --pull-request, or CI_API_V4_URL and CI_PROJECT_ID"
    )


def _github(environ: Mapping[str, str], number: str | None) -> GitHub:
    token = environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN")
    if not token:
        raise UsageError("there is no token for GitHub; pass GITHUB_TOKEN in the step's environment")
    found = number or _github_number(environ)
    api = environ.get("GITHUB_API_URL") or "https://api.github.com"
    return GitHub(
        _Api(api, {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}, "GitHub"),
        environ["GITHUB_REPOSITORY"],
        found,
    )


def _github_number(environ: Mapping[str, str]) -> str:
    _, _, rest = environ.get("GITHUB_REF", "").partition("refs/pull/")
    found = rest.partition("/")[0]
    if not found.isdigit():
        raise UsageError("this is no run for a pull request; name it with --pull-request N")
    return found


def _gitlab(environ: Mapping[str, str], number: str | None) -> GitLab:
    token = environ.get("GITLAB_TOKEN")
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
                event = json.load(file)
            return str(event["pull_request"]["head"]["sha"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or environ.get("CI_COMMIT_SHA") or head


def post(host: Host, marker: str, body: str) -> str:
    """One comment, edited in place: the one that begins with the marker, else a new one; returns its address."""
    for comment, text in host.comments():
        if text.startswith(marker):
            try:
                return host.edit(comment, body)
            except HostRefused as error:
                # Of somebody else who copied our text, or deleted just now: ours may be another one.
                if error.status not in (403, 404):
                    raise
    return host.create(body)


# --- the two hosts


@dataclass(frozen=True, slots=True)
class GitHub:
    api: _Api
    repository: str
    number: str
    room: int = 65_536

    def comments(self) -> Iterator[tuple[str, str]]:
        yield from self.api.pages(f"/repos/{self.repository}/issues/{self.number}/comments")

    def create(self, body: str) -> str:
        found = self.api.ask("POST", f"/repos/{self.repository}/issues/{self.number}/comments", {"body": body})
        return str(found.get("html_url", ""))

    def edit(self, comment: str, body: str) -> str:
        found = self.api.ask("PATCH", f"/repos/{self.repository}/issues/comments/{comment}", {"body": body})
        return str(found.get("html_url", ""))

    def set_state(self, commit: str, state: State, text: str) -> None:
        said = {"state": state, "description": text[:_SHORT], "context": _CONTEXT}
        self.api.ask("POST", f"/repos/{self.repository}/statuses/{commit}", said)


@dataclass(frozen=True, slots=True)
class GitLab:
    api: _Api
    project: str
    number: str
    room: int = 1_000_000

    @property
    def _notes(self) -> str:
        return f"/projects/{urllib.parse.quote(self.project, safe='')}/merge_requests/{self.number}/notes"

    def comments(self) -> Iterator[tuple[str, str]]:
        yield from self.api.pages(self._notes, sort="asc", order_by="created_at")

    def create(self, body: str) -> str:
        return self._address(self.api.ask("POST", self._notes, {"body": body}))

    def edit(self, comment: str, body: str) -> str:
        return self._address(self.api.ask("PUT", f"{self._notes}/{comment}", {"body": body}))

    def _address(self, note: Mapping[str, Any]) -> str:
        return f"note {note.get('id', '')} of merge request !{self.number}"

    def set_state(self, commit: str, state: State, text: str) -> None:
        said = {"state": "success" if state == "success" else "failed", "description": text[:_SHORT], "name": _CONTEXT}
        project = urllib.parse.quote(self.project, safe="")
        self.api.ask("POST", f"/projects/{project}/statuses/{commit}", said)


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

    def pages(self, path: str, **query: str) -> Iterator[tuple[str, str]]:
        """Id and body of everything that a list holds, page by page."""
        for page in range(1, _PAGES + 1):
            words = urllib.parse.urlencode({**query, "per_page": str(_PAGE), "page": str(page)})
            found = self.ask("GET", f"{path}?{words}")
            if not isinstance(found, list):
                raise HostRefused(
                    f"{self.host} sent no list of comments; is {self.address} the address of its REST interface?"
                )
            for one in found:
                if isinstance(one, dict) and "id" in one:
                    yield str(one["id"]), str(one.get("body") or "")
            if len(found) < _PAGE:
                return

    def ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        """The answer as JSON; raises HostRefused. What may have happened already is not asked for a second time."""
        request = urllib.request.Request(
            self.address.rstrip("/") + path,
            method=method,
            data=None if body is None else json.dumps(body).encode("utf-8"),
            headers={**self.headers, "User-Agent": "gittrack", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(_NoRedirect)
        for left in range(_TRIES - 1, -1, -1):
            try:
                with opener.open(request, timeout=_SECONDS) as answer:
                    text = answer.read()
                break
            except urllib.error.HTTPError as error:
                with error:
                    if not (left and error.code in _AGAIN and method != "POST"):
                        raise self._refused(error, method, path) from None
            except (OSError, ValueError, http.client.HTTPException) as error:
                if not left or method == "POST" or isinstance(error, ValueError):
                    reason = getattr(error, "reason", error)
                    raise HostRefused(f"{self.host} does not answer at {self.address}: {reason}") from None
            _wait(_TRIES - left)
        try:
            return json.loads(text) if text else {}
        except ValueError:
            raise HostRefused(
                f"{self.host} sent no JSON; is {self.address} the address of its REST interface?"
            ) from None

    def _refused(self, error: urllib.error.HTTPError, method: str, path: str) -> HostRefused:
        said = _message(error.read(10_000))
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
    except ValueError:
        return ""
    said = found.get("message") or found.get("error") if isinstance(found, dict) else None
    return f", {str(said)[:200]}" if said else ""
