"""No secret leaves the process that saw it, and no message is too strange to be stored."""

from __future__ import annotations

import base64
import json

import pytest
from airflow.sdk._shared import secrets_masker
from airflow.sdk.log import mask_secret

from airflow_oncall.capture.redact import MARGIN, WINDOW, redact

PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEAhunter22\n" * 30 + "-----END RSA PRIVATE KEY-----"
HEX32 = "0123456789abcdef" * 2
JWT = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"HS256"}', b'{"sub":"alice"}', b"signature-bytes"))

# (where the secret stands, the secret)
LEAKS = {
    "dsn": ("could not connect to postgresql://etl:{}@db.prod:5432/dwh", "hunter22"),
    "dsn with a raw @": ("postgresql+psycopg://etl:{}@db.prod/dwh", "hun@ter22"),
    "dsn with a slash": ("amqp://guest:{}@mq//", "hunter/22"),
    "dsn with a long token": ("postgresql://etl:{}@db.prod/dwh", "hunter%3D" * 400),
    "token as user": ("fatal: unable to access 'https://{}@git.example.com/r.git'", "abcdefghij0123456789xyz"),
    "libpq": ("connection failed: host=db user=etl password={} dbname=dwh", "hunter,22"),
    "libpq quoted": ("host=db password='{}' dbname=dwh", r"hunter \'22"),
    "json": ('{{"user": "etl", "password": "{}"}}', "hunter 22"),
    "json in json": (r'{{"body": "{{\"api_key\": \"{}\"}}"}}', "hunter 22"),
    "python repr": ("connect(**{{'host': 'db', 'passwd': '{}'}})", "hunter 22"),
    "yaml": ("client_secret: {}", "hunter22"),
    "environment": ("AIRFLOW__CORE__FERNET_KEY={}", "cryptThisPlease="),
    "odbc": ("DRIVER=x;UID=etl;PWD={};DATABASE=dwh", "hunter22"),
    "odbc braces": ("UID=etl;PWD={{{}}};DATABASE=dwh", "hunter;22"),
    "xml": ("<dbPassword>{}</dbPassword>", "hunter22"),
    "query string": ("GET https://api.example.com/v1?access_token={}&page=2", "hunter22"),
    "bearer header": ("Authorization: Bearer {}", "abc.def-ghi"),
    "bearer in a dict": ("{{'Authorization': 'Bearer {}', 'Accept': '*/*'}}", "abcdefgh.ijkl"),
    "bearer alone": ("sent bearer {} to the gateway", "abcdefghijkl"),
    "basic header": ("authorization: Basic {}", base64.b64encode(b"etl:hunter22").decode()),
    "basic in curl": ("curl -H 'X: Basic {}'", base64.b64encode(b"etl:hunter22").decode()),
    "cookie": ("Set-Cookie: session={}; Path=/", "abcdef; id=hunter22"),
    "jwt": ("rejected {}", JWT),
    "aws key id": ("The key {} is unknown", "AKIAIOSFODNN7EXAMPLE"),
    "aws secret, named": ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "aws secret, alone": ("using {} for s3", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "aws sigv4": ("Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121, Signature={}", HEX32),
    "presigned s3": ("https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature={}", HEX32),
    "presigned gcs": ("https://storage.googleapis.com/b/k?X-Goog-Signature={}&x=1", HEX32),
    "gcp service account": ('{{"type": "service_account", "private_key": "{}"}}', json.dumps(PEM).strip('"')),
    "gcp api key": ("key {} is restricted", "AIza" + "SyB0123456789abcdefghijklmnopqrstuv"),
    "pem": ("could not load {}", PEM),
    "azure account key": ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core.windows.net", "aBc123+/hunter=="),
    "azure sas": ("https://a.blob.core.windows.net/c/b?sv=2024&sp=r&sig={}", "aBc%2B123hunter%3D"),
    "slack token": ("slack said invalid_auth for {}", "xoxb-123456789012-abcdefGHIJKL"),
    "slack webhook": ("POST https://hooks.slack.com/services/{} 404", "T000/B000/XXXXhunter22"),
    "github": ("remote: {} expired", "ghp_" + "a1B2" * 9),
    "gitlab": ("remote: {} expired", "glpat-" + "a1B2c" * 4),
    "databricks": ("token {} revoked", "dapi" + HEX32),
    "pagerduty": ("Authorization: Token token={}", "y_NbAkKc66ryYTWUXYEu"),
    "option": ("exec: mysqldump --password {} orders", "hunter22secret"),
    "curl user": ("curl -u bob:{} https://api.example.com", "hunter22secret"),
    "oracle thin": ("jdbc:oracle:thin:scott/{}@//db.example.com/x", "tiger99"),
    "sqlplus": ("sqlplus -s scott/{}@db", "tiger99"),
    "identified by": ("ALTER USER etl IDENTIFIED BY '{}'", "hunter 22"),
    "pair": ("params: [('password', '{}'), ('user', 'etl')]", "hunter 22"),
    "doubled quote": ("host=db password='it''s {}' dbname=dwh", "hunter22"),
    "pagerduty routing key": ('{{"routing_key": "{}"}}', HEX32),
}


@pytest.mark.parametrize(("text", "secret"), LEAKS.values(), ids=LEAKS.keys())
def test_a_secret_is_masked_wherever_it_stands(text: str, secret: str) -> None:
    stored = redact("before\n" + text.format(secret) + "\nafter", 10_000)

    assert secret not in stored
    assert "hunter" not in stored
    assert "***" in stored
    assert stored.startswith("before\n")
    assert stored.endswith("\nafter")


@pytest.mark.parametrize(("text", "secret"), LEAKS.values(), ids=LEAKS.keys())
@pytest.mark.parametrize("password", ["secret", "password", "token", "access"])
def test_a_password_that_is_a_word_of_keys_hides_no_key(text: str, secret: str, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets_masker, "redact", lambda text: text.replace(password, "***"))

    stored = redact(text.format(secret), 10_000)

    assert secret not in stored
    assert "hunter" not in stored


@pytest.mark.parametrize(
    "text",
    [
        'FATAL: password authentication failed for user "etl"',
        "connection to server at 10.0.0.5, port 5432 failed: Connection refused",
        "java.lang.OutOfMemoryError: GC overhead limit exceeded",
        "ERROR: duplicate key value violates unique constraint orders_pkey",
        "Error tokenizing data. C error: Expected 5 fields in line 3, saw 6",
        "HTTP 401: Basic authentication required",
        "s3://bucket/path/part-00000-0a1b2c3d.snappy.parquet does not exist",
    ],
)
def test_what_explains_a_failure_stays_readable(text: str) -> None:
    assert redact(text, 1000) == text


def test_secrets_that_airflow_knows_are_masked() -> None:
    mask_secret("correct-horse-battery")

    assert redact("login with correct-horse-battery failed", 1000) == "login with *** failed"


def test_nul_bytes_and_lone_surrogates_become_storable_and_unicode_stays() -> None:
    stored = redact("a\0b \udc80 ☃ 雪", 100)

    assert stored == "a\ufffdb ? ☃ 雪"


def test_a_long_text_keeps_its_head_and_its_tail_and_says_what_is_missing() -> None:
    stored = redact("HEAD" + "x" * 10_000 + "TAIL", 1000)

    assert stored.startswith("HEAD")
    assert stored.endswith("TAIL")
    assert "[... 9008 characters left out ...]" in stored


def test_a_text_that_fits_is_not_touched() -> None:
    assert redact("x" * 1000, 1000) == "x" * 1000


def test_fifty_megabytes_are_cut_before_they_are_searched() -> None:
    stored = redact("HEAD" + "x" * 50_000_000 + "TAIL", 2000)

    assert stored.startswith("HEAD")
    assert stored.endswith("TAIL")
    assert len(stored) < 2100


@pytest.mark.parametrize("secret", ["correct-horse-battery", "ghp_" + "a1B2" * 9, PEM], ids=["known to Airflow", "token", "key"])
@pytest.mark.parametrize("edge", ["head", "tail"])
def test_no_half_secret_survives_where_a_text_is_cut(secret: str, edge: str) -> None:
    """The secret lies across the edge at each of its offsets; what limits the result is the cut, not ``limit``."""
    mask_secret("correct-horse-battery")
    for inside in range(1, len(secret), max(1, len(secret) // 20)):
        filler = ". " * WINDOW
        at = WINDOW // 2 - inside
        text = filler[:at] + secret + filler if edge == "head" else filler + secret + filler[: WINDOW // 2 - len(secret) + inside]

        stored = redact(text, 10 * WINDOW)

        assert not set(stored.replace("characters left out", "")) - set(". \n[]0123456789")


def test_the_margin_beside_a_cut_is_longer_than_the_longest_secret() -> None:
    assert len(PEM) < MARGIN


@pytest.mark.parametrize(
    "repeated", ["x", "eyJ", "://", "://a:", "password=", 'token="', "-----BEGIN PRIVATE KEY-----", "basic aaaa", "Aa1/", "u+"]
)
def test_hostile_text_is_searched_to_its_end(repeated: str) -> None:
    """Quadratic patterns would need minutes for these; the test would not come back."""
    assert redact(repeated * ((WINDOW - 100) // len(repeated)) + "\npassword=hunter22", 500).endswith("***")
