"""``modelrelease golden init | add | show | lint``: golden sets themselves."""

# ruff: noqa: PLC0415 - help and mistakes in arguments need neither numpy nor Pillow

import asyncio
import dataclasses
import pathlib
from typing import TYPE_CHECKING, Annotated, Any, Final

import rich.markup
import typer

from canary_checks import vocabulary as v
from canary_checks.cli import exits, options, task
from canary_checks.cli import golden_shared as shared

if TYPE_CHECKING:
    from canary_checks.golden import pack as golden_pack
    from canary_checks.golden import recorder

_SIGNS: Final = {"Error": "[bold red]error[/]", "Warning": "[yellow]warning[/]", "Note": "[dim]note[/]"}


def init(
    *,
    name: shared.Folder,
    source: Annotated[
        str, typer.Option("--from", metavar="builtin:NAME|DIR", help="The set to begin with.")
    ] = "builtin:TextV1",
    as_json: shared.Json = False,
) -> None:
    """Begin a set of your own as a copy of another one."""

    def run() -> int:
        from canary_checks.golden import author

        made = author.begin(name, shared.load(source))
        shared.tell(
            {"name": made.name, "version": made.version, "digest": made.digest, "items": len(made.items)},
            f"{name}: {len(made.items)} items, {made.digest}",
            as_json=as_json,
        )
        return exits.PASS

    raise typer.Exit(exits.guarded(run))


def add(
    *,
    name: shared.Folder,
    images: Annotated[
        list[pathlib.Path] | None, typer.Argument(metavar="[FILE]…", help="JPEG, PNG or WebP files.")
    ] = None,
    stratum: Annotated[str, typer.Option(help="What the items isolate.")],
    text_file: Annotated[
        pathlib.Path | None, typer.Option(metavar="FILE", help="UTF-8, one text in each line.")
    ] = None,
    captions: Annotated[
        pathlib.Path | None, typer.Option(metavar="FILE", help="CSV: name of an image file, its caption.")
    ] = None,
    queries: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="CSV: a query, the text or the id of an item that it should find."),
    ] = None,
    must_include: Annotated[bool, typer.Option("--must-include", help="A sample takes them first.")] = False,
    set_version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The new version; by default the next number.")
    ] = None,
    as_json: shared.Json = False,
) -> None:
    """Add images or texts; a name and version never change content, so the version becomes another one."""

    def run() -> int:
        from canary_checks.golden import author
        from canary_checks.golden import queries as known_queries

        if not images and text_file is None and queries is None:
            raise exits.UsageError(
                "there is nothing to add: give image files, --text-file FILE or --queries FILE"
            )
        if captions is not None and not images:
            raise exits.UsageError("--captions are those of image files: give the files")
        before = author.draft(shared.load(str(name)))
        made = before
        if images:
            known = author.read_captions(captions.read_bytes()) if captions is not None else {}
            if unknown := sorted(known.keys() - {file.name for file in images}):
                raise exits.UsageError(f"--captions: {unknown[0]} is none of the files")
            made = author.add_images(made, images, stratum=stratum, captions=known, must_include=must_include)
        if text_file is not None:
            texts = [line for line in _lines(text_file) if line]
            made = author.add_texts(made, texts, stratum=stratum, must_include=must_include)
        if queries is not None:
            pairs = known_queries.read(queries.read_bytes())
            made = known_queries.add(made, pairs, stratum=stratum, must_include=must_include)
        version = set_version or _next_version(before.version)
        saved = author.save(name, dataclasses.replace(made, version=version))
        count = len(made.items) - len(before.items)
        shared.tell(
            {"name": saved.name, "version": saved.version, "digest": saved.digest, "added": count},
            f"{name}: {count} items added to {stratum}, now version {saved.version}, {saved.digest}",
            as_json=as_json,
        )
        return exits.PASS

    raise typer.Exit(exits.guarded(run))


def show(
    *,
    name: shared.Set = "builtin:TextV1",
    items: Annotated[bool, typer.Option("--items", help="Every item, not only the strata.")] = False,
    as_json: shared.Json = False,
) -> None:
    """Show what a set holds: its strata, what its twins isolate, and its digest."""

    def run() -> int:
        read = shared.load(name)
        if as_json:
            shared.write(_described(read, items=items))
            return exits.PASS
        to = shared.console()
        to.print(
            f"[bold]{read.name}[/] {read.version}  {len(read.items)} items  {read.license}  {read.digest}"
        )
        table = shared.table("stratum", "modality", "items", "must include", "isolates, by twins")
        strata = dict.fromkeys((item.stratum, item.modality) for item in read.items)
        for stratum, modality in sorted(strata):
            chosen = [i for i in read.items if (i.stratum, i.modality) == (stratum, modality)]
            twins = sorted({r.differs for r in read.relations if read.by_id[r.item] in chosen})
            must = sum(item.must_include for item in chosen)
            table.add_row(stratum, modality, str(len(chosen)), str(must or ""), ", ".join(twins))
        to.print(table)
        if items:
            listed = shared.table("id", "stratum", "content", "twin")
            for item in read.items:
                twin = f"{item.twin.differs} of {item.twin.of}" if item.twin is not None else ""
                content = v.sentence(item.text, 60) or f"{item.media_type} {item.blob[7:19]}…"
                listed.add_row(item.id, item.stratum, rich.markup.escape(content), twin)
            to.print(listed)
        return exits.PASS

    raise typer.Exit(exits.guarded(run))


def lint(
    *,
    name: shared.Set,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Put known faults into the answers of --url: which gates fire?"),
    ] = False,
    url: Annotated[str | None, typer.Option(metavar="URL", help="For --sensitivity.")] = None,
    protocol: options.OneProtocol = v.Protocol.OPENAI_EMBEDDINGS,
    path: options.Path = None,
    model: options.Model = None,
    modality: options.OneModality = v.Modality.TEXT,
    operation: options.Operation = None,
    operations: options.Operations = None,
    numeric_class: shared.OwnClass = v.NumericClass.FP32,
    max_requests_per_second: options.Rate = None,
    as_json: shared.Json = False,
) -> None:
    """Say what is wrong or weak in a set, and how it can be delivered.

    Exit codes: 0 nothing is wrong, 1 something is (or a fault of vectors was not seen), 3 Error, 64 usage.
    """

    def run() -> int:
        if sensitivity is not (url is not None):
            raise exits.UsageError("--sensitivity and --url belong together")
        if url is None:
            return _lint(_folder(name), as_json=as_json)
        server = shared.server(
            url,
            task.asked_operations(
                operation, operations, protocol=protocol, modality=modality, path=path, model=model
            ),
            numeric_class,
            max_requests_per_second,
        )
        return _sensitivity(shared.load(name), server, as_json=as_json)

    raise typer.Exit(exits.guarded(run))


def _lint(folder: pathlib.Path, *, as_json: bool) -> int:
    from canary_checks.golden import lint as linting

    problems = list(linting.lint(folder))
    broken = any(problem.severity is linting.Severity.ERROR for problem in problems)
    ways = () if broken else linting.deliveries(folder)
    if as_json:
        shared.write(
            {
                "problems": [shared.fields(problem) for problem in problems],
                "deliveries": [shared.fields(way) | {"fits": way.fits} for way in ways],
            }
        )
        return exits.FAIL if broken else exits.PASS
    to = shared.console()
    for problem in problems:
        to.print(f"{_SIGNS[problem.severity]} {problem.reason}: {rich.markup.escape(problem.message)}")
    if ways:
        table = shared.table("delivery", "bytes", "limit", "fits")
        for way in ways:
            limit = f"{way.limit_bytes:,}" if way.limit_bytes is not None else ""
            table.add_row(way.name, f"{way.size_bytes:,}", limit, "yes" if way.fits else "[red]no[/]")
        to.print(table)
    return exits.FAIL if broken else exits.PASS


def _sensitivity(read: "golden_pack.Pack", server: "recorder.Server", *, as_json: bool) -> int:
    from canary_checks.golden import sensitivity

    with shared.waiting("putting faults into the answers"):
        found = asyncio.run(sensitivity.try_faults(server, read))
    unseen = any(seen.of_vectors and not seen.as_wanted for seen in found)
    if as_json:
        shared.write([shared.fields(seen) | {"asWanted": seen.as_wanted} for seen in found])
        return exits.FAIL if unseen else exits.PASS
    table = shared.table("operation", "fault", "rows touched", "rows moved", "gates that fire")
    for seen in found:
        gates = ", ".join(seen.fired) or ("[green]none, as wanted[/]" if seen.harmless else "[red]none[/]")
        if not seen.touched and not seen.harmless:
            gates = "[dim]no item has it[/]"
        table.add_row(seen.operation, seen.fault, str(seen.touched), str(seen.moved), gates)
    shared.console().print(table)
    return exits.FAIL if unseen else exits.PASS


def _folder(name: str) -> pathlib.Path:
    asked = task.golden_set(name)
    if asked.path is not None:
        return pathlib.Path(asked.path)
    from canary_checks.golden import folder

    return folder.PACKS / str(asked.builtin)


def _described(read: "golden_pack.Pack", *, items: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": read.name,
        "version": read.version,
        "license": read.license,
        "sensitivity": read.sensitivity,
        "digest": read.digest,
        "items": len(read.items),
        "strata": {},
        "differences": {},
    }
    for item in read.items:
        said["strata"][item.stratum] = said["strata"].get(item.stratum, 0) + 1
    for relation in read.relations:
        said["differences"][relation.differs] = said["differences"].get(relation.differs, 0) + 1
    if items:
        said["content"] = [shared.fields(item) for item in read.items]
    return said


def _lines(file: pathlib.Path) -> list[str]:
    try:
        return file.read_text("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise exits.UsageError(f"--text-file: {file} is not UTF-8") from error


def _next_version(version: str) -> str:
    if not version.isdecimal():
        raise exits.UsageError(f"the set's version is {version}: say the new one with --set-version")
    return str(int(version) + 1)
