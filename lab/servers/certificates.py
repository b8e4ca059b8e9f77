"""Certificates of a little authority of the lab's own, good and bad, made for whatever name a client asks for."""

from __future__ import annotations

import ssl
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KINDS = ("good", "expired", "early", "self_signed", "stranger", "other_name", "old", "odd_cipher", "client_cert")
"""What is wrong with it, if anything: its dates, its signer, its name, or what the handshake asks of the client."""
_DAY = timedelta(days=1)


class Authority:
    """Signs certificates into a folder; :attr:`bundle` is what clients must trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Internal Issuing CA")
        self._lock = threading.Lock()
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        (folder / "key.pem").write_bytes(_pem(self._key))
        self.bundle.write_bytes(self._root(self._name, self._key).public_bytes(serialization.Encoding.PEM))

    def context(self, kind: str, host: str = "localhost") -> ssl.SSLContext:
        """A server's side of TLS with one kind of certificate; a client that names another host gets one for that host."""
        with self._lock:
            if (kind, host) not in self._contexts:
                self._contexts[kind, host] = self._made(kind, host)
            return self._contexts[kind, host]

    def _made(self, kind: str, host: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self._certificate(kind, host), self.folder / "key.pem")
        made.sni_callback = lambda connection, name, _context: self._switch(connection, kind, name or host)
        _demand(made, kind, self.bundle)
        return made

    def _switch(self, connection: ssl.SSLObject, kind: str, host: str) -> None:
        connection.context = self.context(kind, host)

    def _certificate(self, kind: str, host: str) -> Path:
        now = datetime.now(timezone.utc)
        begin, end = {"expired": (now - 90 * _DAY, now - _DAY), "early": (now + _DAY, now + 90 * _DAY)}.get(
            kind, (now - _DAY, now + 90 * _DAY)
        )
        subject = _name("shared-proxy.internal" if kind == "other_name" else host)
        signer, key = (subject, self._key) if kind == "self_signed" else (self._name, self._key)
        if kind == "stranger":
            signer, key = _name("Partner Root R3"), ec.generate_private_key(ec.SECP256R1())
        host = "shared-proxy.internal" if kind == "other_name" else host
        made = (
            x509.CertificateBuilder(signer, subject, self._key.public_key(), x509.random_serial_number(), begin, end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
        )
        path = self.folder / f"{kind}-{host}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path

    def _root(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        return (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - _DAY, now + 90 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )


def _demand(context: ssl.SSLContext, kind: str, bundle: Path) -> None:
    """What the handshake asks of the client."""
    if kind == "old":
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    elif kind == "odd_cipher":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES256-SHA")
    elif kind == "client_cert":
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(bundle)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
