"""`modelhub daemon`: the process that does jobs in the background."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import click

from modelhub.cli.context import App, pass_app
from modelhub.cli.output import Column, json_option, print_fields, print_json, print_table
from modelhub.text import clean

if TYPE_CHECKING:
    from modelhub.daemon.process import Daemon
    from modelhub.services.jobs.store import Host


@click.group()
def command() -> None:
    """Do jobs in the background, and keep the catalog in step with the disk.

    The daemon does what `modelhub pull --detach` and others queue, watches the roots, and looks
    for updates from time to time. Killed at any moment, it goes on where it was when it is started
    again. One runs for each library.
    """


@command.command()
@pass_app
def start(app: App) -> None:
    """Start the daemon in the background."""
    from modelhub.daemon import spawn
    from modelhub.services.jobs.contact import Contact
    from modelhub.services.jobs.place import jobs_place

    place = jobs_place(app.config)
    if Contact(place).attended():
        app.say("the daemon runs already")
        return
    answer = spawn.start(place, _options(app))
    app.say(f"the daemon runs as process {answer['pid']}")


@command.command()
@pass_app
def stop(app: App) -> None:
    """Stop the daemon; running jobs are parked, and go on with the next start."""
    from modelhub.daemon import spawn
    from modelhub.services.jobs.place import jobs_place

    stopped = spawn.stop(jobs_place(app.config))
    app.say("the daemon has stopped" if stopped else "no daemon runs for this library")


@command.command()
@json_option
@pass_app
def status(app: App, as_json: bool) -> None:
    """Say whether the daemon runs, and what it is at. Exit code 3 where it does not run."""
    from modelhub.services.jobs.contact import Contact
    from modelhub.services.jobs.place import jobs_place

    place = jobs_place(app.config)
    contact = Contact(place)
    found: dict[str, Any] = {"running": False}
    if contact.attended():
        found = {"running": True, **contact.ask("status")}
    if as_json:
        print_json(found)
    elif not found["running"]:
        app.echo("not running")
    else:
        _print_status(found)
    if not found["running"]:
        click.get_current_context().exit(3)


def _print_status(found: dict[str, Any]) -> None:
    from datetime import datetime

    jobs = ", ".join(f"{number:,} {state}" for state, number in found["jobs"].items() if number)
    started = datetime.fromtimestamp(found["started"])
    print_fields(
        [
            ("Process", found["pid"]),
            ("Version", found["version"]),
            ("Since", f"{started:%Y-%m-%d %H:%M}"),
            ("Jobs", jobs or "none"),
            *(_watch_field(root) for root in found.get("watch", ())),
        ]
    )


def _watch_field(root: dict[str, Any]) -> tuple[str, str]:
    way = ("Watches" if root["native"] else "Polls") if root["there"] else "Misses"
    return way, clean(f"{root['root']} ({root['why']})")


@command.command()
@json_option
@pass_app
def hosts(app: App, as_json: bool) -> None:
    """List the machines that do the jobs of this library, where several share it."""
    from modelhub.services.jobs.store import hosts_of, open_jobs

    with open_jobs(app.config) as database:
        found = hosts_of(database)
    if as_json:
        print_json(found)
        return
    print_table(_host_columns(), found)
    if not found:
        app.say("no hosts: this library has no daemon on a PostgreSQL server")


def _host_columns() -> list[Column[Host]]:
    return [
        Column("Host", lambda host: host.name),
        Column("Seen", lambda host: _seen(host)),
        Column("Jobs", lambda host: host.at_work, right=True),
        Column("Renders on", lambda host: _renders_on(host)),
        Column("Does", lambda host: ", ".join(host.kinds) or "everything", flexible=True),
        Column("Mounts", lambda host: _mounts(host), flexible=True),
        Column("Version", lambda host: host.version),
    ]


def _seen(host: Host) -> str:
    ago = f"{max(host.silent, 0.0):.0f} s ago"
    return ago if host.alive else f"lost, {ago}"


def _renders_on(host: Host) -> str:
    return "not known yet" if host.devices is None else ", ".join(host.devices) or "nothing"


def _mounts(host: Host) -> str:
    return ", ".join(f"{there} at {here}" for there, here in host.mounts.items())


@command.command()
@click.option("--lines", "-n", type=click.IntRange(1, 100_000), default=50, show_default=True)
@pass_app
def logs(app: App, lines: int) -> None:
    """Print the last lines of the daemon's log, a JSON object each."""
    from modelhub.daemon.logs import last_lines
    from modelhub.services.jobs.place import jobs_place

    for line in last_lines(jobs_place(app.config).log, lines):
        app.echo(line)


@command.command()
@pass_app
def reload(app: App) -> None:
    """Have the daemon read the settings again."""
    from modelhub.services.jobs.contact import Contact
    from modelhub.services.jobs.place import jobs_place

    Contact(jobs_place(app.config)).ask("reload")
    app.say("the daemon has read the settings")


@command.command()
@pass_app
def metrics(app: App) -> None:
    """Print the daemon's figures, as Prometheus reads them."""
    from modelhub.services.jobs.contact import Contact
    from modelhub.services.jobs.place import jobs_place

    app.echo(str(Contact(jobs_place(app.config)).ask("metrics")["text"]).rstrip(), lines=True)


@command.command()
@click.option("--show", is_flag=True, help="Print what would be written, and write nothing.")
@pass_app
def install(app: App, show: bool) -> None:
    """Have the system start the daemon at login: a systemd user unit, or a launchd agent.

    The file is written, and what lets it begin is printed: that is yours to run.
    """
    from modelhub.daemon.install import install as write
    from modelhub.daemon.install import platform, service

    wanted = service(_options(app), app.environ, platform())
    if show:
        app.echo(wanted.text.decode(errors="replace").rstrip(), lines=True)
        return
    written = write(wanted)
    app.echo(str(wanted.path))
    app.say("written; now run:" if written else "it is there already; what lets it begin:")
    for line in wanted.commands:
        app.say(f"  {line}")


@command.command()
@pass_app
def run(app: App) -> None:
    """Run the daemon in the foreground, for containers and service managers."""
    from modelhub.cli.redact import redact
    from modelhub.config.load import load_config
    from modelhub.daemon.logs import log_to
    from modelhub.daemon.process import Daemon

    daemon = Daemon(lambda: load_config(app.config_path, app.environ).config)
    log_to(daemon.place.log, redact, foreground=not app.quiet)
    _listen(daemon)
    daemon.run()


def _listen(daemon: Daemon) -> None:
    """Stop on SIGTERM and Ctrl-C, read the settings again on SIGHUP."""
    import logging
    import threading

    from modelhub.errors import ModelhubError

    def stop(_signal: int, _frame: object) -> None:
        daemon.stop()

    def read_again() -> None:
        try:
            daemon.reload()
        except ModelhubError as error:
            logging.getLogger(__name__).error("not read again", extra={"why": error.message})

    def reload(_signal: int, _frame: object) -> None:
        threading.Thread(target=read_again, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, reload)


def _options(app: App) -> list[str]:
    return ["--config", str(app.config_path.absolute())] if app.config_path else []
