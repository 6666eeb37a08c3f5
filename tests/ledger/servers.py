"""Git hosts on loopback: git's own daemon, smart HTTP behind a password, and ssh."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.pointers.servers import PASSWORD, USER, Server, free_port

_HTTPD = """
import base64, os, subprocess, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

port, folder, user, password = int(sys.argv[1]), *sys.argv[2:5]
wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
backend = subprocess.run(["git", "--exec-path"], capture_output=True, text=True).stdout.strip() + "/git-http-backend"

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self):
        data = self.body()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="team"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        url = urlsplit(self.path)
        env = {
            **os.environ, "GIT_PROJECT_ROOT": folder, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": url.path,
            "QUERY_STRING": url.query, "REQUEST_METHOD": self.command, "REMOTE_USER": user,
            "CONTENT_TYPE": self.headers.get("Content-Type") or "", "CONTENT_LENGTH": str(len(data)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
        }
        out = subprocess.run([backend], input=data, env=env, capture_output=True).stdout
        head, _, rest = out.partition(b"\\r\\n\\r\\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\\r\\n") if ": " in line]
        status = next((value for key, value in lines if key == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for key, value in lines:
            if key != "Status":
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    do_GET = do_POST = answer

ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

_SSHD = """
import asyncio, shlex, sys
import asyncssh

port, folder, host_key, user_key = int(sys.argv[1]), *sys.argv[2:5]

async def serve(process):
    words = shlex.split(process.command or "")
    if not words or words[0] not in ("git-upload-pack", "git-receive-pack"):
        process.exit(1)
        return
    git = await asyncio.create_subprocess_exec(
        "git", words[0].removeprefix("git-"), folder + words[1],
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**__import__("os").environ, **{k: v for k, v in process.env.items() if k == "GIT_PROTOCOL"}},
    )
    await process.redirect(stdin=git.stdin, stdout=git.stdout, stderr=git.stderr)
    code = await git.wait()
    await process.stdout.drain()
    process.exit(code)

async def main():
    await asyncssh.listen(
        "127.0.0.1", port, server_host_keys=[host_key], authorized_client_keys=user_key + ".pub",
        process_factory=serve, encoding=None, allow_scp=False,
    )
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.contextmanager
def git_daemon(folder: Path) -> Iterator[Server]:
    """Git's own server, without any login; it takes pushes too."""
    port = free_port()
    # Not through the program `git`, which would leave it behind when it is killed.
    programs = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    command = [f"{programs}/git-daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={folder}"]
    server = Server([*command, "--export-all", "--enable=receive-pack", str(folder)], port).start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def git_http(folder: Path) -> Iterator[Server]:
    """`git http-backend` behind a web server that asks for a password."""
    port = free_port()
    server = Server([sys.executable, "-c", _HTTPD, str(port), str(folder), USER, PASSWORD], port).start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def git_ssh(folder: Path, keys: Path) -> Iterator[tuple[Server, str]]:
    """A server that lets the owner of one key run git; and the GIT_SSH_COMMAND with that key."""
    import asyncssh

    for name in ("host", "user"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(keys / name))
        key.write_public_key(str(keys / f"{name}.pub"))
        os.chmod(keys / name, 0o600)
    port = free_port()
    words = [sys.executable, "-c", _SSHD, str(port), str(folder), str(keys / "host"), str(keys / "user")]
    server = Server(words, port).start()
    options = (
        "-F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    )
    try:
        yield server, f"ssh {options} -i {keys / 'user'} -p {port}"
    finally:
        server.kill()
