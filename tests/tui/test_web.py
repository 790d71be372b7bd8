"""The program in a browser: who is let in, what is shown, and that keys arrive."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from modelhub.tui.pictures import Way, way_of
from tests.tui.chromium import NAMES, browser, installed
from tests.tui.desk import PATIENCE, Desk
from tests.tui.stock import fill, opened


@contextlib.contextmanager
def served(desk: Desk) -> Iterator[str]:
    """`modelhub tui --web`, and the address that it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "modelhub", "tui", "--web"],
        env=desk.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(PATIENCE)
    assert server.returncode == 0


def test_the_browser_gets_it_with_the_token_only(desk: Desk) -> None:
    fill(desk)
    with served(desk) as address:
        asyncio.run(_browse(address))


async def _browse(address: str) -> None:
    import aiohttp

    base, _, token = address.partition("/?token=")
    assert base.startswith("http://127.0.0.1:")
    assert len(token) >= 32
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as stranger:
        for path in ("/", "/?token=guess", "/ws", "/static/js/textual.js"):
            async with stranger.get(base + path) as answer:
                assert answer.status == 403
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(address) as page:
            assert (page.status, str(page.url)) == (200, f"{base}/")
            assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
        for header in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            async with browser.get(f"{base}/", headers=header) as answer:
                assert answer.status == 403
        data = b""
        async with browser.ws_connect(f"{base}/ws?width=100&height=30") as socket:
            while not (b"Settings" in data and b"dream" in data):
                message = await asyncio.wait_for(socket.receive(), PATIENCE)
                assert message.type is aiohttp.WSMsgType.BINARY
                data += message.data


def test_a_browser_gets_pictures_as_it_can_show_them_whatever_serves_it_runs_in() -> None:
    kitty = {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}
    assert way_of(kitty) is Way.KITTY
    assert way_of(kitty | {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}) is Way.BLOCKS


@pytest.mark.skipif(installed() is None, reason=f"no browser is installed: {', '.join(NAMES)}")
def test_a_real_browser_shows_the_library_and_takes_keys(desk: Desk) -> None:
    fill(desk)
    with served(desk) as address:
        asyncio.run(_use(desk, address))


async def _use(desk: Desk, address: str) -> None:
    async with browser(desk.folder) as page:
        await page.open(address.partition("?")[0])
        await page.says("Open the address that `modelhub tui --web` printed.")
        assert await page.terminal() == ""

        await page.resize(1000, 600)
        await page.open(address)
        text = await page.sees("1 Library", "dream", "old_mix.ckpt", "? keys")
        assert "token" not in await page.value("document.location.href")
        assert "never used" not in text
        await page.resize(1600, 900)
        await page.sees("never used", "dream")

        await page.type("/", *"type:lora")
        await page.sees("2 of 5")
        await page.type("Enter", "t")
        await page.sees("Tag ink.safetensors:")
        await page.type(*"browsed", "Enter")
        await page.sees("1 content tagged")
        with opened(desk) as catalog:
            assert [row.path for row in catalog.list_files("tag:browsed")]

        await page.type("q")
        await page.says("This window's program has ended.")
