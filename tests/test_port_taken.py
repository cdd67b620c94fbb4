"""A port at which another program listens already: what ranks say that were to meet there."""

import socket
from datetime import timedelta

import pytest
from torch import distributed

from lightning_untrac.faults import TAKEN_PORT, advice


def test_what_to_do_is_said() -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(distributed.DistNetworkError) as taken:
            distributed.TCPStore("127.0.0.1", port, world_size=2, is_master=True, timeout=timedelta(seconds=10))
    assert advice(taken.value) == TAKEN_PORT


def test_other_faults_of_the_network_are_not_of_a_port() -> None:
    with pytest.raises(distributed.DistNetworkError) as nobody:  # listens there
        distributed.TCPStore("127.0.0.1", 9, world_size=2, is_master=False, timeout=timedelta(seconds=1))
    assert advice(nobody.value) != TAKEN_PORT
