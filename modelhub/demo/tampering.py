"""Answers that are damaged on their way: cut in half, of another shape, with other hashes."""

from __future__ import annotations

import json
from typing import Any

from modelhub.demo.faults import Fault

_OTHER_TYPES: dict[type, Any] = {
    int: {"not": "a number"},
    float: "not a number",
    str: 17,
    list: "not a list",
    dict: ["not an object"],
}


def tampered(fault: Fault, body: bytes) -> bytes:
    """`body`, a JSON text, as the fault leaves it."""
    if fault.kind == "truncated_json":
        return body[: len(body) // 2]
    if fault.kind == "wrong_shape":
        if fault.body is not None:
            return fault.body.encode()
        return json.dumps(_of_other_types(json.loads(body))).encode()
    value = json.loads(body)
    _change_hashes(value, fault)
    return json.dumps(value, ensure_ascii=False).encode()


def _of_other_types(value: Any) -> Any:
    if not isinstance(value, dict):
        return {"unexpected": True}
    return {name: _OTHER_TYPES.get(type(item), item) for name, item in value.items()}


def _change_hashes(value: Any, fault: Fault) -> None:
    if isinstance(value, list):
        for item in value:
            _change_hashes(item, fault)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == "hashes" and isinstance(item, dict):
                value[name] = _changed(item, fault)
            else:
                _change_hashes(item, fault)


def _changed(hashes: dict[str, str], fault: Fault) -> dict[str, str]:
    def meant(name: str) -> bool:
        return not fault.hashes or name in fault.hashes

    if fault.kind == "missing_hashes":
        return {name: value for name, value in hashes.items() if not meant(name)}
    turned = str.maketrans("0123456789ABCDEF", "123456789ABCDEF0")
    return {
        name: value.translate(turned) if meant(name) else value for name, value in hashes.items()
    }
