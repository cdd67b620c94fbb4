"""Names of the hub: one bounded look at all of them, and cached ones need no network."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from lightning_untrac import hub
from lightning_untrac.hub import HubName, hub_problem, look

NAMES = [HubName("model", "some/model"), HubName("dataset", "some/texts"), HubName("model", "gpt2")]


@pytest.fixture(autouse=True)
def _online(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "_answers", {})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)


class _Hub(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path.startswith("/api/models/some/model")
        body = json.dumps({"id": "some/model"} if known else {"error": "Repository not found"}).encode()
        self.send_response(200 if known else 404)
        if not known:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_what_the_hub_has_and_what_it_has_not(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        look(NAMES)
    finally:
        server.shutdown()
        server.server_close()
    # The server is gone: these are answers of the one look.
    assert hub_problem("model", "some/model") is None
    assert "has no such dataset" in hub_problem("dataset", "some/texts")


def test_a_hub_that_never_answers_is_given_up_at_once_for_all_names(monkeypatch):
    monkeypatch.setattr(hub, "LOOK_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        look(NAMES)
        for name in NAMES:
            assert "no answer from http://127.0.0.1" in hub_problem(name.kind, name.name)


def test_cached_names_need_no_network(monkeypatch, tmp_path):
    (tmp_path / "hub" / "models--some--model" / "snapshots" / "abc").mkdir(parents=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_problem("model", "some/model") is None
    assert hub_problem("model", "gpt2") == "HF_HUB_OFFLINE is set"


def test_all_names_are_named_in_one_message(untrac_offline, tmp_path):
    text = untrac_offline
    assert "tokenizer: can't load 'some/tokenizer' (HF_HUB_OFFLINE is set" in text
    assert "'some/texts' is neither a file or folder here nor loadable from the hub (HF_HUB_OFFLINE is set" in text
    assert "'some/tests' is neither" in text


@pytest.fixture
def untrac_offline(monkeypatch, tmp_path, capsys):
    from lightning_untrac.cli import main

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = {
        "model": {"config": {"model_type": "llama"}, "tokenizer": "some/tokenizer"},
        "data": {
            "corpora": [{"name": "a", "path": "some/texts"}],
            "test_sets": [{"name": "b", "path": "some/tests"}],
        },
        "trainer": {"accelerator": "cpu"},
    }
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(config))
    arguments = ["trace", "--method", "untrac", "--config", str(path), "--output", str(tmp_path / "out")]
    assert main(arguments) == 2
    return capsys.readouterr().err
