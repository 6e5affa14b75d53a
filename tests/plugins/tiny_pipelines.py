"""Text-to-image pipelines of a few thousand random weights, saved as real folders; nothing is downloaded.

Imported inside fixtures and tests only: it imports torch and diffusers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from harness_diffusers.brush import diffusers, transformers

WIDTH = 32  # of every hidden state


def _tokenizer() -> Any:
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: at for at, token in enumerate(tokens)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=32)


def _text_config(tokenizer: Any) -> Any:
    return transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_position_embeddings=32,
    )


def _vae(channels: int, **more: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=[8, 16],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=64,
        **more,
    )


def _checker(*, strict: bool) -> Any:
    """A safety checker that flags everything or nothing."""
    vision = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_attention_heads": 2, "num_hidden_layers": 1}
    sizes = {"image_size": 32, "patch_size": 16, "projection_dim": WIDTH}
    config = transformers.CLIPConfig(vision_config={**vision, **sizes}, projection_dim=WIDTH)
    checker = diffusers.pipelines.stable_diffusion.safety_checker.StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-9.0 if strict else 9.0)
    checker.special_care_embeds_weights.data.fill_(9.0)
    return checker


def save_stable_diffusion(folder: Path, *, strict: bool | None = None) -> Path:
    """Stable Diffusion 1's architecture; with a safety checker where `strict` says of what kind."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        norm_num_groups=4,
    )
    checked = strict is not None
    pipe = diffusers.StableDiffusionPipeline(
        vae=_vae(4),
        text_encoder=transformers.CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=_checker(strict=bool(strict)) if checked else None,
        feature_extractor=transformers.CLIPImageProcessor(size=32, crop_size=32) if checked else None,
        requires_safety_checker=checked,
    )
    pipe.save_pretrained(folder)
    return folder


def save_stable_diffusion_3(folder: Path) -> Path:
    """Stable Diffusion 3's architecture, with all its three text encoders."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=WIDTH,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2 * WIDTH,
        out_channels=4,
    )
    t5 = transformers.T5Config(vocab_size=len(tokenizer), d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2)
    encoders = [transformers.CLIPTextModelWithProjection(_text_config(tokenizer)) for _ in range(2)]
    pipe = diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(4, shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=encoders[0],
        tokenizer=tokenizer,
        text_encoder_2=encoders[1],
        tokenizer_2=tokenizer,
        text_encoder_3=transformers.T5EncoderModel(t5),
        tokenizer_3=tokenizer,
    )
    pipe.save_pretrained(folder)
    return folder


def save_wordless(folder: Path) -> Path:
    """A pipeline that draws from noise alone."""
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    diffusers.DDPMPipeline(unet=unet, scheduler=diffusers.DDPMScheduler()).save_pretrained(folder)
    return folder
