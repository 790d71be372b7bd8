from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelhub.catalog import FileState
from modelhub.demo.weights.files import write_safetensors, write_torch_zip
from modelhub.demo.weights.tables import Tensor
from modelhub.errors import Cancelled
from modelhub.formats.reading import read_header
from modelhub.progress import Event, StageEntered, silent
from modelhub.services.dupes import DupesReport, Group, Part, Same, dupes
from modelhub.services.vaes import read_vaes, same_vae, vae_key
from tests.formats.weights import as_bf16, as_fp16
from tests.formats.written import GgufWriter
from tests.services.index.shelf import OLD, Library

from .shelf import checkpoint, lora, put, vae


def found(library: Library, *, weights: bool = True) -> DupesReport:
    return dupes(library.catalog, config=library.config, weights=weights)


def parts(group: Group, library: Library) -> dict[str, Part]:
    return {str(one.path.relative_to(library.root)): one.part for one in group.members}


def of(report: DupesReport, same: Same) -> list[Group]:
    return [group for group in report.groups if group.same is same]


def test_the_same_bytes_are_told_with_what_a_link_would_save(library: Library) -> None:
    one = library.put("old/a.safetensors", mtime_ns=OLD - 10**12)
    for name in ("b.safetensors", "c.safetensors"):
        library.put(name, one.read_bytes())
    library.put("other.safetensors")
    library.index()
    [group] = found(library, weights=False).groups
    size = one.stat().st_size
    assert (group.same, group.saves) == (Same.BYTES, 2 * size)
    assert parts(group, library) == {
        "old/a.safetensors": Part.KEPT,
        "b.safetensors": Part.COPY,
        "c.safetensors": Part.COPY,
    }
    assert {one.link_to for one in group.members} == {None, one}


def test_the_one_in_the_library_is_kept_then_the_oldest_then_the_shortest(
    library: Library,
) -> None:
    content = library.put("aa.safetensors").read_bytes()
    library.put("b.safetensors", content)
    library.put("mine/new.safetensors", content, mtime_ns=OLD + 10**9)
    library.index()
    [group] = found(library, weights=False).groups
    assert parts(group, library)["b.safetensors"] is Part.KEPT
    settings = replace(library.config.library, root=str(library.root / "mine"))
    config = replace(library.config, library=settings)
    [group] = dupes(library.catalog, config=config, weights=False).groups
    assert parts(group, library)["mine/new.safetensors"] is Part.KEPT


def test_links_save_nothing_more(library: Library) -> None:
    one = library.put("a.safetensors")
    (library.root / "hard.safetensors").hardlink_to(one)
    (library.root / "soft.safetensors").symlink_to(one)
    library.index()
    [group] = found(library, weights=False).groups
    assert group.saves == 0
    assert parts(group, library)["hard.safetensors"] is Part.LINKED
    if "soft.safetensors" in library.paths():
        assert parts(group, library)["soft.safetensors"] is Part.LINKED


def test_a_copy_with_a_name_elsewhere_saves_nothing(library: Library, tmp_path: Path) -> None:
    one = library.put("a.safetensors", mtime_ns=OLD - 10**9)
    copy = library.put("b.safetensors", one.read_bytes())
    (tmp_path / "elsewhere.safetensors").hardlink_to(copy)
    library.index()
    [group] = found(library, weights=False).groups
    assert group.saves == 0
    assert {one.detail for one in group.members} == {"", "has further names elsewhere"}


def test_a_file_that_changed_or_is_gone_is_no_copy(library: Library) -> None:
    one = library.put("a.safetensors")
    changed = library.put("b.safetensors", one.read_bytes())
    library.put("c.safetensors", one.read_bytes())
    library.index()
    os.utime(changed, ns=(OLD, OLD + 1))
    [group] = found(library, weights=False).groups
    assert parts(group, library)["b.safetensors"] is Part.CHANGED
    (library.root / "c.safetensors").unlink()
    changed.unlink()
    assert found(library, weights=False).groups == ()


def test_the_same_weights_are_found_in_every_precision_and_container(library: Library) -> None:
    weights = checkpoint(1, vae_seed=1)
    put(library.root / "full.safetensors", weights)
    put(library.root / "half.safetensors", as_fp16(weights))
    put(library.root / "brain.safetensors", as_bf16(weights), {"title": "another"})
    put(library.root / "other.safetensors", as_fp16(checkpoint(2, vae_seed=1)))
    library.index()
    [group] = of(found(library), Same.WEIGHTS)
    assert parts(group, library) == {
        "full.safetensors": Part.SOURCE,
        "half.safetensors": Part.DERIVED,
        "brain.safetensors": Part.DERIVED,
    }
    assert group.level == "bf16"
    assert [one.precision for one in group.members] == ["fp32", "bf16", "fp16"] or [
        one.precision for one in group.members
    ] == ["fp32", "fp16", "bf16"]


def test_a_pickle_and_its_safetensors_copy_are_the_same_weights(library: Library) -> None:
    table = [Tensor(name, one.shape, "F16") for name, one in checkpoint(1, vae_seed=1).items()]
    write_torch_zip(library.root / "a.ckpt", table, seed=1)
    write_safetensors(library.root / "a.safetensors", table, seed=1, metadata={})
    for name in ("a.ckpt", "a.safetensors"):
        os.utime(library.root / name, ns=(OLD, OLD))
    library.index()
    [group] = of(found(library), Same.WEIGHTS)
    assert (group.level, {one.format for one in group.members}) == (
        "exact",
        {"ckpt", "safetensors"},
    )


def test_other_metadata_make_no_other_weights(library: Library) -> None:
    put(library.root / "a.safetensors", lora(1))
    put(library.root / "b.safetensors", lora(1), {"ss_output_name": "renamed"})
    put(library.root / "c.safetensors", lora(2))
    library.index()
    [group] = of(found(library), Same.WEIGHTS)
    assert set(parts(group, library)) == {"a.safetensors", "b.safetensors"}
    assert group.level == "exact"


def test_the_second_run_reads_nothing(library: Library) -> None:
    put(library.root / "a.safetensors", lora(1))
    put(library.root / "b.safetensors", as_fp16(lora(1)))
    put(library.root / "c.safetensors", lora(2))
    library.index()
    first = found(library)
    assert first.read_bytes > 0
    stages: list[Event] = []

    def hear(event: Event) -> None:
        if isinstance(event, StageEntered):
            stages.append(event)

    second = dupes(library.catalog, config=library.config, listener=hear)
    assert (second.read_bytes, stages) == (0, [])
    assert second.groups == first.groups


def test_a_file_that_changed_since_it_was_hashed_is_not_read(library: Library) -> None:
    put(library.root / "a.safetensors", lora(1))
    put(library.root / "b.safetensors", as_fp16(lora(1)))
    library.index()
    os.utime(library.root / "b.safetensors", ns=(OLD, OLD + 1))
    assert of(found(library), Same.WEIGHTS) == []
    library.index()
    assert len(of(found(library), Same.WEIGHTS)) == 1


def test_models_in_several_files_are_left_out(library: Library) -> None:
    for number, seed in ((1, 1), (2, 2)):
        name = f"{number:05}-of-00002.safetensors"
        put(library.root / f"full-{name}", lora(seed))
        put(library.root / f"half-{name}", as_fp16(lora(seed)))
    library.index()
    assert len(library.paths()) == 2
    assert found(library).groups == ()


def test_quantised_weights_are_told_to_be_left_out_once(library: Library) -> None:
    for name, data in (("a", bytes(32)), ("b", bytes(31) + b"1")):
        file = library.root / f"{name}.gguf"
        file.write_bytes(GgufWriter().tensor("w", (32,), 2, 0).file() + data)
        os.utime(file, ns=(OLD, OLD))
    library.index()
    report = found(library)
    assert report.groups == ()
    assert {path.name for path, _ in report.not_compared} == {"a.gguf", "b.gguf"}
    assert found(library).not_compared == ()


def test_a_checkpoint_is_told_with_the_vae_that_it_has_baked_in(library: Library) -> None:
    put(library.root / "one.safetensors", checkpoint(1, vae_seed=7))
    put(library.root / "two.safetensors", as_fp16(checkpoint(2, vae_seed=7)))
    put(library.root / "three.safetensors", checkpoint(3, vae_seed=8))
    put(library.root / "known.vae.safetensors", as_fp16(vae(7)))
    library.index()
    assert library.row("known.vae.safetensors").type == "vae"
    [group] = of(found(library), Same.VAE)
    assert parts(group, library) == {
        "known.vae.safetensors": Part.ALONE,
        "one.safetensors": Part.BAKED,
        "two.safetensors": Part.BAKED,
    }
    assert group.level == "fp16"


def test_the_vae_of_a_checkpoint_is_named_by_the_catalog(library: Library) -> None:
    baked = put(library.root / "one.safetensors", checkpoint(1, vae_seed=7))
    alone = put(library.root / "known.vae.safetensors", as_fp16(vae(7)))
    put(library.root / "lora.safetensors", lora(1))
    library.index()
    sha256 = library.row("one.safetensors").sha256
    assert sha256 is not None
    assert read_vaes(library.catalog) == 0, "the index read them, right after it hashed them"
    assert [row.file for row in same_vae(library.catalog, sha256)] == [alone]
    assert vae_key(baked, read_header(baked)) == vae_key(alone, read_header(alone))
    lora_file = library.root / "lora.safetensors"
    assert vae_key(baked, read_header(baked)) != vae_key(lora_file, read_header(lora_file))


def test_a_stopped_comparison_goes_on_where_it_was(library: Library) -> None:
    for number in range(4):
        put(library.root / f"{number}.safetensors", lora(number))
    library.index()
    cancel = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, StageEntered):
            cancel.set()

    with pytest.raises(Cancelled):
        dupes(library.catalog, config=library.config, listener=stop, cancel=cancel)
    report = dupes(library.catalog, config=library.config, listener=silent)
    assert report.groups == ()
    assert set(library.states().values()) == {FileState.HASHED}
