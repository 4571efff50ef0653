"""What a stage begins with."""

from dataclasses import replace
from pathlib import Path

from magicvl.train.complexity.sizes import check_sizes
from magicvl.train.curriculum.read_stage import find_stage, read_stage
from magicvl.train.curriculum.stage import Data
from magicvl.train.curriculum.start import begin


def test_sizes_have_one_vocabulary_behind_one_encoder(colour_samples: Path, tmp_path: Path) -> None:
    folders = []
    for size, layers in (("small", 1), ("middle", 3), ("large", 6)):
        stage = replace(read_stage(find_stage(f"nano-sizes/{size}")), data=(Data(f"llava:{colour_samples}"),))
        begun = begin(stage, tmp_path / size)
        assert len(begun.model.model.language_model.layers) == layers
        begun.model.save_pretrained(tmp_path / size)
        begun.processor.save_pretrained(tmp_path / size)
        folders.append(tmp_path / size)
    # Raises where the vocabularies differ or the parameters do not rise.
    small, middle, large = check_sizes(folders)
    assert large - middle > middle - small
