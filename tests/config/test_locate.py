from __future__ import annotations

import json
import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelhub.config.locate import KeyPath, key_lines, line_of

DOCUMENT = """\
# a comment with [brackets] and = signs
title = "a [table] = no"          # 2

[server]                          # 4
"quoted key" = 1                  # 5
a.b.c = '''
[not.a.table]
x = 1
'''                               # a.b.c starts on 6
ports = [                         # 10
  8000,
  # comment, with ] inside
  [ 1,
    2 ],                          # 14
]
point = { x = 1, y.z = "}" }      # 16
after = true                      # 17

[[fruit]]                         # 19
name = "apple"
[fruit.physical]                  # 21
color = "red"
[[fruit.variety]]                 # 23
name = "plantain"
[[fruit.variety]]
name = "fuji"                     # 26
[[fruit]]                         # 27
name = "banana"
text = \"\"\"two quotes \"\" inside
and \\\"\"\" escaped ones \"\"\"\"\"
end = 1                           # 31
"""


def test_every_kind_of_key_is_found_on_its_line() -> None:
    tomllib.loads(DOCUMENT)
    lines = key_lines(DOCUMENT)
    expected: dict[KeyPath, int] = {
        ("title",): 2,
        ("server",): 4,
        ("server", "quoted key"): 5,
        ("server", "a", "b", "c"): 6,
        ("server", "ports"): 10,
        ("server", "ports", 0): 11,
        ("server", "ports", 1): 13,
        ("server", "ports", 1, 1): 14,
        ("server", "point", "x"): 16,
        ("server", "point", "y", "z"): 16,
        ("server", "after"): 17,
        ("fruit", 0): 19,
        ("fruit", 0, "physical"): 21,
        ("fruit", 0, "physical", "color"): 22,
        ("fruit", 0, "variety", 0): 23,
        ("fruit", 0, "variety", 1, "name"): 26,
        ("fruit", 1): 27,
        ("fruit", 1, "text"): 29,
        ("fruit", 1, "end"): 31,
    }
    assert {path: lines[path] for path in expected} == expected


def test_a_value_without_a_line_of_its_own_gets_that_of_its_surroundings() -> None:
    lines = key_lines("[a]\nb = 1\n")
    assert line_of(lines, ("a", "b", "deeper", 3)) == 2
    assert line_of(lines, ("elsewhere",)) is None


values = st.recursive(
    st.integers(-99, 99) | st.booleans() | st.text("ab\"'[]{}#,=\n\\", max_size=6),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
tables = st.dictionaries(
    st.text("ab.-_\"'# ", max_size=4), st.dictionaries(st.text('kx. ]"', max_size=3), values)
)


def _written(value: Any) -> str:
    if isinstance(value, list):
        # Over several lines and with comments, as people write long lists.
        return "[\n" + "".join(f"  {_written(item)}, # ] {{\n" for item in value) + "]"
    return json.dumps(value)


@given(tables)
def test_any_document_that_parses_is_located_in_full(document: dict[str, dict[str, Any]]) -> None:
    text = ""
    expected: dict[KeyPath, int] = {}
    for name, table in document.items():
        expected[(name,)] = text.count("\n") + 1
        text += f"[{json.dumps(name)}] # x = 1\n\n"
        for key, value in table.items():
            expected[(name, key)] = text.count("\n") + 1
            text += f"  {json.dumps(key)}={_written(value)}\n"
    assert tomllib.loads(text) == document
    lines = key_lines(text)
    assert {path: lines[path] for path in expected} == expected


@given(st.text("ab=[]{}\"'\n#,.1 ", max_size=40))
def test_whatever_the_parser_accepts_the_scanner_gets_through(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = key_lines(text)
    assert all((key,) in lines for key in document)
