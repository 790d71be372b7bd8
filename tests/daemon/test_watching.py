from __future__ import annotations

import json
import struct
from pathlib import Path

from modelhub.catalog import open_catalog
from modelhub.services.jobs import JobState
from modelhub.services.watch.standing import asked

from .conftest import Library, wait_for


def tiny_model(path: Path) -> None:
    """A file of one tensor, as a user would save it: whole at once."""
    header = {"weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<4f", 1, 2, 3, 4))


def test_a_daemon_keeps_the_catalog_in_step_and_tells_of_jobs(library: Library) -> None:
    library.variables["MODELHUB_DAEMON_WATCH"] = "true"
    library.variables["MODELHUB_INDEX_SETTLE"] = "0"
    daemon = library.start()
    events = library.contact.events(patience=60)
    assert next(events) == {}

    tiny_model(library.folder / "models" / "dropped.safetensors")
    with open_catalog(library.config) as catalog:
        wait_for(lambda: catalog.count("dropped") == 1, "the file is in the catalog")
        wait_for(lambda: catalog.count("state:hashed") == 1, "the file is hashed")

    def change() -> str:
        roots = asked(library.contact) or ()
        return next((one.change for one in roots if one.native and one.there), "")

    wait_for(lambda: change() == "dropped.safetensors hashed", "what was seen is told")

    reference, _ = library.publish("told.safetensors", b"told" * 1000)
    job = library.pull(reference)
    states = []
    for event in events:
        if event.get("job", {}).get("id") == job.id:
            states.append(event["job"]["state"])
            if states[-1] == JobState.DONE:
                break
    assert states[-1] == "done"
    events.close()  # type: ignore[attr-defined]
    library.stop(daemon)
