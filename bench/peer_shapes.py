"""The models of the paper's deployment table as shapes that stock llama.cpp runs with its own preprocessing.

Sizes are those of the config.json and preprocessor_config.json that the authors publish with each model; metadata and
tensor names those that llama.cpp's converter writes (conversion/{internvl,smolvlm,qwenvl}.py) and tools/mtmd/clip.cpp
reads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Type

from magicvl.bench.shape_bundle import LLM_TYPE, MMPROJ_TYPE, check_types, llm_shape, shape_source, write_mmproj_shape
from magicvl.bench.shape_gguf import out_tensor, write_shape
from magicvl.bench.shape_words import shape_vocabulary
from magicvl.convert.bundle import LLM_FILE, MMPROJ_FILE
from magicvl.convert.decoder import Decoder, decoder_tensors
from magicvl.convert.gguf_file import Field
from magicvl.convert.place import beside
from magicvl.convert.source import Source
from magicvl.convert.vision import MMPROJ_TYPES
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.mmproj.contract import ARCHITECTURE, PROJECTORS, mmproj_tensors

REVISION = 1
"""Part of a kept shape's name: raised where what is made changes."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Peer:
    """One model."""

    name: str
    decoder: Decoder
    vision: VisionInfo
    """`projector` is a name of clip.cpp's; not all of them are in magicvl.mmproj.contract."""
    picture: PictureInfo
    specials: tuple[str, ...]
    """What its runtime puts around pictures: tokens of its vocabulary."""
    sections: tuple[int, ...] = ()
    """Parts of a head that turn with time, height and width (M-RoPE); empty for plain positions."""

    @property
    def source(self) -> Source:
        """The peer as what writes metadata knows it."""
        return shape_source(self.name, self.decoder, self.vision, self.picture)

    def llm_shapes(self) -> list[tuple[str, Shape]]:
        """Name and shape of every tensor of the decoder."""
        return [(tensor.target, tensor.shape) for tensor in decoder_tensors(self.decoder)]

    def vision_shapes(self) -> list[tuple[str, Shape]]:
        """Name and shape of every tensor of encoder and projector."""
        if self.vision.projector in PROJECTORS:
            return [(tensor.target, tensor.shape) for tensor in mmproj_tensors(self.vision, self.decoder.width)]
        return list({"internvl": _internvl, "qwen2vl_merger": _qwen2vl}[self.vision.projector](self))


_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_GRID = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))


def _decoder(  # noqa: PLR0913, PLR0917 - one line of a table
    architecture: str,
    width: int,
    layers: int,
    heads: int,
    kv_heads: int,
    feed_forward: int,
    vocabulary: int,
    context: int,
    rope_theta: float,
    norm_eps: float,
    *,
    tied: bool,
    bias: bool = False,
) -> Decoder:
    return Decoder(
        architecture=architecture,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=width // heads,
        feed_forward=feed_forward,
        vocabulary=vocabulary,
        context=context,
        rope_theta=rope_theta,
        norm_eps=norm_eps,
        tied=tied,
        attention_bias=bias,
        mlp_bias=False,
    )


PEERS = {
    peer.name: peer
    for peer in (
        # OpenGVLab/InternVL2_5-2B: InternViT-300M-448px and InternLM2-1.8B; the latter is a Llama whose queries, keys
        # and values lie in one matrix, which llama.cpp's converter takes apart.
        Peer(
            "internvl2.5-2b",
            _decoder("llama", 2048, 24, 16, 8, 8192, 92553, 32768, 1e6, 1e-5, tied=False),
            VisionInfo(1024, 24, 16, 4096, 14, 2, positions=32, projector_width=2048, projector="internvl"),
            PictureInfo(448, 13, *_IMAGENET),
            ("<img>", "</img>"),
        ),
        # HuggingFaceTB/SmolVLM2-2.2B-Instruct: SigLIP-SO400M and SmolLM2-1.7B.
        Peer(
            "smolvlm2-2.2b",
            _decoder("llama", 2048, 24, 32, 32, 8192, 49280, 8192, 273768.0, 1e-5, tied=False),
            VisionInfo(1152, 27, 16, 4304, 14, 3, positions=27, projector_width=None, projector="idefics3"),
            PictureInfo(384, 17, *_HALF, resample="lanczos", policy="idefics3", longest=1536),
            ("<fake_token_around_image>", "<global-img>", *_GRID),
        ),
        # Qwen/Qwen2-VL-2B-Instruct: an encoder of 675 M parameters that looks at the whole picture at once, and
        # Qwen2-1.5B.
        Peer(
            "qwen2-vl-2b",
            _decoder("qwen2", 1536, 28, 12, 2, 8960, 151936, 32768, 1e6, 1e-6, tied=True, bias=True),
            VisionInfo(1280, 32, 16, 5120, 14, 2, positions=40, projector_width=5120, projector="qwen2vl_merger"),
            PictureInfo(560, 1, *_CLIP),
            ("<|vision_start|>", "<|vision_end|>"),
            sections=(16, 24, 24, 0),
        ),
    )
}


def peer_files(peer: Peer, folder: Path, *, llm: str = LLM_TYPE, mmproj: str = MMPROJ_TYPE) -> tuple[Path, Path]:
    """Decoder and encoder of a peer's shape in `folder`, made where they are not there yet. Raises UsageError."""
    check_types(llm, mmproj)
    target = folder / f"{peer.name}-{llm}-{mmproj}-r{REVISION}"
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with beside(target) as partial:
            _write_llm(peer, partial / LLM_FILE, llm)
            _write_mmproj(peer, partial / MMPROJ_FILE, mmproj)
    return target / LLM_FILE, target / MMPROJ_FILE


def _write_llm(peer: Peer, path: Path, wanted: str) -> None:
    fields, tensors = llm_shape(peer.source, shape_vocabulary(peer.decoder.vocabulary, peer.specials), wanted)
    architecture = peer.decoder.architecture
    if peer.sections:
        # The runtime's own name of a Qwen2 with positions in three directions.
        fields = [replace(field, key=field.key.replace(f"{architecture}.", "qwen2vl.", 1)) for field in fields]
        architecture = "qwen2vl"
        fields.append(Field(f"{architecture}.rope.dimension_sections", "int32[]", list(peer.sections)))
    write_shape(path, architecture, fields, tensors)


def _write_mmproj(peer: Peer, path: Path, wanted: str) -> None:
    if peer.vision.projector in PROJECTORS:
        write_mmproj_shape(peer.source, path, wanted)
        return
    tensors = [out_tensor(name, shape, _type(name, shape, wanted)) for name, shape in peer.vision_shapes()]
    write_shape(path, ARCHITECTURE, _fields(peer, wanted), tensors)


def _type(name: str, shape: Shape, wanted: str) -> Type:
    if len(shape) == 1 or name.startswith("v.position_embd"):
        return Type.F32
    # A convolution's kernel has no rows that a block type could hold.
    return Type.F16 if len(shape) > 2 or shape[-1] % 32 else Type[wanted]


def _fields(peer: Peer, wanted: str) -> list[Field]:
    vision, picture = peer.vision, peer.picture
    fields = [
        Field("general.type", "string", "mmproj"),
        Field("general.name", "string", peer.name),
        Field("general.file_type", "uint32", int(MMPROJ_TYPES[wanted])),
        Field("general.quantization_version", "uint32", gguf.GGML_QUANT_VERSION),
        Field("clip.has_vision_encoder", "bool", True),
        Field("clip.projector_type", "string", vision.projector),
        Field("clip.vision.image_size", "uint32", picture.tile),
        Field("clip.vision.patch_size", "uint32", vision.patch),
        Field("clip.vision.embedding_length", "uint32", vision.width),
        Field("clip.vision.feed_forward_length", "uint32", vision.feed_forward),
        Field("clip.vision.block_count", "uint32", vision.layers),
        Field("clip.vision.projection_dim", "uint32", peer.decoder.width),
        Field("clip.vision.attention.head_count", "uint32", vision.heads),
        Field("clip.vision.attention.layer_norm_epsilon", "float32", 1e-6),
        Field("clip.vision.image_mean", "float32[]", list(picture.mean)),
        Field("clip.vision.image_std", "float32[]", list(picture.std)),
    ]
    if vision.projector == "internvl":
        fields += [
            Field("clip.use_gelu", "bool", True),
            Field("clip.vision.projector.scale_factor", "uint32", vision.unshuffle),
            Field("clip.vision.preproc_min_tiles", "uint32", 1),
            # The thumbnail is not counted.
            Field("clip.vision.preproc_max_tiles", "uint32", picture.max_tiles - 1),
        ]
    return fields


def _internvl(peer: Peer) -> Iterator[tuple[str, Shape]]:
    vision = peer.vision
    joined, out = vision.width * vision.unshuffle**2, peer.decoder.width
    yield "v.class_embd", (vision.width,)
    yield "v.patch_embd.weight", (vision.width, 3, vision.patch, vision.patch)
    yield "v.patch_embd.bias", (vision.width,)
    yield "v.position_embd.weight", (vision.positions**2 + 1, vision.width)
    yield from _blocks(vision, ("ls1", "ls2"))
    yield from _pair("mm.model.mlp.0", (joined,))
    yield from _pair("mm.model.mlp.1", (out, joined))
    yield from _pair("mm.model.mlp.3", (out, out))


def _qwen2vl(peer: Peer) -> Iterator[tuple[str, Shape]]:
    vision = peer.vision
    joined, out = vision.width * vision.unshuffle**2, peer.decoder.width
    # A kernel for each of two frames; a still picture is shown twice.
    for name in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
        yield name, (vision.width, 3, vision.patch, vision.patch)
    yield from _blocks(vision)
    yield from _pair("v.post_ln", (vision.width,))
    yield from _pair("mm.0", (joined, joined))
    yield from _pair("mm.2", (out, joined))


def _blocks(vision: VisionInfo, scales: Sequence[str] = ()) -> Iterator[tuple[str, Shape]]:
    wide, deep = vision.width, vision.feed_forward
    for layer in range(vision.layers):
        block = f"v.blk.{layer}"
        yield from _pair(f"{block}.ln1", (wide,))
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            yield from _pair(f"{block}.{name}", (wide, wide))
        yield from _pair(f"{block}.ln2", (wide,))
        yield from _pair(f"{block}.ffn_up", (deep, wide))
        yield from _pair(f"{block}.ffn_down", (wide, deep))
        for name in scales:
            yield f"{block}.{name}.weight", (wide,)


def _pair(name: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]
