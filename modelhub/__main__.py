"""`modelhub` and `python -m modelhub`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line on this process's arguments.

    :returns: the exit code.
    """
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        # Asked by scripts, and often: answered before anything is imported.
        from modelhub import __version__

        try:
            print(f"modelhub {__version__}", flush=True)  # noqa: T201
        except (OSError, AttributeError):
            return 1
        return 0
    from modelhub.cli.run import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
