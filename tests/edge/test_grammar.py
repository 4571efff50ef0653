"""Grammars: what they let through, what they refuse, and that llama.cpp reads them as we do."""

import json
import re
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicvl.edge.gbnf import MOST_RULES
from magicvl.edge.grammar import MOST_CHOICES, MOST_SCHEMA_BYTES, Grammar, make_grammar
from magicvl.edge.number_ranges import Bound, integers, numbers
from magicvl.edge.regex import automaton_of
from magicvl.errors import UsageError

Takes = Callable[[Grammar, str], bool]


PATTERNS = [
    r"a*b",
    r"(a|a|ab)*c?",
    r"(a*)*b{2,3}?",
    r"^[a-c]{1,3}$",
    r"a|^b$|",
    r"\d{2}(?:-\d\d)*",
    r"[^ab\n]+|a.b",
    r"(?P<x>a|)(b|)+c",
    r"\w+\.\s?\W",
    r"x{0}é[à-ü]*|東{1,2}",
    r"[\"\\\]\-^]+",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_an_automaton_matches_what_python_matches(pattern: str, data: st.DataObject) -> None:
    automaton = automaton_of(pattern)
    likely = st.text(alphabet='abc019-_. \n\t"\\]^éü東x', max_size=7)
    matching = st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)
    text = data.draw(
        likely | matching.filter(lambda found: "\0" not in found and not re.search("[\ud800-\udfff]", found))
    )
    assert automaton.matches(text) == bool(re.compile(rf"(?:{pattern})\Z", re.ASCII).match(text))
    somewhere = automaton_of(pattern, anywhere=True) if pattern != r"a|^b$|" else None
    assert somewhere is None or somewhere.matches(text) == bool(re.search(pattern.replace("$", r"\Z"), text, re.ASCII))


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_llama_cpp_takes_what_the_expression_matches(pattern: str, takes: Takes, data: st.DataObject) -> None:
    automaton, grammar = automaton_of(pattern), make_grammar(regex=pattern)
    assert grammar is not None
    text = data.draw(st.text(alphabet='abc01-. \n"\\é東', max_size=5))
    assert takes(grammar, text) == automaton.matches(text)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "unterminated"),
        ("a{3,2}", "min repeat"),
        ("(a{1000}){1000}", "longer than 5,000"),
        ("(((){9999}){9999}){9999}", "longer than 5,000"),
        ("a{99999999999}", "repeated too often"),
        (".*a.{12}", "more than 2,000 states"),
        ("(" * 1500 + ")" * 1500, "too deeply"),
        ("a" * 4001, "at most 4,000"),
        (r"(a)\1", "back reference"),
        (r"a(?=b)", "looking"),
        (r"(?<!a)b", "looking"),
        (r"a\b", "word boundary"),
        (r"a^b", "anchor"),
        (r"(?i)a", "flag"),
        (r"(?i:a)b", "flag"),
        (r"a*+", "possessive"),
        (r"(?>a)", "atomic"),
        (r"[^\s\S]", "no character"),
        ("\ud800", "half a character"),
        ("a\0b", "NUL"),
        ("", "not empty"),
    ],
)
def test_an_expression_that_cannot_be_followed_is_refused_at_once(pattern: str, words: str) -> None:
    started = time.process_time()
    with pytest.raises(UsageError, match=words) as caught:
        make_grammar(regex=pattern)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert time.process_time() - started < 5


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    choices=st.lists(st.text(alphabet='ab"\\| \n[é', min_size=1, max_size=4), min_size=1, max_size=6, unique=True),
    other=st.text(alphabet='ab"\\| \n[é', max_size=4),
)
def test_choices_are_taken_and_nothing_else(takes: Takes, choices: list[str], other: str) -> None:
    grammar = make_grammar(choices=choices)
    assert grammar is not None
    assert all(takes(grammar, choice) for choice in choices)
    assert takes(grammar, other) == (other in choices)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ([], "0 choices"),
        ([""], "not empty"),
        (["a", "b", "a"], "given twice"),
        ([1], "must be a text"),
        ("yes", "give a list"),
        (["a\0"], "NUL"),
        ([str(i) for i in range(MOST_CHOICES + 1)], "1 to 1,000"),
        (["x" * 10_001], "at most 10,000"),
    ],
)
def test_choices_that_cannot_be_meant_are_refused(choices: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_grammar(choices=choices)


def test_only_one_of_the_three_is_taken() -> None:
    assert make_grammar() is None
    with pytest.raises(UsageError, match="schema and regex at once"):
        make_grammar({"type": "string"}, None, "a")
    with pytest.raises(UsageError, match="choices and regex at once"):
        make_grammar(choices=["a"], regex="a")


def decimals() -> st.SearchStrategy[Decimal]:
    return st.builds(
        lambda digits, places: Decimal(digits).scaleb(-places), st.integers(-3000, 3000), st.integers(0, 3)
    )


@settings(max_examples=40, deadline=None)
@given(
    low=st.none() | st.builds(Bound, decimals(), st.booleans()),
    high=st.none() | st.builds(Bound, decimals(), st.booleans()),
    nearby=st.lists(st.tuples(st.booleans(), st.integers(-20, 20), st.integers(0, 5)), min_size=1, max_size=20),
)
def test_a_range_holds_the_numbers_between_its_bounds(
    low: Bound | None, high: Bound | None, nearby: list[tuple[bool, int, int]]
) -> None:
    def within(value: Decimal) -> bool:
        above = low is None or value > low.value or (value == low.value and not low.open)
        return above and (high is None or value < high.value or (value == high.value and not high.open))

    for make, whole in ((numbers, False), (integers, True)):
        try:
            automaton = automaton_of(make(low, high))
        except UsageError:
            automaton = None
        for near_low, distance, places in nearby:
            bound = low if near_low else high
            value = (bound.value if bound else Decimal(0)) + Decimal(distance).scaleb(-places)
            text = f"{value:f}"
            if (whole and "." in text) or (text.startswith("-") and value == 0):
                continue
            assert (automaton is not None and automaton.matches(text)) == within(value), (low, high, text)
            assert json.loads(text) == pytest.approx(float(value))


INVOICE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An invoice",
    "type": "object",
    "properties": {
        "total": {"type": "number", "minimum": 0, "exclusiveMaximum": 1e6},
        "currency": {"enum": ["EUR", "USD", 'a "b"\n']},
        "paid": {"type": ["boolean", "null"]},
        "date": {"type": "string", "format": "date"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["total", "lines"],
    "additionalProperties": False,
    "$defs": {
        "line": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "pattern": '^[A-Z"]{2}\\d$'},
                "note": {"type": "string", "maxLength": 3},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/line"}},
            },
            "required": ["code"],
        }
    },
}


@pytest.mark.parametrize(
    "text",
    [
        '{"total":0,"lines":[{"code":"AB1"}]}',
        '{"total": 12.50, "currency": "EUR", "lines": [{"code": "A\\"1", "note": "\\u00e9東"}, {"code": "ZZ9"}]}',
        '{"total":999999.99,"currency":"a \\"b\\"\\n","paid":null,"date":"2024-02-29","lines":[{"code":"AB1"}]}',
        '{"total":1,"lines":[{"code":"AB1","parts":[{"code":"AB2","parts":[]}]}]}',
    ],
)
def test_a_schema_takes_what_fulfils_it(takes: Takes, text: str) -> None:
    grammar = make_grammar(INVOICE)
    assert grammar is not None
    jsonschema.validate(json.loads(text), INVOICE)
    assert takes(grammar, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"total":0}',
        '{"total":-1,"lines":[{"code":"AB1"}]}',
        '{"total":1000000,"lines":[{"code":"AB1"}]}',
        '{"total":1e3,"lines":[{"code":"AB1"}]}',
        '{"total":0,"lines":[]}',
        '{"total":0,"lines":[{"code":"AB1"}],"other":1}',
        '{"lines":[{"code":"AB1"}],"total":0}',
        '{"total":0,"lines":[{"code":"AB1","note":"four"}]}',
        '{"total":0,"date":"2023-02-29","lines":[{"code":"AB1"}]}',
        '{"total":0,"lines":[{"code":"AB1"}]} ',
        '{"total":0,"lines":[{"code":"AB1"}]',
        '{"total":0,"lines":[{"code":"AB1","note":"\n"}]}',
        '{"total":0,"lines":[{"code":"AB1","note":"\\ud800"}]}',
    ],
)
def test_a_schema_takes_nothing_else(takes: Takes, text: str) -> None:
    grammar = make_grammar(INVOICE)
    assert grammar is not None and not takes(grammar, text)


TREE = {"type": "object", "properties": {"child": {"$ref": "#"}, "n": {"const": 1}}}
TAGGED = {
    "oneOf": [
        {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind", "x"]},
        {"type": "object", "properties": {"kind": {"enum": ["b", "c"]}}, "required": ["kind"]},
        {"type": "string", "minLength": 2},
    ]
}


@pytest.mark.parametrize(
    ("schema", "taken", "not_taken"),
    [
        ({}, ['{"a":[1,{"b":null}]}', '"x"', "-1.5e-3", "[]"], ["nul", "01", "[1,]", "[[[[[[1]]]]]]"]),
        ({"type": "object"}, ["{}", '{"a": 1, "": 2}'], ["[]", "{,}", '{"a":1,}']),
        (TREE, ["{}", '{"child":{"child":{},"n":1}}'], ['{"n":2}', '{"n":1,"child":{}}']),
        (TAGGED, ['{"kind":"a","x":-3}', '{"kind":"c"}', '"é\\n"'], ['{"kind":"a"}', '"x"', '{"kind":"d"}']),
        ({"type": "object", "additionalProperties": {"type": "integer"}, "properties": {"ab": {"type": "null"}}},
         ["{}", '{"ab":null,"a":1,"abc":2}', '{"b":1}'], ['{"a":1,"ab":2}', '{"ab":1}', '{"a":null}']),
        ({"type": "object", "required": ["a"], "properties": {"b": {"type": "null"}}}, ['{"b":null,"a":[1]}'], ["{}"]),
        ({"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}]}, ["[null,true]"], ["[null]"]),
        ({"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "integer"}, "maxItems": 3},
         ["[null]", "[null,1,2]"], ["[null,1,2,3]", "[1]"]),
        ({"type": "array", "items": {"const": 1}, "minItems": 2}, ["[1,1]", "[1, 1, 1]"], ["[1]", "[]"]),
        ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
        ({"type": "string", "pattern": "b+"}, ['"abc"', '"\\nb"'], ['"a"']),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ['"é"', '"\\u00e9x"', '"\\\\"'], ['""', '"abc"', '"\\"']),
        ({"enum": [1, "1", None, [1, {"a": "b"}]]}, ["1", '"1"', "null", '[1, {"a": "b"}]'], ["2", "[1]"]),
        ({"enum": [1, "x"], "type": "string"}, ['"x"'], ["1"]),
        ({"type": "integer", "minimum": -2.5, "exclusiveMaximum": 11}, ["-2", "0", "10"], ["-3", "11", "1.0", "-0"]),
        ({"minimum": 0.25, "maximum": 1}, ["0.25", "0.3", "1", "1.0"], ["0.2", "0", "1.01"]),
        ({"allOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"type": "null"}}}, ["null"], ["1"]),
        ({"type": "string", "format": "time"}, ['"23:59:59Z"', '"00:00:00.5+01:00"'], ['"24:00:00Z"', '"1:00:00Z"']),
        ({"type": "string", "format": "ipv4"}, ['"255.0.10.1"'], ['"256.0.0.1"', '"1.1.1"']),
    ],
)  # fmt: skip
def test_each_keyword_does_what_it_says(takes: Takes, schema: Any, taken: list[str], not_taken: list[str]) -> None:
    grammar = make_grammar(schema)
    assert grammar is not None
    for text in taken:
        jsonschema.validate(json.loads(text), schema)
        assert takes(grammar, text), text
    for text in not_taken:
        assert not takes(grammar, text), text


def deep(schema: Any, times: int) -> Any:
    for _ in range(times):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "not": {}}, "at #: the keyword 'not' is not supported"),
        ({"properties": {"a": {"uniqueItems": True}}}, "at #/properties/a: the keyword 'uniqueItems'"),
        ({"type": "integer", "multipleOf": 2}, "multipleOf"),
        ({"type": "integer", "minLength": 2}, "'minLength' has no effect on integer"),
        ({"minLength": 2, "minimum": 2}, "say which by 'type'"),
        ({"type": "text"}, "the type 'text' is none of object"),
        ({"type": []}, "the type"),
        ({"type": "string", "format": "uri"}, "the format 'uri' is none of date"),
        ({"type": "string", "pattern": "(a{1000}){1000}"}, "longer than 5,000"),
        ({"type": "string", "pattern": "a", "maxLength": 3}, "together"),
        ({"type": "string", "maxLength": 1001}, "0 to 1,000"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength 3 is more than"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no integer"),
        ({"type": "integer", "minimum": 0.2, "maximum": 0.8}, "no integer"),
        ({"type": "number", "minimum": 1, "exclusiveMaximum": 1}, "no number"),
        ({"type": "number", "minimum": "1"}, "not a number"),
        ({"type": "number", "minimum": 10**400}, "a bound of"),
        ({"type": "number", "minimum": 1e-300}, "a bound of"),
        ({"$ref": "https://example.com/a"}, "only '#'"),
        ({"$ref": "#/a/b"}, "leads nowhere"),
        ({"$ref": "#"}, "no finite answer"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "no finite answer"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "refers to itself without end"),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "use anyOf"),
        ({"allOf": [{"type": "object"}, {"required": ["a"]}]}, "allOf of more than one"),
        ({"anyOf": [{"type": "object"}], "required": ["a"]}, "'required' beside 'anyOf'"),
        ({"enum": []}, "at least one"),
        ({"enum": [1], "type": "string"}, "no value has the type"),
        ({"const": float("nan")}, "cannot be written as JSON"),
        ({"required": ["a"], "additionalProperties": False}, "additionalProperties is false"),
        ({"properties": []}, "properties is an object"),
        ({"items": 1}, "a schema is an object, or true"),
        ({"items": False, "minItems": 1}, "no more than 0"),
        ({"properties": {"a": False}, "required": ["a"]}, "false allows no value"),
        (deep({"type": "null"}, 40), "more than 32 deep"),
        ({"properties": {f"p{i}": {"type": "string", "maxLength": 1000 - i} for i in range(30)}}, f"{MOST_RULES:,}"),
        ([], "give a dictionary"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused_with_its_place(schema: Any, words: str) -> None:
    started = time.process_time()
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        make_grammar(schema)
    assert "\n" not in str(caught.value)
    assert time.process_time() - started < 5


def test_alternatives_that_multiply_are_refused() -> None:
    """Ten levels of three make 3**10 ways to begin, which llama.cpp would try one after the other."""

    def level(i: int) -> Any:
        names = [f"{letter}{i + 1}" for letter in "abc"]
        return {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}

    defs = {f"{letter}{i}": level(i) for i in range(10) for letter in "abc"}
    leaves = {f"{letter}10": {"const": letter} for letter in "abc"}
    with pytest.raises(UsageError, match="more than 5,000 ways"):
        make_grammar({"$ref": "#/$defs/a0", "$defs": defs | leaves})


def test_a_schema_file_is_read_within_limits(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(INVOICE))
    assert make_grammar(path) == make_grammar(str(path)) == make_grammar(INVOICE)
    for content, words in (
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("true", "the file holds bool"),
        (" " * (MOST_SCHEMA_BYTES + 1), "more than 262,144 bytes"),
    ):
        path.write_text(content)
        with pytest.raises(UsageError, match=words):
            make_grammar(path)
    with pytest.raises(UsageError, match="No such file"):
        make_grammar(tmp_path / "nowhere.json")


def test_nothing_of_a_user_reaches_the_grammar_as_it_is() -> None:
    """Quotes, line ends and brackets of a user's could end a rule and begin another."""
    nasty = 'a"\n root ::= "b" [^\\]] | \\x41 #'
    for grammar in (
        make_grammar(choices=[nasty, "b"]),
        make_grammar(regex=re.escape(nasty)),
        make_grammar({"type": "object", "properties": {nasty: {"const": nasty}}, "required": [nasty]}),
    ):
        assert grammar is not None
        assert re.fullmatch(r"(?:(?:root|r\d+) ::= [\w \"\[\]\\|{},-]*\n)+", grammar.gbnf)
        assert grammar.gbnf.count("root ::=") == 1


def test_a_value_is_parsed_for_a_schema_alone() -> None:
    kinds = [make_grammar({}), make_grammar(choices=["1"]), make_grammar(regex="1")]
    assert [grammar.value("1") for grammar in kinds if grammar] == [1, "1", "1"]
