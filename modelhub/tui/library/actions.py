"""What is done with the files of the Library screen: the selected ones, else the one pointed at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual import work

from modelhub.errors import ModelhubError
from modelhub.services.jobs.model import JobKind, JobRequest
from modelhub.services.listed import file_name
from modelhub.text import clean, plural
from modelhub.tui.library.detailtext import trigger_words
from modelhub.tui.library.writing import LibraryWriting
from modelhub.tui.widgets.promptline import PromptLine

if TYPE_CHECKING:
    from modelhub.catalog import Catalog, Changed, FileRow
    from modelhub.tui.library.noteeditor import NoteEditor

MOST_IN_A_QUERY = 64
"""Values of one field that the search language takes."""


class LibraryActions(LibraryWriting):
    """One method a verb."""

    def __init__(self) -> None:
        super().__init__()
        self._undo: list[tuple[str, Callable[[Catalog], str]]] = []

    def targets(self) -> list[FileRow]:
        """The selected files, else the one under the cursor."""
        marked = list(self.table.marked.values())
        if marked:
            return marked
        row = self.table.current
        return [row] if row is not None else []

    def _named(self, rows: Sequence[FileRow]) -> str:
        return clean(file_name(rows[0])) if len(rows) == 1 else plural(len(rows), "file")

    def _ask(self, question: str, answered: Callable[[str], None], **more: object) -> None:
        self.query_one(PromptLine).ask(question, answered, **more)  # type: ignore[arg-type]

    # What the user writes

    def action_tag(self) -> None:
        """Put tags on, or take them off."""
        rows = self.targets()
        if not rows:
            return
        hint = "comma between, - takes off"

        def answered(text: str) -> None:
            words = [word.strip() for word in text.split(",") if word.strip()]
            on = [word for word in words if not word.startswith("-")]
            off = [word[1:] for word in words if word.startswith("-")]
            if words:
                self._change(lambda catalog: _tagged(catalog, ids, on, off))

        ids = [row.id for row in rows]
        self._ask(f"Tag {self._named(rows)}:", answered, hint=hint)

    def action_rate(self) -> None:
        """Rate from 1 to 5."""
        rows = self.targets()
        if not rows:
            return
        ids = [row.id for row in rows]

        def answered(text: str) -> None:
            if text not in ("0", "1", "2", "3", "4", "5"):
                self.hub.notify("a rating is a number from 1 to 5, or 0", severity="warning")
                return
            rating = int(text) or None
            self._change(lambda catalog: _changed(catalog.rate(ids, rating), "rated"))

        self._ask(f"Rate {self._named(rows)}:", answered, hint="1 to 5, 0 takes it off")

    async def action_note(self) -> None:
        """Write a note on the file under the cursor."""
        row = self.table.current
        if row is None:
            return
        self.show_details(focus=False)
        about = self.details.about
        if about is None or about.details.row.id != row.id:
            self.note_next = True
            self.point_again()
        else:
            await self.details.edit_note()

    def on_note_editor_done(self, event: NoteEditor.Done) -> None:
        """The note is written."""
        event.stop()
        self.details.close_note()
        self.table.focus()
        about = self.details.about
        if event.text is not None and about is not None:
            number, text = about.details.row.id, event.text
            self._change(lambda catalog: _changed(catalog.note([number], text), "noted"))

    def action_copy_words(self) -> None:
        """Copy the trigger words."""
        about = self.details.about
        row = self.table.current
        if row is None:
            return
        if about is not None and about.details.row.id == row.id:
            self._copy(", ".join(trigger_words(about.details)), "trigger words")
        else:
            self._copy_words_of(row.id)

    @work(thread=True, exclusive=True, group="copy", exit_on_error=False)
    def _copy_words_of(self, file_id: int) -> None:
        try:
            words = trigger_words(self.session.catalog.show(file_id))
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        self.app.call_from_thread(self._copy, ", ".join(words), "trigger words")

    def action_copy_path(self) -> None:
        """Copy the path."""
        rows = self.targets()
        if rows:
            self._copy("\n".join(str(row.file) for row in rows), "path")

    def _copy(self, text: str, what: str) -> None:
        if not text:
            self.hub.notify(f"no {what} are known of it", severity="warning")
            return
        safe = text.encode("utf-8", "replace").decode("utf-8")
        self.app.copy_to_clipboard(safe)
        shown = clean(safe if len(safe) <= 120 else safe[:119] + "…")
        self.hub.notify(f"copied: {shown}", markup=False)

    # Jobs

    async def action_convert(self) -> None:
        """Go to the Convert screen with these files."""
        rows = self.targets()
        if rows:
            await self.hub.open_convert([row.file for row in rows])

    async def action_render(self) -> None:
        """Go to the Render screen with these files."""
        rows = self.targets()
        if rows:
            await self.hub.open_render([row.file for row in rows])

    def action_verify(self) -> None:
        """Read the files again, and compare."""
        rows = self.targets()
        for at in range(0, len(rows), MOST_IN_A_QUERY):
            some = rows[at : at + MOST_IN_A_QUERY]
            self.hub.enqueue(
                JobRequest(
                    kind=JobKind.VERIFY,
                    arguments={"query": "id:" + ",".join(str(row.id) for row in some)},
                    title=f"verify {self._named(some)}",
                )
            )
        if rows:
            self.hub.notify(f"verifying {self._named(rows)}; 3 shows how far it is", markup=False)

    def action_index(self) -> None:
        """Bring the catalog in step with the disk."""
        self.hub.enqueue(JobRequest(kind=JobKind.INDEX, arguments={}, title="index all roots"))
        self.hub.notify("indexing all roots; 3 shows how far it is")

    def action_update(self) -> None:
        """Pull the newest version of the files, or ask Civitai whether there is one."""
        rows = self.targets()
        known = {row.id: self._newer[row.id] for row in rows if row.id in self._newer}
        for row in rows:
            if row.id in known:
                reference = f"{row.model_id}@{known[row.id]}"
                self.hub.enqueue(
                    JobRequest(
                        kind=JobKind.DOWNLOAD,
                        arguments={"reference": reference},
                        title=f"{row.model_name or reference}: newest version",
                    )
                )
        if known:
            self.hub.notify(f"pulling {plural(len(known), 'newer version')}; 3 shows how far it is")
        elif rows:
            self._ask_for_updates(rows)

    def _ask_for_updates(self, rows: Sequence[FileRow]) -> None:
        some = rows[:MOST_IN_A_QUERY]
        self.hub.enqueue(
            JobRequest(
                kind=JobKind.UPDATES,
                arguments={"query": "id:" + ",".join(str(row.id) for row in some)},
                title=f"updates of {self._named(some)}",
            )
        )
        self.hub.notify("no newer version is known here: asking Civitai")

    def action_updates(self) -> None:
        """Ask Civitai about newer versions of everything."""
        self.hub.enqueue(JobRequest(kind=JobKind.UPDATES, arguments={}, title="updates of all"))
        self.hub.notify("asking Civitai about newer versions; 3 shows how far it is")

    # Moving and deleting

    def action_trash(self) -> None:
        """Move the files to the trash."""
        rows = self.targets()
        if not rows:
            return
        ids = [row.id for row in rows]

        def change(catalog: Catalog) -> str:
            from modelhub.services.trash import trash

            report = trash(catalog, ids)
            for error in report.failed:
                self.app.call_from_thread(self.hub.tell_error, error)
            if not report.moved:
                return "nothing was moved"
            self._undo.append(("trash", lambda catalog: _restored(catalog, report.batch)))
            return f"{plural(len(report.moved), 'model')} in the trash; z brings back"

        self.table.unmark()
        self._change(change)

    def action_move(self) -> None:
        """Move the files to where the layout of their root has them, after asking."""
        rows = self.targets()
        if rows:
            self._plan_moves([row.id for row in rows])

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _plan_moves(self, ids: list[int]) -> None:
        from modelhub.services.organize import Wish, organize

        try:
            report = organize(
                Wish(ids=ids), catalog=self.session.catalog, config=self.session.config
            )
        except ModelhubError as error:
            self.app.call_from_thread(self.hub.tell_error, error)
            return
        plan = report.plan
        if not plan.movements:
            why = f": {plan.skipped[0].reason}" if plan.skipped else " already"
            self.app.call_from_thread(self._tell, f"they lie where they belong{why}")
            return
        first = plan.movements[0]
        target = first.target.relative_to(first.root).parent
        more = f" (and {len(plan.movements) - 1} more)" if len(plan.movements) > 1 else ""
        question = f"Move {first.name} to {target}/{more}? [y/n]"
        self.app.call_from_thread(self._confirm_moves, question, ids)

    def _tell(self, text: str) -> None:
        self.hub.notify(clean(text), markup=False)

    def _confirm_moves(self, question: str, ids: list[int]) -> None:
        def answered(text: str) -> None:
            if text.lower() in ("y", "yes"):
                self.table.unmark()
                self._change(lambda catalog: self._moved(catalog, ids))

        self._ask(question, answered)

    def _moved(self, catalog: Catalog, ids: list[int]) -> str:
        from modelhub.services.organize import Wish, organize, undo

        report = organize(Wish(ids=ids), catalog=catalog, config=self.session.config, apply=True)
        if not report.moved:
            reason = report.failed[0].reason if report.failed else "nothing had to move"
            return f"nothing was moved: {reason}"
        run = report.run

        def back(catalog: Catalog) -> str:
            return f"{plural(len(undo(run, catalog=catalog).moved), 'model')} moved back"

        self._undo.append(("move", back))
        return f"{plural(len(report.moved), 'model')} moved; z takes it back"

    def action_undo(self) -> None:
        """Take back what was moved or thrown away last."""
        if self._undo:
            _, back = self._undo.pop()
            self._change(back)
        else:
            self._change(lambda catalog: _restored(catalog, "last"))

    def show_details(self, *, focus: bool) -> None:
        """Show the details pane."""
        raise NotImplementedError


def _tagged(catalog: Catalog, ids: list[int], on: list[str], off: list[str]) -> str:
    said = []
    if on:
        said.append(_changed(catalog.tag(ids, on), "tagged"))
    if off:
        said.append(_changed(catalog.untag(ids, off), "untagged"))
    return "\n".join(said)


def _changed(changed: Changed, verb: str) -> str:
    said = f"{plural(changed.blobs, 'content')} {verb}" if changed.blobs else "nothing to change"
    if changed.unhashed:
        said += f"; {plural(changed.unhashed, 'file')} not hashed yet: i indexes first"
    return said


def _restored(catalog: Catalog, batch: str) -> str:
    from modelhub.services.trash import restore

    report = restore(catalog, batch)
    if report.failed:
        raise report.failed[0]
    return f"{plural(len(report.restored), 'file')} back from the trash"
