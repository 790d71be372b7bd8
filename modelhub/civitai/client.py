"""The Civitai API: one method an endpoint, typed answers, any number of threads.

Written after the public source of the server (`src/pages/api/`): what each endpoint takes, gives
and refuses is there.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from modelhub.civitai.answers import Answer, read_each
from modelhub.civitai.download import DownloadLink, download_url, find_link
from modelhub.civitai.filters import ImageFilters, ModelFilters, NameFilters
from modelhub.civitai.http import OnWait, Session
from modelhub.civitai.reference_values import (
    MAX_ID,
    FileWish,
    HashKind,
    hash_reference,
)
from modelhub.civitai.schema import (
    Creator,
    Enums,
    Image,
    Me,
    MiniVersion,
    Model,
    Page,
    Tag,
    TensorMetadata,
    Version,
    VersionIds,
)
from modelhub.errors import LoginRequired, UnknownModel

if TYPE_CHECKING:
    from modelhub.config import Config

T = TypeVar("T")

_V1: Final = "/api/v1"
_HASHES_AT_ONCE: Final = 100
_HASH_IDS_AT_ONCE: Final = 10_000
_BATCHES_AT_ONCE: Final = 4
_EMPTY_PAGES: Final = 20


class CivitaiClient:
    """A client of Civitai, or of any server that answers as it does (`civitai.url`).

    Thread-safe. All methods retry what passes (429, 5xx, broken connections) as the settings say,
    and raise the errors of `modelhub.errors`: `UnknownModel` for what is not there, `KeyRefused`
    or `LoginRequired`, `RateLimited`, `ServerFault`, `Unreachable`, `UnexpectedAnswer`, and
    `Cancelled` within 0.2 seconds of `cancel` being set.

    :param key: the API key, or None; it is sent by header, to Civitai's hosts and `civitai.url`.
    :param cancel: set it to end whatever waits.
    :param on_wait: told the seconds and the reason before each wait for another try.
    """

    def __init__(
        self,
        config: Config,
        key: str | None,
        *,
        cancel: threading.Event | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        self._session = Session(config, key, cancel=cancel, on_wait=on_wait)
        self._has_key = bool(key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def guest(
        self, *, cancel: threading.Event | None = None, on_wait: OnWait | None = None
    ) -> CivitaiClient:
        """A client over the connections of this one, that is stopped by itself; closing it leaves
        them open."""
        made = copy.copy(self)
        made._session = self._session.guest(cancel=cancel, on_wait=on_wait)
        return made

    def model(self, model_id: int) -> Answer[Model]:
        """A model with its published versions, the newest first."""
        what = f"model {model_id}"
        return self._session.get(f"{_V1}/models/{_fitting(model_id, what)}", Model, what=what)

    def version(self, version_id: int) -> Answer[Version]:
        """A version with its files and its model's name and type."""
        what = f"version {version_id}"
        path = f"{_V1}/model-versions/{_fitting(version_id, what)}"
        return self._session.get(path, Version, what=what)

    def version_by_hash(self, value: str) -> Answer[Version]:
        """The version that published a file with this hash, of any kind; the oldest of several.

        :raises MalformedReference: `value` is no hash.
        """
        clean = hash_reference(value.strip()).value
        return self._session.get(
            f"{_V1}/model-versions/by-hash/{clean}", Version, what=f"file with the hash {clean}"
        )

    def versions_by_hashes(self, sha256s: Iterable[str]) -> list[Answer[Version]]:
        """The versions that published files with these SHA256, each once, in no given order.

        Asked in batches of a hundred, some at once. Unknown hashes are left out.

        :raises MalformedReference: one of them is no SHA256.
        """
        path = f"{_V1}/model-versions/by-hash"
        url = self._session.base + path

        def ask(batch: Sequence[str]) -> list[Answer[Version]]:
            answer = self._session.post(path, batch, list[Any], what="such hashes")
            return read_each(answer, Version, url)

        found: dict[int, Answer[Version]] = {}
        for answers in self._batches(sha256s, _HASHES_AT_ONCE, ask):
            for answer in answers:
                found.setdefault(answer.value.id, answer)
        return list(found.values())

    def ids_by_hashes(self, sha256s: Iterable[str]) -> list[VersionIds]:
        """Which versions these SHA256 belong to: the cheap way to match a library.

        Asked in batches of ten thousand. Unknown hashes are left out; a hash that several versions
        published comes with each of them.

        :raises MalformedReference: one of them is no SHA256.
        """
        path = f"{_V1}/model-versions/by-hash/ids"

        def ask(batch: Sequence[str]) -> list[VersionIds]:
            return self._session.post(path, batch, list[VersionIds], what="such hashes").value

        batches = self._batches(sha256s, _HASH_IDS_AT_ONCE, ask)
        found = {
            (ids.model_version_id, ids.hash.upper()): ids for batch in batches for ids in batch
        }
        return list(found.values())

    def mini(self, version_id: int, file_id: int | None = None) -> Answer[MiniVersion]:
        """The short form of a version, about its primary file or the one named."""
        what = f"version {version_id}" + (f" with the file {file_id}" if file_id else "")
        return self._session.get(
            f"{_V1}/model-versions/mini/{_fitting(version_id, what)}",
            MiniVersion,
            what=what,
            params={} if file_id is None else {"modelFileId": _fitting(file_id, what)},
        )

    def tensor_metadata(self, file_id: int, *, summary: bool = False) -> Answer[TensorMetadata]:
        """The tensors of a published safetensors or GGUF file, without downloading it.

        :param summary: leave the table itself out.
        :raises UsageError: the file is of another format.
        """
        what = f"file {file_id}"
        return self._session.get(
            f"{_V1}/model-files/{_fitting(file_id, what)}/tensor-metadata",
            TensorMetadata,
            what=what,
            params={"summaryOnly": "true"} if summary else {},
        )

    def enums(self) -> Answer[Enums]:
        """The model types, file types and base models as they are today."""
        return self._session.get(f"{_V1}/enums", Enums, what="list of enumerations")

    def me(self) -> Answer[Me]:
        """Whose key it is; asked anew every time.

        :raises LoginRequired: there is no key.
        :raises KeyRefused: it is not accepted.
        """
        if not self._has_key:
            raise LoginRequired("there is no API key")
        return self._session.get(f"{_V1}/me", Me, what="such user", keep=False)

    def models(self, filters: ModelFilters | None = None) -> Iterator[Answer[Page[Model]]]:
        """The pages of a search, asked for as they are consumed."""
        return self._pages("models", Page[Model], filters or ModelFilters())

    def images(self, filters: ImageFilters | None = None) -> Iterator[Answer[Page[Image]]]:
        """The pages of images, asked for as they are consumed."""
        return self._pages("images", Page[Image], filters or ImageFilters())

    def creators(self, filters: NameFilters | None = None) -> Iterator[Answer[Page[Creator]]]:
        """The pages of creators, asked for as they are consumed."""
        return self._pages("creators", Page[Creator], filters or NameFilters())

    def tags(self, filters: NameFilters | None = None) -> Iterator[Answer[Page[Tag]]]:
        """The pages of tags, asked for as they are consumed."""
        return self._pages("tags", Page[Tag], filters or NameFilters())

    def download_link(
        self,
        url_or_version: str | int,
        *,
        file_id: int | None = None,
        wish: FileWish | None = None,
        published_url: str | None = None,
    ) -> DownloadLink:
        """A fresh link to a file; see :mod:`modelhub.civitai.download`.

        :param url_or_version: a version's id, or a download URL of the API as it is.
        :param file_id: which of the version's files (preferred to `wish`).
        :param wish: which file, by its traits; nothing at all means the primary one.
        :param published_url: the file's own `download_url`, asked when the version does not have
            that file id: a linked VAE is listed with a version whose file it is not.
        :raises AccessError: a login, a payment or a permission is missing.
        :raises NotFoundError: there is no such file, or no longer.
        :raises NetworkError: no link, or one that must not be followed.
        """
        if isinstance(url_or_version, str):
            return find_link(self._session, url_or_version)
        version_id = _fitting(url_or_version, f"version {url_or_version}")
        chosen = FileWish(file_id=file_id) if file_id is not None else wish or FileWish()
        start = download_url(self._session.base, version_id, chosen)
        try:
            return find_link(self._session, start)
        except UnknownModel:
            if not published_url or published_url == start:
                raise
            return find_link(self._session, published_url)

    def _batches(
        self, sha256s: Iterable[str], size: int, ask: Callable[[Sequence[str]], list[T]]
    ) -> list[list[T]]:
        """`ask` for every `size` of the hashes, a few at once; the first failure ends all."""
        clean = list(
            dict.fromkeys(
                hash_reference(value.strip(), kind=HashKind.SHA256).value for value in sha256s
            )
        )
        batches = [clean[start : start + size] for start in range(0, len(clean), size)]
        if len(batches) < 2:
            return [ask(batch) for batch in batches]
        with ThreadPoolExecutor(_BATCHES_AT_ONCE, thread_name_prefix="civitai-batch") as pool:
            futures = [pool.submit(ask, batch) for batch in batches]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _pages(
        self, listing: str, type_: type[Page[T]], filters: ModelFilters | ImageFilters | NameFilters
    ) -> Iterator[Answer[Page[T]]]:
        """Page after page, until there is no next one, or the server repeats itself."""
        params = filters.params()
        seen: set[tuple[str, str]] = set()
        empty = 0
        while True:
            page = self._session.get(
                f"{_V1}/{listing}", type_, what=f"such {listing}", params=params
            )
            yield page
            onward = _next_page(page.value)
            empty = 0 if page.value.items else empty + 1
            if onward is None or onward in seen or empty >= _EMPTY_PAGES:
                return
            seen.add(onward)
            name, value = onward
            params = {**params, name: value}


def _next_page(page: Page[Any]) -> tuple[str, str] | None:
    """The parameter that leads on: a cursor, or in listings without one the page's number.

    Only the parameter of `nextPage` is used, never its host.
    """
    if page.metadata.next_cursor not in (None, ""):
        return "cursor", str(page.metadata.next_cursor)
    try:
        query = parse_qs(urlsplit(page.metadata.next_page or "").query)
    except ValueError:
        return None
    return next(((name, query[name][0]) for name in ("cursor", "page") if name in query), None)


def _fitting(number: int, what: str) -> int:
    """An id that the server can take; it answers 400 to others.

    :raises UnknownModel: there can be no such id.
    """
    if not 0 < number <= MAX_ID:
        raise UnknownModel(f"Civitai knows no {what}: ids are between 1 and {MAX_ID}", hint="")
    return number
