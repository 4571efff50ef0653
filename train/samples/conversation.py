"""The turns of a row, whichever of the usual shapes it has.

    conversations   [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A cup."}]
    messages        [{"role": "user", "content": "What is this?"}, {"role": "assistant", "content": "A cup."}]
    texts           [{"user": "What is this?", "assistant": "A cup."}]
    question, answer or answers;   caption or text alone

A field of the wrong type raises ValueError with what is due there.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from magicvl.train.samples.sample import METRICS, Metric, Turn

MARKER = "<image>"
"""The place of a picture in LLaVA's conversations."""
USERS = frozenset({"human", "user", "question"})
ASSISTANTS = frozenset({"gpt", "assistant", "model", "answer"})
QUESTIONS = ("question", "prompt", "query", "instruction", "problem")
ANSWERS = ("answer", "answers", "response", "output", "solution")
CAPTIONS = ("caption", "captions", "text", "txt", "description")
MOST_TURNS = 1_000

Said = tuple[str, str, Mapping[str, Any]]
"""Who speaks (`user`, `assistant`, `system`), what, and the entry that it is from."""


def turns_of(row: Mapping[str, Any], pictures: int, prompt: str) -> tuple[Turn, ...]:
    """The turns of a row with so many pictures; `prompt` is asked where it has a caption alone. Raises ValueError."""
    for name in ("conversations", "messages", "conversation"):
        if row.get(name) is not None:
            return _turns(list(_entries(row[name], name)), pictures)
    if row.get("texts") is not None:
        return _turns(list(_pairs(row["texts"])), pictures)
    question = next((name for name in QUESTIONS if row.get(name) is not None), None)
    answer = next((name for name in ANSWERS if row.get(name) is not None), None)
    if answer is not None:
        asked = prompt if question is None else text_of(row[question], question)
        answers = _answers(row[answer], answer)
        return (_turn(place_pictures([asked], pictures)[0], answers[0], row, answers[1:]),)
    caption = next((name for name in CAPTIONS if row.get(name) is not None), None)
    if caption is None:
        raise ValueError("no conversations, messages, question with answer, caption or text in it; one of them is due")
    answers = _answers(row[caption], caption)
    # A text without pictures answers nothing: it is the whole sample.
    return (_turn(prompt if pictures else "", answers[0], row, answers[1:]),)


def place_pictures(prompts: list[str], pictures: int) -> list[str]:
    """Prompts without their markers: pictures stand before the first words.

    A marker amid words becomes what it stands for, `picture 2`. Raises ValueError for more or fewer than there are
    pictures, unless there is none at all.
    """
    markers = sum(prompt.count(MARKER) for prompt in prompts)
    if markers == 0:
        return [prompt.strip() for prompt in prompts]
    if markers != pictures:
        raise ValueError(f"{markers:,} {MARKER} markers and {pictures:,} pictures; as many of each are due")
    placed, number = [], 1
    for prompt in prompts:
        words = prompt.strip()
        while words.startswith(MARKER):
            words, number = words.removeprefix(MARKER).lstrip(), number + 1
        amid = words
        while amid.endswith(MARKER):
            amid = amid.removesuffix(MARKER).rstrip()
        behind = words.count(MARKER) - amid.count(MARKER)
        while MARKER in amid:
            amid, number = amid.replace(MARKER, f"picture {number}", 1), number + 1
        number += behind
        placed.append(amid)
    return placed


def text_of(value: object, field: str) -> str:
    """A text that a field must be. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{field} is a {type(value).__name__}; a text is due")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{field} holds half a character (a surrogate)") from None
    return value


def _entries(value: object, field: str) -> Iterator[Said]:
    """What is said in `conversations` or `messages`."""
    for number, entry in enumerate(_list(_transposed(value), field), 1):
        where = f"{field} {number}"
        if not isinstance(entry, Mapping):
            raise ValueError(f"{where} is a {type(entry).__name__}; an object is due")
        names = ("from", "value") if "from" in entry else ("role", "content")
        role = text_of(entry.get(names[0]), f"{names[0]} of {where}").lower()
        role = "user" if role in USERS else "assistant" if role in ASSISTANTS else role
        if role not in ("user", "assistant", "system"):
            raise ValueError(f"{names[0]} of {where} is {role!r}; human, gpt or system is due")
        yield role, _content(entry.get(names[1]), f"{names[1]} of {where}"), entry


def _transposed(value: object) -> object:
    """Arrow's tables keep a list of objects as an object of lists."""
    if not isinstance(value, Mapping) or not all(isinstance(column, list) for column in value.values()):
        return value
    return [dict(zip(value, entry, strict=False)) for entry in zip(*value.values(), strict=False)]


def _content(value: object, where: str) -> str:
    """A text, or parts of which some are pictures, as chat templates of transformers take them."""
    if not isinstance(value, list):
        return text_of(value, where)
    said = []
    for part in value:
        if not isinstance(part, Mapping):
            raise ValueError(f"{where} holds a {type(part).__name__}; parts with a type are due")
        if part.get("type") in ("image", "image_url"):
            said.append(MARKER)
        else:
            said.append(text_of(part.get("text"), f"text in {where}"))
    return "\n".join(said)


def _pairs(value: object) -> Iterator[Said]:
    for number, entry in enumerate(_list(value, "texts"), 1):
        if not isinstance(entry, Mapping):
            raise ValueError(f"texts {number} is a {type(entry).__name__}; an object is due")
        yield "user", text_of(entry.get("user"), f"user of texts {number}"), entry
        yield "assistant", text_of(entry.get("assistant"), f"assistant of texts {number}"), entry


def _turns(said: list[Said], pictures: int) -> tuple[Turn, ...]:
    """Questions with their answers; what the system says is put before the first question."""
    frame = [text for role, text, _ in said if role == "system"]
    spoken = [each for each in said if each[0] != "system"]
    if not spoken or len(spoken) % 2:
        raise ValueError(f"{len(spoken)} turns; a question and an answer are due, in turn")
    for number, (role, _, _) in enumerate(spoken):
        if role != ("assistant" if number % 2 else "user"):
            raise ValueError(f"turn {number + 1} is the {role}'s; question and answer are due in turn")
    prompts = place_pictures([text for _, text, _ in spoken[::2]], pictures)
    prompts[0] = "\n\n".join([*frame, prompts[0]])
    return tuple(
        _turn(prompt, text.strip(), entry, ()) for prompt, (_, text, entry) in zip(prompts, spoken[1::2], strict=True)
    )


def _turn(prompt: str, answer: str, entry: Mapping[str, Any], others: tuple[str, ...]) -> Turn:
    """A turn, with what our own files say of it beside the words."""
    metric = entry.get("metric", "exact")
    if metric not in METRICS:
        raise ValueError(f"metric is {metric!r}; one of {', '.join(METRICS)} is due")
    told = entry.get("others")
    if told is not None:
        others = tuple(text_of(each, "others") for each in _list(told, "others"))
    return Turn(prompt, answer, cast(Metric, metric), text_of(entry.get("task", ""), "task"), others)


def _answers(value: object, field: str) -> tuple[str, ...]:
    """The answer that counts, and other right ones: the most frequent of a list first, as VQA's are given."""
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    if not isinstance(value, list):
        return (text_of(value, field).strip(),)
    found = [text_of(each.get("answer") if isinstance(each, Mapping) else each, field).strip() for each in value]
    if not found:
        raise ValueError(f"{field} is an empty list; an answer is due")
    first = max(found, key=found.count)
    return (first, *dict.fromkeys(each for each in found if each != first))


def _list(value: object, field: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{field} is a {type(value).__name__}; a list is due")
    if len(value) > MOST_TURNS:
        raise ValueError(f"{field} has {len(value):,} entries; at most {MOST_TURNS:,} are read")
    return value
