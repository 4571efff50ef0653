"""A judge behind HTTP: held to a schema, patient with what passes, clear about what does not; no verdict twice."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from magicvl.edge.prompt import Message
from magicvl.errors import MagicVLError, UsageError
from magicvl.train.rewards.chooser import Question
from magicvl.train.rewards.endpoint import Endpoint, EndpointSettings
from magicvl.train.rewards.event_judge import AskedJudge, JudgedEntailer
from magicvl.train.rewards.event_score import Asked
from magicvl.train.rewards.verdicts import KeptVerdicts

Reply = Callable[[dict[str, Any]], tuple[int, object]]


class Server:
    """An endpoint that answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.reply: Reply = lambda _: (200, said("Yes"))
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append({"path": self.path, **body})
                server.headers.append(dict(self.headers))
                code, found = server.reply(body)
                data = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "/v1/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.settings = EndpointSettings(f"http://127.0.0.1:{self.http.server_port}/v1/", "m", pause=0.01, timeout=5)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def said(word: str) -> dict[str, Any]:
    return {"choices": [{"message": {"content": json.dumps({"verdict": word})}}]}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


QUESTION = Question((Message("user", ("Is it? Yes or No.",)),), ("Yes", "No"))


def test_a_verdict_is_held_to_the_words(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGICVL_JUDGE_KEY", "secret")
    assert Endpoint(server.settings).choose([QUESTION]) == [(1.0, 0.0)]
    asked = server.asked[0]
    assert asked["path"] == "/v1/chat/completions"
    assert asked["messages"] == [{"role": "user", "content": "Is it? Yes or No."}]
    assert asked["response_format"]["json_schema"]["schema"]["properties"]["verdict"]["enum"] == ["Yes", "No"]
    assert server.headers[0]["Authorization"] == "Bearer secret"


def test_no_key_is_sent_where_none_is_set(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAGICVL_JUDGE_KEY", raising=False)
    Endpoint(server.settings).choose([QUESTION])
    assert "Authorization" not in server.headers[0]


def test_answers_stand_in_the_order_of_questions(server: Server) -> None:
    server.reply = lambda body: (200, said("Yes" if "even" in body["messages"][0]["content"] else "No"))
    questions = [
        Question((Message("user", (f"{i} is {'odd' if i % 2 else 'even'}",)),), ("Yes", "No")) for i in range(20)
    ]
    assert [shares[0] for shares in Endpoint(server.settings).choose(questions)] == [1.0, 0.0] * 10


@pytest.mark.parametrize(
    "first", [(503, {}), (429, {}), (200, b"<html>"), (200, said("Maybe")), (200, {"choices": []})]
)
def test_what_passes_is_tried_again(server: Server, first: tuple[int, object]) -> None:
    server.reply = lambda _: first if len(server.asked) == 1 else (200, said("No"))
    assert Endpoint(server.settings).choose([QUESTION]) == [(0.0, 1.0)]
    assert len(server.asked) == 2


def test_a_bare_word_is_a_verdict_too(server: Server) -> None:
    server.reply = lambda _: (200, {"choices": [{"message": {"content": " Yes.\n"}}]})
    assert Endpoint(server.settings).choose([QUESTION]) == [(1.0, 0.0)]


def test_what_stays_wrong_is_told_in_one_line(server: Server) -> None:
    server.reply = lambda _: (500, {"error": "out of\nmemory"})
    with pytest.raises(MagicVLError, match=r"#m: no verdict after 4 tries: HTTP 500: .*out of") as told:
        Endpoint(server.settings).choose([QUESTION])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("code", [401, 404, 302])
def test_what_cannot_pass_is_not_tried_again(server: Server, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGICVL_JUDGE_KEY", "secret")
    server.reply = lambda _: (code, {"error": "no"})
    with pytest.raises(MagicVLError, match=f"HTTP {code}") as told:
        Endpoint(server.settings).choose([QUESTION])
    assert len(server.asked) == 1
    assert "secret" not in str(told.value)


def test_an_endpoint_that_is_not_there(server: Server) -> None:
    gone = replace(server.settings, url="http://127.0.0.1:9/v1", tries=2)
    with pytest.raises(MagicVLError, match="no verdict after 2 tries"):
        Endpoint(gone).choose([QUESTION])


@pytest.mark.parametrize(("url", "model"), [("ftp://host/v1", "m"), ("host/v1", "m"), ("https://host/v1", "")])
def test_an_address_has_a_scheme_and_a_model(url: str, model: str) -> None:
    with pytest.raises(UsageError, match="judge"):
        EndpointSettings(url, model)


def test_kept_verdicts_are_not_asked_again(server: Server, tmp_path: Path) -> None:
    asked = [Asked("A dog runs.", ("a dog runs", "a cat runs")), Asked("A dog runs.", ("a dog runs",))]
    server.reply = lambda body: (200, said("Yes" if "Event: a dog" in body["messages"][-1]["content"] else "No"))
    for _ in range(2):
        with KeptVerdicts(Endpoint(server.settings), tmp_path / "kept") as kept:
            assert JudgedEntailer(AskedJudge(kept), 0.0).entails(asked) == [(True, False), (True,)]
    assert len(server.asked) == 2
    with KeptVerdicts(Endpoint(replace(server.settings, model="other")), tmp_path / "kept") as kept:
        AskedJudge(kept).sure(asked)
    assert len(server.asked) == 4


def test_verdicts_before_a_failure_are_kept(server: Server, tmp_path: Path) -> None:
    questions = [Question((Message("user", (str(number),)),), ("Yes", "No")) for number in range(65)]
    server.reply = lambda body: (401, {}) if body["messages"][0]["content"] == "64" else (200, said("Yes"))
    with KeptVerdicts(Endpoint(server.settings), tmp_path) as kept, pytest.raises(MagicVLError):
        kept.choose(questions)
    server.asked.clear()
    server.reply = lambda _: (200, said("Yes"))
    with KeptVerdicts(Endpoint(server.settings), tmp_path) as kept:
        assert kept.choose(questions) == [(1.0, 0.0)] * 65
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="verdicts can't be kept"):
        KeptVerdicts(Endpoint(server.settings), tmp_path / "file")
