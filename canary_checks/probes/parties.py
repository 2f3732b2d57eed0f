"""Who a candidate was compared with, as a result tells it."""

import datetime
from typing import Protocol

from canary_checks import schema
from canary_checks import vocabulary as v


class Source(Protocol):
    """Whose record it is: what a request states of it."""

    @property
    def role(self) -> v.Role: ...
    @property
    def revision(self) -> str: ...
    @property
    def numeric_class(self) -> v.NumericClass: ...


class Header(Protocol):
    """What a record says of itself."""

    @property
    def recorded_time(self) -> datetime.datetime: ...


class Record(Protocol):
    """A record of any kind."""

    @property
    def digest(self) -> str: ...
    @property
    def header(self) -> Header: ...


def recorded(source: Source, record: Record) -> schema.Party:
    """Return the party of a record.

    Parameters
    ----------
    source
        Its role, revision and numeric class.
    record
        Its digest, and when it was made.
    """
    return schema.Party(
        role=source.role,
        revision=source.revision,
        digest=record.digest,
        recorded_time=record.header.recorded_time,
        numeric_class=source.numeric_class,
    )
