"""A JSON Schema to the rules of a grammar that only writes JSON which fulfils it.

A keyword that has a meaning and is not carried out is refused by name; nothing is ignored but what only describes.
What is written is a part of what the schema allows: on one line, properties in the schema's order, no property
that the schema does not name unless it says of what kind, numbers of few digits.

Source: JSON Schema 2020-12, Core and Validation.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from magicvl.edge.automaton import Automaton, Ranges, all_but, union, without
from magicvl.edge.gbnf import MOST_REPEATS, Characters, Element, Literal, Rule, Rules, Spelling, Way
from magicvl.edge.number_ranges import Bound, integers, numbers
from magicvl.edge.regex import automaton_of
from magicvl.errors import UsageError

MOST_DEPTH = 32
FREE_DEPTH = 4
"""How deep a value is nested of which the schema says nothing."""

DESCRIBING = frozenset(
    "$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly "
    "discriminator".split()
)
KEYWORDS = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "null": type(None),
}

_LEAP = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP}-02-29)"
)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "email": r"[A-Za-z0-9_%+-]{1,32}(?:\.[A-Za-z0-9_%+-]{1,16}){0,2}"
    r"@[A-Za-z0-9]{1,32}(?:-[A-Za-z0-9]{1,16}){0,2}(?:\.[A-Za-z]{2,12}){1,3}",
    "ipv4": r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)",
}

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN = without(union([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)]))
_HEX: Ranges = ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66))


class _Spelled(Spelling):
    """Characters as they stand between the quotes of a JSON string, each in one way; most control ones not at all."""

    def __call__(self, ranges: Ranges) -> list[Element]:
        plain = without(union([*without(ranges), *without(_PLAIN)]))
        spelled: list[Element] = [Characters(plain)] if plain else []
        spelled.extend(
            Literal(escape)
            for character, escape in _ESCAPES.items()
            if any(first <= ord(character) <= last for first, last in ranges)
        )
        return spelled


@dataclass(frozen=True)
class _Place:
    """Where in the schema something stands."""

    path: str = "#"
    depth: int = 0

    def __truediv__(self, key: object) -> "_Place":
        return _Place(f"{self.path}/{key}", self.depth + 1)

    def error(self, text: str) -> UsageError:
        return UsageError(f"at {self.path}: {text}")


def add_schema(schema: object, rules: Rules) -> Rule:
    """The rule of all JSON texts that a schema allows, as far as they are written.

    Raises UsageError, which says where, for a schema that is none, not supported, or too large.
    """
    return _Schema(schema, rules).value(schema, _Place())


class _Schema:
    """One schema on its way into the rules."""

    def __init__(self, whole: object, rules: Rules) -> None:
        self._whole = whole
        self._rules = rules
        self._named: dict[str, Rule] = {}
        self._shared: dict[str, Rule] = {}

    def value(self, schema: object, at: _Place) -> Rule:
        """The rule of one schema."""
        if at.depth > MOST_DEPTH:
            raise at.error(f"nested more than {MOST_DEPTH} deep")
        if schema is True:
            return self._free(FREE_DEPTH)
        if not isinstance(schema, Mapping):
            raise at.error("false allows no value" if schema is False else "a schema is an object, or true")
        keys = set(schema) - DESCRIBING
        for name, build in (
            ("$ref", self._reference),
            ("enum", self._enumeration),
            ("const", self._enumeration),
            ("anyOf", self._any_of),
            ("oneOf", self._any_of),
            ("allOf", self._all_of),
        ):
            if name in keys:
                if beside := keys - {name} - ({"type"} if name in {"enum", "const"} else set()):
                    raise at.error(f"'{min(map(str, beside))}' beside '{name}' is not supported")
                return build(schema, at)
        return self._typed(schema, keys, at)

    def _typed(self, schema: Mapping[str, Any], keys: set[str], at: _Place) -> Rule:
        keywords = keys - {"type"}
        if unknown := keywords - frozenset().union(*KEYWORDS.values()):
            raise at.error(f"the keyword '{min(map(str, unknown))}' is not supported")
        if not keys:
            return self._free(FREE_DEPTH)
        kinds = self._types(schema, at) if "type" in schema else [k for k in KEYWORDS if keywords <= KEYWORDS[k]][-1:]
        if not kinds:
            raise at.error(f"no type that {', '.join(sorted(keywords))} all apply to: say which by 'type'")
        if idle := keywords - frozenset().union(*(KEYWORDS[kind] for kind in kinds)):
            raise at.error(f"'{min(idle)}' has no effect on {' or '.join(kinds)}")
        if "integer" in kinds and "number" in kinds:
            kinds.remove("integer")
        build = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
        }
        found = [build[kind]({**schema, "type": kind}, at) if kind in build else self._scalar(kind) for kind in kinds]
        return found[0] if len(found) == 1 else self._rules.add(*((rule,) for rule in found))

    def _types(self, schema: Mapping[str, Any], at: _Place) -> list[str]:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not kinds or any(not isinstance(kind, str) or kind not in TYPES for kind in kinds):
            raise at.error(f"the type {_short(schema['type'])} is none of {', '.join(TYPES)}")
        return list(dict.fromkeys(kinds))

    def _scalar(self, kind: str) -> Rule:
        return self._rules.words(["true", "false"] if kind == "boolean" else ["null"])

    def _reference(self, schema: Mapping[str, Any], at: _Place) -> Rule:
        """A schema elsewhere in the file, which may hold this one: so its rule has a name before it is known."""
        pointer = schema["$ref"]
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise at.error(f"$ref {_short(pointer)}: only '#' and '#/...', in the schema itself, are supported")
        if pointer in self._named:
            return self._named[pointer]
        target = self._whole
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or key not in target:
                raise at.error(f"$ref {_short(pointer)} leads nowhere")
            target = target[key]
        name = self._rules.reserve()
        self._named[pointer] = Rule(name)
        return self._rules.define(name, [(self.value(target, _Place(pointer, at.depth + 1)),)])

    def _enumeration(self, schema: Mapping[str, Any], at: _Place) -> Rule:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        if not isinstance(values, list) or not values:
            raise at.error("enum is a list of at least one value")
        if "type" in schema:
            kinds = self._types(schema, at)
            values = [value for value in values if any(_is(value, kind) for kind in kinds)]
            if not values:
                raise at.error("no value has the type asked for")
        return self._rules.words([self._json(value, at) for value in values])

    def _json(self, value: object, at: _Place) -> str:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise at.error(f"{_short(value)} cannot be written as JSON") from error
        return text

    def _any_of(self, schema: Mapping[str, Any], at: _Place) -> Rule:
        name = "anyOf" if "anyOf" in schema else "oneOf"
        several = schema[name]
        if not isinstance(several, list) or not several:
            raise at.error(f"{name} is a list of at least one schema")
        found = [self.value(each, at / name / i) for i, each in enumerate(several)]
        if name == "oneOf":
            self._check_apart(several, at)
        return self._rules.add(*((rule,) for rule in found))

    def _check_apart(self, several: list[Any], at: _Place) -> None:
        """A value must fulfil exactly one: it does where types differ, or what one property must be."""
        for i, left in enumerate(several):
            for right in several[:i]:
                if not self._apart(left, right):
                    raise at.error("oneOf: a value might fulfil two of them, use anyOf")

    def _apart(self, left: Any, right: Any) -> bool:
        one, other = (self._resolved(each) for each in (left, right))
        kinds = [_kinds(each) for each in (one, other)]
        if kinds[0] is not None and kinds[1] is not None and not kinds[0] & kinds[1]:
            return True
        if kinds != [{"object"}, {"object"}]:
            return False
        fixed = [
            {
                key: {json.dumps(value, sort_keys=True) for value in values}
                for key in each.get("required", [])
                if (values := _values(each.get("properties", {}).get(key))) is not None
            }
            for each in (one, other)
        ]
        return any(key in fixed[1] and not values & fixed[1][key] for key, values in fixed[0].items())

    def _resolved(self, schema: Any) -> Any:
        """What a $ref to a definition stands for."""
        pointer = schema.get("$ref") if isinstance(schema, Mapping) else None
        target: Any = self._whole
        for part in pointer.split("/")[1:] if isinstance(pointer, str) else []:
            target = target.get(part, {}) if isinstance(target, Mapping) else {}
        return target if isinstance(pointer, str) else schema

    def _all_of(self, schema: Mapping[str, Any], at: _Place) -> Rule:
        several = schema["allOf"]
        if not isinstance(several, list) or len(several) != 1:
            raise at.error("allOf of more than one schema is not supported: write them as one")
        return self.value(several[0], at / "allOf" / 0)

    def _object(self, schema: Mapping[str, Any], at: _Place) -> Rule:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise at.error("properties is an object, required a list")
        if any(not isinstance(name, str) for name in required):
            raise at.error("required is a list of names")
        # Where nothing at all is named, any object is meant; else no more than what is named.
        extra = schema.get("additionalProperties", not properties and not required)
        names = [*properties, *(name for name in dict.fromkeys(required) if name not in properties)]
        members: list[tuple[Rule, bool]] = []
        for name in names:
            if name not in properties and schema.get("additionalProperties") is False:
                raise at.error(f"'{name}' is required, but additionalProperties is false")
            kept = properties[name] if name in properties else schema.get("additionalProperties", True)
            if kept is False and name not in required:
                continue
            value = self.value(kept, at / "properties" / name)
            key = Literal(self._json(name, at) + ":")
            members.append((self._rules.add((key, self._gap(), value)), name in required))
        more = None
        if extra is not False:
            value = self.value(extra, at / "additionalProperties")
            key_rule = self._text(all_but(names)) if names else self._any_text()
            more = self._rules.add((key_rule, Literal(":"), self._gap(), value))
        return self._members(members, more)

    def _members(self, members: list[tuple[Rule, bool]], more: Rule | None) -> Rule:
        """An object of members in their order, each required or not, then any number of others."""
        rules = self._rules
        # What may come from here on, after a member and at the beginning.
        after = first = rules.add(())
        if more is not None:
            following = rules.add((self._comma(), more))
            after = rules.add((Rule(following.name, 0, None),))
            first = rules.add((), (more, after))
        for member, required in reversed(members):
            skip_after: list[Way] = [] if required else [(after,)]
            skip_first: list[Way] = [] if required else [(first,)]
            first = rules.add((member, after), *skip_first)
            after = rules.add((self._comma(), member, after), *skip_after)
        return rules.add((Literal("{"), first, Literal("}")))

    def _array(self, schema: Mapping[str, Any], at: _Place) -> Rule:
        least, most = self._limits(schema, "minItems", "maxItems", at)
        fixed = schema.get("prefixItems", [])
        if not isinstance(fixed, list):
            raise at.error("prefixItems is a list of schemas")
        items = schema.get("items", not fixed)
        heads = [self.value(each, at / "prefixItems" / i) for i, each in enumerate(fixed)]
        if most is not None and most < len(heads):
            raise at.error(f"maxItems {most}, but {len(heads)} prefixItems")
        if items is False or most == len(heads):
            if least > len(heads):
                raise at.error(f"minItems {least}, but there are no more than {len(heads)}")
            return self._list(heads, None, 0, 0)
        item = self.value(items, at / "items")
        return self._list(heads, item, max(least - len(heads), 0), None if most is None else most - len(heads))

    def _list(self, heads: list[Rule], item: Rule | None, least: int, most: int | None) -> Rule:
        """An array of some items, then of `least` to `most` of another kind."""
        rules, parts = self._rules, list[Element]()
        for head in heads:
            parts.extend([self._comma(), head] if parts else [head])
        if item is None:
            return rules.add((Literal("["), *parts, Literal("]")))
        following = rules.add((self._comma(), item))
        if parts:
            return rules.add((Literal("["), *parts, Rule(following.name, least, most), Literal("]")))
        tail = Rule(following.name, max(least - 1, 0), None if most is None else most - 1)
        ways: list[Way] = [(Literal("["), item, *((tail,) if tail.most != 0 else ()), Literal("]"))]
        return rules.add(*ways, *([] if least else [(Literal("[]"),)]))

    def _string(self, schema: Mapping[str, Any], at: _Place) -> Rule:
        given = sorted({"pattern", "format"} & set(schema)) + sorted({"minLength", "maxLength"} & set(schema))[:1]
        if len(given) > 1:
            raise at.error(f"{' and '.join(given)} together are not supported")
        if "pattern" in schema:
            if not isinstance(schema["pattern"], str):
                raise at.error("pattern is a text")
            try:
                return self._text(automaton_of(schema["pattern"], anywhere=True))
            except UsageError as error:
                raise at.error(str(error)) from error
        if "format" in schema:
            if schema["format"] not in FORMATS:
                raise at.error(f"the format {_short(schema['format'])} is none of {', '.join(FORMATS)}")
            return self._text(automaton_of(FORMATS[schema["format"]]))
        least, most = self._limits(schema, "minLength", "maxLength", at)
        return self._any_text(least, most)

    def _number(self, schema: Mapping[str, Any], at: _Place) -> Rule:
        low = self._bound(schema, "minimum", "exclusiveMinimum", at)
        high = self._bound(schema, "maximum", "exclusiveMaximum", at)
        try:
            pattern = (integers if schema["type"] == "integer" else numbers)(low, high)
            if pattern not in self._shared:
                self._shared[pattern] = self._rules.automaton(automaton_of(pattern), Spelling())
        except UsageError as error:
            raise at.error(str(error)) from error
        return self._shared[pattern]

    def _bound(self, schema: Mapping[str, Any], closed: str, open_: str, at: _Place) -> Bound | None:
        if closed in schema and open_ in schema:
            raise at.error(f"{closed} and {open_} together are not supported: give the narrower one")
        name = next((name for name in (closed, open_) if name in schema), None)
        if name is None:
            return None
        if not _is(schema[name], "number") or (isinstance(schema[name], float) and not math.isfinite(schema[name])):
            raise at.error(f"{name} {_short(schema[name])} is not a number")
        try:
            return Bound(Decimal(str(schema[name])), open=name == open_)
        except UsageError as error:
            raise at.error(str(error)) from error

    def _limits(self, schema: Mapping[str, Any], lower: str, upper: str, at: _Place) -> tuple[int, int | None]:
        least, most = schema.get(lower, 0), schema.get(upper)
        for name, value in ((lower, least), (upper, most)):
            if value is not None and (not _is(value, "integer") or not 0 <= value <= MOST_REPEATS):
                raise at.error(f"{name} {_short(value)}: it must be 0 to {MOST_REPEATS:,}")
        if most is not None and most < least:
            raise at.error(f"{lower} {least} is more than {upper} {most}")
        return int(least), most if most is None else int(most)

    def _free(self, depth: int) -> Rule:
        """Any value, nested no deeper than `depth`."""
        key = f"any {depth}"
        if key not in self._shared:
            kinds = [
                (self._any_text(),),
                (self._number({"type": "number"}, _Place()),),
                (self._scalar("boolean"),),
                (self._scalar("null"),),
            ]
            if depth:
                inner = self._free(depth - 1)
                member = self._rules.add((self._any_text(), Literal(":"), self._gap(), inner))
                kinds.append((self._list([], inner, 0, None),))
                kinds.append((self._members([], member),))
            self._shared[key] = self._rules.add(*kinds)
        return self._shared[key]

    def _any_text(self, least: int = 0, most: int | None = None) -> Rule:
        key = f"text {least} {most}"
        if key not in self._shared:
            quote = Literal('"')
            middle = () if most == 0 else (Rule(self._character().name, least, most),)
            self._shared[key] = self._rules.add((quote, *middle, quote))
        return self._shared[key]

    def _character(self) -> Rule:
        """A character in a JSON string. Halves of a pair are left out, for which Python has no character."""
        if "character" not in self._shared:
            digit = Characters(_HEX)
            low, d = Characters(((0x30, 0x37),)), Characters(((0x44, 0x44), (0x64, 0x64)))
            but_d = Characters(((0x30, 0x39), (0x41, 0x43), (0x45, 0x46), (0x61, 0x63), (0x65, 0x66)))
            code = self._rules.add((but_d, digit, digit, digit), (d, low, digit, digit))
            escaped = self._rules.add((Characters(union((ord(c), ord(c)) for c in '"\\/bfnrt')),), (Literal("u"), code))
            self._shared["character"] = self._rules.add((Characters(_PLAIN),), (Literal("\\"), escaped))
        return self._shared["character"]

    def _text(self, automaton: Automaton) -> Rule:
        """A JSON string of the automaton's texts."""
        quote = Literal('"')
        return self._rules.add((quote, self._rules.automaton(automaton, _Spelled()), quote))

    def _comma(self) -> Rule:
        if "comma" not in self._shared:
            self._shared["comma"] = self._rules.add((Literal(","), self._gap()))
        return self._shared["comma"]

    def _gap(self) -> Rule:
        if "gap" not in self._shared:
            self._shared["gap"] = self._rules.add((), (Literal(" "),))
        return self._shared["gap"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is(value: object, kind: str) -> bool:
    """Whether a value is of a JSON type; Python counts booleans among the integers."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[kind])


def _values(schema: Any) -> list[Any] | None:
    """The only values that a schema allows, where it lists them."""
    if not isinstance(schema, Mapping):
        return None
    listed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return listed if isinstance(listed, list) else None


def _kinds(schema: Any) -> set[str] | None:
    """The types that a schema allows, where it says so; whole numbers among all numbers."""
    if not isinstance(schema, Mapping):
        return None
    if (values := _values(schema)) is not None:
        return {kind for kind in TYPES if kind != "integer" for value in values if _is(value, kind)}
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not all(isinstance(kind, str) for kind in kinds):
        return None
    return {"number" if kind == "integer" else kind for kind in kinds}
