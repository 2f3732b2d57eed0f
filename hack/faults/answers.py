"""The answer key: what each fault may be called. Committed before anything was measured.

Faults and benign changes carry the names of the table they were first measured in (research/parity.md §2.3
for text, §2.7 for images). A cause is accepted when an engineer who is sent to look there finds the fault.
`Unknown` is accepted for ten text faults: those that from outside are one weight change among many.
"""

from typing import Final

from canary_checks import vocabulary as v

UNKNOWN: Final = "Unknown"

# Fault -> accepted causes; 65 of them, on a text model.
TEXT: Final[dict[str, frozenset[str]]] = {
    name: frozenset(causes)
    for name, causes in {
        # How one vector is made of many tokens, and what happens to it then.
        "pooling CLS": {"Pooling"},
        "pooling max": {"Pooling"},
        "pooling last token": {"Pooling"},
        "mean over padding (no mask in pool)": {"PaddingMask", "Pooling"},
        "mean over padding, unsorted bs128": {"PaddingMask", "Pooling"},
        "mean excluding [CLS]/[SEP]": {"Pooling", "SpecialTokens"},
        "missing L2 normalisation": {"Normalization"},
        "sqrt-len pooling, no norm": {"Normalization", "Pooling"},
        "penultimate layer output": {"Weights"},
        # What becomes of the text before the network.
        "tokenizer: lower-casing off": {"Casing"},
        "tokenizer: strip-accents off": {"Accents"},
        "tokenizer: CJK split off": {"Cjk"},
        "tokenizer: no [CLS]/[SEP]": {"SpecialTokens"},
        "tokenizer: vocab ids +1": {"Vocabulary", "Tokenizer", UNKNOWN},
        "tokenizer: ids of 'the'/'a' swapped": {"Vocabulary", "Tokenizer"},
        "tokenizer: 1% of vocab -> [UNK]": {"Vocabulary", "Tokenizer"},
        "token_type_ids = 1": {"TokenTypes", UNKNOWN},
        "attention mask missing in model": {"PaddingMask"},
        "attention mask missing, unsorted bs128": {"PaddingMask"},
        "max_length 32 (ref 256)": {"Truncation"},
        "max_length 64 (ref 256)": {"Truncation"},
        "max_length 128 (ref 256)": {"Truncation"},
        "max_length 512 (ref 256)": {"Truncation"},
        "truncation side left": {"Truncation"},
        "padding side left (abs. positions)": {"PaddingMask"},
        "extra prefix 'query: '": {"PromptPrefix"},
        "missing prefix 'query: ' (ref has it)": {"PromptPrefix"},
        "wrong prefix 'passage: ' vs 'query: '": {"PromptPrefix"},
        "missing BGE instruction (ref has it)": {"PromptPrefix"},
        "UTF-8 read as latin-1": {"Encoding"},
        "trailing full stop stripped": {"Punctuation"},
        "HTML-escaped": {"HtmlEscaping"},
        # The network.
        "weight noise 0.03 x std": {"Weights", UNKNOWN},
        "weight noise 0.1 x std": {"Weights", UNKNOWN},
        "weight noise 0.3 x std": {"Weights"},
        "dropout on (train mode)": {"Nondeterminism"},
        "last layer missing": {"Weights"},
        "layer 2 missing": {"Weights", UNKNOWN},
        "last layer random-init (strict=False load)": {"Weights"},
        "one Linear random-init (layer3.query)": {"Weights", UNKNOWN},
        "LayerNorms reset to 1/0 (all)": {"Weights"},
        "one LayerNorm reset (layer 5 output)": {"Weights"},
        "position embeddings random-init": {"Weights"},
        "all biases zeroed": {"Weights"},
        "whole model random-init": {"Weights"},
        "1 exponent bit flipped in one weight": {"Weights", UNKNOWN},
        "100 random bit flips (NaN rows 516)": {"NonFinite"},
        "rank-8 adapter merged, rel. weight delta=0.01": {"Weights", UNKNOWN},
        "rank-8 adapter merged, rel. weight delta=0.05": {"Weights", UNKNOWN},
        "rank-8 adapter merged, rel. weight delta=0.2": {"Weights", UNKNOWN},
        # What becomes of the vectors after the network.
        "dims permuted": {"AxisPermutation"},
        "random rotation": {"Rotation"},
        "sign flip": {"Sign"},
        "byte-order / heads interleaved (reshape 12x32 T)": {"AxisPermutation"},
        "scaled x2": {"Scale", "Normalization"},
        "constant vector added (0.05 per dim)": {"ConstantOffset"},
        "mean-centred (whitening half applied)": {"ConstantOffset", "Centring"},
        "tail 1/3 dims zeroed (Matryoshka 256)": {"ZeroedDimensions"},
        "rows shuffled": {"RowOrder"},
        "rows shifted by one": {"RowOrder"},
        "1% rows exchanged": {"RowOrder"},
        "5% rows exchanged": {"RowOrder"},
        "1% rows zero": {"ZeroRows"},
        "one row NaN (NaN rows 1)": {"NonFinite"},
        "all rows equal (collapsed)": {"Collapsed"},
    }.items()
}

# Benign change -> the numeric class of the pair, as its owner would declare it; 22 of them.
TEXT_BENIGN: Final[dict[str, v.NumericClass]] = {
    name: v.NumericClass(numeric_class)
    for name, numeric_class in {
        "same process, run twice": "fp32",
        "fp64 compute (true value)": "fp32",
        "eager attention instead of SDPA": "fp32",
        "batch size 1": "fp32",
        "batch size 8": "fp32",
        "batch size 128 unsorted": "fp32",
        "pad to 256 always": "fp32",
        "1 thread instead of 2": "fp32",
        "sentence-transformers library": "fp32",
        # TF32 and fp16 round alike (10 bits of mantissa) and are one row of the table of classes.
        "TF32 matmuls (emulated)": "fp16",
        "bf16x1 matmul inputs, fp32 accum (emulated)": "bf16",
        "fp16 weights+activations": "fp16",
        "fp16 batch size 1": "fp16",
        "bf16 weights+activations": "bf16",
        "bf16 batch size 1": "bf16",
        "bf16 autocast": "bf16",
        "bf16 weights only, fp32 compute": "bf16",
        "fp16 weights only, fp32 compute": "fp16",
        "stored as fp16": "fp16",
        "stored as bf16": "bf16",
        "gelu tanh approximation": "fp16",
        "LayerNorm eps 1e-12 -> 1e-5": "fp16",
    }.items()
}

# Fault -> accepted causes, on an image model. `Unknown` is accepted for none of them.
IMAGE: Final[dict[str, frozenset[str]]] = {
    name: frozenset(causes)
    for name, causes in {
        "RGB/BGR swap": {"ChannelOrder"},
        "bilinear instead of bicubic (PIL, antialias)": {"ResizeFilter"},
        "Lanczos instead of bicubic": {"ResizeFilter"},
        "nearest resize": {"ResizeFilter", "Antialias"},
        "bicubic without antialias (tensor, old torchvision default)": {"Antialias", "ResizeFilter"},
        "bilinear without antialias (OpenCV-like)": {"Antialias", "ResizeFilter"},
        "seed staging: ToTensor+Norm -> Resize bilinear (no aa)": {"Antialias", "ResizeFilter"},
        "crop off by one pixel": {"Crop"},
        "centre-crop missing (squash resize)": {"Crop"},
        "resize 96 instead of 110 before crop": {"Crop"},
        "mean/std 0.5/0.5 (CLIP/Inception style)": {"MeanStd"},
        "OpenAI-CLIP mean/std": {"MeanStd"},
        "mean/std applied in BGR order to RGB": {"MeanStd"},
        "no mean/std normalisation (0..1)": {"MeanStd"},
        "normalised twice": {"MeanStd"},
        "0..255 input not scaled": {"ValueScale"},
        "scaled twice (/255/255)": {"ValueScale"},
        "grey-scale converted": {"Greyscale"},
        "EXIF rotation ignored (90deg)": {"Exif"},
        "alpha dropped": {"Alpha"},
        "colour profile ignored": {"ColourProfile"},
        "gamma 2.2 / linear-light": {"ColourProfile", "Gamma"},
        "horizontal flip": {"Flip"},
        "HWC read as CHW (reshape, no transpose)": {"AxisLayout"},
        "H/W transposed": {"AxisLayout", "Flip"},
    }.items()
}

IMAGE_BENIGN: Final[dict[str, v.NumericClass]] = {
    name: v.NumericClass(numeric_class)
    for name, numeric_class in {
        "bit-identical re-run": "fp32",
        "batch size 1": "fp32",
        "fp16 whole model": "fp16",
        "bf16 whole model": "bf16",
        "tensor bicubic+antialias (float, no uint8 rounding) vs PIL": "bf16",
        "normalise->resize order, bicubic antialias tensor": "bf16",
    }.items()
}
