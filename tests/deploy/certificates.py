"""Certificates for a test."""

import pathlib
import subprocess


def certificate(folder: pathlib.Path, name: str, days: int = 2) -> None:
    """ca.crt, and tls.crt with tls.key signed by it, for a server of this name (DNS:..) and for a client; expired if
    days < 0."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    (folder / "ext").write_text(f"subjectAltName={name}\nextendedKeyUsage=serverAuth,clientAuth\n")
    for command in (
        ["req", "-x509", *key, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.crt"],
        ["req", *key, "-subj", "/CN=varserve", "-keyout", "tls.key", "-out", "tls.csr"],
        [
            "x509",
            "-req",
            "-in",
            "tls.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            str(days),
            "-extfile",
            "ext",
            "-out",
            "tls.crt",
        ],
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
