"""Every setting, its type and its default. `config.example.toml` documents each for users.

Sizes and rates are written as text with a unit ("20MB/s", "1GiB") or as a number of bytes, and
are bytes here (:data:`Bytes`). Durations are seconds. The `extra` of a type tells
:mod:`modelhub.config.load` how its values are written.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=64)]
Seconds = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 60, extra={"unit": "bytes"})]
"""Written as ``"20MB/s"``, ``"1GiB"`` or a number; see :mod:`modelhub.config.units`."""
FilePath = Annotated[str, Meta(extra={"path": True})]
"""A relative one is meant from the folder of the file that holds it; ``~`` is the home folder."""
NsfwLevel = Literal["PG", "PG-13", "R", "X", "XXX"]
LayoutName = Annotated[
    str,
    Meta(
        pattern="^(comfyui|a1111|forge|invokeai|flat|template)$",
        extra={"choices": ("comfyui", "a1111", "forge", "invokeai", "flat", "template")},
    ),
]
HttpUrl = Annotated[
    str, Meta(pattern=r"^https?://[^/\s?#]+", extra={"expected": "an https:// or http:// URL"})
]
DatabaseUrl = Annotated[
    str,
    Meta(
        pattern=r"^(|sqlite:///.+|postgresql(\+psycopg)?://.+)$",
        extra={"expected": "sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"},
    ),
]
SidecarKind = Literal["civitai.info", "a1111", "lora-manager", "stability-matrix"]
JobKindName = Literal[
    "download", "index", "hash", "match", "verify", "convert", "render", "updates"
]
DeviceName = Annotated[
    str,
    Meta(
        pattern=r"^(cuda|rocm|mps|xpu|cpu)(:[0-9]{1,3})?$",
        extra={"expected": "a device such as cuda, cuda:1, rocm, mps, xpu or cpu"},
    ),
]
ExtraHash = Literal["blake3", "crc32", "autov1", "autov3"]


class _Section(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One table of the file: unknown keys are errors."""


class Library(_Section, kw_only=True, frozen=True):
    """Where models are kept, and how they are arranged there."""

    root: FilePath = ""
    """The folder that models go to; empty: `models` in modelhub's data folder."""
    layout: LayoutName = "comfyui"
    """`comfyui`, `a1111`, `forge`, `invokeai`, `flat`, or `template`."""
    template: str = "{type}/{base_model}/{creator}/{model} - {version}/{file}"
    """Used by the `template` layout."""
    folders: dict[str, str] = msgspec.field(default_factory=dict)
    """Folder by model type, put over what the layout says: `LORA = "loras/civitai"`."""
    same_content: Literal["link", "report", "copy"] = "link"
    """When the same bytes are already on disk: link to them, only report where they are, or link
    and, where the disks cannot, copy."""


class CatalogSettings(_Section, kw_only=True, frozen=True):
    """The database of everything on disk."""

    database_url: DatabaseUrl = ""
    """Empty: `catalog.db` in modelhub's data folder; else `sqlite:///...` or
    `postgresql+psycopg://...`."""
    busy_timeout: Seconds = 30.0
    backups: Annotated[int, Meta(ge=1, le=100)] = 3
    """How many copies made before upgrades are kept."""


class Civitai(_Section, kw_only=True, frozen=True):
    """The API."""

    url: HttpUrl = "https://civitai.com"
    timeout: Seconds = 30.0
    retries: Annotated[int, Meta(ge=0, le=20)] = 5
    """How often a request is tried again after 429, 5xx and broken connections."""
    max_wait: Seconds = 120.0
    """The longest wait that a Retry-After may ask for, before we give up."""
    requests_per_second: Annotated[float, Meta(gt=0, le=100)] = 4.0
    cache: bool = True
    """Keep answers and ask again only whether they changed."""


class Download(_Section, kw_only=True, frozen=True):
    """How files are fetched."""

    connections: Count = 8
    """Connections per file at most; as many are opened as help."""
    files_at_once: Count = 3
    limit_rate: Bytes = 0
    """Bytes a second over all files; 0: no limit."""
    extra_hashes: list[ExtraHash] = msgspec.field(
        default_factory=lambda: ["blake3", "crc32", "autov1", "autov3"]
    )
    """Computed in the same pass as SHA256."""
    reserve_space: bool = True
    min_free: Bytes = 1 << 30
    """Space that a download must leave free on the disk."""
    timeout: Seconds = 30.0
    """A connection silent for so long is dropped and opened anew."""
    retries: Annotated[int, Meta(ge=0, le=100)] = 8
    """How often in a row a transfer may fail without progress."""
    unsafe: Literal["refuse", "allow"] = "refuse"
    """Files that Civitai's own scan calls dangerous."""


class Network(_Section, kw_only=True, frozen=True):
    """Proxies and certificates, for the API and for downloads."""

    proxy: str = ""
    """Empty: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY of the environment."""
    ca_file: FilePath = ""
    """A PEM file of certificate authorities to trust; empty: the bundled ones, or SSL_CERT_FILE."""


class Sidecars(_Section, kw_only=True, frozen=True):
    """Files written beside a model for other tools."""

    write: list[SidecarKind] = msgspec.field(default_factory=lambda: ["civitai.info"])
    preview: bool = True
    preview_width: Annotated[int, Meta(ge=64, le=4096)] = 450
    """Pixels; the CDN resizes."""
    max_nsfw: NsfwLevel = "R"
    """The highest level of preview images that is fetched or listed."""


class Pull(_Section, kw_only=True, frozen=True):
    """What becomes of files that were pulled."""

    quarantine: Literal["dangerous", "suspicious", "never"] = "dangerous"
    """Files that our own scan of their pickles calls so are kept apart, out of every UI's reach;
    `suspicious`: dangerous ones as well."""


class Index(_Section, kw_only=True, frozen=True):
    """How the roots are read."""

    settle: Annotated[float, Meta(ge=0, le=600)] = 2.0
    """Seconds without a change after which a file counts as written to its end."""
    wait: Annotated[float, Meta(ge=0, le=86400)] = 30.0
    """Seconds that `modelhub index` waits for files that are still being written."""
    processes: Annotated[int, Meta(ge=0, le=64)] = 0
    """Processes that read headers; 0: as many as there are processors, eight at most."""
    follow_links: bool = True
    """Go through symbolic links to folders and files."""
    ignore: list[str] = msgspec.field(default_factory=list)
    """Patterns in gitignore syntax that hold in every root, before any `.modelhubignore`."""


class Watch(_Section, kw_only=True, frozen=True):
    """How `modelhub watch` learns of changes."""

    observer: Literal["auto", "native", "polling"] = "auto"
    """`auto`: the system's notifications, and polling on network file systems."""
    poll_interval: Annotated[float, Meta(ge=0.5, le=86400)] = 30.0
    """Seconds between two looks at a root that is polled."""
    rescan_interval: Annotated[float, Meta(ge=0, le=604800)] = 3600.0
    """Seconds between two full comparisons of a root; 0: only at the start and after a loss."""
    hash: bool = True
    """Hash new files in the background."""


class Match(_Section, kw_only=True, frozen=True):
    """How Civitai is asked about what is unknown."""

    retry_after: Annotated[int, Meta(ge=0, le=3650)] = 30
    """Days until a file that Civitai did not know is asked about again."""
    by_tensors: Annotated[int, Meta(ge=0, le=10_000)] = 100
    """So many files a run, of those that are unknown by their SHA256, are asked about once more by
    the hash of their tensors alone: one request each."""


class Verify(_Section, kw_only=True, frozen=True):
    """How much of the library is read again, to find what the disk has lost."""

    share: Annotated[float, Meta(gt=0, le=100)] = 5.0
    """Percent of the library's bytes a week that `modelhub verify --due` reads."""


class Render(_Section, kw_only=True, frozen=True):
    """How test images are made."""

    keep_warm: Annotated[float, Meta(ge=1, le=86400)] = 300.0
    """Seconds without a render after which the process that renders ends."""
    memory: Bytes = 0
    """Bytes of loaded models that it keeps for the next render; 0: half of this machine's
    memory, less where less is free."""


class Jobs(_Section, kw_only=True, frozen=True):
    """How the daemon does jobs."""

    database_url: DatabaseUrl = ""
    """Empty: `jobs.db` beside the catalog, or the catalog's own PostgreSQL."""
    downloads: Count = 3
    """At the same time; `conversions` and `renders` (on each device) likewise."""
    conversions: Count = 1
    renders: Count = 1
    attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    """How often a job is begun that fails for a reason that may pass, or that takes the daemon
    with it, before it is left as failed."""
    backoff: Annotated[float, Meta(gt=0, le=3600)] = 10.0
    """Seconds until the second try; each further one waits twice as long, an hour at most."""
    keep_days: Annotated[float, Meta(gt=0, le=36500)] = 30.0
    """How long ended jobs are remembered."""
    keep: Annotated[int, Meta(ge=0, le=10_000_000)] = 10_000
    """How many ended jobs are remembered at most."""


class DaemonSettings(_Section, kw_only=True, frozen=True):
    """What the daemon does beside jobs."""

    watch: bool = True
    """Keep the catalog in step with the disk, as `modelhub watch` does."""
    updates_hours: Annotated[float, Meta(ge=0, le=720)] = 24.0
    """Between two update checks; 0: none. `match_hours` and `verify_hours` likewise."""
    match_hours: Annotated[float, Meta(ge=0, le=720)] = 24.0
    verify_hours: Annotated[float, Meta(ge=0, le=720)] = 24.0
    """Between two runs that verify what is left of the week's `verify.share`."""
    notify: Literal["never", "failed", "ended"] = "never"
    """Which jobs are told of on the desktop when they end."""
    on_end: list[str] = msgspec.field(default_factory=list)
    """A command and its arguments, run when a job is done or has failed."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Where the daemon's figures are served on loopback; 0: nowhere."""


class Team(_Section, kw_only=True, frozen=True):
    """This host among others that share a library on a PostgreSQL server."""

    host: Annotated[str, Meta(max_length=100)] = ""
    """Its name, another one than that of any other host; empty: the machine's."""
    kinds: list[JobKindName] = msgspec.field(default_factory=list)
    """Which jobs it does; empty: all."""
    devices: list[DeviceName] = msgspec.field(default_factory=list)
    """What it makes test images on; empty: all that torch finds here."""
    lease: Annotated[float, Meta(ge=1, le=3600)] = 20.0
    """Seconds without a sign of life after which the others take its jobs over."""
    mounts: dict[str, str] = msgspec.field(default_factory=dict)
    """Where folders of the catalog are on this host: `"/srv/models" = "/mnt/nas/models"`."""


class Config(_Section, kw_only=True, frozen=True):
    """All settings."""

    library: Library = msgspec.field(default_factory=Library)
    catalog: CatalogSettings = msgspec.field(default_factory=CatalogSettings)
    civitai: Civitai = msgspec.field(default_factory=Civitai)
    download: Download = msgspec.field(default_factory=Download)
    pull: Pull = msgspec.field(default_factory=Pull)
    network: Network = msgspec.field(default_factory=Network)
    sidecars: Sidecars = msgspec.field(default_factory=Sidecars)
    index: Index = msgspec.field(default_factory=Index)
    watch: Watch = msgspec.field(default_factory=Watch)
    match: Match = msgspec.field(default_factory=Match)
    verify: Verify = msgspec.field(default_factory=Verify)
    render: Render = msgspec.field(default_factory=Render)
    jobs: Jobs = msgspec.field(default_factory=Jobs)
    daemon: DaemonSettings = msgspec.field(default_factory=DaemonSettings)
    team: Team = msgspec.field(default_factory=Team)
