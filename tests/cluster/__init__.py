"""Replicas over Ray Serve; pytest explains the failures of the contract, too."""

import pytest

pytest.register_assert_rewrite("tests.backends.contract")
