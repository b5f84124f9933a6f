import pytest

from varserve import Client, InvalidArgumentError, Tls
from varserve.target import parse_target


@pytest.mark.parametrize("address", ["host:1", "[::1]:50051", "dns:///host:1", "unix:/path", "xds:///name"])
def test_one_address_and_schemes_stay_as_they_are(address: str) -> None:
    assert parse_target(address) == address


def test_several_addresses_make_a_list() -> None:
    assert parse_target("10.0.0.1:1, 10.0.0.2:2") == "ipv4:10.0.0.1:1,10.0.0.2:2"
    assert parse_target("[::1]:1,[fe80::2]:2") == "ipv6:[::1]:1,[fe80::2]:2"
    assert parse_target("localhost:1,127.0.0.1:2") == "ipv4:127.0.0.1:1,127.0.0.1:2"


@pytest.mark.parametrize(
    "address", ["", "host", "host:", "host:0", "host:65536", "host:x", ":1", "::1", "a:1,b", "[::1"]
)
def test_a_wrong_address_is_named(address: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Client(address)
    assert caught.value.field == "address"


def test_tls_options_that_cannot_work_are_refused_at_once() -> None:
    for tls, address in ((Tls(cert=b"x"), "host:1"), (Tls(), "a:1,b:2"), (Tls(ca="/no/such/file"), "host:1")):
        with pytest.raises(InvalidArgumentError, match="tls"):
            Client(address, tls=tls)
