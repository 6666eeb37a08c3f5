"""The program `gittrack`, also found by git as `git track`."""

from __future__ import annotations

import sys


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        # Answered before anything else is imported: shells and tools ask this all the time.
        from gittrack._version import __version__

        sys.stdout.write(f"gittrack {__version__}\n")
        return
    from gittrack.cli.main import cli

    cli.main(prog_name="gittrack", complete_var="_GITTRACK_COMPLETE")


if __name__ == "__main__":
    main()
