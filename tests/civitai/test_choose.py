from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.civitai.choose import choose_file, describe_file, server_score
from modelhub.civitai.references import FileWish
from modelhub.civitai.schema import FileMetadata, ModelFile, Version, VersionModel
from modelhub.errors import ArchivedModel, NoFilesPublished, NoMatchingFile


def published(
    file_id: int,
    type_: str | None = "Model",
    format_: str | None = "SafeTensor",
    *,
    fp: str | None = "fp16",
    size: str | None = "pruned",
    quant: str | None = None,
    primary: bool = False,
    name: str = "",
) -> ModelFile:
    return ModelFile(
        id=file_id,
        name=name or f"file{file_id}",
        type=type_,
        size_kb=2048.0,
        metadata=FileMetadata(format=format_, size=size, fp=fp, quant_type=quant),
        primary=primary,
    )


def version(*files: ModelFile, model_type: str = "Checkpoint", mode: str | None = None) -> Version:
    return Version(id=7, files=list(files), model=VersionModel(type=model_type, mode=mode))


def test_the_published_primary_file_is_the_default() -> None:
    choice = choose_file(version(published(1, fp="fp32"), published(2, fp="bf16", primary=True)))
    assert (choice.file.id, choice.reason) == (2, "the published primary file")


def test_safetensors_comes_before_a_primary_pickle() -> None:
    choice = choose_file(
        version(
            published(1, format_="PickleTensor", primary=True),
            published(2, size="full", fp="fp32"),
            published(3),
        )
    )
    assert choice.file.id == 3
    assert choice.reason == "safetensors: the published primary file is a pickle"


def test_a_primary_pickle_is_taken_where_nothing_safer_is_published() -> None:
    choice = choose_file(
        version(published(1, format_="PickleTensor", primary=True), published(2, "VAE"))
    )
    assert (choice.file.id, choice.reason) == (1, "the published primary file")


@pytest.mark.parametrize("side", ["Training Data", "Archive", "Config", "VAE", "Workflow", "Other"])
def test_what_is_not_the_models_weights_is_taken_only_when_asked_for(side: str) -> None:
    both = version(published(1, side, None, primary=True), published(2, fp="fp32"))
    assert choose_file(both).file.id == 2
    assert choose_file(both, FileWish(type=side)).file.id == 1


@pytest.mark.parametrize("side", ["Training Data", "Archive", "Config"])
def test_a_checkpoint_without_weights_says_what_there_is(side: str) -> None:
    with pytest.raises(NoMatchingFile, match="own weights") as caught:
        choose_file(version(published(1, side, None, primary=True)))
    assert caught.value.hint.startswith(f"it has file1 ({side}")
    assert "--type" in caught.value.hint


@pytest.mark.parametrize("kind", ["Poses", "Wildcards", "Workflows"])
def test_models_that_have_no_weights_are_what_they_are_published_as(kind: str) -> None:
    files = (published(1, "Training Data", None), published(2, "Archive", "Other", primary=True))
    assert choose_file(version(*files, model_type=kind)).file.id == 2
    inside = Version(id=7, files=list(files))
    assert choose_file(inside, model=VersionModel(type=kind)).file.id == 2
    with pytest.raises(NoMatchingFile):
        choose_file(inside)


def test_component_models_and_embeddings_are_found() -> None:
    assert choose_file(version(published(1, "Text Encoder"), model_type="CLIP")).file.id == 1
    assert (
        choose_file(version(published(1, "Negative"), model_type="TextualInversion")).file.id == 1
    )
    assert choose_file(version(published(1, "VAE"), model_type="VAE")).file.id == 1


def test_a_new_type_of_main_file_is_taken_on_the_servers_word() -> None:
    choice = choose_file(version(published(1, "Splat Weights", "Splat", primary=True)))
    assert choice.file.id == 1


def test_the_only_match_is_named_by_what_was_asked() -> None:
    both = version(published(1, primary=True), published(2, fp="fp32", size="full"))
    choice = choose_file(both, FileWish(format="SafeTensor", fp="fp32"))
    assert (choice.file.id, choice.reason) == (2, "the only SafeTensor fp32 file")


def test_wishes_are_understood_as_people_write_them() -> None:
    files = version(
        published(1, primary=True),
        published(2, format_="PickleTensor", fp="bf16", size="full"),
        published(3, "Text Encoder", fp=None),
        published(4, format_="GGUF", fp=None, quant="Q4_K_M"),
    )
    assert choose_file(files, FileWish(format="ckpt")).file.id == 2
    assert choose_file(files, FileWish(fp="BF16")).file.id == 2
    assert choose_file(files, FileWish(fp="float16", format="safetensors")).file.id == 1
    assert choose_file(files, FileWish(type="text-encoder")).file.id == 3
    assert choose_file(files, FileWish(quant_type="q4_k_m")).file.id == 4
    assert choose_file(files, FileWish(size="Full")).file.id == 2


def test_a_file_can_be_named_by_its_id_whatever_it_is() -> None:
    files = version(published(1, primary=True), published(9, "Training Data", None))
    choice = choose_file(files, FileWish(file_id=9, fp="fp64"))
    assert (choice.file.id, choice.reason) == (9, "the file with the id 9, as asked for")
    with pytest.raises(NoMatchingFile, match="id 5"):
        choose_file(files, FileWish(file_id=5))


def test_several_matches_without_a_primary_go_by_the_servers_order() -> None:
    choice = choose_file(
        version(published(1, fp="fp32"), published(2), published(3, size="full")), FileWish()
    )
    assert choice.file.id == 2
    assert choice.reason == "the first of 3 files in Civitai's own order"


def test_files_that_the_server_ranks_alike_are_told_to_be_so() -> None:
    choice = choose_file(version(published(5), published(3), published(8)), FileWish(fp="fp16"))
    assert choice.file.id == 3
    assert choice.reason == (
        "the oldest of 3 files among the 3 fp16 files that Civitai's own order puts first alike"
    )


def test_a_wish_that_nothing_fulfils_lists_what_there_is() -> None:
    files = [published(n, name=f"m{n}.safetensors") for n in range(1, 16)]
    with pytest.raises(NoMatchingFile) as caught:
        choose_file(version(*files), FileWish(fp="bf16", format="GGUF"))
    assert caught.value.message == "version 7 has no file with format GGUF, fp bf16"
    assert caught.value.hint.startswith(
        "it has m1.safetensors (Model, SafeTensor, pruned, fp16, 2 MiB, id 1); m2.safetensors"
    )
    assert "; and 3 more; choose with --file ID" in caught.value.hint
    assert caught.value.exit_code == 3


def test_no_files_at_all_is_an_error_of_its_own() -> None:
    with pytest.raises(NoFilesPublished):
        choose_file(version())
    with pytest.raises(ArchivedModel):
        choose_file(version(mode="Archived"))


def test_a_hostile_name_is_described_on_one_printable_line() -> None:
    line = describe_file(published(1, name="a\x1b[2J\n\u202e" + "x" * 500))
    assert line.isprintable()
    assert len(line) < 300


def test_the_servers_scores_are_as_its_source_computes_them() -> None:
    assert server_score(published(1)) == 2111
    assert server_score(published(1, format_="PickleTensor", size="full", fp="fp32")) == 1889
    assert server_score(published(1, "VAE", fp=None, size=None)) == 1100
    assert server_score(published(1, format_="GGUF", fp=None, size=None, quant="Q4_K_M")) == 1900.5


FILES = st.builds(
    published,
    st.integers(1, 9),
    st.sampled_from(["Model", "Pruned Model", "VAE", "Training Data", "Archive", None, "New"]),
    st.sampled_from(["SafeTensor", "PickleTensor", "GGUF", None]),
    fp=st.sampled_from(["fp16", "fp32", None]),
    primary=st.booleans(),
)  # fmt: skip


@given(st.lists(FILES, max_size=6))
def test_the_choice_is_one_of_the_files_and_the_same_in_any_order(files: list[ModelFile]) -> None:
    unique = list({file.id: file for file in files}.values())
    primaries = [file for file in unique if file.primary]
    if len(primaries) > 1:
        return
    try:
        choice = choose_file(version(*unique))
    except (NoMatchingFile, NoFilesPublished):
        return
    assert choice.file in unique
    assert choice.file.type not in ("Training Data", "Archive", "Config")
    assert choice.reason
    assert choose_file(version(*reversed(unique))) == choice
