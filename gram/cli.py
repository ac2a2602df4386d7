"""The command `gram`: all that stands in `gram.commands`."""

import typer

from gram.commands.clips import clips
from gram.commands.compare import compare
from gram.commands.doctor import doctor
from gram.commands.fetch import fetch
from gram.commands.scores import app as scores_app
from gram.commands.shards import app as shards_app

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_show_locals=False)
app.add_typer(shards_app, name="shards")
app.add_typer(scores_app, name="scores")
for command in (doctor, fetch, clips, compare):
    app.command()(command)


@app.callback()
def gram() -> None:
    """Align text, video, audio, subtitles and depth by volume, and compare clips by it."""


if __name__ == "__main__":
    app()
