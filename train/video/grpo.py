"""The GRPO arm, by TRL: groups of answers to a film, their rewards, and a step towards the better ones.

What TRL is told is a text model: prompts are ids (visual tokens among them, magicvl.train.video.visual_ids), so it
needs neither our processor nor our pictures. Answers are drawn by our own sampler (generation.py). The reference is the
model with its adapter switched off.
"""

import warnings
from collections.abc import Callable
from typing import Any

from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from magicvl.train.video.films import Films
from magicvl.train.video.generation import generate
from magicvl.train.video.merging import merged
from magicvl.train.video.rewards import REWARDS, Scorer, reward_functions
from magicvl.train.video.settings import Group


class FilmGrpo(GRPOTrainer):
    """TRL's trainer; it tells nobody that it runs."""

    def _send_telemetry(self) -> None:
        """Nothing leaves this machine."""


def grpo_trainer(
    model: Any, lora: Any, films: Films, scorer: Scorer, group: Group, arguments: dict[str, Any]
) -> GRPOTrainer:
    """The trainer; `model` is a Captioner without an adapter, `lora` PEFT's, `arguments` are TrainingArguments'."""
    # Numbers of films stand for prompts: what is tokenised of them is settled already.
    numbers = Dataset.from_dict({"prompt": [str(number) for number in range(len(films))]})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using 'rollout_func'")
        # PEFT asks transformers by a name that is going out of use.
        warnings.simplefilter("ignore", FutureWarning)
        return FilmGrpo(
            model=model,
            reward_funcs=[*reward_functions(films, scorer)],
            args=GRPOConfig(**arguments, **grpo_arguments(group)),
            train_dataset=numbers,
            processing_class=films.processor.tokenizer,
            peft_config=lora,
            rollout_func=rollout(films, group),
        )


def grpo_arguments(group: Group) -> dict[str, Any]:
    """TRL's names for the group's settings."""
    return {
        "num_generations": group.answers,
        "num_iterations": group.updates,
        "max_completion_length": group.most_tokens,
        "temperature": group.temperature,
        "beta": group.kl,
        "epsilon": group.ratio_clip,
        "loss_type": group.loss,
        "scale_rewards": group.scale,
        "reward_weights": [getattr(group.rewards, name) for name in REWARDS],
        # Nothing is filtered out of what is drawn: the probabilities that are learned from are those of all tokens.
        "top_k": 0,
        "top_p": 1.0,
    }


def rollout(films: Films, group: Group) -> Callable[[list[str], GRPOTrainer], dict[str, Any]]:
    """What TRL calls to have answers drawn: a film's number comes as often as it is to be answered."""

    def draw(prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        asked = [films[int(prompt)].prompt for prompt in prompts]
        model = trainer.accelerator.unwrap_model(trainer.model)
        end = int(films.processor.tokenizer.eos_token_id)
        with merged(model):
            answers = generate(model, asked, temperature=group.temperature, most=group.most_tokens, end=end)
        return {"prompt_ids": asked, "completion_ids": answers, "logprobs": None}

    return draw
