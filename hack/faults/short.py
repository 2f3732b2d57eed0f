"""Twelve of the faults and two of the benign changes: the suite for CI, by their names in the answer key.

One of each kind that has a mechanism of its own: how many tokens become one vector, the tokenizer, the limit,
the network (once so that no cause can be told), the vectors and their order; and for images the colours, the
filter, the metadata and the values.
"""

from typing import Final

TEXT: Final = (
    "pooling CLS",
    "tokenizer: lower-casing off",
    "tokenizer: strip-accents off",
    "max_length 64 (ref 256)",
    "last layer missing",
    "weight noise 0.1 x std",
    "dims permuted",
    "rows shuffled",
)
TEXT_BENIGN: Final = ("stored as bf16",)
IMAGE: Final = (
    "RGB/BGR swap",
    "bilinear instead of bicubic (PIL, antialias)",
    "EXIF rotation ignored (90deg)",
    "OpenAI-CLIP mean/std",
)
IMAGE_BENIGN: Final = ("fp16 whole model",)

NAMES: Final = frozenset({*TEXT, *TEXT_BENIGN, *IMAGE, *IMAGE_BENIGN})
