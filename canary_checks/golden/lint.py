"""What is wrong, or weak, in a golden set: said before a release depends on it."""

import dataclasses
import enum
import io
import pathlib
import re
from collections.abc import Iterator
from typing import Final

import PIL.Image

from canary_checks import failure, known_queries
from canary_checks import vocabulary as v
from canary_checks.golden import files, folder, images, pack
from canary_checks.golden.difference import Difference
from canary_checks.parity import rates, retrieval

CONFIG_MAP_BYTES: Final = 1 << 20
"""What a ConfigMap or a Secret holds at most, keys and values together."""
CLIENT_APPLY_BYTES: Final = 262_144
"""What an annotation holds: client-side apply, Argo CD's default, copies the whole object into one."""

_FEWEST_ITEMS: Final = 64
_FEWEST_OF_STRATUM: Final = 3
_FEWEST_MUST: Final = 8
_GPS: Final = 0x8825
_KNOWN_NAMES: Final = re.compile(
    r"pack\.json|items\.jsonl|relations\.jsonl|blobs|references|sha256-[a-f0-9]{64}"
    r"|reference-.+\.safetensors|\.\..+"
)
_WANTED: Final = {
    v.Modality.TEXT: (
        Difference.CASE,
        Difference.ACCENTS,
        Difference.LENGTH,
        Difference.PROMPT,
        Difference.WHITESPACE,
    ),
    v.Modality.IMAGE: (
        Difference.EXIF,
        Difference.ALPHA_ON_WHITE,
        Difference.COLOUR_PROFILE,
        Difference.CHANNELS,
        Difference.CROP,
        Difference.RESIZED_BICUBIC,
    ),
}


class Severity(enum.StrEnum):
    """How bad it is: an Error stops a release, a Warning weakens it, a Note is to be known."""

    ERROR = "Error"
    WARNING = "Warning"
    NOTE = "Note"


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing to know about a set.

    Attributes
    ----------
    severity, reason
        How bad, and the word for machines.
    message
        One sentence; never an item's content.
    """

    severity: Severity
    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A way to bring a set to the cluster, and whether this one fits."""

    name: str
    limit_bytes: int | None
    size_bytes: int

    @property
    def fits(self) -> bool:
        """Whether the set may go this way."""
        return self.limit_bytes is None or self.size_bytes <= self.limit_bytes


def lint(path: pathlib.Path) -> Iterator[Problem]:
    """Look at a set in a folder.

    Parameters
    ----------
    path
        Its folder.

    Yields
    ------
    What is wrong or weak; a set that cannot be read yields that alone.
    """
    try:
        read = folder.read(path)
    except failure.CheckError as error:
        yield Problem(Severity.ERROR, error.reason, error.message)
        return
    yield from _images(read)
    yield from _duplicates(read)
    yield from _private(read)
    yield from _strata(read)
    yield from _twins(read)
    yield from _known_queries(read)
    yield from _deliverable(read, path)
    yield from _beside(path)


def deliveries(path: pathlib.Path) -> tuple[Delivery, ...]:
    """Return the ways to deliver a set, with their limits.

    Parameters
    ----------
    path
        Its folder.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``.
    """
    read = folder.read(path, proven=True)
    opened = folder.Folder(path)
    plain = sum(
        opened.size_of(name, files.LINES_LIMIT_BYTES)
        for name in (files.PACK, files.ITEMS, *((files.RELATIONS,) if read.relations else ()))
    )
    blobs = sum(opened.size_of(name, files.BLOB_LIMIT_BYTES) for name in opened.blobs().values())
    # In an annotation everything is JSON text: quotes of the lines are escaped, images are base64.
    applied = int(1.25 * plain) + blobs * 4 // 3
    return (
        Delivery("ConfigMap by client-side apply (Argo CD's default)", CLIENT_APPLY_BYTES, applied),
        Delivery("ConfigMap or Secret by server-side apply", CONFIG_MAP_BYTES, plain + blobs),
        Delivery("PersistentVolumeClaim or image volume", None, plain + blobs),
    )


def _images(read: pack.Pack) -> Iterator[Problem]:
    for item in read.items:
        if item.modality is not v.Modality.IMAGE:
            continue
        try:
            content = read.content(item)
            images.decode(content)
        except failure.CheckError as error:
            yield Problem(Severity.ERROR, error.reason, error.message)
            continue
        except ValueError as error:
            yield Problem(Severity.ERROR, "GoldenSetUnreadable", f"item {item.id}: {error}")
            continue
        if PIL.Image.open(io.BytesIO(content)).getexif().get_ifd(_GPS):
            yield Problem(
                Severity.WARNING, "PersonalData", f"item {item.id} says where it was taken (EXIF GPS)"
            )


def _duplicates(read: pack.Pack) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for item in read.items:
        if item.digest in first:
            yield Problem(
                Severity.WARNING,
                "Duplicate",
                f"items {first[item.digest]} and {item.id} have the same content",
            )
        first.setdefault(item.digest, item.id)


def _luhn(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()][::-1]
    return sum(d if place % 2 == 0 else sum(divmod(2 * d, 10)) for place, d in enumerate(digits)) % 10 == 0


_BYTE: Final = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_PATTERNS: Final[dict[str, re.Pattern[str]]] = {
    "an e-mail address": re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+\b"),
    "a payment card number": re.compile(r"\b\d(?:[ -]?\d){12,18}\b"),
    "an IBAN": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
    "a telephone number": re.compile(r"(?<!\w)\+\d{1,3}[ -]?(?:\d[ -]?){7,12}\b"),
    "a social security number": re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
    "an IP address": re.compile(rf"\b(?:{_BYTE}\.){{3}}{_BYTE}\b"),
}


def _held(text: str) -> Iterator[str]:
    """Yield what a text looks as if it held."""
    for what, pattern in _PATTERNS.items():
        found = [match[0] for match in pattern.finditer(text)]
        # Any long number is no card: cards carry a check digit.
        if any(map(_luhn, found)) if what == "a payment card number" else found:
            yield what


def _private(read: pack.Pack) -> Iterator[Problem]:
    """Look for personal data by patterns: what they miss is still the author's to know."""
    severity = Severity.NOTE if read.sensitivity == "Restricted" else Severity.WARNING
    for item in read.items:
        for what in _held(item.text):
            about = f"item {item.id} looks as if it held {what}; the set is {read.sensitivity}"
            yield Problem(severity, "PersonalData", about)


def _strata(read: pack.Pack) -> Iterator[Problem]:
    for modality in sorted({item.modality for item in read.items}):
        chosen = [item for item in read.items if item.modality is modality]
        if len(chosen) < _FEWEST_ITEMS:
            yield Problem(
                Severity.WARNING,
                "TooFewItems",
                f"{len(chosen)} {modality} items: faults of few rows are missed below {_FEWEST_ITEMS}",
            )
        must = sum(item.must_include for item in chosen)
        if must < _FEWEST_MUST:
            yield Problem(
                Severity.NOTE,
                "FewMustInclude",
                f"{must} {modality} items must be included, fewer than {_FEWEST_MUST}",
            )
        if modality is v.Modality.TEXT and not any(item.stratum == "plain" for item in chosen):
            yield Problem(
                Severity.WARNING,
                "NoPlainStratum",
                "no text is of the stratum `plain`, by which others are judged",
            )
    for stratum in sorted({item.stratum for item in read.items}):
        count = sum(item.stratum == stratum for item in read.items)
        if count < _FEWEST_OF_STRATUM:
            yield Problem(
                Severity.NOTE,
                "ThinStratum",
                f"{stratum} has {count} items: too few to say that it moved as one",
            )


def _twins(read: pack.Pack) -> Iterator[Problem]:
    there = {relation.differs for relation in read.relations}
    for modality in sorted({item.modality for item in read.items}):
        missing = [str(one) for one in _WANTED[modality] if one not in there]
        if missing:
            yield Problem(
                Severity.NOTE,
                "MissingTwins",
                f"no {modality} twins of {', '.join(missing)}: such a cause is caught, but never proven",
            )


def _known_queries(read: pack.Pack) -> Iterator[Problem]:
    # A set without any is for other checks.
    searched = retrieval.known(read.items)
    count, documents = len(searched.queries), len(searched.documents)
    if 0 < count < rates.LEAST_SAMPLES:
        yield Problem(
            Severity.WARNING,
            "FewKnownQueries",
            f"{count} queries are known: a retrieval check has no data below {rates.LEAST_SAMPLES}",
        )
    if count and documents < retrieval.LEAST_DOCUMENTS * known_queries.K:
        yield Problem(
            Severity.WARNING,
            "FewDocuments",
            f"{documents} documents to find: a retrieval check of the nearest k needs"
            f" {retrieval.LEAST_DOCUMENTS} times k, {retrieval.LEAST_DOCUMENTS * known_queries.K} by default",
        )


def _deliverable(read: pack.Pack, path: pathlib.Path) -> Iterator[Problem]:
    client, server, _ = deliveries(path)
    for delivery in (client, server):
        if not delivery.fits:
            yield Problem(
                Severity.NOTE,
                "TooLargeForConfigMap",
                f"{delivery.name}: {delivery.size_bytes:,} bytes are more than {delivery.limit_bytes:,}",
            )
    if read.sensitivity == "Restricted":
        yield Problem(
            Severity.NOTE,
            "Restricted",
            "a Restricted set belongs into a Secret or a volume, not into a ConfigMap",
        )


def _beside(path: pathlib.Path) -> Iterator[Problem]:
    names = folder.Folder(path).names(".")
    if not any(name == "references" or name.startswith("reference-") for name in names):
        yield Problem(
            Severity.NOTE,
            "NoReference",
            "it ships no recorded reference: a first release is then not compared with anything",
        )
    if strange := [name for name in names if not _KNOWN_NAMES.fullmatch(name)]:
        yield Problem(
            Severity.NOTE,
            "OtherFiles",
            f"not part of the set, and of no digest: {v.sentence(', '.join(strange), 200)}",
        )
