"""The Library screen: found, filtered, described, written about, thrown away and brought back."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from textual.events import Key
from textual.widgets import Input

from modelhub.services.jobs import JobKind
from modelhub.tui.library.detailspane import DetailsPane
from modelhub.tui.library.facetpane import FacetPane
from modelhub.tui.library.filterbar import FilterBar
from modelhub.tui.library.noteeditor import NoteEditor
from modelhub.tui.library.table import FileTable
from modelhub.tui.screens.library import LibraryScreen
from tests.tui.desk import LARGE, Desk, Sitting
from tests.tui.stock import DREAM, INK, ODD, OLD_MIX, fill, opened, put, real_file, told


async def filtered(sitting: Sitting, query: str, shown: int) -> FileTable:
    """Type a filter, and wait for its rows."""
    sitting.one(FilterBar).set_query(query)
    table = sitting.one(FileTable)
    screen = sitting.app.screen
    await sitting.until(
        lambda: getattr(screen, "filter_text", None) == query and table.window.total == shown
    )
    return table


@pytest.mark.anyio
async def test_typing_a_filter_narrows_the_list(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream", "old_mix.ckpt", "ink", "5 ")
        await sitting.press("slash")
        await sitting.write("ink")
        await sitting.sees("1 of 5")
        assert "old_mix" not in sitting.text()
        await sitting.press("enter", "ctrl+l")
        await sitting.sees("old_mix")


@pytest.mark.anyio
async def test_keys_that_come_at_once_go_where_the_first_of_them_leads(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream", "old_mix.ckpt", "ink", "5 ")
        burst(sitting, *"/ink")
        await sitting.sees("/ ink", "1 of 5")
        burst(sitting, "enter", *"ttinted", "enter", "ctrl+l", *"j/drea")
        await sitting.sees("/ drea", "1 of 5", "dream")
        await told(sitting, "1 content tagged")
        with opened(desk) as catalog:
            assert [row.path for row in catalog.list_files("tag:tinted")]
        assert sitting.jobs() == []


def burst(sitting: Sitting, *keys: str) -> None:
    """Type without waiting for what comes of it."""
    for key in keys:
        name = {"/": "slash"}.get(key, key)
        sitting.app.post_message(Key(name, key if len(key) == 1 else None))


@pytest.mark.anyio
async def test_what_is_written_while_another_process_holds_the_catalog_is_not_lost(
    desk: Desk,
) -> None:
    fill(desk)
    desk.environ["MODELHUB_CATALOG_BUSY_TIMEOUT"] = "0.1"
    async with desk.open("library") as sitting:
        await filtered(sitting, "name:ink", 1)
        with held(desk):
            await sitting.press("t")
            await sitting.write("patient")
            await sitting.press("enter")
            await told(sitting, "is locked by another process", "Your change is kept")
            await filtered(sitting, "dream", 1)  # the rest goes on
            await sitting.press("q")
            await told(sitting, "a change waits for the catalog and would be lost")
            assert sitting.app.is_running
            with opened(desk) as catalog:
                assert catalog.count("tag:patient") == 0
        await told(sitting, "1 content tagged")
        with opened(desk) as catalog:
            assert catalog.count("tag:patient") == 1
        await sitting.until(lambda: sitting.app.unwritten == 0)


@contextlib.contextmanager
def held(desk: Desk) -> Iterator[None]:
    """Another process that writes to the catalog, and does not come to an end."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, desk.folder / "home" / "data" / "catalog.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            other.stdin.close()
    assert other.returncode == 0


_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin immediate")
print("held", flush=True)
sys.stdin.read()
connection.rollback()
"""


@pytest.mark.anyio
async def test_rows_that_come_late_are_not_taken_for_those_of_another_filter(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream", "old_mix.ckpt")
        screen = sitting.app.screen
        assert isinstance(screen, LibraryScreen)
        for query, name in (("name:ink", "ink"), ("name:old", "old_mix"), ("name:dream", "dream")):
            with screen.filter.input.prevent(Input.Changed):
                screen.filter.input.value = query
            screen.reload(keep_place=False)
            # Again and again, so that it ends after the filter's own question.
            screen.on_file_table_wanted(FileTable.Wanted([0] * 40))
            await sitting.until(lambda: screen.table.window.total == 1)
            await sitting.until(lambda: not any(one.is_running for one in sitting.app.workers))
            await sitting.pilot.pause()
            row = screen.table.current
            assert row is not None
            assert name in row.path


@pytest.mark.anyio
async def test_a_mistake_is_pointed_at_where_it_stands(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream")
        sitting.one(FilterBar).set_query("ink size>huge")
        await sitting.sees("'huge' is no size", "column 10")
        assert "dream" in sitting.text()


@pytest.mark.anyio
async def test_fields_and_values_are_completed(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream")
        await sitting.press("slash")
        await sitting.write("ty")
        await sitting.sees("type:")
        await sitting.press("tab")
        await sitting.write("lo")
        await sitting.sees("locon")
        await sitting.press("down", "enter")
        await sitting.until(lambda: sitting.one(FilterBar).value == "type:lora")
        await sitting.sees("2 of 5")


@pytest.mark.anyio
async def test_names_that_would_drive_the_terminal_are_shown_escaped(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library", LARGE) as sitting:
        await filtered(sitting, "path:loras/odd", 1)
        await sitting.sees(r"odd\x1b[31m\u202etxt")
        assert "\x1b" not in sitting.text()
        assert "\u202e" not in sitting.text()


@pytest.mark.anyio
async def test_the_details_tell_all_and_the_trigger_words_are_copied(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library", LARGE) as sitting:
        await filtered(sitting, "name:ink", 1)
        await sitting.sees("Ink scenery · v1", "ink wash, sumi-e", "a newer version is known")
        about = sitting.one(DetailsPane).about
        assert about is not None
        assert about.description == "Draws in ink.\n\n- weight 0.8"
        await sitting.press("y")
        await sitting.until(lambda: sitting.app.clipboard == "ink wash, sumi-e")


@pytest.mark.anyio
async def test_selected_files_are_tagged_together_and_untagged(desk: Desk) -> None:
    ids = fill(desk)
    async with desk.open("library") as sitting:
        table = await filtered(sitting, "type:lora", 2)
        await sitting.press("space", "space")
        assert set(table.marked) == {ids[INK], ids[ODD]}
        await sitting.press("t")
        await sitting.write("new,-style")
        await sitting.press("enter")
        await told(sitting, "2 contents tagged", "1 content untagged")
        with opened(desk) as catalog:
            assert {row.id for row in catalog.list_files("tag:new")} == {ids[INK], ids[ODD]}
            assert catalog.count("tag:style") == 0


@pytest.mark.anyio
async def test_a_file_is_rated_and_noted_in_place(desk: Desk) -> None:
    ids = fill(desk)
    async with desk.open("library", LARGE) as sitting:
        await filtered(sitting, "name:dream", 1)
        await sitting.sees("use with the VAE", "★★★★")
        await sitting.press("asterisk", "5", "enter")
        await sitting.sees("★★★★★")
        await sitting.press("n")
        await sitting.until(lambda: isinstance(sitting.app.focused, NoteEditor))
        sitting.one(NoteEditor).load_text("and a low weight")
        await sitting.press("ctrl+s")
        await sitting.sees("and a low weight")
        await told(sitting, "1 content noted")
        with opened(desk) as catalog:
            details = catalog.show(ids[DREAM])
            assert (details.row.rating, details.note) == (5, "and a low weight")


@pytest.mark.anyio
async def test_a_chosen_facet_joins_the_filter_and_leaves_it_again(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library", LARGE) as sitting:
        await sitting.sees("Kind", "checkpoint", "Safety", "dangerous", "update known")
        facets = sitting.one(FacetPane)
        facets.focus()
        await sitting.until(lambda: facets.option_count > 3)
        label = str(facets.get_option_at_index(1).prompt)
        facets.highlighted = 1
        await sitting.press("enter")
        bar = sitting.one(FilterBar)
        await sitting.until(lambda: bar.value in ("type:lora", "type:checkpoint"))
        assert bar.value.removeprefix("type:") in label
        await sitting.sees("2 of 5", "✓")
        await sitting.press("enter")
        await sitting.until(lambda: bar.value == "")


@pytest.mark.anyio
async def test_a_small_terminal_folds_the_panes_away(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream")
        table, facets = sitting.one(FileTable), sitting.one(FacetPane)
        details = sitting.one(DetailsPane)

        def panes() -> tuple[bool, bool]:
            return facets.display, details.display

        assert panes() == (False, False)
        await sitting.press("f")
        assert panes() == (True, False)
        await sitting.press("escape")
        assert panes() == (False, False)
        await sitting.press("enter")
        await sitting.sees("Identity")
        await sitting.press("escape")
        assert table.has_focus
        await sitting.pilot.resize_terminal(*LARGE)
        await sitting.until(lambda: panes() == (True, True))


@pytest.mark.anyio
async def test_order_columns_and_filter_are_there_the_next_time(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream")
        await sitting.press("s", "s", "s")
        await sitting.until(lambda: sitting.app.session.remembered.sort == "size")
        await sitting.until(lambda: getattr(sitting.one(FileTable).current, "size", 0) == 7 << 30)
        await filtered(sitting, "type:checkpoint", 2)
        await sitting.press("B")
        await sitting.write("mine")
        await sitting.press("enter")
        sitting.app.session.remembered.columns = ["name", "size"]
        sitting.app.session.save_state()
    async with desk.open("library") as sitting:
        await sitting.sees("2 of 5", "old_mix.ckpt", "Size▾")
        assert "Kind" not in sitting.text()
        await sitting.press("b")
        await sitting.sees("Saved searches", "mine ", " type:checkpoint")


@pytest.mark.anyio
async def test_what_is_thrown_away_can_be_brought_back(desk: Desk) -> None:
    file = real_file(desk, "loras/new.safetensors", 5)
    async with desk.open("library") as sitting:
        await sitting.sees("no models here yet")
        with opened(desk) as catalog:
            from modelhub.services.index import add_root

            add_root(catalog, desk.root, layout="comfyui", watched=True)
        await sitting.press("i")
        await sitting.sees("LoRA", "1 ")
        await sitting.press("d")
        await sitting.sees("∅ new")
        await told(sitting, "1 model in the trash")
        assert not file.exists()
        await sitting.press("z")
        await told(sitting, "1 file back from the trash")
        assert file.exists()


@pytest.mark.anyio
async def test_a_file_that_vanished_is_told_of_and_nothing_else_happens(desk: Desk) -> None:
    fill(desk)
    async with desk.open("library") as sitting:
        await filtered(sitting, "name:dream", 1)
        await sitting.press("d")
        await told(sitting, "is not there")


@pytest.mark.anyio
async def test_the_newest_version_is_pulled_with_one_key(desk: Desk) -> None:
    ids = fill(desk)
    async with desk.open("library") as sitting:
        table = await filtered(sitting, "update:yes", 1)
        await sitting.until(lambda: table.newer == {ids[INK]})
        assert "↑" in sitting.text()
        await sitting.press("u")
        await sitting.until(lambda: sitting.jobs())
        job = next(one for one in sitting.jobs() if one.kind is JobKind.DOWNLOAD)
        assert job.arguments["reference"] == "7@71"


@pytest.mark.anyio
async def test_only_pages_around_the_cursor_are_held(desk: Desk) -> None:
    with opened(desk) as catalog, catalog.transaction():
        for number in range(450):
            put(catalog, desk.root, f"f{number:03}.safetensors", 1000, kind="lora")
    async with desk.open("library") as sitting:
        await sitting.sees("f000", "450")
        await sitting.press("end")
        await sitting.sees("f449")
        table = sitting.one(FileTable)
        assert table.window.row(0) is not None
        assert table.window.row(250) is None
        await sitting.press("home")
        await sitting.sees("f000")
        await sitting.press("a")
        await sitting.sees("✓450")


@pytest.mark.anyio
async def test_a_pasted_book_is_cut_and_its_controls_escaped(desk: Desk) -> None:
    from textual import events

    fill(desk)
    async with desk.open("library") as sitting:
        await sitting.sees("dream")
        await sitting.press("slash")
        sitting.app.post_message(events.Paste("ink \x1b[2J\n" * 500_000))
        bar = sitting.one(FilterBar)
        await sitting.until(lambda: bar.value)
        assert len(bar.value) <= 2_000
        assert re.search(r"[\x00-\x1f]", bar.value) is None


@pytest.mark.anyio
async def test_a_catalog_that_cannot_be_read_is_told_of_and_asked_again(desk: Desk) -> None:
    database = desk.folder / "home" / "data" / "catalog.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no database at all" * 100)
    async with desk.open("library") as sitting:
        await sitting.sees("is no catalog")
        database.unlink()
        fill(desk)
        await sitting.press("ctrl+r")
        await sitting.sees("dream")


def test_dangerous_files_carry_a_sign_and_a_word(desk: Desk) -> None:
    from modelhub.tui.library.columns import COLUMNS
    from modelhub.tui.library.table import sign_of

    ids = fill(desk)
    with opened(desk) as catalog:
        [row] = catalog.rows([ids[OLD_MIX]])
    assert sign_of(row, newer=True) == "⚠"
    assert COLUMNS["state"].cell(row) == "dangerous"
