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
    from gittrack.cli.main import cli

    cli.main(prog_name="gittrack", complete_var="_GITTRACK_COMPLETE")


if __name__ == "__main__":
    main()
