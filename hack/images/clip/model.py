"""Make a small CLIP-type model: real code, real files, random weights.

What a model server does with a CLIP folder (tokenizer, image processor, two towers, one space) does not
depend on what the weights know. So the folder is made while the image is built, and nothing is downloaded:
the vocabulary is learnt from the words of the text model that the parent image carries, and the weights are
random with a fixed seed. A tower of random weights gives nearly the same vector for every input, so each is
centred on what it gives on average; then inputs lie as far apart as those of a trained model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

SEED = 2026
TOKENS = 77
VOCABULARY = 4096
START, END = "<|startoftext|>", "<|endoftext|>"
# CLIP's own, from openai/CLIP, clip/simple_tokenizer.py.
WORDS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def words(vocabulary: Path) -> Iterator[str]:
    """Give the whole words of a WordPiece vocabulary, the more often the earlier they stand in it."""
    known = json.loads(vocabulary.read_text(encoding="utf-8"))["model"]["vocab"]
    whole = [word for word in sorted(known, key=known.__getitem__) if word.isalpha()]
    for rank, word in enumerate(whole):
        yield from [word] * (1 + len(whole) // (rank + 1))


def save_tokenizer(vocabulary: Path, target: Path) -> transformers.CLIPTokenizerFast:
    """Learn a byte-level BPE with CLIP's rules, and save it in CLIP's files.

    Parameters
    ----------
    vocabulary : Path
        The ``tokenizer.json`` that has the words to learn from.
    target : Path
        The model's folder.

    Returns
    -------
    transformers.CLIPTokenizerFast
        The tokenizer, as a server will load it.
    """
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    alphabet = [*letters, *(f"{letter}</w>" for letter in letters)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        end_of_word_suffix="</w>",
        # Named here, they have fixed numbers; else those come from a hash, and decide between equal merges.
        special_tokens=alphabet,
        show_progress=False,
    )
    learner.train_from_iterator(words(vocabulary), trainer)
    learnt = json.loads(learner.to_str())["model"]["merges"]
    # Every byte is a token, alone and at the end of a word: there is no input without tokens.
    tokens = [*alphabet, *("".join(pair) for pair in learnt), START, END]
    ids = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
    (target / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    rules = ["#version: 0.2", *(" ".join(pair) for pair in learnt)]
    (target / "merges.txt").write_text("\n".join(rules) + "\n", encoding="utf-8")
    files = (str(target / "vocab.json"), str(target / "merges.txt"))
    tokenizer = transformers.CLIPTokenizerFast(*files, model_max_length=TOKENS)
    tokenizer.save_pretrained(target)
    return tokenizer


def random_model(tokenizer: transformers.CLIPTokenizerFast) -> transformers.CLIPModel:
    """Return a CLIP model with random weights for a vocabulary."""
    size = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4}
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = transformers.CLIPConfig(
        text_config={**size, **special, "vocab_size": len(tokenizer), "max_position_embeddings": TOKENS},
        vision_config={**size, "image_size": 224, "patch_size": 32},
        projection_dim=128,
        # Infinity cuts a text at `max_length` of this file; transformers' default for it is 20.
        max_length=TOKENS,
    )
    torch.manual_seed(SEED)
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim > 1:
                # As large as in a trained model: with transformers' own start hardly anything interacts.
                table = name.endswith(("token_embedding.weight", "position_embedding.weight"))
                deviation = 0.5 if table else weights[0].numel() ** -0.5
                torch.nn.init.normal_(weights, std=deviation)
    return model


def pictures(count: int) -> Sequence[Image.Image]:
    """Return pictures with coarse and fine structure, of different shapes, by a fixed seed."""
    random = np.random.default_rng(SEED)
    made = []
    for number in range(count):
        cells = 2 + number % 30
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        shape = (200 + 13 * (number % 11), 200 + 17 * (number % 7))
        made.append(coarse.resize(shape, Image.Resampling.BICUBIC))
    return made


def centre(model: transformers.CLIPModel, processor: transformers.CLIPProcessor) -> None:
    """Take from each tower what it gives on average, in the bias of its last normalisation."""
    random = np.random.default_rng(SEED)
    known = sorted(processor.tokenizer.get_vocab())
    texts = [" ".join(random.choice(known, size=3 + number % 20)) for number in range(256)]
    asked = processor(text=texts, return_tensors="pt", padding=True, truncation=True, max_length=TOKENS)
    with torch.no_grad():
        text = model.text_model(asked["input_ids"], attention_mask=asked["attention_mask"]).pooler_output
        model.text_model.final_layer_norm.bias -= text.mean(dim=0)
        seen = processor(images=pictures(256), return_tensors="pt")["pixel_values"]
        image = model.vision_model(seen).pooler_output
        model.vision_model.post_layernorm.bias -= image.mean(dim=0)


def main(vocabulary: Path, target: Path) -> None:
    """Write the model's folder."""
    # One thread adds in one order: the same bytes again on every machine with the same kind of processor.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    target.mkdir(parents=True)
    tokenizer = save_tokenizer(vocabulary, target)
    processor = transformers.CLIPProcessor(transformers.CLIPImageProcessor(), tokenizer)
    model = random_model(tokenizer)
    centre(model, processor)
    model.save_pretrained(target)
    processor.save_pretrained(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
