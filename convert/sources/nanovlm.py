"""Checkpoints of nanoVLM's training code: a SigLIP encoder, an unshuffle, one linear layer, a Llama decoder.

Its config.json is a VLMConfig, its model.safetensors has names of its own, and no tokenizer lies beside them. The
runtime's graph is its projector type `idefics3`, and the order of the unshuffle is the same. Its generations, told
apart by the special tokens that they append and by `max_img_size`:

    0.1  no tokens: the picture as one square, before the words "Question: ... Answer:"
         an image token alone: one square, in the model's chat template
         the same and max_img_size: tiles, one after the other
    0.2  a token for each row and column: tiles, each after its own
    0.3  one for the overview: the same, after an overview
"""

import re
from typing import Any

from magicvl.convert.checkpoint import Checkpoint
from magicvl.convert.decoder import Decoder, DecoderNames
from magicvl.convert.reader import Reader
from magicvl.convert.source import Source
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.edge.prompt import Pieces
from magicvl.mmproj.contract import VisionNames, mmproj_dropped, mmproj_tensors

_KEYS = {"vit_hidden_dim", "lm_hidden_dim", "mp_pixel_shuffle_factor"}
_LAYER = "tower.encoder.layers.{layer}."
NAMES = VisionNames(
    tower="vision_encoder.",
    projector="MP.",
    modules={
        "tower.embeddings.patch_embedding": "patch_embedding.conv",
        "tower.embeddings.position_embedding": "patch_embedding.position_embedding",
        _LAYER + "layer_norm1": "blocks.{layer}.ln1",
        _LAYER + "layer_norm2": "blocks.{layer}.ln2",
        _LAYER + "self_attn.qkv_proj": "blocks.{layer}.attn.qkv_proj",
        _LAYER + "self_attn.out_proj": "blocks.{layer}.attn.out_proj",
        _LAYER + "mlp.fc1": "blocks.{layer}.mlp.fc1",
        _LAYER + "mlp.fc2": "blocks.{layer}.mlp.fc2",
        "tower.post_layernorm": "layer_norm",
        "projector.linear": "proj",
    },
    plain=frozenset({"tower.embeddings.position_embedding.weight"}),
    flat_patches=False,
    fused_attention=True,
    batched_positions=True,
)
_EMBEDDING, _HEAD = "token_embedding", "head"
_PICTURE = "<image>"
_PLACE = re.compile(r"r([0-9]+)c([0-9]+)")
"""The role of a tile's token."""
_QUESTION = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}Question: {{ part['text'] }} Answer:{% endif %}"
    "{% endfor %}{% endfor %}"
)
"""What generation 0.1 was trained with; it had no chat template."""


def recognises(config: dict[str, Any]) -> bool:
    """Whether a config.json is of this layout: it has no model_type, and keys that no other has."""
    return config.keys() >= _KEYS


def understand(checkpoint: Checkpoint, config: Reader) -> Source:
    """Reads config.json. Problems go to its reader."""
    _demand(config)
    if not (checkpoint.tokenizer / "tokenizer.json").is_file():
        wanted = config.data.get("lm_tokenizer", "its language model")
        config.problems.append(
            f"{checkpoint.tokenizer} has no tokenizer.json; nanoVLM's checkpoints come without: name a directory with "
            f"the tokenizer of {wanted} by --tokenizer"
        )
    extra = _extra_tokens(config)
    vision, decoder = _vision(config), _decoder(config, checkpoint)
    tokens = tuple(extra.values())
    image_token = extra.get("image_token", "")
    return Source(
        layout="nanovlm",
        directory=checkpoint.tokenizer,
        name=checkpoint.name,
        stored=checkpoint.tensors,
        decoder=decoder,
        vision=vision,
        vision_norm_eps=config.real("vit_ln_eps", 1e-6),
        vision_tensors=tuple(mmproj_tensors(vision, decoder.width, names=NAMES)),
        vision_dropped=tuple(mmproj_dropped(vision, NAMES)),
        picture=_picture(config, extra),
        pieces=_pieces(config, extra),
        image_token=image_token,
        # config.json does not say it: the tokenizer numbers the tokens that are appended to it.
        image_token_id=None,
        extra_tokens=tokens,
        chat_template=_chat_template(config, extra),
    )


def _demand(config: Reader) -> None:
    """What the runtime's graph computes, whatever the configuration says."""
    config.demand("vit_cls_flag", False, False)
    config.demand("lm_attn_scaling", 1.0, 1.0)
    config.demand("lm_use_tokens", False, False)


def _vision(config: Reader) -> VisionInfo:
    size, patch, unshuffle = (
        config.whole(key) for key in ("vit_img_size", "vit_patch_size", "mp_pixel_shuffle_factor")
    )
    positions = size // patch
    if positions < 1 or positions % unshuffle:
        config.problems.append(
            f"config.json: mp_pixel_shuffle_factor is {unshuffle}, the {positions} patches of a side are no multiple"
        )
    tokens = config.data.get("mp_image_token_length")
    if tokens is not None and tokens != (positions // unshuffle) ** 2:
        config.problems.append(
            f"config.json: mp_image_token_length is {tokens}, the encoder makes {(positions // unshuffle) ** 2}"
        )
    return VisionInfo(
        width=config.whole("vit_hidden_dim"),
        layers=config.whole("vit_n_blocks"),
        heads=config.whole("vit_n_heads"),
        feed_forward=config.whole("vit_inter_dim"),
        patch=patch,
        unshuffle=unshuffle,
        positions=max(1, positions),
        projector_width=None,
        projector="idefics3",
    )


def _decoder(config: Reader, checkpoint: Checkpoint) -> Decoder:
    width, heads = config.whole("lm_hidden_dim"), config.whole("lm_n_heads")
    kv_heads = config.whole("lm_n_kv_heads")
    if width % heads or heads % kv_heads:
        config.problems.append(f"config.json: {heads} heads, {kv_heads} of keys, cannot share lm_hidden_dim {width}")
    tied = bool(config.data.get("lm_tie_weights", True))
    # Of two names for one tensor its writer keeps the first by the alphabet: the head.
    shared = tied and f"decoder.{_EMBEDDING}.weight" not in checkpoint.tensors
    return Decoder(
        architecture="llama",
        width=width,
        layers=config.whole("lm_n_blocks"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=max(1, width // heads),
        feed_forward=config.whole("lm_inter_dim"),
        vocabulary=config.whole("lm_vocab_size"),
        context=config.whole("lm_max_position_embeddings"),
        rope_theta=config.real("lm_re_base"),
        norm_eps=config.real("lm_rms_eps"),
        tied=tied,
        attention_bias=False,
        mlp_bias=False,
        names=_decoder_names(_HEAD if shared else _EMBEDDING),
    )


def _decoder_names(embedding: str) -> DecoderNames:
    layer, own = "layers.{layer}.", "blocks.{layer}."
    modules = {
        "embed_tokens": embedding,
        "rotary_emb": "rotary_embd",
        layer + "input_layernorm": own + "norm1",
        layer + "post_attention_layernorm": own + "norm2",
        layer + "self_attn.o_proj": own + "attn.out_proj",
    }
    modules |= {f"{layer}self_attn.{name}_proj": f"{own}attn.{name}_proj" for name in "qkv"}
    modules |= {f"{layer}mlp.{name}_proj": f"{own}mlp.{name}_proj" for name in ("gate", "up", "down")}
    return DecoderNames(prefix="decoder.", head=f"decoder.{_HEAD}.weight", modules=modules)


def _extra_tokens(config: Reader) -> dict[str, str]:
    """The special tokens by their role, in the order in which they are appended to the tokenizer."""
    found = config.data.get("vlm_extra_tokens") or {}
    if not isinstance(found, dict) or not all(isinstance(text, str) and text for text in found.values()):
        config.problems.append(f"config.json: vlm_extra_tokens is {found!r}, texts by their role are due")
        return {}
    placed = "global_image_token" in found or any(map(_PLACE.fullmatch, found))
    if lacking := [role for role in ("image_token", *(("r1c1",) if placed else ())) if found and role not in found]:
        config.problems.append(f"config.json: vlm_extra_tokens lacks {' and '.join(lacking)}")
    return found


def _chat_template(config: Reader, extra: dict[str, str]) -> str:
    if not extra:
        return _QUESTION
    template = config.data.get("lm_chat_template")
    if not isinstance(template, str) or not template:
        config.problems.append("config.json: it lacks lm_chat_template, the chat template")
        return ""
    return template


def _picture(config: Reader, extra: dict[str, str]) -> PictureInfo:
    tile = config.whole("vit_img_size")
    plain: dict[str, Any] = {"tile": tile, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    if not extra or (config.data.get("max_img_size") is None and "r1c1" not in extra):
        return PictureInfo(**plain, max_tiles=1, policy="square")
    longest = config.whole("max_img_size")
    if longest % tile:
        config.problems.append(f"config.json: max_img_size is {longest}, no multiple of vit_img_size {tile}")
    side = max(1, longest // tile)
    return PictureInfo(
        **plain,
        max_tiles=side**2 + 1,
        resample="bicubic",
        policy="nanovlm",
        longest=side * tile,
        enlarge=bool(config.data.get("resize_to_max_side_len", False)),
        overview="global_image_token" in extra,
    )


def _pieces(config: Reader, extra: dict[str, str]) -> Pieces:
    if not extra:
        return Pieces("", "", "", "", placeholder=_PICTURE)
    if "r1c1" not in extra:
        return Pieces("", "", "", "")
    overview = extra.get("global_image_token", "")
    tile = "<row_{row}_col_{column}>"
    odd = [
        role
        for role, text in extra.items()
        if (place := _PLACE.fullmatch(role)) and text != tile.replace("{row}", place[1]).replace("{column}", place[2])
    ]
    if odd:
        config.problems.append(f"config.json: vlm_extra_tokens are not of the form {tile}: {', '.join(odd)}")
    return Pieces(
        before="",
        between="",
        row="",
        after="",
        tile=tile,
        overview=overview,
        single=overview or extra.get("r1c1", ""),
        each="<image: {picture}>",
    )
