"""Known faults put into a server's answers, to see which of them a golden set and its gates would catch.

Faults of vectors need no further requests; faults of inputs ask the server again about changed inputs, as a
server would that changed them itself. A model that cannot tell the two inputs apart cannot show such a fault:
then it is unseen, and the set is not to blame.
"""

import dataclasses
import html
import io
import unicodedata
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps

from canary_checks import failure, schema
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.golden import difference, recorder, selection
from canary_checks.golden import pack as golden_pack
from canary_checks.parity import comparison, gates
from canary_checks.probes import asking, live

Vectors = npt.NDArray[np.float32]
_SEED: Final = 20261121
_SIDE: Final = 224
_ORIENTATION: Final = 0x0112


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the gates said of one fault.

    Attributes
    ----------
    operation
        Whose answers.
    fault
        What was done, such as ``axes reversed``.
    touched
        Rows whose answer it could change.
    moved
        Rows beyond a limit.
    fired
        The gates that failed.
    harmless
        Whether it is no fault, and gates should keep still.
    of_vectors
        Whether the answers were changed, rather than the inputs.
    """

    operation: str
    fault: str
    touched: int
    moved: int
    fired: tuple[str, ...]
    harmless: bool = False
    of_vectors: bool = False

    @property
    def as_wanted(self) -> bool:
        """Whether a fault was caught, or a harmless change was not."""
        return bool(self.fired) is not self.harmless


@dataclasses.dataclass(frozen=True)
class _OfVectors:
    name: str
    apply: Callable[[Vectors, np.random.Generator], npt.NDArray[np.float64]]
    harmless: bool = False


def _noise(share: float) -> Callable[[Vectors, np.random.Generator], npt.NDArray[np.float64]]:
    def apply(rows: Vectors, random: np.random.Generator) -> npt.NDArray[np.float64]:
        size = np.linalg.norm(rows, axis=1, keepdims=True) / np.sqrt(rows.shape[1])
        return np.asarray(rows + share * size * random.standard_normal(rows.shape))

    return apply


def _unequal_lengths(rows: Vectors, random: np.random.Generator) -> npt.NDArray[np.float64]:
    return rows * random.uniform(2, 12, (len(rows), 1))


def _exchanged(rows: Vectors, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Reverse the order of every batch."""
    del random
    starts = range(0, len(rows), asking.BATCH)
    return np.concatenate([rows[start : start + asking.BATCH][::-1] for start in starts]).astype(np.float64)


def _spoiled(rows: Vectors, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Spoil one row of a hundred, at least one."""
    spoiled = rows.astype(np.float64)
    chosen = random.choice(len(rows), max(1, len(rows) // 100), replace=False)
    spoiled[chosen] = _noise(0.3)(rows[chosen], random)
    return spoiled


def _shifted(rows: Vectors, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Add one vector to all, a tenth as long as they are."""
    direction = random.standard_normal(rows.shape[1])
    length = 0.1 * np.linalg.norm(rows, axis=1).mean()
    return np.asarray(rows + length * direction / np.linalg.norm(direction))


def _eight_bits(rows: Vectors, random: np.random.Generator) -> npt.NDArray[np.float64]:
    del random
    step = np.abs(rows).max(axis=1, keepdims=True) / 127
    return np.asarray(np.rint(rows / step) * step, dtype=np.float64)


_OF_VECTORS: Final = (
    _OfVectors("vectors not normalised", _unequal_lengths),
    _OfVectors("rows in another order", _exchanged),
    _OfVectors("axes reversed", lambda rows, _: rows[:, ::-1].astype(np.float64)),
    _OfVectors("sign of one axis lost", lambda rows, _: np.abs(rows).astype(np.float64)),
    _OfVectors("one vector added to all", _shifted),
    _OfVectors("noise of 1 %", _noise(0.01)),
    _OfVectors("noise of 10 %", _noise(0.1)),
    _OfVectors("one row of a hundred spoiled", _spoiled),
    _OfVectors("vectors stored in 8 bits", _eight_bits),
    _OfVectors("nothing (asked again)", lambda rows, _: rows.astype(np.float64), harmless=True),
)


def _half(text: str) -> str:
    words = text.split()
    return " ".join(words[: max(1, len(words) // 2)])


_OF_TEXTS: Final[dict[str, Callable[[str], str]]] = {
    "lowercased": str.lower,
    "uppercased": str.upper,
    "accents stripped": difference.strip_accents,
    "second half cut off": _half,
    "cut after 30 words": lambda text: " ".join(text.split()[:30]) if len(text.split()) > 30 else text,  # noqa: PLR2004
    "prefixed with `query: `": lambda text: "query: " + text,
    "white space folded": lambda text: " ".join(text.split()),
    "HTML-escaped": html.escape,
    "read as latin-1": lambda text: text.encode("utf-8", "surrogatepass").decode("latin-1"),
    "brought to NFKC": lambda text: unicodedata.normalize("NFKC", text),
    "last full stop dropped": lambda text: text.removesuffix(".") or text,
}


Edited = PIL.Image.Image | None


def _channels(image: PIL.Image.Image) -> Edited:
    swapped = PIL.Image.fromarray(np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1]))
    swapped.info = image.info
    return swapped


def _turned(image: PIL.Image.Image) -> Edited:
    return _without(image, "exif") if image.getexif().get(_ORIENTATION, 1) != 1 else None


def _profile_ignored(image: PIL.Image.Image) -> Edited:
    return _without(image, "icc_profile") if "icc_profile" in image.info else None


def _without(image: PIL.Image.Image, key: str) -> PIL.Image.Image:
    bare = image.copy()
    bare.info.pop(key, None)
    return bare


def _halved(image: PIL.Image.Image) -> Edited:
    half = image.convert("RGB").resize(
        (max(1, image.width // 2), max(1, image.height // 2)), PIL.Image.Resampling.BILINEAR
    )
    return half.resize(image.size, PIL.Image.Resampling.BILINEAR)


_OF_IMAGES: Final[dict[str, Callable[[PIL.Image.Image], Edited]]] = {
    "red and blue exchanged": _channels,
    "colours lost": lambda image: image.convert("L"),
    "mirrored": PIL.ImageOps.mirror,
    "height and width exchanged": lambda image: image.transpose(PIL.Image.Transpose.TRANSPOSE),
    "squashed into a square": lambda image: image.convert("RGB").resize((_SIDE, _SIDE)),
    "transparency dropped": lambda image: image.convert("RGB") if image.mode == "RGBA" else None,
    "orientation ignored": _turned,
    "colour profile ignored": _profile_ignored,
    "resized to half and back": _halved,
}


async def try_faults(server: recorder.Server, pack: golden_pack.Pack) -> list[Seen]:
    """Put every known fault into a server's answers.

    Parameters
    ----------
    server
        Who is asked; its numeric class sets the limits.
    pack
        What it is asked.

    Returns
    -------
    What the gates said, operation by operation and fault by fault.

    Raises
    ------
    CheckError
        The server cannot be asked, or is not near enough to itself to be compared with anything.
    """
    found = []
    for asked in server.operations:
        golden = selection.select(pack, asked.modality)
        if not golden.items:
            raise failure.CheckError(
                "GoldenSetUnfit", f"{pack.name} has no item of modality {asked.modality}"
            )
        async with server.connected(asked) as client:
            seen = await _try_one(client, golden, server.numeric_class)
        found += [dataclasses.replace(one, operation=asked.name) for one in seen]
    return found


async def _try_one(
    client: clients.EmbeddingClient, golden: selection.Selection, numeric_class: v.NumericClass
) -> list[Seen]:
    recorded = await live.record(client, golden, numeric_class)
    again = await asking.ask(client, golden, golden.items)
    opponent = comparison.Opponent(
        party=schema.Party(role=v.Role.RECORDED, revision="itself"),
        role="Recorded",
        numeric_class=numeric_class,
        recorded=recorded,
    )
    random = np.random.default_rng(_SEED)
    found = []
    for fault in _OF_VECTORS:
        rows = again.vectors.copy()
        given = ~again.refused
        rows[given] = fault.apply(rows[given], random).astype(np.float32)
        found.append(
            _judged(
                fault.name,
                asking.Outputs(rows, again.refused),
                opponent,
                numeric_class,
                touched=0 if fault.harmless else int(given.sum()),
                harmless=fault.harmless,
                of_vectors=True,
            )
        )
    for name in _OF_TEXTS if golden.items[0].modality is v.Modality.TEXT else _OF_IMAGES:
        changed = _changed(golden, name)
        rows, refused = again.vectors.copy(), again.refused.copy()
        places = [golden.rows[item.id] for item in changed.items]
        if places:
            outputs = await asking.ask(client, changed, changed.items)
            rows[places], refused[places] = outputs.vectors, outputs.refused
        seen = asking.Outputs(rows, refused)
        found.append(_judged(name, seen, opponent, numeric_class, touched=len(places)))
    return found


def _judged(
    name: str,
    outputs: asking.Outputs,
    opponent: comparison.Opponent,
    numeric_class: v.NumericClass,
    *,
    touched: int,
    harmless: bool = False,
    of_vectors: bool = False,
) -> Seen:
    compared = comparison.compare(
        outputs.vectors, outputs.refused, opponent, numeric_class, gates.Limits((), frozenset())
    )
    return Seen(
        operation="",
        fault=name,
        touched=touched,
        moved=int(compared.failed.sum()),
        fired=tuple(gate.metric for gate in compared.gates if gate.verdict is v.Verdict.FAIL),
        harmless=harmless,
        of_vectors=of_vectors,
    )


def _changed(golden: selection.Selection, name: str) -> selection.Selection:
    """Return the items that a fault changes, changed."""
    if golden.items[0].modality is v.Modality.TEXT:
        edit = _OF_TEXTS[name]
        texts = (dataclasses.replace(item, text=edit(item.text)) for item in golden.items)
        return dataclasses.replace(
            golden,
            items=tuple(item for item in texts if item.text not in {"", golden.pack.by_id[item.id].text}),
        )
    contents: dict[str, bytes] = {}
    for item in golden.items:
        made = _edited(golden.pack.content(item), _OF_IMAGES[name])
        if made is not None:
            contents[item.id] = made
    pack = dataclasses.replace(golden.pack, content=lambda item: contents[item.id])
    return dataclasses.replace(golden, pack=pack, items=_as_png(golden.items, contents))


def _as_png(items: tuple[golden_pack.Item, ...], contents: dict[str, bytes]) -> tuple[golden_pack.Item, ...]:
    return tuple(dataclasses.replace(item, media_type="image/png") for item in items if item.id in contents)


def _edited(content: bytes, edit: Callable[[PIL.Image.Image], Edited]) -> bytes | None:
    """Return the changed image without loss and with its other metadata, or None where nothing changed."""
    with PIL.Image.open(io.BytesIO(content)) as image:
        image.load()
        after = edit(image)
        if after is None or _alike(image, after):
            return None
    written = io.BytesIO()
    after.save(written, "PNG", exif=after.info.get("exif", b""), icc_profile=after.info.get("icc_profile"))
    return written.getvalue()


def _alike(image: PIL.Image.Image, other: PIL.Image.Image) -> bool:
    described = [{key: one.info.get(key) for key in ("exif", "icc_profile")} for one in (image, other)]
    same = np.array_equal(np.asarray(image.convert("RGBA")), np.asarray(other.convert("RGBA")))
    return same and described[0] == described[1]
