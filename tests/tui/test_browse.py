"""The Browse screen against the demo hub: search, filters, pages, details, pulls, what fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import pytest
from textual.events import Paste
from textual.widgets import Static

from modelhub.demo.hub import DemoHub, Fault
from modelhub.demo.published import PublishedFile, PublishedImage, PublishedModel, PublishedVersion
from modelhub.services.jobs import JobState
from modelhub.tui.browse.details import Facts, FoundDetails
from modelhub.tui.browse.filterline import FilterLine
from modelhub.tui.browse.wish import PAGE
from modelhub.tui.browse.words import LONGEST_WORDS, WordsInput
from modelhub.tui.screens.browse import BrowseScreen
from modelhub.tui.widgets.chooser import Chooser
from modelhub.tui.widgets.picture import Picture
from modelhub.tui.widgets.rows import Rows
from tests.tui.desk import LARGE, SMALL, Desk, Sitting
from tests.tui.stock import told

pytestmark = [
    pytest.mark.anyio,
    # Of textual-image, which reads pixels the old way.
    pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def hub_as_it_was(hub: DemoHub) -> Iterator[None]:
    yield
    hub.faults.clear()
    hub.search_is_down = False


def screen(sitting: Sitting) -> BrowseScreen:
    front = sitting.app.screen
    assert isinstance(front, BrowseScreen)
    return front


async def search(sitting: Sitting, words: str) -> None:
    await sitting.press("slash")
    await sitting.write(words)
    await sitting.press("enter")


async def pointed(sitting: Sitting, model_id: int) -> FoundDetails:
    """Put the cursor on a model; its details."""
    rows = screen(sitting).rows
    await sitting.until(lambda: str(model_id) in rows.keys)
    rows.go_to(str(model_id))
    details = screen(sitting).details
    await sitting.until(lambda: details.found and details.found.model.id == model_id)
    return details


async def test_what_is_downloaded_most_stands_there_at_first(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await sitting.sees("AniVerse", "SakushiMix (finished)", "most downloaded", "SD 1.5")
        text = sitting.text()
        assert text.index("AniVerse") < text.index("SakushiMix")
        assert "Names / that" in text
        assert "\u202e" not in text


async def test_words_and_filters_narrow_the_search(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await sitting.sees("SakushiMix")
        await search(sitting, "ink wash lines")
        await sitting.until(lambda: screen(sitting).rows.keys == ["910001"])
        for named in ("78056", "https://civitai.com/models/78056/sakushimix", "78056@133274"):
            await search(sitting, "zzzz")
            await sitting.until(lambda: screen(sitting).rows.keys == [])
            await search(sitting, named)
            await sitting.until(lambda: screen(sitting).rows.keys == ["78056"])
        await search(sitting, "zzzz nothing has this name")
        await sitting.sees("nothing found")


async def test_a_type_is_chosen_from_those_that_civitai_names(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await sitting.until(lambda: screen(sitting)._enums[0])
        await sitting.press("t")
        await sitting.until(lambda: isinstance(sitting.app.screen, Chooser))
        await sitting.write("vae")
        await sitting.sees("VAE")
        await sitting.press("enter")
        await sitting.sees("Clear Colours VAE")
        await sitting.until(lambda: "SakushiMix" not in sitting.text())
        assert screen(sitting).wish.type == "VAE"
        assert any("VAE" in str(seen.query) for seen in desk.hub.requests)


async def test_a_filter_is_set_by_a_click(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await sitting.sees("SakushiMix")
        at = sitting.text().splitlines()[2].index("most downloaded")
        await sitting.pilot.click(FilterLine, offset=(at, 0))
        await sitting.until(lambda: isinstance(sitting.app.screen, Chooser))
        await sitting.press("down", "down", "enter")
        await sitting.sees("newest")


async def test_the_next_page_comes_as_the_cursor_nears_the_end(desk: Desk) -> None:
    for number in range(PAGE + 3):
        desk.hub.publish_bytes(f"pagefiller {number:03}.safetensors", b"page filler")
    async with desk.open("browse") as sitting:
        await search(sitting, "pagefiller")
        rows = screen(sitting).rows
        await sitting.until(lambda: len(rows.keys) == PAGE)
        await sitting.until(lambda: not screen(sitting)._loading)
        await sitting.press("G")
        await sitting.until(lambda: len(rows.keys) == PAGE + 3)


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_details_name_files_hashes_safety_licence_and_what_is_here(
    desk: Desk, size: tuple[int, int]
) -> None:
    async with desk.open("browse", size) as sitting:
        await pointed(sitting, 78056)
        await sitting.press("enter")
        await sitting.sees("SakushiMix Final", "fp16 pruned SafeTensor", "fp32 full SafeTensor")
        await sitting.sees("SHA256", "sakushimixFinished_sakushimixFinal.safetensors")
        facts = str(sitting.app.screen.query_one(Facts).query_one(Static).content)
        for word in ("AutoV2", "scanned", "licence", "commercial use", "tags"):
            assert word in facts
        picture = screen(sitting).details.query_one(Picture)
        await sitting.until(lambda: picture._image is not None)
        await sitting.press("escape")
        assert screen(sitting).rows.has_focus


async def test_p_pulls_the_file_under_the_cursor_and_marks_it_here(desk: Desk) -> None:
    async with desk.open("browse", LARGE) as sitting:
        details = await pointed(sitting, 78056)
        await sitting.press("enter", "j")
        await sitting.until(lambda: details.choice and details.choice[1].id == 97302)
        await sitting.press("p")
        await told(sitting, "to be pulled", "sakushimixFinished_sakushimixFinal.safetensors")
        job = await sitting.job(JobState.DONE, JobState.FAILED)
        assert job.state is JobState.DONE, job.error
        assert job.result is not None
        assert job.result["file_id"] == 97302
        await sitting.sees("here")
        facts = details.query_one(Facts).query_one(Static)
        await sitting.until(lambda: str(desk.root) in str(facts.content))


async def test_from_the_list_the_file_that_pull_would_take_is_pulled(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await pointed(sitting, 910003)
        await sitting.press("p")
        job = await sitting.job(JobState.DONE, JobState.FAILED)
        assert job.state is JobState.DONE, job.error
        assert job.result is not None
        assert job.result["file"] == "demoneg.safetensors"


async def test_a_dangerous_file_is_called_so_and_not_kept(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await pointed(sitting, 910004)
        await sitting.press("enter")
        await sitting.sees("⚠ dangerous", "posix.system")
        await sitting.press("p")
        job = await sitting.job(JobState.FAILED)
        assert job.hint


async def test_a_model_without_files_cannot_be_pulled(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await pointed(sitting, 910007)
        await sitting.press("p")
        await told(sitting, "there is no file of it to pull")
        assert sitting.jobs() == []


async def test_pictures_above_the_allowed_level_are_not_shown(
    desk: Desk,
) -> None:
    version = PublishedVersion(
        name="v1",
        files=[PublishedFile(name="statue.safetensors", content=b"a statue")],
        images=[PublishedImage(seed=1, nsfw_level=8)],
    )
    model = desk.hub.publish(PublishedModel(name="blushing statue", versions=[version]))
    assert model.id is not None
    async with desk.open("browse", LARGE) as sitting:
        await sitting.press("n")
        await sitting.until(lambda: isinstance(sitting.app.screen, Chooser))
        await sitting.press("down", "enter")
        await sitting.sees("with adult")
        await search(sitting, "blushing")
        details = await pointed(sitting, model.id)
        picture = details.query_one(Picture)
        await sitting.until(
            lambda: "or below is published" in str(picture.query_one(Static).content)
        )
        assert picture._image is None or not picture._image.display


async def test_a_hub_that_is_down_is_told_in_place_and_asked_again(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    up = desk.environ["MODELHUB_CIVITAI_URL"]
    desk.environ["MODELHUB_CIVITAI_URL"] = address
    async with desk.open("browse") as sitting:
        await sitting.sees("cannot connect", "check the connection", "asks again")
        desk.environ["MODELHUB_CIVITAI_URL"] = up
        sitting.app.session.reload_config()
        await sitting.press("r")
        await sitting.sees("SakushiMix")
        assert "cannot connect" not in sitting.text()


async def test_too_many_requests_are_told_with_what_to_do(desk: Desk) -> None:
    desk.hub.faults.add(Fault(kind="rate_limit", path="/api/v1/models", times=None))
    async with desk.open("browse") as sitting:
        await sitting.sees("wait a few minutes", "asks again")


async def test_a_key_that_cannot_be_one_is_told_and_not_shown(desk: Desk) -> None:
    desk.environ["CIVITAI_API_KEY"] = "hush hush secret"
    async with desk.open("browse") as sitting:
        await sitting.sees("CIVITAI_API_KEY", "copy the key once more", "asks again")
        assert "hush" not in sitting.text()


async def test_a_file_for_which_one_must_log_in_says_how(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await pointed(sitting, 910005)
        await sitting.press("p")
        await sitting.job(JobState.FAILED)
        await sitting.sees("Login required demo", "modelhub login")


async def test_a_page_that_fails_is_asked_for_once_more(desk: Desk) -> None:
    for number in range(PAGE + 2):
        desk.hub.publish_bytes(f"stubbornpage {number:03}.safetensors", b"stubborn page")
    async with desk.open("browse") as sitting:
        await search(sitting, "stubbornpage")
        rows = screen(sitting).rows
        await sitting.until(lambda: len(rows.keys) == PAGE and not screen(sitting)._loading)
        fault = Fault(kind="server_error", path="/api/v1/models", times=None)
        desk.hub.faults.add(fault)
        await sitting.press("G")
        await sitting.sees("asks again")
        assert len(rows.keys) == PAGE
        desk.hub.faults.clear()
        await sitting.press("r")
        await sitting.until(lambda: len(rows.keys) == PAGE + 2)


async def test_pasted_megabytes_do_not_become_a_search(desk: Desk) -> None:
    async with desk.open("browse") as sitting:
        await sitting.sees("SakushiMix")
        await sitting.press("slash")
        words = sitting.one(WordsInput)
        words.post_message(Paste("x" * (4 << 20)))
        words.post_message(Paste("ink"))
        await sitting.until(lambda: words.value.endswith("ink"))
        assert len(words.value) <= LONGEST_WORDS


async def test_keys_lead_from_the_list_to_the_files_to_the_facts_and_back(desk: Desk) -> None:
    async with desk.open("browse", LARGE) as sitting:
        details = await pointed(sitting, 107842)
        for part in (details.query_one(Rows), details.query_one(Facts), screen(sitting).rows):
            await sitting.press("tab")
            await sitting.until(partial(getattr, part, "has_focus"))
        before = screen(sitting).rows.key
        await sitting.press("j")
        assert screen(sitting).rows.key != before
        await sitting.press("k")
        assert screen(sitting).rows.key == before
