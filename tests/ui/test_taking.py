"""The card of a model that is not on this machine: its size, and the progress of its download."""

from __future__ import annotations

from dataclasses import replace

from playground.models.arrival import Arrival, Estimate
from playground.ui.taking import Pace, offer

GB = 10**9


def test_what_a_model_takes_is_said_in_bytes() -> None:
    estimate = Estimate("a/big", "big", "3 billion parameters.", 6 * GB, 7 * GB, 50 * GB, 9 * GB, 0)
    shown = offer(estimate)
    assert shown["words"] == (
        "big is not on this machine. 3 billion parameters. Download: 6 GB, where 50 GB are free. "
        "Memory: 7 GB of 9 GB that this host has for models."
    )
    assert shown["bytes"] == "6 GB"
    crowded = replace(estimate, held=3 * GB)
    assert offer(crowded)["words"].endswith("A model that nobody uses is dropped for it.")
    unknown = replace(crowded, memory=None)
    assert offer(unknown)["words"].endswith("Memory: is known once it is read.")


def test_how_far_it_is_comes_with_its_speed_once_that_is_known() -> None:
    arrival = Arrival("a/big")
    pace = Pace(arrival)
    words = "big: asking the hub what it has …"
    assert pace.coming(0.0) == {"kind": "coming", "id": "a/big", "words": words, "share": None}
    arrival.join()
    arrival.total = 6 * GB
    arrival.reach("fetching")
    assert pace.words(0.0) == ("big: 0 kB of 6 GB fetched …", 0.0)
    arrival.fetched(GB)
    assert pace.words(1.0)[0] == "big: 1 GB of 6 GB fetched …"
    arrival.fetched(GB)
    told, share = pace.words(4.0)
    assert told == "big: 2 GB of 6 GB fetched, 500 MB a second, about 8 s left …"
    assert share == 2 / 6
    arrival.fetched(9 * GB)  # a file that was fetched twice
    assert pace.words(5.0)[1] == 1.0
    arrival.reach("checking")
    assert pace.words(6.0) == ("big: comparing its scores with its own forward pass …", None)
