import json

import pytest

from lightning_untrac.tables.checksums import CHECKSUMS, damaged_files, file_digest, write_checksums


def test_checksums_of_a_folder(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"0123")
    (tmp_path / "config.json").write_bytes(b"{}")
    assert damaged_files(tmp_path) == []  # none were written
    write_checksums(tmp_path)
    assert damaged_files(tmp_path) == []
    (tmp_path / "weights.bin").write_bytes(b"0124")
    (tmp_path / "config.json").unlink()
    assert damaged_files(tmp_path) == [
        "config.json is missing",
        "weights.bin is damaged: its SHA-256 is not the one that was saved with it",
    ]


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", "sub/../../secret", ""])
def test_checksums_name_files_of_their_own_folder_only(tmp_path, name):
    """A name from a file is never followed out of the folder, also where its checksum is right."""
    (tmp_path / "secret").write_bytes(b"s")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / CHECKSUMS).write_text(json.dumps({name: file_digest(tmp_path / "secret")}))
    assert damaged_files(folder) == [f"{CHECKSUMS} names {name!r}, which is no file of this folder"]
