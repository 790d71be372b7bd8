"""Settings, roots, doctor, and the guide of the first run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from modelhub.config.load import file_in_effect
from modelhub.services.index import Happened, Happening, add_root
from modelhub.services.jobs import JobKind
from modelhub.services.jobs.plain import from_plain
from modelhub.services.watch import Lost, Watching
from modelhub.services.watch.standing import RootWatch, Standing
from modelhub.tui.screens.guide import GuideScreen
from modelhub.tui.settings.rootspane import Shown
from modelhub.tui.settings.settingspane import SettingsPane
from tests.tui.desk import Desk, Sitting
from tests.tui.stock import opened, told


async def change(sitting: Sitting, name: str, text: str) -> None:
    """Go to a setting, and give it another value."""
    from textual.widgets import Input, OptionList

    from modelhub.tui.widgets.promptline import PromptLine

    options = sitting.one(SettingsPane).query_one(OptionList)
    options.focus()
    options.highlighted = options.get_option_index(name)
    await sitting.press("enter")
    line = sitting.one(PromptLine).query_one(Input)
    await sitting.until(lambda: line.has_focus)
    line.value = text
    await sitting.press("enter")


@pytest.mark.anyio
async def test_a_setting_is_checked_and_written_to_the_file(desk: Desk) -> None:
    async with desk.open("settings") as sitting:
        await sitting.sees("library", "layout", "comfyui")
        await change(sitting, "download.retries", "900")
        await told(sitting, "from 0 to 100")
        await change(sitting, "download.retries", "5")
        await told(sitting, "download.retries is written to")
        assert sitting.app.session.config.download.retries == 5
        file = file_in_effect(None, desk.environ)[0]
        assert "\nretries = 5" in file.read_text()
        await sitting.press("x")
        await sitting.until(lambda: sitting.app.session.config.download.retries == 8)


@pytest.mark.anyio
async def test_a_setting_that_a_variable_holds_is_left_alone(desk: Desk) -> None:
    async with desk.open("settings") as sitting:
        from textual.widgets import OptionList

        options = sitting.one(SettingsPane).query_one(OptionList)
        options.highlighted = options.get_option_index("civitai.url")
        await sitting.press("enter")
        await told(sitting, "MODELHUB_CIVITAI_URL is set, and goes before the file")


@pytest.mark.anyio
async def test_a_folder_becomes_a_root_and_is_taken_out_again(desk: Desk) -> None:
    async with desk.open("settings") as sitting:
        await sitting.press("right_square_bracket")
        await sitting.sees("no root yet")
        await sitting.press("n")
        from textual.widgets import Input

        from modelhub.tui.widgets.promptline import PromptLine

        sitting.one(PromptLine).query_one(Input).value = str(desk.root)
        await sitting.press("enter")
        await told(sitting, "is a root now")
        await sitting.sees("models", "no daemon", "indexed")
        await sitting.press("x")
        await sitting.write("y")
        await sitting.press("enter")
        await told(sitting, "nothing left the disk")
        with opened(desk) as catalog:
            assert catalog.roots() == []


def test_a_root_says_how_it_is_watched_and_what_changed_last(desk: Desk) -> None:
    standing = Standing(clock=lambda: time.time() - 120)

    def shown(there: bool = True) -> Shown:
        [watch] = from_plain(standing.plain(), list[RootWatch], "the roots")
        return Shown(row, files=3, there=there, watch=watch, daemon=True)

    with opened(desk) as catalog:
        row = add_root(catalog, desk.root, layout=None, watched=True)
    none = Shown(row, files=3, there=True)
    assert (none.state, none.daemon) == ("no daemon", False)
    assert "`modelhub daemon` runs, which it does not now" in none.explained

    standing.note(Watching(desk.root, True, "by the system's notifications"))
    assert shown().state == "watched"
    assert "No change was seen yet" in shown().explained
    standing.note(Happening(Happened.INDEXED, desk.root / "loras" / "ink.safetensors"))
    assert "Last change 2 m ago: loras/ink.safetensors indexed." in shown().explained
    full = "all inotify watches are in use (raise fs.inotify.max_user_watches)"
    standing.note(Watching(desk.root, False, full))
    assert shown().state == "polled"
    assert full in shown().explained
    standing.note(Lost(desk.root))
    assert shown(there=False).state == "⚠ unreachable"
    standing.begin()
    assert standing.plain() == []


@pytest.mark.anyio
async def test_the_doctor_tells_what_is_in_order_and_what_is_not(desk: Desk) -> None:
    async with desk.open("settings") as sitting:
        sitting.app.screen.show_pane("doctor")  # type: ignore[attr-defined]
        await sitting.sees("✓ ok", "Python", "! warning", "API key", "enter checks again")


@pytest.mark.anyio
async def test_the_guide_adopts_what_other_tools_have(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = desk.folder / "somebody"
    for name in ("checkpoints", "loras", "vae"):
        (home / "ComfyUI" / "models" / name).mkdir(parents=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    async with desk.open("library") as sitting:
        sitting.app.action_guide()
        await sitting.sees("First steps", "ComfyUI", "API key")
        await sitting.press("ctrl+s")
        await sitting.until(lambda: not isinstance(sitting.app.screen, GuideScreen))
        kinds = [job.kind for job in sitting.jobs()]
        assert sorted(kinds) == [JobKind.INDEX, JobKind.MATCH]
        assert sitting.app.session.remembered.guided
        with opened(desk) as catalog:
            roots = [row.folder for row in catalog.roots()]
        assert roots == [home / "ComfyUI" / "models"]


@pytest.mark.anyio
async def test_an_empty_library_begins_with_the_guide_once(desk: Desk) -> None:
    session = desk.session()
    from modelhub.tui.app import ModelhubApp

    app = ModelhubApp(session)
    async with app.run_test() as pilot:
        sitting = Sitting(desk, app, pilot)
        await sitting.until(lambda: isinstance(app.screen, GuideScreen))
        await sitting.press("escape")
        await sitting.sees("no models here yet")
        assert session.remembered.guided
    session.close()
