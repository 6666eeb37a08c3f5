"""Real servers on loopback: one that speaks S3, one that speaks ssh, and a wire between that can be cut."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers import wait_until

USER, PASSWORD = "tester", "correct horse"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}

_SSHD = """
import asyncio, sys
import asyncssh

port, folder, key, user, password = int(sys.argv[1]), *sys.argv[2:6]

class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True
    def password_auth_supported(self):
        return True
    def validate_password(self, username, given):
        return (username, given) == (user, password)

async def main():
    await asyncssh.listen(
        "127.0.0.1", port, server_host_keys=[key], server_factory=Server,
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=folder.encode()), allow_scp=False,
    )
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class Server:
    """A process that listens; it can be killed and started again on the same port."""

    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> Server:
        env = {**os.environ, **KEYS}
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, stdin=quiet, stdout=quiet, stderr=quiet, env=env)
        wait_until(lambda: _answers(self.port), f"port {self.port} answers")
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def s3_server() -> Iterator[Server]:
    """A server of moto's; what it holds is gone with its process."""
    port = free_port()
    server = Server([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port).start()
    try:
        yield server
    finally:
        server.kill()


def make_bucket(port: int, name: str) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="PUT")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()


@contextlib.contextmanager
def ssh_server(folder: Path, key_folder: Path) -> Iterator[Server]:
    """A server that lets one user in by password, and shows them `folder` as the whole disk."""
    import asyncssh

    key = key_folder / "host_key"
    if not key.exists():
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key))
    port = free_port()
    server = Server([sys.executable, "-c", _SSHD, str(port), str(folder), str(key), USER, PASSWORD], port).start()
    try:
        yield server
    finally:
        server.kill()


class Wire:
    """A port that passes everything on to another one, counts it, and can be cut after so many bytes."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self.sent = self.received = 0
        # Bytes that still pass, either way; None: any number.
        self.cut_after: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            for end in (near, far):
                # Or each small message waits for the other side's late acknowledgement.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._ends += [near, far]
            for source, target, up in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pass, args=(source, target, up), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    if self.cut_after is not None:
                        data = data[: max(0, self.cut_after)]
                        self.cut_after -= len(data)
                    if up:
                        self.sent += len(data)
                    else:
                        self.received += len(data)
                if data:
                    target.sendall(data)
                if self.cut_after is not None and self.cut_after <= 0:
                    self._cut()
                    return
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _cut(self) -> None:
        """All connections break at once, as when a cable is pulled; new ones break too while nothing may pass."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()
