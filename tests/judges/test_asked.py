"""A language model as the judge: a model of transformers, and a real server on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.judges import Said, find_judge
from lightning_untrac.metrics import find_measures

KEY = "sk-not-a-real-key-0123456789"
CASES = [
    Said("Paris", "It is Paris.", "Where?"),
    Said("Paris", "Lyon {answer}"),
    Said("six", "half a dozen"),
    Said("a", "b"),
]


@dataclass
class Server:
    """An endpoint that says what it is told to."""

    url: str = ""
    replies: list[Any] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0


@pytest.fixture
def server() -> Iterator[Server]:
    told, lock = Server(), threading.Lock()
    under_way = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal under_way
            with lock:
                under_way += 1
                told.most_at_once = max(told.most_at_once, under_way)
                told.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                told.headers.append(dict(self.headers))
                reply = told.replies.pop(0) if told.replies else None
            prompt = told.asked[-1]["messages"][0]["content"]
            status, content = 200, "Yes." if "dozen" in prompt or "It is Paris" in prompt else "No, it doesn't."
            if isinstance(reply, int):
                status, content = reply, f"sorry, {self.headers.get('Authorization')}"
            elif isinstance(reply, float):
                time.sleep(reply)
            elif isinstance(reply, str):
                content = reply
            body = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
            if isinstance(reply, bytes):
                body = reply
            with lock:
                under_way -= 1
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # the judge did not wait
                pass

        def log_message(self, *_: Any) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{serving.server_address[1]}/v1"
    thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
    thread.start()
    yield told
    serving.shutdown()
    thread.join()
    serving.server_close()


def judge_of(server: Server, **settings: Any) -> Any:
    found: Any = find_judge({"class_path": "asked", "init_args": {"url": server.url, "model": "judge", **settings}})
    found._replies.pause = 0.01
    return found


def test_an_endpoint_is_asked_once_for_each_case_with_the_key_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    judge = judge_of(server, key_from="JUDGE_KEY")
    assert judge([*CASES, CASES[0]]) == [True, False, True, False, True]
    assert judge(CASES) == [True, False, True, False]
    assert len(server.asked) == len(CASES)
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert {(asked["model"], asked["temperature"]) for asked in server.asked} == {("judge", 0)}
    said = next(asked["messages"] for asked in server.asked if "Lyon" in asked["messages"][0]["content"])
    assert "Right answer: Paris\nReply: Lyon {answer}\n" in said[0]["content"]  # what was said is no template
    server.headers.clear()
    judge_of(server)(CASES)
    assert not any("Authorization" in headers for headers in server.headers)


def test_what_fails_for_now_is_tried_again(server: Server) -> None:
    server.replies = [500, 429, "I would not say", b"not json", b'{"choices": []}']
    assert judge_of(server, at_once=1, retries=5)(CASES[:1]) == [True]
    assert len(server.asked) == 6
    server.replies = [0.5]
    assert judge_of(server, timeout=0.1)(CASES[:1]) == [True]


@pytest.mark.parametrize(
    ("reply", "said", "tries"),
    [
        (503, r"no verdict in 2 tries: status 503 .*sorry", 2),
        ("Maybe", r"no verdict in 2 tries: its reply says neither yes nor no: 'Maybe'", 2),
        (b"<html>", r"it sent no choices\[0\].message.content: '<html>'", 2),
        (0.5, r"no answer in 0.2 seconds", 2),
        (401, r"status 401 .*the environment variable that key_from names", 1),
        (404, r"status 404 .*url ends in /v1", 1),
    ],
)
def test_what_goes_on_failing_is_said_without_the_key_and_what_was_judged_is_kept(
    reply: Any, said: str, tries: int, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    kept = tmp_path / "kept.jsonl"
    settings = {"key_from": "JUDGE_KEY", "kept": str(kept), "at_once": 1, "retries": 1, "timeout": 0.2}
    server.replies = ["yes", "no", *[reply] * 2]
    with pytest.raises(UnlearningError, match=said) as caught:
        judge_of(server, **settings)(CASES)
    assert KEY not in str(caught.value)
    assert len(server.asked) == 2 + tries
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert {(row["answer"], row["output"], row["reply"], row["gives"]) for row in rows} == {
        (*CASES[0][:2], "yes", True),
        (*CASES[1][:2], "no", False),
    }
    assert KEY not in kept.read_text()
    with kept.open("a") as file:  # as if it had been killed there
        file.write('{"judge": "')
    server.replies, server.asked = [], []
    assert judge_of(server, **settings)(CASES) == [True, False, True, False]
    assert len(server.asked) == 2
    assert judge_of(server, **settings)(CASES) == [True, False, True, False]
    assert len(server.asked) == 2
    judge_of(server, **{**settings, "model": "another"})(CASES)
    assert len(server.asked) == 6


def test_several_requests_are_under_way_at_once(server: Server) -> None:
    server.replies = [0.1] * 4
    judge_of(server, at_once=4, timeout=5)(CASES)
    assert server.most_at_once > 1


def test_an_endpoint_that_is_not_there_is_said() -> None:
    settings = {"url": "http://127.0.0.1:9/v1", "model": "m", "retries": 0}
    with pytest.raises(
        UnlearningError, match=r"127\.0\.0\.1:9/v1/chat/completions gave no verdict in 1 tries: no connection"
    ):
        find_judge({"class_path": "asked", "init_args": settings})(CASES)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "give one of name_or_path and url"),
        ({"url": "http://h/v1", "name_or_path": "x", "model": "m"}, "give one of name_or_path and url"),
        ({"url": "http://h/v1"}, "needs `model`"),
        ({"url": "h:8000/v1", "model": "m"}, "begins with http:// or https://"),
        ({"url": f"http://me:{KEY}@h/v1", "model": "m"}, "url holds more than an address"),
        ({"url": f"http://h/v1?key={KEY}", "model": "m"}, "url holds more than an address"),
        ({"url": "http://h/v1", "model": "m", "key_from": KEY}, "key_from is no name of an environment variable"),
        ({"url": "http://h/v1", "model": "m", "key_from": "A1B2C3D4E5F6"}, "that key_from names is not set"),
        ({"name_or_path": "x", "key_from": "HOME"}, "belong to an endpoint"),
        ({"name_or_path": "x", "template": "{answer}?"}, "template has no {output}"),
        ({"name_or_path": "x", "at_once": 0}, "at_once is 0"),
        ({"name_or_path": "x", "timeout": 0}, "timeout is 0"),
    ],
)
def test_settings_that_do_not_fit_are_said_before_anything_is_asked(settings: Any, said: str) -> None:
    judge = {"class_path": "asked", "init_args": settings}
    with pytest.raises(ConfigurationError) as caught:
        find_measures([{"class_path": "answered", "init_args": {"judge": judge}}])
    assert said in str(caught.value)
    for secret in (KEY, "A1B2C3D4E5F6"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("chat", [False, True])
def test_a_model_says_the_word_that_is_likelier_in_whatever_batch(
    chat: bool, model_folders: Any, tmp_path: Path
) -> None:
    from chats import chat_tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model_folders("llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    if chat:
        tokenizer, folder = chat_tokenizer("chatml"), str(tmp_path / "chat")
        model.resize_token_embeddings(len(tokenizer))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    template = "{answer}|{output}"
    found = {}
    for at_once in (1, 3):
        settings = {"name_or_path": folder, "template": template, "at_once": at_once}
        found[at_once] = find_judge({"class_path": "asked", "init_args": settings})(CASES)
    assert found[1] == found[3]
    firsts = {word: tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in "YyNn"}
    for case, yes in zip(CASES, found[1], strict=True):
        text = f"{case.answer}|{case.output}"
        if chat:
            ids = tokenizer(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)[
                "input_ids"
            ]
        else:
            ids = tokenizer(f"{text}\nAnswer:")["input_ids"]
        with torch.no_grad():
            logits = model.eval()(torch.tensor([ids])).logits[0, -1].double()
        chances = {word: logits[token].exp().item() for word, token in firsts.items()}
        assert yes == (chances["Y"] + chances["y"] > chances["N"] + chances["n"])


def test_a_model_that_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    judge = find_judge({"class_path": "asked", "init_args": {"name_or_path": str(tmp_path)}})
    with pytest.raises(ConfigurationError, match="asked can't load"):
        judge(CASES)
