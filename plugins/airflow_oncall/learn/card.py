"""What people read of a model: its card, its figures and two pictures."""

from __future__ import annotations

import io
import json
import logging
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from airflow_oncall.incident import ModelVersion

log = logging.getLogger(__name__)

CARD, METRICS, CONFUSION, RELIABILITY = "card.md", "metrics.json", "confusion.png", "reliability.png"
LIBRARIES = ("scikit-learn", "numpy", "scipy", "joblib", "apache-airflow", "airflow-oncall")
_FIGURES = (
    ("accuracy_strict", "accuracy, strict"),
    ("accuracy_lenient", "accuracy, lenient"),
    ("macro_f1_lenient", "macro-F1"),
    ("transient_precision", "transient precision"),
    ("transient_recall", "transient recall"),
    ("false_alarms", "false alarms"),
    ("brier", "Brier score"),
    ("ece", "ECE"),
)


def library_versions() -> dict[str, str]:
    """What this process trains with."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # a folder install has no distribution of ours
    return found


def people_files(model: ModelVersion, metrics: Mapping[str, Any], *, pictures: bool = True) -> dict[str, bytes]:
    """The files that stand beside the model, by name. Pictures are left out where matplotlib is not installed."""
    files = {
        CARD: card(model, metrics).encode(),
        METRICS: (json.dumps(metrics, indent=2, sort_keys=True, default=str) + "\n").encode(),
    }
    if not pictures:
        return files
    report = next(iter(_reports(metrics).values()), {}).get("unseen groups", {})
    try:
        files[CONFUSION] = confusion_picture(report.get("confusion", {}))
        files[RELIABILITY] = reliability_picture(report.get("reliability", ()))
    except ImportError as error:
        log.warning("no pictures of %s %s: %s; pip install matplotlib", model.name, model.version, error)
    return files


def card(model: ModelVersion, metrics: Mapping[str, Any]) -> str:
    """The model card, in Markdown."""
    return "\n".join(_card(model, metrics)) + "\n"


def _card(model: ModelVersion, metrics: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {model.name} {model.version}\n"
    yield "Says of the text of a failed task what its cause is, whether a re-run can help, and how sure that is. Not meant for"
    yield "anything else. It learned from the rows named below: of the shipped corpus, of verified outcomes, and of people.\n"
    yield f"- trained: {model.trained_at:%Y-%m-%d %H:%M} UTC"
    yield f"- SHA-256 of model.joblib: `{model.sha256}`"
    for name in ("rows", "repairs", "features", "classes", "parameters", "libraries", "dataset"):
        if name in metrics:
            yield f"- {name}: {_plain(metrics[name])}"
    for note in metrics.get("notes", ()):
        yield f"- {note}"
    reports = _reports(metrics)
    for rows in next(iter(reports.values()), {}):
        yield from _table(rows, reports)
    gate = metrics.get("gate")
    if gate:
        yield f"\n## Gate: {'promote' if gate['is_open'] else 'keep the champion'}\n"
        yield from (f"- {reason}" for reason in gate["reasons"])


def _reports(metrics: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Who -> which rows -> report, the model itself first; empty for a version that was killed before it was measured."""
    return dict(metrics.get("reports") or {})


def _table(rows: str, reports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    measured = {who: found[rows] for who, found in reports.items() if rows in found}
    own = next(iter(measured.values()))
    yield f"\n## On the {rows} ({own.get('rows', 0)} rows)\n"
    yield "| | " + " | ".join(measured) + " |"
    yield "|---|" + "---|" * len(measured)
    for key, name in _FIGURES:
        if key in own:
            yield f"| {name} | " + " | ".join(_cell(report, key) for report in measured.values()) + " |"


def _cell(report: Mapping[str, Any], key: str) -> str:
    if key not in report:
        return ""
    low, high = report.get("intervals", {}).get(key, (None, None))
    return f"{report[key]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def confusion_picture(confusion: Mapping[str, Mapping[str, int]]) -> bytes:
    """PNG of label (row) against answer (column)."""
    answers = sorted({answer for counts in confusion.values() for answer in counts} | set(confusion))
    table = [[confusion.get(label, {}).get(answer, 0) for answer in answers] for label in confusion]
    figure, axes = _canvas(9, 7.5)
    if table:
        shares = [[count / max(sum(row), 1) for count in row] for row in table]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for y, row in enumerate(table):
            for x, count in enumerate(row):
                if count:
                    axes.text(x, y, count, ha="center", va="center", fontsize=7, color="white" if shares[y][x] > 0.5 else "black")
    axes.set_xticks(range(len(answers)), answers, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(confusion)), list(confusion), fontsize=8)
    axes.set(xlabel="answer", ylabel="label")
    return _png(figure)


def reliability_picture(bins: Sequence[Mapping[str, float]]) -> bytes:
    """PNG of stated probability against the share of right answers."""
    figure, axes = _canvas(5, 5)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    axes.plot([one["confidence"] for one in bins], [one["accuracy"] for one in bins], marker="o")
    for one in bins:
        axes.annotate(f"{one['rows']:.0f}", (one["confidence"], one["accuracy"]), textcoords="offset points", xytext=(4, -10), fontsize=7)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="stated probability", ylabel="share of right answers")
    return _png(figure)


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot nothing global is touched and no display is looked for

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
