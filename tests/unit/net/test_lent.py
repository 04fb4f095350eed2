"""Paths that another process plumbed."""

from __future__ import annotations

import os
from ipaddress import ip_address

import pytest

from omtcp.errors import LocalError
from omtcp.net.lent import Lending, LentPaths
from omtcp.net.pathspec import PathSpec, Uplink

ADDRESS = ip_address("198.51.100.80")


def lending(index: int, gateway: str = "10.0.0.1") -> Lending:
    uplink = Uplink(device="eth0", index=4, mtu=1400, carrier=True, gateway=ip_address(gateway))
    return Lending(
        index=index, spec=PathSpec.parse("eth0,cost=3"), uplink=uplink, table=41, tun="omtcp0"
    )


def test_a_path_is_lent_and_given_back() -> None:
    lent = LentPaths(ADDRESS, 2)
    queue, other = os.pipe()
    lent.take(lending(3), queue)
    assert (lent.ever, list(lent.paths), lent.device_of(3)) == (4, [3], "eth0")
    path = lent.paths[3]
    assert (path.tun.name, path.tun.mtu, path.tun.fileno()) == ("omtcp0", 1400, queue)
    assert path.spec.cost == 3
    lent.remove(3)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(queue)
    assert (lent.ever, lent.device_of(3)) == (4, None)
    os.close(other)


def test_another_gateway_is_another_name_for_the_same_queue() -> None:
    lent = LentPaths(ADDRESS, 1)
    queue, other = os.pipe()
    lent.take(lending(0), queue)
    lent.rename(0, lending(0, "10.0.0.9").uplink)
    lent.rename(7, lending(7).uplink)  # it was removed meanwhile
    assert str(lent.paths[0].uplink) == "eth0@10.0.0.9"
    assert lent.paths[0].tun.fileno() == queue
    lent.close()
    lent.close()
    os.close(other)


def test_there_is_no_say_in_what_is_lent() -> None:
    with pytest.raises(LocalError, match=r"^path eth1 was not lent$"):
        LentPaths(ADDRESS, 0).add(PathSpec.parse("eth1"))
