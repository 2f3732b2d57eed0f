"""Small generators and language models with random weights, by the real code of diffusers and transformers.

Each is written as the folder that `from_pretrained` reads. A network that was never trained attends to every
key alike, and then nothing that is done to its attention can be seen: so queries and keys are drawn wide
enough that attention is as sharp as that of a trained model (normalised entropy about 0.6), and everything
else so that signals keep their size through the depth. Needs torch.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import diffusers
import tokenizers
import tokenizers.decoders
import tokenizers.models
import tokenizers.normalizers
import tokenizers.pre_tokenizers
import tokenizers.processors
import tokenizers.trainers
import torch
import transformers

PROMPTS: Final = (
    'a poster with the words "OPEN LATE" in large white letters',
    "a red bicycle leaning against a brick wall in the morning sun",
    "three green apples on a wooden table beside a glass of water",
    "an old lighthouse on a rocky coast during a storm, oil painting",
    "portrait of a woman with a blue hat, soft light, film grain",
    "a bowl of noodle soup with two eggs, seen from above",
    "a narrow street in the rain at night, neon signs, reflections",
    'a wooden sign that says "BEACH 200 m" between dunes',
)
_CORPUS: Final = (
    *PROMPTS,
    "a photo of the small white house by the river with mountains behind it",
    "the quick brown fox jumps over the lazy dog while seven blue birds watch",
    "a diagram of a steam engine, labelled, black ink on yellow paper",
    "an empty room with a large window, one chair, and long shadows on the floor",
)
_SHARPNESS: Final = 1.35
"""Standard deviation of a query's and a key's components; a score has its square."""
_WIDTH: Final = 32
_LONGEST: Final = 77
_WORDS: Final = 420
SIZE: Final = 32
"""Of an image, pixels."""
STEPS: Final = 4
GUIDANCE: Final = 7.5
_KEYS: Final = (
    ".to_q.",
    ".to_k.",
    "q_proj.",
    "k_proj.",
    ".query.",
    ".key.",
    ".q.",
    ".k.",
    "add_q_",
    "add_k_",
)


def stable_diffusion(folder: pathlib.Path, *, seed: int = 0) -> pathlib.Path:
    """Write a pipeline like Stable Diffusion: CLIP's text encoder, a UNet, a decoder, Euler's scheduler.

    Parameters
    ----------
    folder
        Where to.
    seed
        Of the weights.
    """
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    unet = diffusers.UNet2DConditionModel(
        sample_size=SIZE // 2,
        in_channels=4,
        out_channels=4,
        block_out_channels=(_WIDTH, 2 * _WIDTH),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=4,
        cross_attention_dim=_WIDTH,
        # As everywhere: a rate that only a model left in training feels.
        dropout=0.1,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIZE,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=_drawn(transformers.CLIPTextModel(_clip_config(len(tokenizer), layers=4))),
        unet=_drawn(unet, last="conv_out"),
        vae=_drawn(vae, last="decoder.conv_out"),
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, timestep_spacing="leading"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def stable_diffusion_3(folder: pathlib.Path, *, seed: int = 0) -> pathlib.Path:
    """Write a pipeline like Stable Diffusion 3: three encoders, joint attention, flow."""
    torch.manual_seed(seed)
    first, second, third = clip_tokenizer(), clip_tokenizer(), t5_tokenizer()
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=SIZE // 2,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=3,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=2 * _WIDTH,
        caption_projection_dim=_WIDTH,
        pooled_projection_dim=2 * _WIDTH,
        pos_embed_max_size=SIZE // 2,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIZE,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    t5 = transformers.T5Config(
        vocab_size=len(third),
        d_model=2 * _WIDTH,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        is_gated_act=True,
        feed_forward_proj="gated-gelu",
    )
    pipeline = diffusers.StableDiffusion3Pipeline(
        tokenizer=first,
        tokenizer_2=second,
        tokenizer_3=third,
        text_encoder=_drawn(transformers.CLIPTextModelWithProjection(_clip_config(len(first), layers=3))),
        text_encoder_2=_drawn(transformers.CLIPTextModelWithProjection(_clip_config(len(second), layers=3))),
        text_encoder_3=_drawn(transformers.T5EncoderModel(t5)),
        transformer=_drawn(transformer, last="proj_out"),
        vae=_drawn(vae, last="decoder.conv_out"),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    pipeline.save_pretrained(folder)
    return folder


def text_encoder(folder: pathlib.Path, *, seed: int = 0) -> pathlib.Path:
    """Write a small BERT with its tokenizer."""
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
    )
    _drawn(transformers.BertModel(config, add_pooling_layer=False)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def language_model(folder: pathlib.Path, *, seed: int = 0) -> pathlib.Path:
    """Write a small causal language model with its tokenizer."""
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    _drawn(transformers.LlamaForCausalLM(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


MAKERS: Final[dict[str, Callable[..., pathlib.Path]]] = {
    "stable-diffusion": stable_diffusion,
    "stable-diffusion-3": stable_diffusion_3,
    "text-encoder": text_encoder,
    "language-model": language_model,
}


def clip_tokenizer(
    words: int = _WORDS, *, corpus: Sequence[str] = _CORPUS, model_max_length: int = _LONGEST
) -> Any:
    """Train a byte-pair tokenizer of CLIP's kind.

    Parameters
    ----------
    words
        Size of the vocabulary, at most.
    corpus
        What it is trained on.
    model_max_length
        Tokens after which prompts are cut.
    """
    trained = tokenizers.Tokenizer(tokenizers.models.BPE(end_of_word_suffix="</w>"))
    trained.normalizer = tokenizers.normalizers.Lowercase()
    trained.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.WhitespaceSplit(),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=words,
        end_of_word_suffix="</w>",
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(corpus, trainer)
    model = json.loads(trained.to_str())["model"]
    vocabulary = dict(model["vocab"])
    # The trainer knows bytes inside of a word; CLIP also has each as the end of one.
    for byte in sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()):
        vocabulary.setdefault(f"{byte}</w>", len(vocabulary))
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    merges = [tuple(pair) for pair in model["merges"]]
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=model_max_length)


def t5_tokenizer(words: int = 300, *, corpus: Sequence[str] = _CORPUS) -> Any:
    """Train a unigram tokenizer of T5's kind."""
    trained = tokenizers.Tokenizer(tokenizers.models.Unigram())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=words,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",  # noqa: S106 - no secret
        show_progress=False,
    )
    trained.train_from_iterator(corpus, trainer)
    pieces = [tuple(one) for one in json.loads(trained.to_str())["model"]["vocab"]]
    return transformers.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=_LONGEST)


def _clip_config(words: int, *, layers: int) -> Any:

    return transformers.CLIPTextConfig(
        vocab_size=words,
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        projection_dim=_WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=_LONGEST,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )


def _drawn(model: Any, *, last: str = "") -> Any:
    """Draw the weights anew, so that signals keep their size and attention chooses.

    Parameters
    ----------
    model
        In place.
    last
        Name of the layer whose output is the answer, drawn so that the answer is about as large as noise.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                continue
            if "embed" in name and parameter.ndim == 2 and name.endswith("weight") and "embedder" not in name:
                # CLIP's and BERT's start 50 times smaller, and a layer norm hides that only in part.
                parameter.normal_(0, 1 / math.sqrt(2))
                continue
            inputs = math.prod(parameter.shape[1:])
            wide = _SHARPNESS if any(key in f".{name}" for key in _KEYS) else 1.0
            parameter.normal_(0, (1.0 if last and name.startswith(last) else wide) / math.sqrt(inputs))
    return model.eval()
