"""The program `gittrack`, also found by git as `git track`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        # Answered before anything else is imported: shells and tools ask this all the time.
        from gittrack._version import __version__

        sys.stdout.write(f"gittrack {__version__}\n")
        return
    if sys.argv[1:2] == ["textconv"] and len(sys.argv) == 3 and os.path.isfile(sys.argv[2]):
        # Nor may this wait for more: git starts it twice for each metric of a diff.
        from gittrack.report.readable import show

        show(sys.argv[2])
        return
    if sys.argv[1:3] == ["hooks", "run"] and sys.argv[3:] not in ([], ["-h"], ["--help"]):
        # Several of them for each commit.
        try:
            from gittrack.hooks.main import main as run_hook
        except ImportError as error:
            # Half of an upgrade must keep nobody from committing; a server has to be sure.
            closed = any(word in ("update", "gittrack-update") for word in sys.argv[3:4])
            sys.stderr.write(f"gittrack: could not look, so this is {'refused' if closed else 'let pass'}: {error}\n")
            sys.exit(closed)
        sys.exit(run_hook(sys.argv[3:]))
    from gittrack.cli.main import cli

    cli.main(prog_name="gittrack", complete_var="_GITTRACK_COMPLETE")


if __name__ == "__main__":
    main()
