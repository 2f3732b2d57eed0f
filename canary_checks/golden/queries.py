"""Known queries for a golden set: what a search should find, from a table of queries and documents."""

import csv
import dataclasses
import io
from collections.abc import Iterable
from typing import Final

from canary_checks import vocabulary as v
from canary_checks.golden import author, files

DOCUMENTS: Final = "document"
"""The stratum of texts that a query should find."""
_TABLE: Final = "the queries"
_MOST: Final = 100
"""Documents that one query may expect."""

Pair = tuple[str, str]


def read(content: bytes) -> list[Pair]:
    """Read a CSV file of two columns, a query and what it should find, without a heading.

    Parameters
    ----------
    content
        Of the file. A query that should find several documents has a line for each.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: a line has not two columns.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise files.unreadable(_TABLE, f"no CSV in UTF-8: {error}") from error
    pairs = []
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        if len(row) != 2 or not all(row):  # noqa: PLR2004 - query, document
            raise files.unreadable(f"line {number} of {_TABLE}", "it is not `query,document`")
        pairs.append((row[0], row[1]))
    return pairs


def add(to: author.Draft, pairs: Iterable[Pair], *, stratum: str, must_include: bool = False) -> author.Draft:
    """Add queries with what they should find.

    Parameters
    ----------
    to
        The set.
    pairs
        A query, and the id of an item of the set or a text. Texts that are not in the set are added.
    stratum
        What the queries isolate; documents that are added are of the stratum ``document``.
    must_include
        Whether a sample takes the queries first.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: a query expects itself, or too much, or there are too many items.
    pydantic.ValidationError
        The stratum has no valid name.
    """
    wanted: dict[str, list[str]] = {}
    for query, document in pairs:
        if query == document:
            raise files.unreadable(v.sentence(repr(query), 80), "it expects itself")
        found = wanted.setdefault(query, [])
        if document not in found:
            found.append(document)
    known = {line.id for line in to.items} | set(_texts(to))
    new = list(dict.fromkeys(one for found in wanted.values() for one in found if one not in known))
    # A document may itself be one of the queries: it is added once, as that.
    made = author.add_texts(to, [one for one in new if one not in wanted], stratum=DOCUMENTS)
    there = _texts(made)
    asked = [query for query in wanted if query not in there]
    made = author.add_texts(made, asked, stratum=stratum, must_include=must_include)
    ids = {line.id: line.id for line in made.items} | _texts(made)
    expected = {ids[query]: [ids[one] for one in found] for query, found in wanted.items()}
    return dataclasses.replace(
        made, items=tuple(_expecting(line, expected.get(line.id, [])) for line in made.items)
    )


def _texts(draft: author.Draft) -> dict[str, str]:
    return {line.text: line.id for line in draft.items if line.text is not None}


def _expecting(line: files.ItemLine, more: list[str]) -> files.ItemLine:
    if not more:
        return line
    before = line.expect.relevant if line.expect is not None else ()
    relevant = tuple(dict.fromkeys((*before, *more)))
    if len(relevant) > _MOST:
        raise files.unreadable(f"item {line.id}", f"it expects {len(relevant)} items, more than {_MOST}")
    return line.model_copy(update={"expect": files.Expect(relevant=relevant)})
