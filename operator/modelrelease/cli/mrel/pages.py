"""Where people read the documentation: in the repository, or where an organisation publishes it."""

from collections.abc import Mapping
from typing import Final

from modelrelease.cli.mrel import port

VARIABLE: Final = "MREL_PAGES"
PLACE: Final = "{page}"
REPOSITORY: Final = "docs/{page}.md"


def template(environ: Mapping[str, str]) -> str:
    """Return what a page's address is made from.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        The person's own has no place for the page.
    """
    said = environ.get(VARIABLE, "").strip() or REPOSITORY
    if PLACE not in said:
        raise port.Failed(f"{VARIABLE} must hold {PLACE}, such as https://docs.example/{PLACE}.html")
    return said


def address(template: str, page: str) -> str:
    """Return the address of a page, such as ``reasons/CheckFailed``."""
    return template.replace(PLACE, page)
