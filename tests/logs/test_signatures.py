from __future__ import annotations

from pathlib import Path

import pytest

from airflow_oncall.capture.logs.scanner import Scanner
from airflow_oncall.capture.logs.signatures import Signature, parse_signatures, read_signatures
from airflow_oncall.errors import BadDataFile
from airflow_oncall.store.operator_files import OperatorFiles
from tests.logs.shop_logs import INCLUDE, shipped

SHIPPED = shipped()
SCANNER = Scanner(SHIPPED)


def site(pattern: str = "ledger is frozen", match: str = "the ledger is frozen", no_match: str = "the ledger is open") -> str:
    return (
        f"engine: site\nsignatures:\n  - id: shop-frozen\n    title: The ledger is frozen\n    pattern: '{pattern}'\n"
        f"    match: ['{match}']\n    no_match: ['{no_match}']\n"
    )


def refusal(text: str) -> BadDataFile:
    with pytest.raises(BadDataFile) as refused:
        parse_signatures("site.yaml", text)
    return refused.value


def test_about_sixty_signatures_are_shipped_and_none_was_left_out() -> None:
    written = sum(path.read_text(encoding="utf-8").count("\n  - id: ") for path in (INCLUDE / "signatures").glob("*.yaml"))
    assert len(SHIPPED) == written >= 60


@pytest.mark.parametrize("signature", SHIPPED, ids=lambda one: one.id)
def test_the_scanner_finds_the_lines_that_a_signature_must_find(signature: Signature) -> None:
    for line in signature.match:
        assert signature in SCANNER.all_of(line.encode())
        assert [hit.start for hit in SCANNER.hits(f"fine\n{line}\nfine\n".encode())] == [5]


@pytest.mark.parametrize("signature", SHIPPED, ids=lambda one: one.id)
def test_the_scanner_does_not_find_what_a_signature_must_not_find(signature: Signature) -> None:
    for line in signature.no_match:
        assert signature not in SCANNER.all_of(line.encode())


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("frozen(?=!)", "look-around is not allowed"),
        ("(?<!not )frozen", "look-around is not allowed"),
        (r"(l)edger \1", "a back reference is not allowed"),
        ("(a+)++b", "RE2 never backtracks"),
        ("x{5000}", "counts go up to 1000"),
        ("ledger (", "missing )"),
        ("(ledger)*", "would match every line"),
    ],
)
def test_what_re2_does_not_take_is_quoted_with_a_way_out(pattern: str, told: str) -> None:
    error = refusal(site(pattern))

    assert told in str(error)
    assert repr(pattern) in str(error)
    assert (error.line, error.field) == (5, "signatures.0.pattern")


def test_an_expression_that_hangs_a_backtracking_engine_scans_a_long_line_in_no_time() -> None:
    hostile = parse_signatures("site.yaml", site("(frozen+)+$", "frozennnn", "open"))
    assert list(Scanner(hostile).hits(b"frozen" * 50_000 + b"!\n")) == []


def test_a_signature_that_misses_its_own_line_names_line_and_field() -> None:
    error = refusal(site(match="all is well"))
    assert (error.line, error.field) == (6, "signatures.0.match")
    assert "'all is well' is not found" in str(error)


def test_a_signature_that_finds_what_it_must_not_find_is_refused() -> None:
    assert refusal(site(no_match="ledger is frozen")).field == "signatures.0.no_match"


def test_an_unknown_field_is_named() -> None:
    assert refusal(site() + "    colour: red\n").field == "signatures.0.colour"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The operator's include folder with one signature file, ``site.yaml``."""
    (tmp_path / "signatures").mkdir()
    (tmp_path / "signatures" / "site.yaml").write_text(site(), encoding="utf-8")
    return tmp_path


def test_the_operators_own_signatures_name_a_line_before_any_shipped_one(own: Path) -> None:
    signatures = read_signatures(OperatorFiles([own, INCLUDE]))
    named = Scanner(signatures).name(b"ValueError: the ledger is frozen")
    assert named is not None
    assert named.id == "shop-frozen"


def test_an_operators_file_replaces_the_shipped_one_of_its_name(own: Path) -> None:
    (own / "signatures" / "site.yaml").rename(own / "signatures" / "web.yaml")
    ids = {one.id for one in read_signatures(OperatorFiles([own, INCLUDE]))}
    assert "shop-frozen" in ids
    assert "network-timeout" not in ids


def test_a_wrong_file_of_the_operator_leaves_the_other_signatures_in_force(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    (own / "signatures" / "site.yaml").write_text(site("(?=x)"), encoding="utf-8")
    assert len(read_signatures(OperatorFiles([own, INCLUDE]))) == len(SHIPPED)
    assert "site.yaml, line 5: field 'signatures.0.pattern'" in caplog.text
