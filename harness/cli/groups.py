"""Groups of commands that answer a misspelled name with the nearest one, whatever click's version."""

from __future__ import annotations

import click

from harness.settings import nearest


class Group(click.Group):
    """A group that refuses an unknown command by naming the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but with our sentence for a name that is no command."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(f"no command is called {name!r}; {nearest(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)
