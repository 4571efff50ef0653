"""Checkpoints of MagicVLForConditionalGeneration: config.json, processor_config.json, safetensors, tokenizer."""

from magicvl.convert.checkpoint import Checkpoint, read_json
from magicvl.convert.decoder import read_decoder
from magicvl.convert.reader import Reader
from magicvl.convert.source import Source
from magicvl.convert.sources.hugging_face import channels, table_side
from magicvl.convert.vocabulary import IMAGE_TOKEN
from magicvl.edge.bundle import PictureInfo, VisionInfo
from magicvl.edge.plan import Grid
from magicvl.edge.prompt import Pieces
from magicvl.errors import UsageError
from magicvl.mmproj.contract import ACTIVATION, mmproj_dropped, mmproj_tensors

MODEL_TYPE = "magicvl"
OWN_POLICIES = ("native", "internvl")
"""How MagicVL's own processor may cut pictures, of magicvl.edge.plan.POLICIES."""


def understand(checkpoint: Checkpoint, config: Reader) -> Source:
    """Reads config.json and processor_config.json. Problems go to the reader of the former."""
    pictures = read_json(checkpoint.directory / "processor_config.json")
    processor = Reader("processor_config.json", pictures, config.problems)
    vision = _vision(config)
    decoder = read_decoder(config.part("text_config"), tied=bool(config.data.get("tie_word_embeddings", True)))
    projector_norm = bool(config.data.get("projector_use_layernorm", True))
    source = Source(
        layout="magicvl",
        directory=checkpoint.directory,
        name=checkpoint.name,
        stored=checkpoint.tensors,
        decoder=decoder,
        vision=vision,
        vision_norm_eps=config.part("vision_config").real("layer_norm_eps", 1e-6),
        vision_tensors=tuple(mmproj_tensors(vision, decoder.width, projector_norm=projector_norm)),
        vision_dropped=tuple(mmproj_dropped(vision)),
        picture=_picture(processor),
        pieces=_pieces(processor),
        image_token=str(processor.data.get("image_token", IMAGE_TOKEN)),
        image_token_id=config.token("image_token_id"),
        film_tracks=_film_tracks(config),
    )
    _agree(config, processor)
    _check_grid(source, processor)
    return source


def _vision(config: Reader) -> VisionInfo:
    vision = config.part("vision_config")
    vision.demand("model_type", "siglip2_vision_model", "siglip2_vision_model")
    vision.demand("hidden_act", ACTIVATION, ACTIVATION)
    vision.demand("num_channels", 3, 3)
    config.demand("projector_hidden_act", ACTIVATION, ACTIVATION)
    config.demand("projector_bias", True, True)
    side = table_side(vision)
    return VisionInfo(
        width=vision.whole("hidden_size"),
        layers=vision.whole("num_hidden_layers"),
        heads=vision.whole("num_attention_heads"),
        feed_forward=vision.whole("intermediate_size"),
        patch=vision.whole("patch_size"),
        unshuffle=config.whole("downsample_factor", 2),
        positions=side,
        projector_width=config.whole("projector_hidden_size"),
    )


def _picture(processor: Reader) -> PictureInfo:
    return PictureInfo(
        tile=processor.whole("tile_size"),
        max_tiles=processor.whole("max_tiles"),
        mean=channels(processor, "image_mean"),
        std=channels(processor, "image_std"),
        policy=_policy(processor),
        min_tokens=least if (least := processor.whole("min_tokens", 1)) > 1 else None,
    )


def _check_grid(source: Source, processor: Reader) -> None:
    """What no plan can be made with is said before anything is written."""
    picture, unit = source.picture, source.vision.patch * source.vision.unshuffle
    if picture.policy not in OWN_POLICIES:
        return
    try:
        Grid(unit, picture.tile, picture.max_tiles, picture.policy, min_tokens=picture.min_tokens or 1)
    except UsageError as error:
        processor.problems.append(f"{processor.name}: {error}")


def _policy(processor: Reader) -> str:
    policy = processor.data.get("policy", "native")
    if policy not in OWN_POLICIES:
        processor.problems.append(f"{processor.name}: policy is {policy!r}; there are {', '.join(OWN_POLICIES)}")
    return str(policy)


def _pieces(processor: Reader) -> Pieces:
    data = processor.data.get("picture_pieces") or {}
    known = set(vars(Pieces()))
    if not isinstance(data, dict) or set(data) - known or not all(isinstance(v, str) for v in data.values()):
        processor.problems.append(f"{processor.name}: picture_pieces must be texts named {sorted(known)}")
        return Pieces()
    return Pieces(**data)


def _film_tracks(config: Reader) -> bool:
    found = config.data.get("film_tracks", False)
    if not isinstance(found, bool):
        config.problems.append(f"{config.name}: film_tracks is {found!r}; true or false is due")
    return bool(found)


def _agree(config: Reader, processor: Reader) -> None:
    """The model and its processor must cut pictures alike."""
    problems, model, pictures = config.problems, config.data, processor.data
    vision = model.get("vision_config")
    pairs = {
        "patch_size": vision.get("patch_size") if isinstance(vision, dict) else None,
        "downsample_factor": model.get("downsample_factor", 2),
        "tile_size": model.get("tile_size", 384),
        "max_tiles": model.get("max_tiles", 24),
    }
    for key, usual in (("policy", "native"), ("min_tokens", 1)):
        if pictures.get(key, usual) != model.get(key, usual):
            problems.append(f"{key} is another in config.json than in processor_config.json")
    for key, ours in pairs.items():
        if pictures.get(key) != ours:
            problems.append(f"{key} is {ours!r} in config.json and {pictures.get(key)!r} in processor_config.json")
    ours, theirs = (data.get("picture_pieces") or {} for data in (model, pictures))
    # A piece that is missing on one side and spelt out on the other is the same.
    standard = vars(Pieces())
    if not isinstance(ours, dict) or not isinstance(theirs, dict) or {**standard, **ours} != {**standard, **theirs}:
        problems.append(f"picture_pieces are {ours!r} in config.json and {theirs!r} in processor_config.json")
