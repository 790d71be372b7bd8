from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from modelhub.render.images.pictures import picture_size


@pytest.mark.timeout(320)
def test_the_demo_goes_through_the_main_job_and_says_what_to_try_next(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "modelhub", "demo", "--folder", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    library = tmp_path / "demo" / "ComfyUI" / "models"
    assert len(list(library.rglob("*.safetensors"))) == 7
    assert [path.name for path in library.rglob("*.ckpt")] == ["too_good.ckpt"]
    assert "posix.system" in ended.stdout + ended.stderr
    for expected in ("$ modelhub pull 78056", "aniverse_v20", "Done. Try next:"):
        assert expected in ended.stdout
    assert "1 new, 1 moved, 3 unchanged" in ended.stdout
    renamed = [line for line in ended.stdout.splitlines() if line.startswith("renamed.safetensors")]
    assert [line.split()[-1] for line in renamed] == ["style"], "the tag is where the content is"
    assert "Traceback" not in ended.stderr
    pictures = {path.name: path for path in (tmp_path / "demo" / "home").rglob("renders/*/*.png")}
    [precisions] = [path for name, path in pictures.items() if name.endswith("-dtype.png")]
    [weights] = [path for name, path in pictures.items() if name.endswith("-lora-weight.png")]
    assert len(pictures) == 3 + 5 + 2
    assert all(picture_size(path.read_bytes())[0] > 1000 for path in (precisions, weights))
    assert ended.stderr.count("PSNR") == 2, "of fp16 and bf16 against fp32"


def test_the_hub_can_be_left_running(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "modelhub", "demo", "serve", "--port", "0"],
        env=os.environ | {"MODELHUB_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", serving.stdout.readline())
        assert found
        answer = httpx.get(f"{found[0]}/api/v1/models/78056", headers={"User-Agent": "modelhub"})
        assert answer.json()["name"] == "SakushiMix (finished)"
        serving.send_signal(signal.SIGINT)
        assert serving.wait(10) == 0
