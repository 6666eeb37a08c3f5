"""What went wrong with a remote, in words for a person: DVC's plug-ins raise whatever their libraries raise."""

from __future__ import annotations

import asyncio
import errno

# Names of classes, since the libraries that they come from are optional: botocore, aiohttp, asyncssh, sshfs, paramiko.
_CONNECTION = frozenset(
    {
        "ClientConnectorError",
        "ClientOSError",
        "ConnectionClosedError",
        "ConnectionLost",
        "ConnectTimeoutError",
        "DisconnectError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ClientPayloadError",
        "ResponseParserError",
        "ProtocolError",
        "ReadTimeoutError",
        "SFTPConnectionLost",
        "SFTPNoConnection",
        "ServerDisconnectedError",
        "ChannelOpenError",
        "ConnectionError",
    }
)
_LOGIN = frozenset({"PermissionDenied", "HostKeyNotVerifiable", "KeyExchangeFailed", "NoCredentialsError", "AuthError"})
_NO_ROOM = {errno.ENOSPC: "no space is left", errno.EDQUOT: "the disk quota is used up"}
_BUSY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "reduce your request rate")
_BROKEN = {
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EPIPE,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
}


def is_connection_problem(error: BaseException) -> bool:
    """Whether the same call may succeed on a new connection."""
    for one in _chain(error):
        if isinstance(one, (ConnectionError, TimeoutError, asyncio.TimeoutError, asyncio.IncompleteReadError)):
            return True
        if type(one).__name__ in _CONNECTION or getattr(one, "errno", None) in _BROKEN:
            return True
        if "connection" in str(one).lower() and ("lost" in str(one).lower() or "closed" in str(one).lower()):
            return True
    return False


def is_passing(error: BaseException) -> bool:
    """Whether it is worth another try: the connection broke, or the server is busy."""
    return is_connection_problem(error) or any(word in str(one) for one in _chain(error) for word in _BUSY)


def reason_of(error: BaseException) -> str:
    """A part of a sentence."""
    for one in _chain(error):
        name, text = type(one).__name__, str(one)
        if getattr(one, "errno", None) in _NO_ROOM:
            return _NO_ROOM[one.errno]  # type: ignore[attr-defined]
        if name in _LOGIN or any(
            word in text for word in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")
        ):
            return f"the login was refused ({_short(text) or name})"
        if "NoSuchBucket" in text or "bucket does not exist" in text:
            return "there is no such bucket"
        if isinstance(one, PermissionError):
            return f"permission denied ({_short(text)})"
    if is_connection_problem(error):
        return f"no connection ({_short(str(error)) or type(error).__name__})"
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    return _short(str(error)) or type(error).__name__


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found and len(found) < 10:
        found.append(one)
        one = one.__cause__ or one.__context__
    return found


def _short(text: str) -> str:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= 160 else f"{first[:160]}..."
