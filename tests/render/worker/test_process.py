"""The process itself: its start, its end, and what it is shut off from. No image is made here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub.errors import Cancelled, MissingExtra, RenderWorkerDied, UsageError
from modelhub.render.client import RenderWorker
from modelhub.render.request import Recipe, Request, Settings
from modelhub.render.worker import started
from tests.render.worker.waiting import gone, until

REQUEST = Request(id="1", recipe=Recipe(model="/nowhere/model.safetensors"), settings=Settings())


@pytest.fixture
def worker() -> Iterator[RenderWorker]:
    with RenderWorker(patience=0.5) as one:
        yield one


def test_starting_returns_before_torch_is_imported(worker: RenderWorker) -> None:
    number = started_number(worker)
    mapped = Path(f"/proc/{number}/maps")
    if not mapped.exists():
        pytest.skip("this system does not tell what a process has loaded")
    assert "libtorch" not in mapped.read_text()
    until(lambda: "libtorch" in mapped.read_text())


def test_the_client_imports_neither_torch_nor_numpy_nor_pillow() -> None:
    code = "import sys, modelhub.render.client, modelhub.render.pool; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    modules = set(printed.split())
    assert "modelhub.render.client" in modules
    assert not {"torch", "numpy", "PIL", "diffusers", "transformers"} & modules


def test_closing_ends_the_process_at_once_even_while_it_imports(worker: RenderWorker) -> None:
    worker.start()
    number = worker.process_id
    began = time.monotonic()
    worker.close()
    assert time.monotonic() - began < 4.5, "it was ended by force, after five seconds"
    assert worker.process_id is None
    assert number is not None
    assert gone(number)
    worker.close()


def test_a_process_that_is_left_ends_by_itself_and_is_buried_by_the_next(
    worker: RenderWorker,
) -> None:
    number = started_number(worker)
    worker.leave()
    assert worker.process_id is None
    until(lambda: gone(number))
    worker.start()
    assert number not in [one.pid for one in started._LEAVING]
    worker.leave()
    worker.leave()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT"])
def test_a_death_is_told_with_its_signal_and_what_to_do(worker: RenderWorker, name: str) -> None:
    number = started_number(worker)
    threading.Timer(0.2, os.kill, (number, signal.Signals[name])).start()
    with pytest.raises(RenderWorkerDied, match=name) as caught:
        worker.render(REQUEST, lambda progress: None, threading.Event())
    assert worker.process_id is None
    assert "next render starts it anew" in caught.value.hint
    if name == "SIGKILL":
        assert "out of memory" in caught.value.hint
    worker.start()
    assert worker.process_id not in (None, number)


def test_a_crash_shows_what_the_process_wrote_last_and_the_terminal_nothing(
    worker: RenderWorker, capfd: pytest.CaptureFixture[str]
) -> None:
    number = started_number(worker)
    until(lambda: catches(number, signal.SIGSEGV))
    threading.Timer(0.1, os.kill, (number, signal.SIGSEGV)).start()
    with pytest.raises(RenderWorkerDied) as caught:
        worker.render(REQUEST, lambda progress: None, threading.Event())
    assert any("Segmentation fault" in line for line in caught.value.lines)
    assert "Segmentation fault" in "".join(caught.value.lines)
    assert capfd.readouterr() == ("", "")


def test_a_process_that_does_not_react_to_cancelling_is_killed(worker: RenderWorker) -> None:
    number = started_number(worker)
    os.kill(number, signal.SIGSTOP)
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        worker.render(REQUEST, lambda progress: None, cancel)
    assert time.monotonic() - began < 12.0, "as if its patience were the usual 15 seconds"
    assert gone(number)
    assert worker.process_id is None


def test_what_was_cancelled_before_it_began_starts_nothing(worker: RenderWorker) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        worker.render(REQUEST, lambda progress: None, cancel)
    assert worker.process_id is None


def test_closing_from_another_thread_cancels_what_is_under_way(worker: RenderWorker) -> None:
    number = started_number(worker)
    os.kill(number, signal.SIGSTOP)
    threading.Timer(0.2, worker.close).start()
    with pytest.raises(Cancelled):
        worker.render(REQUEST, lambda progress: None, threading.Event())
    assert gone(number)


def test_an_order_of_absurd_length_is_refused_here(worker: RenderWorker) -> None:
    prompt = Settings(prompt="x" * (17 << 20))
    request = Request(id="1", recipe=REQUEST.recipe, settings=prompt)
    with pytest.raises(UsageError, match="bytes long"):
        worker.render(request, lambda progress: None, threading.Event())


def test_ctrl_c_on_the_terminal_does_not_reach_the_process(worker: RenderWorker) -> None:
    number = started_number(worker)
    assert os.getpgid(number) != os.getpgid(0)
    until(lambda: ignores(number, signal.SIGINT))


def test_the_process_ends_when_its_parent_is_killed() -> None:
    code = (
        "import time; from modelhub.render.client import RenderWorker\n"
        "worker = RenderWorker(); worker.start(); print(worker.process_id, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        number = int(parent.stdout.readline())
        assert not gone(number)
        parent.kill()
        parent.wait()
    until(lambda: gone(number))


def test_the_kernel_is_told_to_take_the_process_before_others(worker: RenderWorker) -> None:
    score = Path(f"/proc/{os.getpid()}/oom_score_adj")
    if not score.exists():
        pytest.skip("no such scores on this system")
    worker.start()
    mine, of_process = score.read_text(), Path(f"/proc/{worker.process_id}/oom_score_adj")
    until(lambda: int(of_process.read_text()) > int(mine))


def test_without_the_extra_the_command_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch, worker: RenderWorker
) -> None:
    monkeypatch.setattr(started, "_NEEDED", ("torch_of_no_name",))
    with pytest.raises(MissingExtra, match="torch_of_no_name") as caught:
        worker.render(REQUEST, lambda progress: None, threading.Event())
    assert caught.value.hint == "pip install 'modelhub[render]'"


def test_no_descriptor_and_no_zombie_is_left_behind(worker: RenderWorker) -> None:
    worker.start()
    worker.close()
    before = _open_descriptors()
    for _ in range(3):
        worker.start()
        worker.close()
    assert _open_descriptors() == before


def test_a_broken_torch_is_told_and_an_idle_process_ends_and_is_started_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.99 is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with RenderWorker(keep_warm=0.3) as worker:
        worker.start()
        number = worker.process_id
        assert number is not None
        until(lambda: gone(number))
        for _ in range(2):
            with pytest.raises(MissingExtra, match=r"libcudart\.so\.99 is missing"):
                worker.render(REQUEST, lambda progress: None, threading.Event())
        assert worker.process_id not in (None, number)


def test_cancelling_reaches_a_process_that_still_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("import time; time.sleep(0.5); raise ImportError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with RenderWorker() as worker:
        worker.start()
        number = worker.process_id
        cancel = threading.Event()
        threading.Timer(0.1, cancel.set).start()
        with pytest.raises(Cancelled):
            worker.render(REQUEST, lambda progress: None, cancel)
        assert worker.process_id == number


NETWORK = """
import socket
from modelhub.render.worker.isolation import forbid_network
forbid_network()
for reach in (
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: socket.getaddrinfo("localhost", 80),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
):
    try:
        reach()
    except PermissionError as error:
        print("refused")
"""


def test_the_process_can_reach_nobody() -> None:
    printed = subprocess.run([sys.executable, "-c", NETWORK], capture_output=True, text=True)
    assert printed.stdout.split() == ["refused"] * 3


WAITING = """
import os
from modelhub.render.worker.isolation import isolate
isolate()
print(os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_WAIT_POLICY"))
"""


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, ["10000", "None"]),
        ({"GOMP_SPINCOUNT": "7"}, ["7", "None"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["None", "ACTIVE"]),
    ],
)
def test_threads_that_wait_spin_a_little_unless_the_user_said_how(
    said: dict[str, str], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    printed = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True)
    assert printed.stdout.split() == found


def started_number(worker: RenderWorker) -> int:
    """Start it, and the number of its process."""
    worker.start()
    number = worker.process_id
    assert number is not None
    return number


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def ignores(number: int, which: signal.Signals) -> bool:
    """Whether the process ignores the signal, by /proc; where there is none, it is believed."""
    return _in_mask(number, "SigIgn", which)


def catches(number: int, which: signal.Signals) -> bool:
    """Whether the process has a handler for the signal; believed as above."""
    return _in_mask(number, "SigCgt", which)


def _in_mask(number: int, name: str, which: signal.Signals) -> bool:
    status = Path(f"/proc/{number}/status")
    if not status.exists():
        return True
    mask = next(line for line in status.read_text().splitlines() if line.startswith(f"{name}:"))
    return bool(int(mask.split()[1], 16) >> (which - 1) & 1)
