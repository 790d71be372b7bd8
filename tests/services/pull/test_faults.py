"""Every fault that the hub knows, met by a whole pull: the right bytes in place, or an error and
nothing in place; never anything between.
"""

from __future__ import annotations

from typing import Any

import pytest

from modelhub.demo.faults import KINDS
from modelhub.demo.hub import DemoHub, Fault, random_bytes
from modelhub.errors import (
    HashMismatch,
    ModelhubError,
    NotAModelFile,
    RateLimited,
    RedirectRefused,
    ServerFault,
    UnexpectedAnswer,
)
from modelhub.progress import Outcome

from .conftest import Puller

MIB = 1 << 20

# Passing faults: the pull ends well, whatever they did to it.
OVERCOME: list[dict[str, Any]] = [
    {"kind": "drop", "after": MIB, "times": 2},
    {"kind": "drop", "after": MIB, "times": 2, "reset": True},
    {"kind": "stall", "after": MIB, "times": 1},
    {"kind": "ignore_range", "times": None},
    {"kind": "expire_link", "after": MIB, "times": 1},
    {"kind": "rate_limit", "retry_after": 1, "times": 1},
    {"kind": "rate_limit", "retry_after": 1, "times": 1, "server": "api"},
    {"kind": "server_error", "status": 500, "times": 1, "server": "api"},
    {"kind": "server_error", "status": 502, "times": 2},
    {"kind": "server_error", "status": 503, "times": 1, "server": "api", "path": "/download/"},
    {"kind": "slow", "rate": 2 * MIB, "times": 1},
    {"kind": "truncated_json", "times": 1},
    {"kind": "no_etag", "times": None},
    {"kind": "no_content_length", "times": None},
    {"kind": "wrong_length", "by": -1000, "times": 1},
    {"kind": "missing_hashes", "times": None},
]

# Lasting faults: each ends in an error of its own.
FATAL: list[tuple[dict[str, Any], type[ModelhubError]]] = [
    ({"kind": "corrupt", "offset": 2 * MIB}, HashMismatch),
    ({"kind": "wrong_hash"}, HashMismatch),
    ({"kind": "html_page", "page": "login", "server": "storage"}, NotAModelFile),
    ({"kind": "html_page", "page": "login", "path": "/api/download"}, ModelhubError),
    ({"kind": "html_page", "page": "maintenance", "path": "/api/v1"}, ModelhubError),
    ({"kind": "redirect_loop"}, RedirectRefused),
    ({"kind": "redirect_to", "url": "ftp://example.org/model"}, RedirectRefused),
    ({"kind": "redirect_to", "url": "http://example.org/model"}, RedirectRefused),
    ({"kind": "redirect_to", "url": "file:///etc/passwd"}, RedirectRefused),
    ({"kind": "server_error", "status": 520, "server": "api"}, ServerFault),
    ({"kind": "rate_limit", "retry_after": 3600, "server": "api"}, RateLimited),
    ({"kind": "truncated_json"}, UnexpectedAnswer),
    ({"kind": "wrong_shape"}, UnexpectedAnswer),
]


def name_of(case: object) -> str:
    if isinstance(case, dict):
        return "-".join(str(value) for value in case.values())
    return getattr(case, "__name__", "")


@pytest.fixture
def patient(library: Puller) -> Puller:
    library.set("download", timeout=2.0, connections=3)
    library.set("civitai", max_wait=5.0)
    return library


def publish(hub: DemoHub) -> tuple[str, bytes]:
    content = random_bytes(6 * MIB, seed=99)
    file = hub.publish_bytes("faulty.safetensors", content)
    return f"https://civitai.com/model-versions/{file.version_id}", content


def in_place(library: Puller) -> list[str]:
    return [name for name in library.files() if name.endswith(".safetensors")]


@pytest.mark.parametrize("fault", OVERCOME, ids=name_of)
def test_a_passing_fault_is_overcome(patient: Puller, hub: DemoHub, fault: dict[str, Any]) -> None:
    reference, content = publish(hub)
    hub.faults.add(Fault(**fault))

    pulled = patient.one(reference)

    assert pulled.outcome is Outcome.DONE
    assert pulled.path.read_bytes() == content
    assert in_place(patient) == ["checkpoints/faulty.safetensors"]


@pytest.mark.parametrize(("fault", "error"), FATAL, ids=name_of)
def test_a_lasting_fault_is_an_error_and_leaves_nothing_in_place(
    patient: Puller, hub: DemoHub, fault: dict[str, Any], error: type[ModelhubError]
) -> None:
    reference, _ = publish(hub)
    hub.faults.add(Fault(**fault, times=None))

    found = patient.error(reference)

    assert isinstance(found, error), found
    assert found.message
    assert "X-Amz" not in found.message + found.hint
    assert in_place(patient) == []
    assert patient.catalog.count() == 0


def test_a_file_that_changes_midway_is_fetched_anew(patient: Puller, hub: DemoHub) -> None:
    reference, content = publish(hub)
    # Other ETag, same bytes: what came before the change must not be mixed with what came after.
    hub.faults.add(Fault(kind="change_file", after=2 * MIB, content=content))

    assert patient.one(reference).path.read_bytes() == content


def test_a_pull_after_the_fault_is_gone_ends_well(patient: Puller, hub: DemoHub) -> None:
    reference, content = publish(hub)
    fault = hub.faults.add(Fault(kind="drop", after=2 * MIB, times=None))
    patient.set("download", retries=0, connections=1)
    patient.error(reference)
    hub.faults.remove(fault.id)
    hub.forget_requests()

    pulled = patient.one(reference)

    assert pulled.path.read_bytes() == content
    assert pulled.resumed > 0
    assert hub.bytes_sent("storage") < len(content)


def test_every_kind_of_fault_is_met_here() -> None:
    met = {fault["kind"] for fault in OVERCOME} | {fault["kind"] for fault, _ in FATAL}
    assert met | {"change_file"} == set(KINDS)
