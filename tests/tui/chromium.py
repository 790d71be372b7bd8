"""Headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.tui.desk import PATIENCE

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_KEYS = {"Enter": ("\r", 13), "Escape": ("", 27), "ArrowDown": ("", 40)}
_FIND_TERMINAL = """
// The script of the page keeps its terminal to itself: it is noted as it is made.
Object.defineProperty(Object.prototype, "fitAddon", {
    configurable: true,
    set(value) {
        delete Object.prototype.fitAddon;
        this.fitAddon = value;
        window.theTerminal = this.terminal;
    },
});
"""
_READ_TERMINAL = """
(() => {
    const screen = window.theTerminal?.buffer.active;
    const line = (y) => screen.getLine(y).translateToString(true);
    return screen ? Array.from({length: screen.length}, (_, y) => line(y)).join("\\n") : "";
})()
"""


def installed() -> str | None:
    """The browser's program, where there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Page:
    """A page of the browser.

    :param socket: the way to it.
    """

    socket: ClientWebSocketResponse
    asked: int = 0

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have it do something; its answer."""
        self.asked += 1
        await self.socket.send_json({"id": self.asked, "method": method, "params": parameters})
        while True:
            answer = await asyncio.wait_for(self.socket.receive_json(), PATIENCE)
            if answer.get("id") == self.asked:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    async def open(self, address: str) -> None:
        """Go to an address."""
        found = await self.ask("Page.navigate", url=address)
        assert "errorText" not in found, found

    async def value(self, expression: str) -> Any:
        """What an expression is worth in the page."""
        found = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    async def terminal(self) -> str:
        """The text in the page's terminal."""
        return str(await self.value(_READ_TERMINAL))

    async def sees(self, *words: str) -> str:
        """Wait until all these words are in the terminal."""
        return await self._until(self.terminal, *words)

    async def says(self, *words: str) -> str:
        """Wait until all these words are in the page."""

        async def text() -> str:
            return str(await self.value("document.body?.innerText"))

        return await self._until(text, *words)

    async def _until(self, read: Any, *words: str) -> str:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            text = str(await read())
            if all(word in text for word in words):
                return text
            assert loop.time() < deadline, f"waited in vain for {words}:\n{text}"
            await asyncio.sleep(0.05)

    async def type(self, *keys: str) -> None:
        """Press keys: letters, or names of :data:`_KEYS`."""
        for key in keys:
            text, code = _KEYS.get(key, (key, 0))
            about = {"key": key, "code": key if code else "", "windowsVirtualKeyCode": code}
            await self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
            await self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    async def resize(self, width: int, height: int) -> None:
        """Make the window as large, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.ask("Emulation.setDeviceMetricsOverride", **size)

    async def picture(self) -> bytes:
        """A PNG of what the page shows."""
        return base64.b64decode((await self.ask("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A browser with an empty page, ended with the block.

    :param folder: for its profile.
    """
    import aiohttp

    program = installed()
    assert program is not None
    profile = folder / "profile"
    process = subprocess.Popen(
        [
            program,
            "--headless",
            "--no-sandbox",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    try:
        port = await _port(profile / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            address = pages[0]["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                await page.ask("Page.enable")
                await page.ask("Page.addScriptToEvaluateOnNewDocument", source=_FIND_TERMINAL)
                yield page
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


async def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    """Where the browser listens, once it does."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        assert loop.time() < deadline
        await asyncio.sleep(0.05)
    return int(file.read_text().splitlines()[0])
