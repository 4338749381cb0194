"""The `havre` command: a table of commands, each imported only when it is used (D5: start-up under 100 ms)."""

from __future__ import annotations

import gc
import importlib
import sys
from dataclasses import dataclass

import click

from havre import __version__
from havre.errors import EXIT_CODES, HavreError


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: where it lives and its line in `havre --help`."""

    module: str
    summary: str


GROUPS: tuple[tuple[str, dict[str, Entry]], ...] = (
    (
        "Start",
        {
            "init": Entry("init", "Write a first havre.yaml from the Compose files here."),
            "check": Entry("check", "Look for everything that would go wrong, touch nothing."),
            "checklist": Entry("checklist", "Judge what a launch needs by what the live server shows."),
            "config": Entry("config", "Print the Compose files in their normal form."),
            "demo": Entry("demo", "Deploy the example on this machine and show the story."),
        },
    ),
    (
        "Release",
        {
            "plan": Entry("deploy", "Say what a deploy would do, step by step, and why."),
            "deploy": Entry("deploy", "Make the server match the Compose file, without dropping a request."),
            "rollback": Entry("rollback", "Go back to an earlier release: its images and its configuration."),
            "promote": Entry("promote", "Deploy the images of another environment here, without building again."),
            "diff": Entry("diff", "Show what differs between environments, or between what runs and the files."),
            "releases": Entry("releases", "List the releases of this app, newest first."),
            "recover": Entry("recover", "Finish or undo a release whose process was killed."),
        },
    ),
    (
        "Keep safe",
        {
            "secrets": Entry("secrets", "Generate, set and list the app's sealed secrets."),
        },
    ),
    (
        "Operate",
        {
            "ps": Entry("ps", "Show what runs: replicas, health, age, memory."),
            "logs": Entry("logs", "Show or follow logs of one or several services."),
            "exec": Entry("execute", "Run a command in a running replica."),
            "run": Entry("execute", "Run a one-off command in a new replica of a service."),
            "start": Entry("control", "Start stopped services."),
            "stop": Entry("control", "Stop services; their data stays."),
            "restart": Entry("control", "Replace replicas one way or the other, as the service allows."),
            "scale": Entry("control", "Change how many replicas of a service run."),
            "down": Entry("down", "Stop and remove the app; volumes stay unless you type the name."),
            "doctor": Entry("doctor", "Say what is wrong now, the likeliest cause first, and what to do."),
            "support-bundle": Entry("doctor", "Write one file with all that helps others to help; no secrets."),
        },
    ),
    (
        "Data",
        {
            "backup": Entry("backup", "Back up databases, Redis and volumes, encrypted and verified; list, status."),
            "restore": Entry("restore", "Restore a service's data beside the live data, verify it, then swap."),
            "drill": Entry("drill", "Prove that the backups can be restored, and measure how long it takes."),
            "recover-server": Entry("recover_server", "Bring an app back on an empty server from its repository."),
        },
    ),
    (
        "Server",
        {
            "server": Entry("server", "Show what this machine is, and the apps that share it."),
            "edge": Entry("edge", "Show, restart or stop the proxy in front of all apps."),
            "boot": Entry("boot", "Bring all apps back after a reboot, by itself or now."),
            "audit": Entry("audit", "Show who did what on this server, and how it ended."),
            "certs": Entry("edge", "List certificates and the days they have left; renew them."),
            "export": Entry("export", "Print timers, a vhost for a proxy in front, or a release for another server."),
            "ports": Entry("ledger", "List the server's ports: which app has them, which program listens."),
            "networks": Entry("networks", "List the server's networks: whose they are, and who is in them."),
            "budget": Entry("ledger", "Show the memory and disk that all apps may use beside what there is."),
            "top": Entry("top", "Rank what uses this server's CPU and memory: every app, and what is not Havre's."),
            "disk": Entry("disk", "Show what takes the room on this server, and whose it is."),
            "prune": Entry(
                "disk", "Remove images and leftovers that no release needs; never data, never a stranger's."
            ),
            "schema": Entry("schema", "Print the JSON Schema of havre.yaml, for editors."),
        },
    ),
)

COMMANDS: dict[str, Entry] = {name: entry for _, commands in GROUPS for name, entry in commands.items()}


class LazyGroup(click.Group):
    """A click group that knows its commands from a table and imports one only to run it or show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command called `cmd_name`, imported now."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"havre.cli.{entry.module}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the closest known name when there is no such command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(_unknown(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table, by group, without importing any command."""
        for title, commands in GROUPS:
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, "-V", "--version", prog_name="havre")
def cli() -> None:
    """Havre deploys your Compose file to this server: it says what it will do, does it without dropping a
    request, proves that it worked, and can take it back.

    Every command works in the directory of your havre.yaml (or Compose file); `havre COMMAND --help` has the
    details and examples.
    """


def main() -> None:
    """Run the command line; errors become text on standard error and a documented exit code."""
    gc.set_threshold(50_000, 20, 20)  # importing makes many objects and no garbage: 5-10 % of a command's time
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except HavreError as error:
        from havre.cli.show import show_error

        show_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    return f"no such command `{name}`" + (f"; did you mean `havre {close[0]}`?" if close else "")
