"""The history's file: whose entries it shows, what it drops, and what it survives."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
import zlib
from pathlib import Path

import pytest

from playground.database import DatabaseError
from playground.history import Entry, History, of_run
from playground.history import store as stores
from playground.trace import Comparison
from tests.traces import COLUMNS, comparison

ANN, BEN = "a" * 32, "b" * 32


def entry(source: str, words: str = "") -> Entry:
    return Entry(source=source, words=words.casefold(), prompt=words)


@pytest.fixture
def history(tmp_path: Path):
    made = History(tmp_path / "deep" / "history.sqlite")
    yield made
    made.close()


def test_a_run_comes_back_as_it_was_without_a_model(history):
    run = comparison(COLUMNS, length=6)
    id = history.keep(ANN, of_run(run), run.to_json())
    (listed,) = history.list(ANN)
    assert (listed.id, listed.source, listed.prompt) == (id, run.id, run.prompt)
    assert [one["recipe"] for one in listed.columns] == [lane.recipe for lane in run.lanes]
    found = history.get(id)
    assert found is not None and Comparison.from_json(found[1]).to_json() == run.to_json()
    assert history.of_source(run.id) == found and history.get("nothing") is None


def test_a_visitor_sees_and_deletes_their_own_alone(history):
    mine, other = history.keep(ANN, entry("r1"), "{}"), history.keep(BEN, entry("r1"), "{}")
    assert mine != other
    assert [one.id for one in history.list(ANN)] == [mine]
    assert history.delete(BEN, mine) == 0 and history.delete(ANN, mine) == 1
    assert history.list(ANN) == [] and len(history.list(BEN)) == 1
    history.keep(ANN, entry("r2"), "{}")
    assert history.delete(ANN) == 1 and history.get(other) is not None


def test_the_file_tells_nobodys_key_and_nothing_of_what_was_deleted(history):
    id = history.keep(ANN, entry("r1", "a very secret prompt"), "{}")
    history.delete(ANN, id)
    history.close()
    written = b"".join(file.read_bytes() for file in history.file.parent.iterdir())
    assert ANN.encode() not in written and b"very secret" not in written


def test_all_words_are_searched_and_stand_for_themselves(history):
    history.keep(ANN, entry("r1", "The Köln cathedral 100% tall"), "{}")
    history.keep(ANN, entry("r2", "the cat_hedral"), "{}")
    for search, found in (
        ("", ["r2", "r1"]),
        ("KÖLN tall", ["r1"]),
        ("tall cat", ["r1"]),
        ("100%", ["r1"]),
        ("t_l", []),
        ("cat_h", ["r2"]),
        ("\\", []),
    ):
        assert [one.source for one in history.list(ANN, search)] == found, search


def test_a_list_goes_on_where_it_ended(history):
    for number in range(5):
        history.keep(ANN, entry(f"r{number}"), "{}")
    first = history.list(ANN, most=2)
    rest = history.list(ANN, before=first[-1].created)
    assert [one.source for one in (*first, *rest)] == ["r4", "r3", "r2", "r1", "r0"]


def test_kept_again_it_keeps_its_id_and_its_pin(history):
    id = history.keep(ANN, entry("r1"), "1")
    history.pin(ANN, id)
    assert history.keep(ANN, entry("r1"), "2") == id
    pinned, found = history.pinned(ANN), history.get(id)
    assert pinned is not None and pinned.id == id and found is not None and found[1] == "2"
    other = history.keep(ANN, entry("r2"), "{}")
    history.pin(ANN, other)
    assert [one.pinned for one in history.list(ANN)] == [True, False]
    history.pin(BEN, id)
    assert history.pinned(BEN) is None and history.pinned(ANN).id == other
    history.pin(ANN, None)
    assert history.pinned(ANN) is None


def test_size_and_age_are_bounded_and_a_pin_goes_last(tmp_path, monkeypatch):
    noise = [
        str(Path(__file__).stat().st_ino + n) + "".join(map(chr, range(40, 2000))) for n in range(8)
    ]
    made = History(tmp_path / "h.sqlite", most_bytes=40_000, days=1)
    first = made.keep(ANN, entry("r0"), noise[0])
    size = made.nbytes
    made.pin(ANN, first)
    for number in range(1, 8):
        made.keep(ANN, entry(f"r{number}"), noise[number])
    kept = {one.source for one in made.list(ANN)}
    assert made.nbytes <= 10_000 and {"r0", "r7"} <= kept and "r1" not in kept
    for number in range(12):
        made.keep(f"{number:032x}", entry("r"), noise[number % 8])
    assert made.nbytes <= 40_000 and size
    later = time.time() + 2 * 86_400
    monkeypatch.setattr(stores.time, "time", lambda: later)
    made.keep(BEN, entry("new"), "{}")
    assert [one.source for one in made.list(BEN)] == ["new"]
    assert all(one.pinned for one in made.list(ANN))
    made.close()


def test_a_file_of_an_earlier_form_is_brought_up_to_date(tmp_path):
    file = tmp_path / "h.sqlite"
    with sqlite3.connect(file) as database:
        database.executescript(stores.MIGRATIONS[0])
        for number in range(3):
            content = zlib.compress(f"{number}".encode())
            row = (f"i{number}", b"v", "run", f"s{number}", 1.0, 0, "", "{}", 100, content)
            database.execute(f"INSERT INTO entries VALUES ({', '.join('?' * 10)})", row)
        database.execute("PRAGMA user_version = 1")
    made = History(file, days=3650 * 100)
    assert made.nbytes == 300 and made.of_source("s2")[1] == "2"
    id = made.keep(ANN, entry("r1"), "{}")
    one = made.nbytes - 300
    made.keep(ANN, entry("r1"), "[1, 2, 3, 4, 5, 6]" * 9)  # in the place of the other
    assert made.rows("SELECT sum(bytes) FROM entries") == [(made.nbytes,)]
    assert made.nbytes - 300 != one > 0
    made.delete(ANN, id)
    assert made.nbytes == 300 and made.rows("SELECT count(*) FROM contents") == [(3,)]
    made.close()


def _keeps(file: Path, visitor: str) -> None:
    made = History(file)
    for number in range(30):
        made.keep(visitor, entry(f"r{number}"), "{}")
    made.close()


def test_two_processes_share_the_file(tmp_path):
    file = tmp_path / "h.sqlite"
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_keeps, args=(file, name)) for name in (ANN, BEN)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
        assert other.exitcode == 0
    made = History(file)
    assert len(made.list(ANN, most=99)) == len(made.list(BEN, most=99)) == 30
    made.close()


def test_a_file_of_a_later_version_or_of_none_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "later.sqlite") as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(DatabaseError, match="later version"):
        History(tmp_path / "later.sqlite")
    (tmp_path / "text.sqlite").write_text("no database " * 400)
    with pytest.raises(DatabaseError, match="cannot be used"):
        History(tmp_path / "text.sqlite")
