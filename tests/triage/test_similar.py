"""Texts found again by likeness."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_oncall.triage.similar import SimilarTexts, words

PLUGINS = Path(__file__).parents[2] / "plugins"
REFUSED = "psycopg.OperationalError: connection to server at 10.0.0.7, port 5432 failed: Connection refused"
REFUSED_ELSEWHERE = "psycopg.OperationalError: connection to server at 192.168.3.9, port 5432 failed: Connection refused"
DISK = "OSError: [Errno 28] No space left on device: /var/lib/spool/17"


@pytest.fixture
def texts() -> SimilarTexts:
    """One text of a database, one of a disk."""
    texts = SimilarTexts()
    texts.put({"refused": REFUSED, "disk": DISK})
    return texts


def test_the_same_trouble_on_another_host_is_the_same_text(texts: SimilarTexts) -> None:
    (best, *_) = texts.search(REFUSED_ELSEWHERE)
    assert (best.name, best.cosine) == ("refused", 1.0)


def test_what_has_no_word_in_common_is_not_found(texts: SimilarTexts) -> None:
    assert texts.search("zebra crossing") == []


def test_below_the_least_likeness_nothing_is_found(texts: SimilarTexts) -> None:
    assert [match.name for match in texts.search("no space left anywhere", least=0.01)] == ["disk"]
    assert texts.search("no space left anywhere", least=0.99) == []


def test_of_equals_the_newest_comes_first(texts: SimilarTexts) -> None:
    texts.put({"again": REFUSED})
    assert [match.name for match in texts.search(REFUSED, limit=1)] == ["again"]


def test_a_text_that_changed_is_found_by_its_new_words_only(texts: SimilarTexts) -> None:
    texts.put({"refused": "ledger is frozen"})
    assert [match.name for match in texts.search("the ledger is frozen again")] == ["refused"]
    assert texts.search("connection refused") == []


def test_an_empty_text_takes_its_name_out(texts: SimilarTexts) -> None:
    texts.put({"refused": "", "disk": ""})
    assert texts.search(REFUSED) == []
    assert texts.names == []


def test_a_rare_word_says_more_than_a_common_one() -> None:
    texts = SimilarTexts()
    texts.put({f"common-{number}": f"upload failed gate{number}" for number in range(20)} | {"rare": "ledger failed"})
    assert texts.search("upload of the ledger")[0].name == "rare"


def test_only_what_is_new_is_read(texts: SimilarTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[str]()

    def noted(text: str) -> list[str]:
        read.append(text)
        return words(text)

    monkeypatch.setattr("airflow_oncall.triage.similar.words", noted)
    texts.put({"frozen": "ledger is frozen"})
    texts.search("ledger")
    assert read == ["ledger is frozen", "ledger"]


def test_a_text_without_any_error_is_found_by_its_words() -> None:
    texts = SimilarTexts()
    texts.put({"calm": "INFO waiting for partition"})
    assert texts.search("partition")[0].name == "calm"


def test_what_goes_to_a_file_comes_back(texts: SimilarTexts) -> None:
    texts.source, texts.position = "store-1", 7
    again = SimilarTexts.load(texts.dump())
    assert (again.source, again.position, again.names) == ("store-1", 7, ["refused", "disk"])
    assert again.search(REFUSED) == texts.search(REFUSED)


def test_an_empty_index_goes_to_a_file_and_back() -> None:
    assert SimilarTexts.load(SimilarTexts().dump()).search(REFUSED) == []


def broken_files() -> dict[str, bytes]:
    texts = SimilarTexts()
    texts.put({"refused": REFUSED})
    whole = texts.dump()
    return {"nothing": b"", "cut off": whole[:-40], "no archive": b"knowledge" * 40, "a pickle": b"\x80\x04K\x01."}


@pytest.mark.parametrize("content", broken_files().values(), ids=broken_files())
def test_a_broken_file_is_told_as_one_error(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - numpy words some of them
        SimilarTexts.load(content)


def test_a_file_of_another_format_is_refused(texts: SimilarTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    content = texts.dump()
    monkeypatch.setattr("airflow_oncall.triage.similar.FORMAT", 2)
    with pytest.raises(ValueError, match="format 1, 2 is read"):
        SimilarTexts.load(content)


def test_an_index_with_nothing_in_it_loads_no_library() -> None:
    code = """
import sys
from airflow_oncall.triage.similar import SimilarTexts
assert SimilarTexts().search("connection refused") == []
sys.exit(str({"numpy", "scipy", "sklearn"} & set(sys.modules)) if {"numpy", "scipy", "sklearn"} & set(sys.modules) else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(PLUGINS)})
    assert done.returncode == 0, done.stderr
