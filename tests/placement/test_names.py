from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelhub.errors import NameTaken
from modelhub.placement.names import MAX_BYTES, clean_name, free_variant, split_name

WINDOWS_DEVICE = re.compile(
    r"^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$) *(\.|$)", re.I
)


@pytest.mark.parametrize(
    ("given_name", "clean"),
    [
        ("sakushimixFinished_v1.safetensors", "sakushimixFinished_v1.safetensors"),
        ("majicMIX realistic 麦橘写实.safetensors", "majicMIX realistic 麦橘写实.safetensors"),
        ("✨ Sparkle 🔥.safetensors", "✨ Sparkle 🔥.safetensors"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..\\..\\Windows\\system32\\x.dll", "_.._Windows_system32_x.dll"),
        ("C:\\models\\x.pt", "C__models_x.pt"),
        ("/abs/olute.pt", "_abs_olute.pt"),
        ("nul\0byte.ckpt", "nulbyte.ckpt"),
        ("two\nlines\r\nand\ttab.pt", "two lines and tab.pt"),
        ("\u202egnp.exe.safetensors", "gnp.exe.safetensors"),
        ("zero\u200bwidth\ufeff\u2060.pt", "zerowidth.pt"),
        ("CON", "_CON"),
        ("con.safetensors", "_con.safetensors"),
        ("Nul .tar.gz", "_Nul .tar.gz"),
        ("COM¹.txt", "_COM¹.txt"),
        ("CONcept.safetensors", "CONcept.safetensors"),
        ("dots.safetensors. . .", "dots.safetensors"),
        (".hidden.pt", "hidden.pt"),
        ("-rf.safetensors", "rf.safetensors"),
        ("e\u0301te\u0301.pt", "été.pt"),
        ('a<b>c|d?e*f"g.pt', "a_b_c_d_e_f_g.pt"),
        (".safetensors", "unnamed.safetensors"),
        ("", "unnamed"),
        ("...", "unnamed"),
        ("\u200b\u200b", "unnamed"),
        ("model.vae.safetensors", "model.vae.safetensors"),
        ("model.safetensors.exe", "model_safetensors.exe"),
        ("model.safetensors                  .exe", "model_safetensors.exe"),
        ("model.exe.safetensors", "model.exe.safetensors"),
        ("lone\ud800surrogate.pt", "lone_surrogate.pt"),
    ],
)
def test_a_servers_name_becomes_one_safe_component(given_name: str, clean: str) -> None:
    assert clean_name(given_name) == clean


def test_three_hundred_emoji_keep_their_extension() -> None:
    cleaned = clean_name("🔥" * 300 + ".safetensors")
    assert cleaned.endswith("🔥.safetensors")
    assert len(cleaned.encode()) <= MAX_BYTES
    assert set(cleaned.removesuffix(".safetensors")) == {"🔥"}


def test_a_limit_that_holds_no_name_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least 64"):
        clean_name("x", max_bytes=20)


@given(st.text(max_size=400), st.integers(64, 255))
@example("CON" + "." * 300, 64)
@example("a" * 70 + "\u0301" * 70 + ".pt", 64)
@example("x.safetensors.exe.pt.exe", 255)
@example("- .-.CON.exe", 255)
@example("<\u0338.pt", 255)
def test_every_name_is_a_safe_component_and_cleaning_twice_is_cleaning_once(
    text: str, limit: int
) -> None:
    cleaned = clean_name(text, max_bytes=limit)
    assert cleaned
    assert len(cleaned.encode()) <= limit
    assert cleaned == unicodedata.normalize("NFC", cleaned)
    assert not set(cleaned) & set('<>:"/\\|?*')
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in cleaned)
    assert cleaned[0] not in ".- "
    assert cleaned[-1] not in ". "
    assert not WINDOWS_DEVICE.match(cleaned)
    assert os.path.basename(cleaned) == cleaned  # noqa: PTH119
    assert clean_name(cleaned, max_bytes=limit) == cleaned


@settings(deadline=None)
@given(st.text(min_size=1, max_size=60))
def test_every_clean_name_can_be_made_on_this_disk(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("names")
    (folder / clean_name(text)).touch()
    assert [entry.name for entry in folder.iterdir()] == [clean_name(text)]


def test_a_free_name_is_kept(tmp_path: Path) -> None:
    assert free_variant(tmp_path, "a.safetensors", version_id=7) == "a.safetensors"
    assert free_variant(tmp_path / "not there yet", "a.pt") == "a.pt"


def test_a_taken_name_gets_the_version_then_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").touch()
    assert free_variant(tmp_path, "a.safetensors") == "a (2).safetensors"
    assert free_variant(tmp_path, "a.safetensors", version_id=428028) == "a (428028).safetensors"
    (tmp_path / "a (428028).safetensors").touch()
    assert free_variant(tmp_path, "a.safetensors", version_id=428028) == "a (2).safetensors"
    taken = ["a (2).safetensors"]
    assert free_variant(tmp_path, "a.safetensors", taken, version_id=428028) == "a (3).safetensors"


@pytest.mark.parametrize("other", ["MODEL.SafeTensors", "model.safetensors"])
def test_names_that_a_case_insensitive_disk_confuses_are_collisions(
    tmp_path: Path, other: str
) -> None:
    (tmp_path / other).touch()
    assert free_variant(tmp_path, "Model.safetensors") == "Model (2).safetensors"


def test_two_unicode_forms_of_a_name_are_one_name(tmp_path: Path) -> None:
    (tmp_path / "e\u0301.pt").touch()
    assert free_variant(tmp_path, "é.pt") == "é (2).pt"


def test_a_variant_of_a_longest_name_is_no_longer(tmp_path: Path) -> None:
    name = clean_name("麦" * 200 + ".safetensors")
    (tmp_path / name).touch()
    variant = free_variant(tmp_path, name, version_id=133274, max_bytes=MAX_BYTES)
    assert variant.endswith(" (133274).safetensors")
    assert len(variant.encode()) <= MAX_BYTES


def test_a_thousand_taken_names_are_an_error() -> None:
    taken = ["a.pt", *(f"a ({number}).pt" for number in range(2, 1001))]
    with pytest.raises(NameTaken, match=r"a\.pt"):
        free_variant(Path("nowhere"), "a.pt", taken)


def test_only_a_short_ascii_tail_is_an_extension() -> None:
    assert split_name("model.safetensors") == ("model", ".safetensors")
    assert split_name("model v1. final cut") == ("model v1. final cut", "")
    assert split_name(".pt") == ("", ".pt")
