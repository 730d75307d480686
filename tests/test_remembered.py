"""Results kept on disk are valid under the same circumstances alone; a bad file does no harm."""

from __future__ import annotations

import os

import pytest

from playground import remembered
from playground.remembered import Remembered
from playground.settings import Settings, kernel_environment

HERE = {"weights": "0f3a", "processor": "x"}


def test_a_result_is_found_in_its_own_circumstances_alone(tmp_path):
    kept = Remembered(tmp_path / "new" / "folder", {"MKL_CBWR": "AVX2"})
    assert kept.load(HERE) is None
    kept.save(HERE, [1, 2])
    assert kept.load(HERE) == [1, 2]
    assert kept.load({**HERE, "processor": "y"}) is None
    assert Remembered(kept.folder).load(HERE) is None
    kept.save(HERE, [3])
    assert kept.load(HERE) == [3] and len(list(kept.folder.iterdir())) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"result": 1}',
        b'{"circumstances": {}, "result": 1}',
        b"[" * 100_000,
        b" " * (2 << 20),
    ],
)
def test_a_broken_file_is_no_result_and_is_written_over(tmp_path, content):
    kept = Remembered(tmp_path)
    kept.save(HERE, 1)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert kept.load(HERE) is None
    kept.save(HERE, 2)
    assert kept.load(HERE) == 2


def test_what_cannot_be_kept_is_no_failure(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    Remembered(blocked / "checks").save(HERE, 1)
    assert "cannot be kept" in caplog.text
    assert Remembered(blocked / "checks").load(HERE) is None


def test_old_results_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(remembered, "_MOST_FILES", 3)
    kept = Remembered(tmp_path)
    for number in range(6):
        kept.save({"weights": str(number)}, number)
        for file in tmp_path.iterdir():
            os.utime(file, (file.stat().st_mtime - 10,) * 2)
    assert [kept.load({"weights": str(number)}) for number in range(6)] == [None] * 3 + [3, 4, 5]


def test_a_setting_switches_it_off(tmp_path):
    assert Remembered.of(Settings(remember_checks=False)) is None
    found = Remembered.of(Settings(cache_dir=tmp_path, remember_checks=True))
    assert found is not None and found.folder == tmp_path / "checks"


def test_variables_that_choose_kernels_are_part_of_the_circumstances(tmp_path, monkeypatch):
    before = kernel_environment()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("HOME_OF_NOTHING", "1")
    assert kernel_environment() == before | {"ATEN_CPU_CAPABILITY": "avx2"}
    Remembered.of(Settings(cache_dir=tmp_path, remember_checks=True)).save(HERE, 1)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY")
    assert Remembered.of(Settings(cache_dir=tmp_path, remember_checks=True)).load(HERE) is None
