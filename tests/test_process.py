"""Measurements that the models of one process share are made once, on whichever thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from playground.process import Measurements


def test_each_key_is_measured_once():
    measurements, calls = Measurements(), []

    def measure(key):
        return measurements.once(key, lambda: calls.append(key))

    for key in ("a", "b", "a", ("a", 1), ("a", 1)):
        measure(key)
    assert calls == ["a", "b", ("a", 1)]  # None is an answer like any other


def test_threads_wait_for_the_measurement_they_need_and_for_no_other():
    measurements, calls = Measurements(), []
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        calls.append("slow")
        begun.set()
        assert go_on.wait(30)
        return 1

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(measurements.once, "slow", slow)
        assert begun.wait(30)
        second = threads.submit(measurements.once, "slow", slow)
        assert measurements.once("other", lambda: 2) == 2
        go_on.set()
        assert (first.result(30), second.result(30)) == (1, 1)
    assert calls == ["slow"]


def test_what_raises_is_measured_again():
    measurements = Measurements()
    with pytest.raises(ZeroDivisionError):
        measurements.once("key", lambda: 1 / 0)
    assert measurements.once("key", lambda: 3) == 3
