"""Every error that modelhub tells its user, one class per cause.

An error says what happened, to which file or URL, and (as ``hint``) what the user can do next.
The command line prints both on standard error and leaves with ``exit_code``::

    ModelhubError                    1
    ├── Cancelled                  130
    ├── UsageError                   2
    │   ├── ConfigError, MalformedKey, MalformedReference, UnsupportedSource,
    │   │   QuerySyntaxError, AmbiguousFile, NoSuchDevice, WrongJobState
    ├── NotFoundError                3
    │   ├── UnknownModel, UnknownFile, UnknownRender, NoFilesPublished, NoMatchingFile,
    │   │   ArchivedModel, NoSuchJob
    ├── AccessError                  4
    │   ├── LoginRequired, KeyRefused, KeyFileExposed, EarlyAccess, DownloadsDisabled,
    │   │   AccessForbidden
    ├── VerificationError            5
    │   ├── HashMismatch, SizeMismatch, WrittenWrong, RenderDiffers
    ├── UnsafeFileError              6
    ├── DiskError                    7
    │   ├── DiskFull, FolderNotWritable, NotAFolder, RootMissing, NameTaken, FileUnreadable,
    │   │   SourceChanged
    ├── NetworkError                 8
    │   ├── Unreachable, ServerFault, RateLimited, UnexpectedAnswer, NotAModelFile,
    │   │   RedirectRefused, LinkExpired, FileChanged
    ├── FormatError, FP16Overflow    1
    ├── ConversionRefused            1
    ├── CannotRender                 1
    │   ├── PartsMissing, NotEnoughMemory, AddonMisfit
    ├── RenderFailed, RenderWorkerDied 1
    ├── MissingExtra, AlreadyRunning, NoTerminal, DaemonNotRunning, DaemonFailed 1
    ├── HostNameTaken, MigrationRefused, MigrationFailed 1
    └── CatalogError                 1
        ├── CatalogLocked, CatalogReadOnly, CatalogCorrupt, CatalogTooNew, CatalogUnreachable

No message or hint ever holds a key or a signed URL: URLs pass through
:func:`modelhub.network.shown_url` first.
"""

from __future__ import annotations


class ModelhubError(Exception):
    """The base of all errors that are meant for the user.

    :param message: one sentence: what happened, to which file or URL.
    :param hint: what the user can do next, or empty.
    """

    exit_code = 1
    hint = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint


class Cancelled(ModelhubError):
    """The user stopped it."""

    exit_code = 130
    hint = "run the same command again to go on from there"


class UsageError(ModelhubError):
    """The command, or what it was given, makes no sense."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file or a MODELHUB_* variable is wrong; the message names file and line.

    :param mistakes: each mistake as ``place: what is wrong``, where there may be several.
    """

    hint = "`modelhub config edit` opens the file, `modelhub config check` checks it"

    def __init__(
        self, message: str, *, hint: str | None = None, mistakes: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.mistakes = mistakes or (message,)


class MalformedKey(UsageError):
    """What was given as an API key cannot be one."""

    hint = "copy the key once more from your Civitai account settings"


class MalformedReference(UsageError):
    """A reference that is none of the forms that `pull` understands."""

    hint = "give an id (78056, 78056@133274), a Civitai URL, an AIR or a hash"


class UnsupportedSource(UsageError):
    """A well-formed reference to something that modelhub does not pull from."""


class QuerySyntaxError(UsageError):
    """A mistake in the search language.

    :param query: the query as typed.
    :param column: where the mistake is, counted from 1.
    :param expected: what should stand there.
    """

    def __init__(self, message: str, *, query: str, column: int, expected: str) -> None:
        super().__init__(f"{message} at column {column}: expected {expected}", hint="")
        self.query = query
        self.column = column
        self.expected = expected


class AmbiguousFile(UsageError):
    """What was given fits several files of the catalog; the message names some."""

    hint = "give the path, or more digits of the hash"


class NoSuchDevice(UsageError):
    """There is no such device to compute on here; the message names those that there are."""


class WrongJobState(UsageError):
    """What was asked for cannot be done with a job in its state."""


class NotFoundError(ModelhubError):
    """What was asked for is not there."""

    exit_code = 3


class UnknownModel(NotFoundError):
    """Civitai knows no such model, version or hash."""

    hint = "check the number; deleted and private models answer the same way"


class UnknownFile(NotFoundError):
    """The catalog knows no such file."""

    hint = "`modelhub list` shows what the catalog knows"


class UnknownRender(NotFoundError):
    """The catalog has no such test image."""

    hint = "`modelhub renders` lists them with their numbers"


class NoSuchJob(NotFoundError):
    """There is no such job, or several whose ids begin so."""

    hint = "`modelhub jobs` lists them with their ids"


class NoFilesPublished(NotFoundError):
    """The model or version has no file to download."""

    hint = "another version may have files: `modelhub show MODEL` lists them"


class NoMatchingFile(NotFoundError):
    """Files are published, but none as the options ask for."""


class ArchivedModel(NotFoundError):
    """The model was archived or taken down: its page is there, its files are not."""


class AccessError(ModelhubError):
    """The server does not let this user have it."""

    exit_code = 4


class LoginRequired(AccessError):
    """The creator requires a login to download."""

    hint = "create a key in your Civitai account settings, then run `modelhub login`"


class KeyRefused(AccessError):
    """The server does not accept the API key."""

    hint = "run `modelhub login` with a fresh key, or `modelhub logout` to go without one"


class KeyFileExposed(AccessError):
    """The file that holds the API key can be read by other users of this machine."""


class EarlyAccess(AccessError):
    """The version is in paid early access until a deadline."""


class DownloadsDisabled(AccessError):
    """The creator has disabled downloads."""


class AccessForbidden(AccessError):
    """The server refuses this account or address."""


class VerificationError(ModelhubError):
    """What arrived is not what was published."""

    exit_code = 5


class HashMismatch(VerificationError):
    """A hash of the downloaded bytes differs from the published one."""


class SizeMismatch(VerificationError):
    """More or fewer bytes arrived than were announced."""


class WrittenWrong(VerificationError):
    """A file that was just written does not hold what it should; it was not kept."""

    hint = "check the disk and the memory of this machine: one of them changed what was written"


class RenderDiffers(VerificationError):
    """A picture that was made again is another one, on the same device with the same versions."""

    hint = "check the memory of the device, and the disk: `modelhub verify` reads the model again"


class UnsafeFileError(ModelhubError):
    """The file may run code when it is loaded."""

    exit_code = 6


class DiskError(ModelhubError):
    """The disk or a folder on it is the obstacle."""

    exit_code = 7


class DiskFull(DiskError):
    """There is not enough free space."""

    hint = "free some space or choose another folder with --root; a started download goes on later"


class FolderNotWritable(DiskError):
    """The target folder cannot be written to."""


class NotAFolder(DiskError):
    """There is a file where a folder is needed."""


class RootMissing(DiskError):
    """The library folder is not there: not created yet, or its disk is not mounted."""


class NameTaken(DiskError):
    """Another file has that name, and no free variant of it could be found."""


class FileUnreadable(DiskError):
    """A file cannot be opened or read, changed while it was read, or is no regular file."""

    hint = "check the file's rights and that its disk is there"


class SourceChanged(FileUnreadable):
    """A file that is being converted was written to, cut off, replaced or removed meanwhile."""

    hint = "convert it again once nothing writes to it; nothing of the result was kept"


class FormatError(ModelhubError):
    """A file is not as its format requires: truncated, damaged, or made to mislead.

    :param reason: what is wrong, without the file's name.
    :param path: the file, where there is one.
    :param offset: where in the file, in bytes, as near as can be told.
    """

    hint = "the file is damaged or was never whole: download it again, or delete it"

    def __init__(
        self, reason: str, *, path: object = None, offset: int = 0, hint: str | None = None
    ) -> None:
        place = f"{path}: " if path is not None else ""
        super().__init__(f"{place}{reason} (at byte {offset:,})", hint=hint)
        self.reason = reason
        self.path = path
        self.offset = offset

    def of(self, path: object) -> FormatError:
        """The same error, with the file named."""
        return FormatError(self.reason, path=path, offset=self.offset, hint=self.hint)


class ConversionRefused(ModelhubError):
    """What was asked for cannot be made of this file; the message says why."""


class FP16Overflow(ModelhubError):
    """Values are too large for fp16 and would become infinity; nothing was written.

    :param tensors: the names of all tensors that have such values.
    """

    hint = "keep these tensors in another type (`--on-overflow fp32`, `--on-overflow bf16`)"

    def __init__(self, message: str, *, tensors: tuple[str, ...]) -> None:
        super().__init__(message)
        self.tensors = tensors


class CannotRender(ModelhubError):
    """No image can be made of this file, or not of these files together; the message says why."""


class PartsMissing(CannotRender):
    """The files lack parts of a pipeline; the message names each, and what would supply it."""


class AddonMisfit(CannotRender):
    """An add-on (LoRA, embedding, VAE) is made for another model; the message names both."""

    hint = "choose a checkpoint that fits with `--on FILE`; `modelhub inspect FILE` tells which"


class NotEnoughMemory(CannotRender):
    """The model does not fit into the device's memory, whatever is done; with the figures."""

    hint = "close other programs, render a smaller picture, or choose another `--device`"


class RenderFailed(ModelhubError):
    """Something went wrong while an image was made that nobody foresaw; the message is torch's."""

    hint = "`--debug` shows what torch and diffusers wrote last"


class RenderWorkerDied(ModelhubError):
    """The process that renders crashed or was killed; this one and what was finished are whole.

    :param lines: what it wrote last on its standard output and error.
    """

    def __init__(self, message: str, *, hint: str | None = None, lines: tuple[str, ...]) -> None:
        super().__init__(message, hint=hint)
        self.lines = lines


class NetworkError(ModelhubError):
    """The network or a server is the obstacle."""

    exit_code = 8


class Unreachable(NetworkError):
    """No connection, no answer in time, or a broken one."""

    hint = "check the connection, then run the same command again: it goes on from where it was"


class ServerFault(NetworkError):
    """The server answered with a fault of its own (5xx), repeatedly."""

    hint = "the server is in trouble; try again in a few minutes"


class RateLimited(NetworkError):
    """The server asks for fewer requests (429), for longer than we wait."""

    hint = "wait a few minutes; what was downloaded is kept"


class UnexpectedAnswer(NetworkError):
    """An answer of the wrong shape: the message says what was expected, and where."""

    hint = "if `civitai.url` is set, check that it is a Civitai API"


class NotAModelFile(NetworkError):
    """A page came where a model file should have come (login, maintenance)."""


class RedirectRefused(NetworkError):
    """A redirect that goes in circles, or to somewhere it must not go."""


class LinkExpired(NetworkError):
    """A download link expired, and fresh ones did too."""


class FileChanged(NetworkError):
    """The file kept changing on the server while it was downloaded."""


class MissingExtra(ModelhubError):
    """A part of modelhub needs packages that are not installed; the hint is the command."""


class NoTerminal(ModelhubError):
    """There is no terminal that the terminal UI could be shown in."""

    hint = "run it in a terminal; every command works without one: `modelhub --help`"


class AlreadyRunning(ModelhubError):
    """Another process does what only one may do at a time."""

    hint = "wait until it is done, then run the same command again"


class DaemonNotRunning(ModelhubError):
    """What was asked for needs the daemon, and it does not run."""

    hint = "`modelhub daemon start` starts it"


class DaemonFailed(ModelhubError):
    """The daemon could not be started or stopped, or does not answer; the message says why."""

    hint = "`modelhub daemon logs` shows what it wrote last"


class HostNameTaken(ModelhubError):
    """Two hosts that share a library have one name, so that nobody could tell their jobs apart."""

    hint = "give each host a name of its own: `host` in [team] of its configuration"


class MigrationRefused(ModelhubError):
    """A library is not moved to another database; the message says why. Both are as they were."""


class MigrationFailed(ModelhubError):
    """What arrived in the other database is not what was there; nothing of it was kept."""

    hint = "the library is where it was, unchanged; `modelhub doctor --thorough` checks it"


class CatalogError(ModelhubError):
    """The catalog cannot be used."""


class CatalogLocked(CatalogError):
    """Another process holds the catalog for too long."""

    hint = "another modelhub is writing; try again when it is done"


class CatalogReadOnly(CatalogError):
    """The catalog's file or folder cannot be written to."""


class CatalogCorrupt(CatalogError):
    """The catalog's file is damaged, or is no catalog."""

    hint = "`modelhub doctor` checks it and lists the backups"


class CatalogTooNew(CatalogError):
    """The catalog was written by a newer modelhub."""

    hint = "upgrade modelhub; the catalog was left as it is"


class CatalogUnreachable(CatalogError):
    """The database server of `catalog.database_url` does not answer or refuses."""
