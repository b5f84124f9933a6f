import re
from pathlib import Path

import pytest
from certificates import certificate

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


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("127.0.0.1:1,no-such-host.invalid:2", "has a host that does not resolve: no-such-host.invalid"),
        ("127.0.0.1:1,[::1]:2", "not every host has an address of the same kind"),
        ("http://localhost:8000", "begins with a scheme that is not gRPC's; write host:port"),
        ("https://localhost", "begins with a scheme that is not gRPC's; write host:port"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(address: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(problem)):
        parse_target(address)


def test_pem_files_are_checked_at_once(tmp_path: Path) -> None:
    certificate(tmp_path, "DNS:varserve.test")
    ca, cert, key = (tmp_path / name for name in ("ca.crt", "tls.crt", "tls.key"))
    with Client("host:1", tls=Tls(ca=b"# \xc3\xa4\n" + ca.read_bytes(), cert=cert, key=key)):
        pass
    cut = b"\n".join(ca.read_bytes().splitlines()[:3])
    for field, tls in (
        ("tls.ca", Tls(ca=b"PEM")),
        ("tls.ca", Tls(ca=b"")),
        ("tls.ca", Tls(ca=cut)),
        ("tls.ca", Tls(ca=7)),
        ("tls.cert", Tls(cert=key, key=key)),
        ("tls.key", Tls(cert=cert, key=cert)),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            Client("host:1", tls=tls)
        assert caught.value.field == field


def test_tls_options_that_cannot_work_are_refused_at_once() -> None:
    for tls, address in ((Tls(cert=b"x"), "host:1"), (Tls(), "a:1,b:2"), (Tls(ca="/no/such/file"), "host:1")):
        with pytest.raises(InvalidArgumentError, match="tls"):
            Client(address, tls=tls)
