from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.civitai.references import expand_arguments
from modelhub.errors import UsageError


def expanded(*args: str, stdin: str = "") -> list[str]:
    return list(expand_arguments(args, io.StringIO(stdin)))


def test_plain_arguments_pass_as_they_are() -> None:
    assert expanded("1", "a b", "#1") == ["1", "a b", "#1"]


def test_a_dash_stands_for_the_lines_of_standard_input() -> None:
    assert expanded("1", "-", "9", stdin="2\n\n# no\n 3 \r\n4") == ["1", "2", "3", "4", "9"]


def test_a_file_may_have_a_byte_order_mark_comments_blank_lines_and_windows_endings(
    tmp_path: Path,
) -> None:
    path = tmp_path / "list of models.txt"
    path.write_bytes(
        b"\xef\xbb\xbf78056\r\n\r\n  # a comment\r\nhttps://civitai.com/models/1#reviews\r\n"
        + "AniVerse 麦 (428028)".encode()
    )
    assert expanded(f"@{path}") == [
        "78056",
        "https://civitai.com/models/1#reviews",
        "AniVerse 麦 (428028)",
    ]


@pytest.mark.parametrize("line", ["@other.txt", "-", "  @x"])
def test_a_list_cannot_name_another_list(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"1\n{line}\n")
    with pytest.raises(UsageError, match=r"list\.txt, line 2"):
        expanded(f"@{path}")
    with pytest.raises(UsageError, match="standard input, line 1"):
        expanded("-", stdin=line)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.txt.*No such file"):
        expanded(f"@{tmp_path / 'missing.txt'}")
    with pytest.raises(UsageError, match="directory"):
        expanded(f"@{tmp_path}")
    with pytest.raises(UsageError, match="without a file name"):
        expanded("@")
    with pytest.raises(UsageError, match="null"):
        expanded("@a\0b")


@pytest.mark.parametrize("content", [b"1\n\xff\xfe2\n", "78056\n".encode("utf-16")])
def test_a_list_in_another_encoding_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="UTF-8") as caught:
        expanded(f"@{path}")
    assert "UTF-8" in caught.value.hint


def test_an_endless_line_is_not_read_to_its_end() -> None:
    with pytest.raises(UsageError, match="too long"):
        expanded("@/dev/zero")


@given(st.lists(st.text(st.characters(exclude_categories=("Cc", "Zl", "Zp", "Cs")), max_size=30)))
def test_every_line_that_is_no_comment_comes_through(lines: list[str]) -> None:
    wanted = [line.strip().strip("\ufeff").strip() for line in lines]
    wanted = [line for line in wanted if line and line[0] not in "#@" and line != "-"]
    assert expanded("-", stdin="\n".join(wanted)) == wanted
