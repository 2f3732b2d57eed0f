"""Hooks of ``mkdocs.yml``: what the site takes along beside the pages in ``docs/``.

- ``NAME/*.md`` in the navigation stands for the pages of that folder that are named nowhere in it.
- Files of the repository that pages link to are part of the site, below ``repository/``: a link works there
  as it does where the code is shown.
- ``api-fields.md`` and ``screens.md`` are made at each build, of the models and of what the tests compare
  with, so they are never stale.
"""

import pathlib
from typing import Any, Final
from urllib import parse

from mkdocs import exceptions, plugins
from mkdocs.config import defaults
from mkdocs.structure import files as site_files
from mkdocs.structure import pages

from hack.site import fields, links, screens

ROOT: Final = pathlib.Path(__file__).resolve().parents[2]
GENERATED: Final = {"api-fields.md": fields.page, "screens.md": screens.page}
ALWAYS: Final = ("CONTRIBUTING.md", "CHANGELOG.md")
"""Of the repository, in the navigation."""


def on_config(config: defaults.MkDocsConfig) -> defaults.MkDocsConfig:
    """Expand patterns in the navigation."""
    folder = pathlib.Path(config.docs_dir)
    named = set(_named(config.nav))
    config.nav = _expanded(config.nav, folder, named)
    return config


def _named(nav: Any) -> list[str]:
    if isinstance(nav, list):
        return [name for entry in nav for name in _named(entry)]
    if isinstance(nav, dict):
        return [name for entry in nav.values() for name in _named(entry)]
    return [nav] if isinstance(nav, str) else []


def _expanded(nav: Any, folder: pathlib.Path, named: set[str]) -> Any:
    if isinstance(nav, dict):
        return {title: _expanded(entry, folder, named) for title, entry in nav.items()}
    if not isinstance(nav, list):
        return nav
    found: list[Any] = []
    for entry in nav:
        if isinstance(entry, str) and "*" in entry:
            meant = {path.relative_to(folder).as_posix() for path in folder.glob(entry)} - named
            found += sorted(meant)
            named |= meant
        else:
            found.append(_expanded(entry, folder, named))
    return found


def on_files(files: site_files.Files, config: defaults.MkDocsConfig) -> site_files.Files:
    """Add the pages that are made, and whatever is linked to outside of ``docs/``."""
    for name, page in GENERATED.items():
        files.append(site_files.File.generated(config, name, content=page()))
    waiting = [ROOT / name for name in ALWAYS]
    for file in files.documentation_pages():
        if file.abs_src_path:
            waiting += _outside(pathlib.Path(file.abs_src_path))
    seen: set[pathlib.Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.is_dir():
            listing = site_files.File.generated(config, links.in_site(path, ROOT), content=_listing(path))
            files.append(listing)
            continue
        files.append(site_files.File.generated(config, links.in_site(path, ROOT), abs_src_path=str(path)))
        if path.suffix == ".md":
            waiting += _outside(path)
    return files


def _outside(page: pathlib.Path) -> list[pathlib.Path]:
    """Return the files and folders of the repository, not of the site, that a page links to."""
    paths = (links.target(page, one.address) for one in links.found(page.read_text(encoding="utf-8")))
    return [
        path
        for path in paths
        if path is not None and path.exists() and not path.is_relative_to(ROOT / "docs")
    ]


def _listing(folder: pathlib.Path) -> str:
    """Return the page of a folder: what is in it."""
    shown = sorted(path for path in folder.iterdir() if not path.name.startswith(("__pycache__", ".")))
    names = "\n".join(f"- `{path.name}{'/' if path.is_dir() else ''}`" for path in shown)
    return f"# {folder.relative_to(ROOT).as_posix()}\n\nA folder of the repository.\n\n{names}\n"


def on_page_markdown(
    markdown: str, /, *, page: pages.Page, config: defaults.MkDocsConfig, files: site_files.Files
) -> str:
    """Let links between ``docs/`` and the rest of the repository lead to where both are in the site."""
    del config, files
    if page.file.abs_src_path is None:
        return markdown
    source = pathlib.Path(page.file.abs_src_path)
    here = pathlib.PurePosixPath(page.file.src_uri)

    def moved(address: str) -> str:
        path = links.target(source, address)
        if path is None or not path.exists():
            return address
        inside = path.is_relative_to(ROOT / "docs")
        if inside and source.is_relative_to(ROOT / "docs"):
            return address
        where = path.relative_to(ROOT / "docs").as_posix() if inside else links.in_site(path, ROOT)
        fragment = parse.urlsplit(address).fragment
        return links.relative(here, where) + (f"#{fragment}" if fragment else "")

    return links.rewritten(markdown, moved)


@plugins.event_priority(-100)
def on_post_build(*, config: defaults.MkDocsConfig) -> None:
    """Let no page ask a foreign server for anything."""
    site = pathlib.Path(config.site_dir)
    strange = {
        f"{page.relative_to(site)}: {address}"
        for page in site.rglob("*.html")
        for address in links.fetched(page.read_text(encoding="utf-8"))
    }
    if strange:
        raise exceptions.PluginError(f"pages fetch from elsewhere: {', '.join(sorted(strange))}")
