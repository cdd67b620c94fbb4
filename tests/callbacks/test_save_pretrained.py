"""Two commands that save a model into one folder do not write into each other's files."""

import os
import socket
from types import SimpleNamespace

import pytest
from lightning_untrac.callbacks.save_pretrained import save_pretrained

from lightning_untrac import LanguageModule
from lightning_untrac.tables.checksums import damaged_files


@pytest.fixture
def saved(tmp_path, model_folders):
    """Save a model, and say which folders its files were written to."""
    module = LanguageModule(name_or_path=model_folders("llama"))
    module.configure_model()
    trainer = SimpleNamespace(is_global_zero=True, strategy=SimpleNamespace(barrier=lambda name: None))
    names = []
    save = module.model.save_pretrained

    def noted(folder, **options):
        names.append(folder.name)
        save(folder, **options)

    module.model.save_pretrained = noted
    return lambda: (save_pretrained(trainer, module, tmp_path / "model"), names)[1]


def test_files_of_another_command_are_left_alone_and_those_of_a_killed_one_go(saved, tmp_path):
    host = socket.gethostname()
    other = tmp_path / f".model.{host}-{os.getppid()}.partial"  # the parent of this process lives
    killed = tmp_path / f".model.{host}-{2**22 + 5}.partial"  # above the largest id of a process
    for folder in (other, killed):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
    saved()
    assert (other / "model.safetensors").read_bytes() == b"half"
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "model"]
    assert damaged_files(tmp_path / "model") == []


def test_two_processes_write_to_two_names_and_one_whole_folder_stays(saved, tmp_path):
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, saved()[0].encode())
        os._exit(0)
    mine = saved()[0]
    assert os.waitpid(child, 0)[1] == 0
    theirs = os.read(reading, 1000).decode()
    assert mine != theirs
    assert mine.startswith(".model.")
    assert theirs.startswith(".model.")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert damaged_files(tmp_path / "model") == []
