"""From a key to what it shows in the terminal UI: moving while four files download, and filtering.

    python benchmarks/tui_keys.py [FILES ...]
    python benchmarks/tui_keys.py 100000 1000000

At 160 by 50, in this process: from the key to the frame that is drawn after it. Bounds: 50 ms for
a move, 60 ms for a letter of the filter at 100,000 files, 150 ms at 1,000,000; medians.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _catalog import build
from _common import claim

from modelhub.demo.hub import DemoHub

MOVES = 40
WORDS = ("anime", "type:lora", "babel", "size>2GB")
DOWNLOADS, MIB = 4, 120


async def shown(app: Any, key: str, done: Callable[[], bool]) -> float:
    """Milliseconds from a key to the frame after `done` says so."""
    from textual import events

    drawn = asyncio.Event()
    began = time.perf_counter()
    app.post_message(events.Key(key, key if len(key) == 1 else None))
    while not done():
        await asyncio.sleep(0.0005)
        if time.perf_counter() - began > 30:
            raise RuntimeError(f"{key!r} showed nothing")
    app.screen.call_after_refresh(drawn.set)
    await drawn.wait()
    return (time.perf_counter() - began) * 1000


async def moves(app: Any, hub: DemoHub) -> list[float]:
    """Down, again and again, while four files download."""
    from modelhub.services.jobs import JobKind, JobRequest, JobState
    from modelhub.tui.library.table import FileTable

    table = app.screen.query_one(FileTable)
    table.focus()
    for number in range(DOWNLOADS):
        file = hub.publish_bytes(f"big{number}.safetensors", MIB)
        reference = f"https://civitai.com/model-versions/{file.version_id}"
        request = JobRequest(
            kind=JobKind.DOWNLOAD, arguments={"reference": reference}, title=file.name
        )
        await asyncio.to_thread(app.session.jobs.enqueue, request)
    took, at_work = [], 0
    for _ in range(MOVES):
        now = table.cursor
        took.append(await shown(app, "j", lambda now=now: table.cursor == now + 1))  # type: ignore[misc]
        at_work += app.session.jobs.counts()[JobState.RUNNING] > 0
        await asyncio.sleep(0.05)
    print(f"  {MOVES} moves, downloads running at {at_work} of them")
    return took


async def letters(app: Any) -> list[float]:
    """Each letter of a few filters."""
    from modelhub.tui.library.filterbar import FilterBar

    screen, bar = app.screen, app.screen.query_one(FilterBar)
    took = []
    for word in WORDS:
        bar.set_query("")
        bar.input.focus()
        await asyncio.sleep(1.0)
        for at, letter in enumerate(word, 1):
            if any(sign in word[:at] for sign in ":>"):
                # Half a field is a mistake, and shows no rows; the whole is measured.
                if at < len(word):
                    continue
                bar.set_query(word[: at - 1])
                await asyncio.sleep(0.5)
            typed = word[:at]
            took.append(
                await shown(app, letter, lambda typed=typed: screen.filter_text == typed)  # type: ignore[misc]
            )
            await asyncio.sleep(0.3)
    return took


async def measure(files: int, hub: DemoHub) -> bool:
    from modelhub.tui.app import ModelhubApp
    from modelhub.tui.library.table import FileTable
    from modelhub.tui.session import Session

    session = Session()
    session.remembered.guided = True
    app = ModelhubApp(session)
    async with app.run_test(size=(160, 50)) as pilot:
        while not app.screen.query(FileTable) or not app.screen.query_one(FileTable).window.known:
            await pilot.pause(0.05)
        await pilot.pause(1.5)
        typed = await letters(app)
        app.screen.query_one("FilterBar").set_query("")  # type: ignore[attr-defined]
        await pilot.pause(1.0)
        moved = await moves(app, hub)
        for job in session.jobs.list():
            if not job.state.ended:
                session.jobs.cancel(job.id)
    session.close()
    print(f"  moves: median {statistics.median(moved):.1f} ms, worst {max(moved):.1f} ms")
    print(f"  letters: median {statistics.median(typed):.1f} ms, worst {max(typed):.1f} ms")
    bound = 60 if files <= 100_000 else 150
    return all(
        [
            claim("a move while four files download, ms", statistics.median(moved), 50),
            claim(f"a letter at {files:,} files, ms", statistics.median(typed), bound),
        ]
    )


def measured(files: int) -> bool:
    """Whether the bounds hold with so many files in the catalog."""
    with tempfile.TemporaryDirectory(prefix="modelhub-benchmark-") as name, DemoHub() as hub:
        build(Path(name) / "data" / "catalog.db", files)
        os.environ |= {
            "MODELHUB_HOME": name,
            "MODELHUB_CIVITAI_URL": hub.url,
            "MODELHUB_DOWNLOAD_FILES_AT_ONCE": "4",
            "MODELHUB_DOWNLOAD_LIMIT_RATE": "40MB/s",
            "MODELHUB_DOWNLOAD_MIN_FREE": "0",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        print(f"{files:,} files")
        return asyncio.run(measure(files, hub))


def main() -> int:
    held = [measured(int(one)) for one in sys.argv[1:] or ["100000"]]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
