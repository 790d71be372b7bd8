"""Which commands there are, and in which module: `--help` reads this and imports none of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is loaded when it is called.

    :param section: its heading in `modelhub --help`.
    :param summary: its line there.
    :param target: `module:attribute` of the click command, the module inside `cli.commands`.
    """

    section: str
    summary: str
    target: str


COMMANDS: dict[str, Entry] = {
    "pull": Entry("Pull", "Download models, verify, place and record them.", "pull:command"),
    "search": Entry("Pull", "Search Civitai.", "search:command"),
    "list": Entry("Library", "List what is in the library.", "list:command"),
    "show": Entry("Library", "Show everything known about a file or model.", "show:command"),
    "index": Entry("Library", "Bring the catalog in step with the disk.", "index:command"),
    "watch": Entry("Library", "Watch the roots, and index as files come.", "watch:command"),
    "root": Entry("Library", "Choose the folders that are indexed.", "root:command"),
    "inspect": Entry("Library", "Show what a file is, here or before a pull.", "inspect:command"),
    "scan": Entry("Library", "Say whether files may run code when loaded.", "scan:command"),
    "hash": Entry("Library", "Compute all hashes of files.", "hash:command"),
    "convert": Entry("Library", "Convert models: format, precision, parts.", "convert:command"),
    "render": Entry("Library", "Make test images, alone or side by side.", "render:command"),
    "renders": Entry("Library", "List, show and delete test images.", "renders:command"),
    "tag": Entry("Library", "Put tags on files.", "tag:command"),
    "untag": Entry("Library", "Take tags off files.", "untag:command"),
    "rate": Entry("Library", "Rate files from 1 to 5.", "rate:command"),
    "note": Entry("Library", "Write a note on a file.", "note:command"),
    "adopt": Entry("Library", "Take over the folders of other tools.", "adopt:command"),
    "match": Entry("Library", "Ask Civitai, by hash, about what is unknown.", "match:command"),
    "verify": Entry("Library", "Read again and compare: bit rot, truncation.", "verify:command"),
    "dupes": Entry("Library", "Find what is here twice, and link it.", "dupes:command"),
    "updates": Entry("Library", "Find newer versions of what is here.", "updates:command"),
    "organize": Entry("Library", "Move models into the layout, and back.", "organize:command"),
    "missing": Entry("Library", "List what is gone, and get it back.", "missing:command"),
    "trash": Entry("Library", "Bring back what was thrown away.", "trash:command"),
    "export": Entry("Library", "Write all that you wrote as JSON lines.", "export:command"),
    "import": Entry("Library", "Merge what `export` wrote.", "import_:command"),
    "daemon": Entry("Jobs", "Do jobs in the background.", "daemon:command"),
    "jobs": Entry("Jobs", "See and steer what is done in the background.", "jobs:command"),
    "tui": Entry("System", "Do it all in a terminal UI.", "tui:command"),
    "migrate-to": Entry("System", "Move the library to PostgreSQL.", "migrate_to:command"),
    "login": Entry("System", "Store your Civitai API key.", "login:command"),
    "logout": Entry("System", "Forget the stored Civitai API key.", "logout:command"),
    "config": Entry("System", "Show, check and edit the settings.", "config:command"),
    "doctor": Entry("System", "Check the catalog, folders and connection.", "doctor:command"),
    "completion": Entry("System", "Print the completion script of a shell.", "completion:command"),
    "demo": Entry("System", "Try everything on a hub of its own.", "demo:command"),
}
