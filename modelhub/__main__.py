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
    if arguments == ["tui"] and _shown_at_once():
        return 0
    from modelhub.cli.run import run

    return run(arguments)


def _shown_at_once() -> bool:
    """The terminal UI without the command line's own imports, a fifth of the time until it paints.

    :returns: False where something is in the way, which the command line then tells of.
    """
    from modelhub.errors import ModelhubError
    from modelhub.tui.start import prepared, show

    try:
        session = prepared()
    except ModelhubError:
        return False
    show(session)
    return True


if __name__ == "__main__":
    sys.exit(main())
