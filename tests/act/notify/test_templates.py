"""The operator's words replace ours; words that do not work never cost a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_oncall import conf
from airflow_oncall.act.notify.message import EMPTY, SAMPLES, digest, trial
from airflow_oncall.act.notify.templates import BODY_CHARACTERS, problems, with_texts
from airflow_oncall.inert import inert, one_line
from airflow_oncall.store.notices import Notice, Occasion

ASKED, ESCALATED, RESOLVED = SAMPLES[:3]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's folder of templates, empty."""
    shipped = conf.shipped_include()
    monkeypatch.setattr(conf, "include_paths", lambda: [tmp_path, shipped])
    folder = tmp_path / "templates"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("facts", "subject"),
    [
        (ASKED, "No answer for 15 min: nightly/manual/load waits for your answer: code_error"),
        (ESCALATED, "nightly/manual/load needs you: code_error"),
        (RESOLVED, "nightly/manual/load is self healed: code_error"),
        (trial("routes.sales.0", "https://airflow.example.com"), "Test of routes.sales.0"),
    ],
)
def test_the_shipped_subjects(own: Path, facts: dict[str, object], subject: str) -> None:
    assert with_texts(facts)["subject"] == subject
    assert list(problems()) == []


def test_the_shipped_bodies_say_why_with_the_decisive_line_and_where_to_answer(own: Path) -> None:
    told = with_texts(ASKED)
    assert told["body"].splitlines() == [
        "Mode ask.",
        "> KeyError: 'id'",
        "Answer: https://airflow.example.com/dags/oncall_approval",
        "https://airflow.example.com/dags/nightly",
    ]
    assert "KeyError: &#39;id&#39;" in told["html"]
    assert '<a href="https://airflow.example.com/dags/oncall_approval">Answer in Airflow</a>' in told["html"]


def test_an_own_template_replaces_the_shipped_one_of_its_name_only(own: Path) -> None:
    (own / "subject.txt").write_text("[{{ oncall.severity }}] {{ oncall.title }}")
    told = with_texts(ESCALATED)
    assert told["subject"] == "[medium] nightly/manual/load"
    assert "Mode ask." in told["body"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ oncall.title", "line 1: unexpected end of template"),
        ("{{ oncall.sbject }}", "fails on a message: 'dict object' has no attribute 'sbject'"),
        ("{{ ''.__class__.__mro__ }}", "fails on a message: access to attribute '__class__'"),
        ("{{ 1 / oncall.more }}", "fails on a message: division by zero"),
        ("{% for n in range(10000000) %}x{% endfor %}", "fails on a message: Range too big"),
        ("{% include '/etc/passwd' %}", "fails on a message: no loader"),
    ],
)
def test_a_template_that_is_wrong_is_named_and_the_shipped_one_is_used(
    own: Path, caplog: pytest.LogCaptureFixture, text: str, problem: str
) -> None:
    (own / "subject.txt").write_text(text)
    (found,) = problems()
    assert str(found).startswith(str(own / "subject.txt"))
    assert problem in str(found)
    assert with_texts(ESCALATED)["subject"] == "nightly/manual/load needs you: code_error"
    assert "The shipped subject.txt is used" in caplog.text


def test_a_template_that_cannot_be_read_is_named(own: Path) -> None:
    (own / "body.txt").write_bytes(b"\xff\xfe")
    (found,) = problems()
    assert "body.txt: cannot be read" in str(found)


def test_a_template_that_fails_on_one_message_only_gives_way_for_that_one(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    (own / "subject.txt").write_text("{% if oncall.key == 'oncall-7' %}{{ oncall.reasons[9] + 1 }}{% else %}fine{% endif %}")
    assert list(problems()) == []
    assert with_texts(ESCALATED)["subject"] == "fine"
    assert with_texts(ESCALATED | {"key": "oncall-7"})["subject"] == "nightly/manual/load needs you: code_error"
    assert "fails on a message about oncall-7" in caplog.text


def test_a_subject_is_one_line_whatever_the_template_does(own: Path) -> None:
    (own / "subject.txt").write_text("a\r\nBcc: eve@example.com\n\n{{ oncall.title }}")
    assert with_texts(ESCALATED)["subject"] == "a Bcc: eve@example.com nightly/manual/load"


def test_a_body_has_an_end(own: Path) -> None:
    (own / "body.txt").write_text("{{ 'x' * 90000 }}")
    assert len(with_texts(ESCALATED)["body"]) == BODY_CHARACTERS


def test_slack_gets_its_markup_escaped(own: Path) -> None:
    assert "&lt;!channel&gt; &amp;" in with_texts(ESCALATED | {"reasons": ["<!channel> &"]})["mrkdwn"]


def test_values_are_escaped_in_html(own: Path) -> None:
    facts = EMPTY | {"status": "escalated", "reasons": ["<b>"], "evidence": ["<i>"], "link": '"><script>'}
    html = with_texts(facts)["html"]
    assert not {"<b>", "<i>", "<script>"} & set(html.replace("><", "> <").split())
    assert "&lt;b&gt;" in html
    assert "<script>" not in html


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]0;title without an end\nnext line", "\nnext line"),
        ("a\u202eb\u2066c\u200bd", "abcd"),
        ("bell\x07 nul\x00 c1\x9b", "bell nul c1"),
        ("half \ud800 a pair", "half  a pair"),
        ("two\r\nlines\u2028three", "two\nlines\nthree"),
        ("tab\tstays", "tab\tstays"),
        ("hidden \U000e0041\U000e0042words", "hidden words"),
    ],
)
def test_what_a_screen_would_act_on_is_taken_out(text: str, plain: str) -> None:
    assert inert(text, 100) == plain


def test_long_text_is_cut_and_says_so() -> None:
    assert inert("x" * 5_000_000, 10) == "xxxxxxxxx…"
    assert one_line("a\nb\x0bc\u2029d " + "e" * 50, 12) == "a b c d eee…"


def test_a_digest_has_a_key_of_its_own() -> None:
    first = Notice(1, 1, Occasion.ESCALATED, "routes.default.0", "", id=5)
    assert digest([ESCALATED] * 3, first)["key"] == "oncall-digest-5"
