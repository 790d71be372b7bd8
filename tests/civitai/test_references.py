from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelhub.civitai.links import host_of
from modelhub.civitai.references import (
    MAX_ID,
    FileWish,
    HashKind,
    HashRef,
    ModelRef,
    Reference,
    VersionRef,
    parse_reference,
    reference_text,
)
from modelhub.errors import MalformedReference, UnsupportedSource

SHA256 = "B4703D513B8CCAEA0BD7AF2D1F1C4E3C1D8A0F5E9B7C6D5E4F3A2B1C0D9E8F70"
IDS = st.integers(1, MAX_ID)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda word: word == word.strip()
)
WISHES = st.builds(
    FileWish,
    file_id=st.none() | IDS,
    type=st.none() | WORDS,
    format=st.none() | WORDS,
    fp=st.none() | WORDS,
    size=st.none() | WORDS,
    quant_type=st.none() | WORDS,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("78056", ModelRef(78056)),
        ("  78056\n", ModelRef(78056)),
        ("\ufeff78056\u200b", ModelRef(78056)),
        ('"78056"', ModelRef(78056)),
        ("78056@133274", ModelRef(78056, 133274)),
        ("78056 @ 133274", ModelRef(78056, 133274)),
        ("2147483647", ModelRef(2147483647)),
        ("https://civitai.com/models/78056/sakushimix-finished", ModelRef(78056)),
        ("https://civitai.com/models/78056/", ModelRef(78056)),
        ("HTTPS://WWW.CIVITAI.COM/Models/78056", ModelRef(78056)),
        ("<https://civitai.com/models/78056>", ModelRef(78056)),
        ("civitai.com/models/78056", ModelRef(78056)),
        ("//civitai.com/models/78056", ModelRef(78056)),
        ("http://civitai.com:80/models/78056", ModelRef(78056)),
        ("https://civitai.red/models/78056", ModelRef(78056)),
        ("https://www.civitai.green/models/78056?utm_source=x#reviews", ModelRef(78056)),
        ("https://civitai.com/models/107842?modelVersionId=428028", ModelRef(107842, 428028)),
        (
            "https://civitai.com/models/107842/a?utm_medium=m&modelversionid=428028&dialog=x#top",
            ModelRef(107842, 428028),
        ),
        ("https://civitai.com/models/107842?modelVersionId=", ModelRef(107842)),
        ("https%3A%2F%2Fcivitai.com%2Fmodels%2F107842%3FmodelVersionId%3D5", ModelRef(107842, 5)),
        ("civitai.com%2fmodels%2f107842", ModelRef(107842)),
        ("https://civitai.com/models/78056/%E9%BA%A6%E6%A9%98", ModelRef(78056)),
        ("https://civitai.com/%6dodels/78056/麦橘写实", ModelRef(78056)),
        ("https://civitai.com/model-versions/428028", VersionRef(428028)),
        ("https://civitai.com/api/v1/models/78056", ModelRef(78056)),
        ("https://civitai.com/api/v1/model-versions/428028", VersionRef(428028)),
        ("https://civitai.com/api/v1/model-versions/mini/428028", VersionRef(428028)),
        ("https://api.civitai.com/download/models/428028", VersionRef(428028)),
        (
            "https://civitai.com/api/download/models/428028?type=Model&format=SafeTensor"
            "&size=pruned&fp=fp16&token=0123456789abcdef",
            VersionRef(428028, FileWish(None, "Model", "SafeTensor", "fp16", "pruned")),
        ),
        (
            "https://civitai.com/api/download/models/428028?type=Training%20Data&fileId=12",
            VersionRef(428028, FileWish(type="Training Data", file_id=12)),
        ),
        (
            f"https://civitai.com/api/v1/model-versions/by-hash/{SHA256.lower()}",
            HashRef(SHA256, (HashKind.SHA256, HashKind.BLAKE3)),
        ),
        ("urn:air:sd1:checkpoint:civitai:78056@133274", ModelRef(78056, 133274)),
        ("URN:AIR:SD1:Checkpoint:CivitAI:78056@133274", ModelRef(78056, 133274)),
        ("air:sd1:checkpoint:civitai:78056@133274", ModelRef(78056, 133274)),
        ("sd1:checkpoint:civitai:78056@133274", ModelRef(78056, 133274)),
        ("checkpoint:civitai:78056@133274", ModelRef(78056, 133274)),
        ("civitai:78056@133274", ModelRef(78056, 133274)),
        ("urn:air:sdxl:lora:civitai:78056", ModelRef(78056)),
        (
            "urn:air:flux1:newkind:civitai:78056@133274+55.safetensor",
            ModelRef(78056, 133274, FileWish(file_id=55, format="SafeTensor")),
        ),
        ("civitai:1@2.ckpt", ModelRef(1, 2, FileWish(format="PickleTensor"))),
        ("civitai:1@2.mlx", ModelRef(1, 2, FileWish(format="mlx"))),
        ("AniVerse (428028)", VersionRef(428028, name="AniVerse")),
        ("麦橘写实 (v7) (176425)", VersionRef(176425, name="麦橘写实 (v7)")),
        (SHA256, HashRef(SHA256, (HashKind.SHA256, HashKind.BLAKE3))),
        (SHA256.lower(), HashRef(SHA256, (HashKind.SHA256, HashKind.BLAKE3))),
        ("b4703d513b", HashRef("B4703D513B", (HashKind.AUTOV2,))),
        ("34A22376739D", HashRef("34A22376739D", (HashKind.AUTOV3,))),
        ("d3c1ce6b", HashRef("D3C1CE6B", (HashKind.CRC32, HashKind.AUTOV1))),
        ("SHA256:" + SHA256, HashRef(SHA256, (HashKind.SHA256,))),
        ("blake3: " + SHA256.lower(), HashRef(SHA256, (HashKind.BLAKE3,))),
        ("autov1:c45eb528", HashRef("C45EB528", (HashKind.AUTOV1,))),
        ("crc32:12345678", HashRef("12345678", (HashKind.CRC32,))),
        ("AutoV2:1234567890", HashRef("1234567890", (HashKind.AUTOV2,))),
        ("sakushimixFinal.safetensors [b4703d513b]", HashRef("B4703D513B", (HashKind.AUTOV2,))),
    ],
)  # fmt: skip
def test_every_form_that_people_paste_is_read(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12345678", ModelRef(12345678)),
        ("1234567890", ModelRef(1234567890)),
        ("9999999999", HashRef("9999999999", (HashKind.AUTOV2,))),
        ("01234567", HashRef("01234567", (HashKind.CRC32, HashKind.AUTOV1))),
        ("123456789012", HashRef("123456789012", (HashKind.AUTOV3,))),
        ("1" * 64, HashRef("1" * 64, (HashKind.SHA256, HashKind.BLAKE3))),
    ],
)
def test_digits_alone_are_an_id_whenever_they_can_be_one(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        '""',
        "0",
        "-1",
        "21474836470",
        "99999999999999999999",
        "9" * 4000,
        "78056@",
        "78056@0",
        "78056@x",
        "@133274",
        "７８０５６",
        "sakushimix",
        "model.safetensors",
        "../../etc/passwd",
        "C:\\models\\a.ckpt",
        "abcdef",
        "sha256:abc",
        "crc32:" + "g" * 8,
        "thing [abcdef123]",
        "https://",
        "https://[",
        "https://civitai.com:99999/models/1",
        "https://civitai.com",
        "https://civitai.com/models",
        "https://civitai.com/models/train",
        "https://civitai.com/models/0",
        "https://civitai.com/models/99999999999",
        "https://civitai.com/models/1?modelVersionId=x",
        "https://civitai.com/api/download/models/1?fileId=-3",
        "urn:air:civitai",
        "urn:isbn:12",
        "civitai:x@y",
        "civitai:1@2+3+4",
        "urn:air:sd1:checkpoint:civitai:1@",
        "x" * 5000,
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises((MalformedReference, UnsupportedSource)) as caught:
        parse_reference(text)
    assert caught.value.exit_code == 2
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("https://huggingface.co/stabilityai/sd-turbo", "huggingface.co"),
        ("huggingface.co/stabilityai/sd-turbo", "huggingface.co"),
        ("https://civitai.com.evil.example/models/1", "civitai.com.evil.example"),
        ("https://civitai.com@evil.example/models/1", "evil.example"),
        ("https://xcivitai.com/models/1", "xcivitai.com"),
        ("http://127.0.0.1:8000/models/1", "127.0.0.1"),
        ("urn:air:sdxl:lora:huggingface:user/repo@main", "huggingface"),
        ("huggingface:user/repo", "huggingface"),
        ("urn:air:flux1:lora:orchestrator:job123@file.safetensors", "orchestrator"),
        ("ftp://civitai.com/models/1", "ftp"),
    ],
)
def test_another_source_is_named(text: str, source: str) -> None:
    with pytest.raises(UnsupportedSource, match=source):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("https://civitai.com/images/2805533", "an image"),
        ("https://image.civitai.com/xG1/uuid/width=450/2805533.jpeg", "an image"),
        ("https://civitai.com/posts/12", "a post"),
        ("https://civitai.com/user/Merjic/models", "a user's page"),
        ("https://civitai.com/collections/3", "a collection"),
        ("https://civitai.com/pricing", "a page of Civitai"),
    ],
)
def test_a_link_to_something_else_on_civitai_says_what_to_copy(text: str, what: str) -> None:
    with pytest.raises(MalformedReference, match=what) as caught:
        parse_reference(text)
    assert "model's own page" in caught.value.hint


def test_links_of_a_configured_server_are_read_when_it_is_named() -> None:
    hosts = {host_of("http://127.0.0.1:8000")}
    assert parse_reference("http://127.0.0.1:8000/models/5", hosts=hosts) == ModelRef(5)
    assert parse_reference("127.0.0.1:8000/models/5", hosts=hosts) == ModelRef(5)
    with pytest.raises(UnsupportedSource):
        parse_reference("http://127.0.0.1:8001/models/5", hosts=hosts)


def test_a_key_in_a_pasted_link_is_never_repeated() -> None:
    for text in (
        "https://civitai.com/images/1?token=SECRETKEY",
        "https://user:SECRETKEY@civitai.com/images/1",
        "https://example.org/?token=SECRETKEY",
        "https://civitai.com/models/x?token=SECRETKEY",
    ):
        with pytest.raises((MalformedReference, UnsupportedSource)) as caught:
            parse_reference(text)
        assert "SECRETKEY" not in caught.value.message + caught.value.hint


def test_control_characters_do_not_reach_the_terminal() -> None:
    with pytest.raises(MalformedReference) as caught:
        parse_reference("abc\x1b[31m\u202exyz")
    assert "\x1b" not in caught.value.message
    assert "\u202e" not in caught.value.message


@given(model=IDS, version=st.none() | IDS, wish=WISHES)
def test_a_model_reference_survives_being_written_and_read(
    model: int, version: int | None, wish: FileWish
) -> None:
    reference = ModelRef(model, version, wish)
    assert parse_reference(reference_text(reference)) == reference


@given(version=IDS, wish=WISHES)
def test_a_version_reference_survives_being_written_and_read(version: int, wish: FileWish) -> None:
    reference = VersionRef(version, wish)
    assert parse_reference(reference_text(reference)) == reference


@given(kind=st.sampled_from(HashKind), number=st.integers(0, 2**256 - 1))
def test_a_hash_survives_being_written_and_read(kind: HashKind, number: int) -> None:
    from modelhub.civitai.references import HASH_DIGITS

    reference = HashRef(f"{number:064X}"[-HASH_DIGITS[kind] :], (kind,))
    assert parse_reference(reference_text(reference)) == reference
    assert parse_reference(reference_text(reference).upper()) == reference


@given(model=IDS, version=IDS, pad=st.sampled_from(["", " ", "\t", "\n", "\u200b"]))
def test_all_spellings_of_a_version_mean_the_same(model: int, version: int, pad: str) -> None:
    spellings = [
        f"{model}@{version}",
        f"https://civitai.com/models/{model}?modelVersionId={version}",
        f"HTTPS://WWW.CIVITAI.GREEN/models/{model}/slug?a=b&modelVersionId={version}#x",
        f"urn:air:sd1:checkpoint:civitai:{model}@{version}",
        f"civitai:{model}@{version}",
    ]
    assert {parse_reference(pad + text + pad) for text in spellings} == {ModelRef(model, version)}


FRAGMENTS = st.lists(
    st.sampled_from(
        ["urn:", "air:", "civitai", ":", "@", "+", ".", "/", "?", "#", "%", "%2f", "https://", "[",
         "]", "(", ")", "1", "00", "f", "models", "civitai.com", "modelVersionId=", "&", "\x00",
         "\ud800", "é", " ", "\\", "sha256:", "//", "api", "download", "-", "٣", "xn--"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(st.text(max_size=200) | FRAGMENTS)
@example("//[")
@example("https://civitai.com/models/１")
@example("https://\u2100/models/1")
def test_any_text_gives_a_reference_or_one_of_the_two_errors(text: str) -> None:
    try:
        reference = parse_reference(text)
    except (MalformedReference, UnsupportedSource) as error:
        shown = error.message
    else:
        shown = reference_text(parse_reference(reference_text(reference)))
        assert shown == reference_text(reference)
    assert shown.isprintable()


def test_reading_a_reference_needs_no_network_library() -> None:
    script = (
        "import sys, modelhub.civitai.references;"
        "print([m for m in ('httpx', 'msgspec', 'tenacity', 'ssl', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
