from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.civitai.disposition import disposition_filename, link_filename


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('attachment; filename="a b.ckpt"', "a b.ckpt"),
        ("attachment; filename=a.ckpt", "a.ckpt"),
        ('attachment;filename="a\\"b\\\\c"', 'a"b\\c'),
        ("attachment; filename*=UTF-8''%e9%ba%a6.ckpt; filename=x", "麦.ckpt"),
        ("attachment; filename=x; FILENAME*=utf-8'en'y%20z", "y z"),
        ("attachment; filename*=iso-8859-1''na%EFve", "naïve"),
        ("attachment; filename*=UTF-8''%ff%fe; filename=x", "\ufffd\ufffd"),
        ("attachment; filename*=klingon''x; filename=y", "y"),
        ("attachment; filename*=broken; filename=y", "y"),
        ('filename="only.ckpt"', "only.ckpt"),
        ('attachment; filename="semi;colon.ckpt"; size=5', "semi;colon.ckpt"),
        ("attachment; filename=../../etc/passwd", "../../etc/passwd"),
        ('attachment; filename=""', None),
        ("attachment", None),
        ("", None),
        (None, None),
        ("attachment; filename=麦.ckpt".encode(), "麦.ckpt"),
        ("attachment; filename=naïve".encode("latin-1"), "naïve"),
    ],
)
def test_names_are_read_in_both_forms(value: str | bytes | None, name: str | None) -> None:
    assert disposition_filename(value) == name


@given(st.text(max_size=100) | st.binary(max_size=100))
def test_any_disposition_is_read_or_has_no_name(value: str | bytes) -> None:
    disposition_filename(value)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_name_in_the_extended_form_survives(name: str) -> None:
    value = "attachment; filename=x; filename*=UTF-8''" + quote(name, safe="")
    assert disposition_filename(value) == name
    url = "https://host/p?response-content-disposition=" + quote(value)
    assert link_filename(url) == name
