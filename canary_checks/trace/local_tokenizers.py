"""Tokenizers from the files of a model, for the command line: what each text encoder would read of a text.

They are tokenized by Hugging Face's ``tokenizers``, which a person installs beside this package; a Job asks
the served process instead.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from canary_checks import failure
from canary_checks.trace import cutting

if TYPE_CHECKING:
    import tokenizers

_BYTES: Final = 64 << 20
_END_OF_WORD: Final = "</w>"
_BEGINNING: Final = "<|startoftext|>"
_END: Final = "<|endoftext|>"
_CLIP_WORDS: Final = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def load(folder: pathlib.Path, longest: int | None) -> cutting.Ask:
    """Load the tokenizer of a text encoder.

    Parameters
    ----------
    folder
        With ``tokenizer.json``, or with ``vocab.json`` and ``merges.txt`` of a CLIP encoder.
    longest
        At how many ids it cuts, special ones included; None for nowhere.

    Returns
    -------
    What makes ids of texts, without padding.

    Raises
    ------
    CheckError
        ``TokenizerUnreadable``: the files hold none, or the package is not installed.
    """
    try:
        made = _load(folder)
    except ImportError as error:
        # The image of the checks does without it.
        raise _unreadable(folder, "token ids need the package tokenizers: pip install tokenizers") from error
    made.no_padding()
    if longest is None:
        made.no_truncation()
    else:
        made.enable_truncation(longest)

    async def ask(texts: Mapping[str, str]) -> Mapping[str, tuple[int, ...]]:
        found = made.encode_batch(list(texts.values()))
        return {name: tuple(one.ids) for name, one in zip(texts, found, strict=True)}

    return ask


def _load(folder: pathlib.Path) -> "tokenizers.Tokenizer":
    from tokenizers import Tokenizer  # noqa: PLC0415 - as above

    whole = folder / "tokenizer.json"
    try:
        if whole.is_file():
            return Tokenizer.from_str(_text(whole))
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return _clip(folder)
    except (failure.CheckError, ImportError):
        raise
    except Exception as error:  # the library raises bare Exception for what it cannot read
        raise _unreadable(folder, f"its tokenizer cannot be read: {error}") from error
    raise _unreadable(
        folder,
        "it holds no tokenizer.json, and no vocab.json with merges.txt: save the fast tokenizer beside it",
    )


def _clip(folder: pathlib.Path) -> "tokenizers.Tokenizer":
    """Build the tokenizer of CLIP from its older files, as transformers converts it."""
    from tokenizers import (  # noqa: PLC0415 - as above
        Regex,
        Tokenizer,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    ids = json.loads(_text(folder / "vocab.json"))
    if _BEGINNING not in ids or _END not in ids:
        raise _unreadable(folder, "its vocab.json is none of CLIP, and there is no tokenizer.json")
    lines = _text(folder / "merges.txt").splitlines()
    pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    made = Tokenizer(
        models.BPE(
            vocab=ids,
            merges=[pair for pair in pairs if len(pair) == 2],  # noqa: PLR2004 - a pair
            continuing_subword_prefix="",
            end_of_word_suffix=_END_OF_WORD,
            unk_token=_END,
            fuse_unk=False,
        )
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    # Who writes one of them into a prompt gets it, as from the model's own tokenizer.
    made.add_special_tokens([_BEGINNING, _END])
    made.post_processor = processors.RobertaProcessing(
        (_END, ids[_END]), (_BEGINNING, ids[_BEGINNING]), add_prefix_space=False, trim_offsets=False
    )
    return made


def _text(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be read") from error
    if len(content) > _BYTES:
        raise _unreadable(path, f"it is larger than {_BYTES >> 20} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is no UTF-8") from error


def _unreadable(path: pathlib.Path, why: str) -> failure.CheckError:
    return failure.CheckError("TokenizerUnreadable", f"{path}: {why}")
