"""Civitai's answers as typed values: what modelhub uses of them.

Everything but the ids is optional, null is missing (:mod:`.answers`), unknown fields are ignored
here and kept in the raw text, and enumerations are open: a new model type or format is a string as
the known ones are. The shapes follow the public source of the server (`src/pages/api/v1/`) and
recorded answers since 2023.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta, field

from modelhub.civitai.schema_files import (
    COMPONENT_TYPES,
    WEIGHTS_TYPES,
    FileMetadata,
    Hashes,
    ModelFile,
    Part,
    PublicId,
    bytes_of,
)

__all__ = [
    "COMPONENT_TYPES",
    "WEIGHTS_TYPES",
    "Creator",
    "DtypeCount",
    "Enums",
    "FileMetadata",
    "Hashes",
    "Image",
    "Me",
    "MiniVersion",
    "Model",
    "ModelFile",
    "Page",
    "PageMetadata",
    "PaidAccess",
    "Stats",
    "Tag",
    "Tensor",
    "TensorMetadata",
    "Version",
    "VersionIds",
    "VersionModel",
    "bytes_of",
    "moment",
]

T = TypeVar("T")

Number = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Names = list[str]


class NamedTag(Part, frozen=True):
    """A tag as answers of 2023 wrote it."""

    name: str


class Image(Part, frozen=True):
    """An example image or video."""

    url: str | None = None
    id: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    nsfw_level: int | str | None = None
    """Bit flags in a version's images (1 PG, 2 PG-13, 4 R, 8 X, 16 XXX, 32 blocked); in the image
    listing a word (`None`, `Soft`, `Mature`, `X`), with the flags in `browsing_level`."""
    browsing_level: int | None = None
    nsfw: bool | str | None = None
    width: Number | None = None
    height: Number | None = None
    hash: str | None = None
    """A blurhash."""
    type: str | None = None
    created_at: str | None = None
    post_id: int | None = None
    username: str | None = None
    base_model: str | None = None
    model_version_ids: list[int] = field(default_factory=list)
    meta: Any = None
    """The generation parameters, as the uploader's tool wrote them."""

    @property
    def level(self) -> int | None:
        """The level as bit flags; None where the server does not say."""
        if self.browsing_level is not None:
            return self.browsing_level
        if isinstance(self.nsfw_level, int):
            return self.nsfw_level
        word = self.nsfw_level if isinstance(self.nsfw_level, str) else self.nsfw
        if isinstance(word, bool):
            return 4 if word else 1
        return {"none": 1, "soft": 2, "mature": 4, "x": 8}.get((word or "").casefold())

    @property
    def is_video(self) -> bool:
        """Whether it is a video, by its type or else by its URL."""
        if self.type:
            return self.type.casefold() == "video"
        return (self.url or "").casefold().partition("?")[0].endswith((".mp4", ".webm"))


class Stats(Part, frozen=True):
    """Counters; which of them are there depends on what they count for, and on the year."""

    download_count: Number | None = None
    thumbs_up_count: Number | None = None
    thumbs_down_count: Number | None = None
    favorite_count: Number | None = None
    comment_count: Number | None = None
    rating_count: Number | None = None
    rating: float | None = None
    tipped_amount_count: Number | None = None


class PaidAccess(Part, frozen=True):
    """The gate of a version that must be bought, for good or until `ends_at`."""

    permanent: bool = False
    ends_at: str | None = None


class VersionModel(Part, frozen=True):
    """The model of a version, as the version's own answer has it."""

    name: str = ""
    type: str | None = None
    nsfw: bool | None = None
    poi: bool | None = None
    mode: str | None = None


class Version(Part, frozen=True):
    """A version of a model, with its files."""

    id: PublicId
    model_id: PublicId | None = None
    name: str = ""
    index: int | None = None
    model: VersionModel | None = None
    """Only where a version is answered by itself."""
    air: str | None = None
    base_model: str | None = None
    base_model_type: str | None = None
    description: str | None = None
    """HTML."""
    trained_words: Names = field(default_factory=list)
    created_at: str | None = None
    updated_at: str | None = None
    published_at: str | None = None
    status: str | None = None
    availability: str | None = None
    usage_control: str | None = None
    """`Download`, `Generation` or `InternalGeneration`."""
    nsfw_level: int | None = None
    early_access_ends_at: str | None = None
    paid_access: PaidAccess | None = None
    supports_generation: bool | None = None
    stats: Stats = field(default_factory=Stats)
    files: list[ModelFile] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    download_url: str | None = None

    def primary_file(self) -> ModelFile | None:
        """The file that the server marks as primary, else the first one with main weights."""
        return next(
            (file for file in self.files if file.primary),
            next((file for file in self.files if file.holds_main_weights), None),
        )

    def file(self, file_id: int) -> ModelFile | None:
        """The file of that id."""
        return next((file for file in self.files if file.id == file_id), None)

    @property
    def mode(self) -> str | None:
        """`Archived` (no files), `TakenDown` (no images), or None."""
        return self.model.mode if self.model else None


class Creator(Part, frozen=True):
    """Who published a model."""

    username: str | None = None
    image: str | None = None
    model_count: Number | None = None
    link: str | None = None


class Model(Part, frozen=True):
    """A model with its published versions, the newest first."""

    id: PublicId
    name: str = ""
    type: str | None = None
    description: str | None = None
    """HTML."""
    mode: str | None = None
    nsfw: bool | None = None
    nsfw_level: int | None = None
    poi: bool | None = None
    minor: bool | None = None
    allow_no_credit: bool | None = None
    allow_commercial_use: Names | str | None = None
    allow_derivatives: bool | None = None
    allow_different_license: bool | None = None
    supports_generation: bool | None = None
    stats: Stats = field(default_factory=Stats)
    creator: Creator = field(default_factory=Creator)
    published_tags: list[str | NamedTag] = field(default_factory=list, name="tags")
    versions: list[Version] = field(default_factory=list, name="modelVersions")

    @property
    def tags(self) -> list[str]:
        """The tags' names, however the answer wrote them."""
        return [tag if isinstance(tag, str) else tag.name for tag in self.published_tags]

    def version(self, version_id: int) -> Version | None:
        """The version of that id."""
        return next((version for version in self.versions if version.id == version_id), None)


class Tag(Part, frozen=True):
    """A tag of the listing."""

    name: str = ""
    link: str | None = None
    model_count: Number | None = None


class PageMetadata(Part, frozen=True):
    """Where a page stands in its listing; the numbers were text in answers of 2023."""

    next_cursor: str | int | None = None
    next_page: str | None = None
    current_page: int | str | None = None
    page_size: int | str | None = None
    total_items: int | str | None = None
    total_pages: int | str | None = None


class Page(Part, Generic[T], frozen=True):
    """One page of a listing."""

    items: list[T]
    metadata: PageMetadata = field(default_factory=PageMetadata)


class VersionIds(Part, frozen=True):
    """Which version a SHA256 belongs to."""

    model_version_id: PublicId
    model_id: PublicId
    hash: str


class MiniVersion(Part, frozen=True):
    """The short form of a version, about one of its files."""

    air: str | None = None
    version_name: str = ""
    model_name: str = ""
    base_model: str | None = None
    availability: str | None = None
    published_at: str | None = None
    size_kb: float | None = field(default=None, name="size")
    file_type: str | None = None
    file_name: str | None = None
    format: str | None = None
    hashes: Hashes = field(default_factory=Hashes)
    download_urls: list[str] = field(default_factory=list)
    require_auth: bool | None = None
    check_permission: bool | None = None
    early_access_ends_at: str | None = None

    @property
    def size_bytes(self) -> int | None:
        """The published size in bytes; None where it is absent or no size a file can have."""
        return bytes_of(self.size_kb)


class Tensor(Part, frozen=True):
    """A tensor of a published file."""

    name: str
    shape: list[int] = field(default_factory=list)
    dtype: str = ""
    size_bytes: int | None = None


class DtypeCount(Part, frozen=True):
    """How many tensors and bytes of a file have one dtype."""

    dtype: str
    count: int = 0
    bytes: int = 0


class TensorMetadata(Part, frozen=True):
    """What a published file's header says; `tensors` is empty in a summary."""

    format: str | None = None
    tensor_count: int | None = None
    total_tensor_bytes: int | None = None
    dtype_counts: list[DtypeCount] = field(default_factory=list)
    largest_tensor: Tensor | None = None
    tensors: list[Tensor] = field(default_factory=list)


class Enums(Part, frozen=True, rename="pascal"):
    """The values that Civitai's enumerations have today."""

    model_type: Names = field(default_factory=list)
    model_file_type: Names = field(default_factory=list)
    base_model: Names = field(default_factory=list)
    active_base_model: Names = field(default_factory=list)
    base_model_type: Names = field(default_factory=list)


class Me(Part, frozen=True):
    """Whose key it is."""

    id: PublicId
    username: str | None = None
    tier: str | None = None
    status: str | None = None
    is_member: bool | None = None
    email: str | None = None


def moment(text: str | None) -> datetime | None:
    """A date of an answer, in UTC; None where it is absent or unreadable."""
    try:
        when = datetime.fromisoformat(text or "")
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
