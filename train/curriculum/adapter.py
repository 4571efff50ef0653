"""LoRA on the decoder, by PEFT: begun, gone on with, merged, and kept apart from the weights that it adapts."""

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from magicvl.errors import UsageError
from magicvl.mmproj.modeling import MagicVLForConditionalGeneration
from magicvl.train.curriculum.stage import Lora

CONFIG = "adapter_config.json"


def with_adapter(model: MagicVLForConditionalGeneration, lora: Lora | None, folder: Path | None) -> Any:
    """PEFT's model around `model`, changed in place, or None where the stage has no `lora`.

    `folder` is where the stage before kept its adapter, if it did. One like the stage's own is gone on with; another
    is merged into the decoder first. Raises UsageError for targets that the decoder lacks.
    """
    if folder is not None and (folder / CONFIG).is_file():
        found, alike = _load(model, lora, folder)
        if alike:
            return found
        found.merge_and_unload()
    if lora is None:
        return None
    check_targets(model, lora)
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that is going out of use.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, lora_config(lora))


def with_same_adapter(model: MagicVLForConditionalGeneration, lora: Lora, folder: Path) -> Any:
    """PEFT's model around `model` with the adapter of the folder. Raises UsageError where it is not like `lora`."""
    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder}: no adapter, it has no {CONFIG}")
    found, alike = _load(model, lora, folder)
    if not alike:
        theirs = found.peft_config["default"]
        raise UsageError(
            f"{folder}: an adapter of rank {theirs.r} and alpha {theirs.lora_alpha:g} for "
            f"{len(found.base_model.targeted_module_names)} layers, the config's is of {lora.rank} and {lora.alpha:g} "
            f"for {len(_modules(found.unload(), lora))}; take the config that it was trained by"
        )
    return found


def _load(model: MagicVLForConditionalGeneration, lora: Lora | None, folder: Path) -> tuple[Any, bool]:
    """The adapter around the model, and whether it is like `lora`: of its rank, scale and layers."""
    due = set() if lora is None else _modules(model, lora)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found = PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    config: Any = found.peft_config["default"]
    adapted: Any = found.base_model.targeted_module_names
    alike = lora is not None and (config.r, config.lora_alpha) == (lora.rank, lora.alpha)
    return found, alike and set(adapted) == due


def _modules(model: torch.nn.Module, lora: Lora) -> set[str]:
    """The names of the layers that a LoRA is for."""
    pattern = str(lora_config(lora).target_modules)
    return {name for name, _ in model.named_modules() if re.fullmatch(pattern, name)}


def check_targets(model: MagicVLForConditionalGeneration, lora: Lora) -> None:
    """Raises UsageError for targets that the decoder lacks."""
    names = {name.rpartition(".")[2] for name, _ in model.model.language_model.named_modules()}
    if missing := [target for target in lora.targets if target not in names]:
        raise UsageError(f"lora: the decoder has no layers {', '.join(missing)}")


def lora_config(lora: Lora) -> LoraConfig:
    """PEFT's settings of an adapter of the decoder."""
    # The encoder has layers of the same names: only the decoder's are meant.
    pattern = rf".*language_model\..*\.({'|'.join(lora.targets)})"
    if lora.head:
        pattern += "|lm_head"
    return LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=pattern, lora_dropout=0.0, bias="none")


def base_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights without an adapter's, by the names that they have without one."""
    return {name.replace(".base_layer.", "."): value for name, value in weights.items() if ".lora_" not in name}
