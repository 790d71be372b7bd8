from __future__ import annotations

import pytest

from modelhub.cli.redact import hide_known, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://x.com/a?token=abc&b=1 failed", "GET https://x.com/a?*** failed"),
        ("postgresql+psycopg://me:pw@db/hub", "postgresql+psycopg://***@db/hub"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': 'Bearer ***'}"),
        ("authorization: abcdef", "authorization: ***"),
        ("(b'api_key', 1) api-key=abc,x", "(b'api_key', 1) api-key=***,x"),
        ("X-Amz-Signature=00ff rest", "X-Amz-Signature=*** rest"),
        ("nothing to hide in https://civitai.com/models/1", None),
    ],
)
def test_secrets_are_blotted_out(text: str, shown: str | None) -> None:
    assert redact(text) == (shown or text)


def test_known_values_are_blotted_out_wherever_they_stand() -> None:
    assert hide_known("a s3cr3t-key b", ["s3cr3t-key"]) == "a *** b"
    assert hide_known("a b c", ["a"]) == "a b c"
