"""``modelrelease golden``: make, look at, prove and record golden sets."""

from typing import Final

import typer

from canary_checks.cli import golden_references, golden_sets

app: Final = typer.Typer(
    name="golden",
    help="Make, look at, prove and record golden sets.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("init")(golden_sets.init)
app.command("add")(golden_sets.add)
app.command("show")(golden_sets.show)
app.command("lint")(golden_sets.lint)
app.command("record")(golden_references.record)
app.command("diff")(golden_references.diff)
app.command("export-anchor")(golden_references.export_anchor)
app.command("import-anchor")(golden_references.import_anchor)
