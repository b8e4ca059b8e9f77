"""Texts by likeness: TF-IDF over the tokens that models read, in a sparse matrix that holds 100,000 of them.

What is masked for models (numbers, ids, hosts, times, paths) is masked here, so the same trouble of another night is alike.
Reading a text takes most of the time, so what was read is kept: only new and changed texts are read again, and the index
goes to a file and back without any pickle. numpy and scipy load when the first text is put in or looked for.
"""

from __future__ import annotations

import io
import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_oncall.triage.features import normalise, tokens

TERMS = 1 << 20
"""Columns that tokens are hashed to; of a few thousand different ones, hardly two meet."""
FORMAT = 1
LOOKED_AT = 4_000
"""Characters of a text in which nothing looks like an error."""
_SAYS_LITTLE = ("ended:", "level:", "service:")
_ON_MOST = frozenset({"alarmed", "calm"})


@dataclass(frozen=True)
class Match:
    """One text that is like what was looked for."""

    name: str
    cosine: float
    """1.0: the same words."""


def words(text: str) -> list[str]:
    """The tokens by which texts are compared: no pairs of words, and nothing that most failures have in common."""
    found = [one for one in tokens(text) if " " not in one and one not in _ON_MOST and not one.startswith(_SAYS_LITTLE)]
    return found or normalise(text[:LOOKED_AT]).lower().split()


@dataclass
class SimilarTexts:
    """Named texts, of which only their words' counts are kept."""

    names: list[str] = field(default_factory=list)
    """Of the texts that can be found; what was put in is among them after the next search or dump."""
    source: str = ""
    """Where the texts come from, and"""
    position: int = 0
    """how far that was read: the owner's, kept in the same file."""
    _fresh: dict[str, Counter[int]] = field(default_factory=dict)
    """Read, and without rows so far."""
    _counts: Any = None
    """A row a text, in the order of ``names``; a column a term."""
    _weights: Any = None
    """Made of the counts when first needed: a column a term, rows of length 1."""
    _rarity: Any = None

    def put(self, texts: Mapping[str, str]) -> None:
        """Add texts, or replace those of the same name; an empty text takes its name out."""
        for name, text in texts.items():
            self._fresh.pop(name, None)  # the newest stands last
            self._fresh[name] = Counter(map(_term, words(text) if text else ()))

    def _merge(self) -> None:
        """Give what was read its rows: all at once, because the whole matrix is copied for it."""
        from scipy.sparse import vstack

        stay = [number for number, name in enumerate(self.names) if name not in self._fresh]
        fresh = {name: counts for name, counts in self._fresh.items() if counts}
        kept = [self._counts[stay] if len(stay) < len(self.names) else self._counts] if stay else []
        added = [_rows(list(fresh.values()))] if fresh else []
        self._counts = vstack([*kept, *added], format="csr") if kept or added else None
        self.names = [*(self.names[number] for number in stay), *fresh]
        self._fresh, self._weights = {}, None

    def search(self, text: str, limit: int = 10, least: float = 0.0) -> list[Match]:
        """The texts most alike, best first, of equals the newest; none below ``least``, and none without a common word."""
        if self._fresh:
            self._merge()
        counts = Counter(map(_term, words(text))) if self.names else Counter[int]()
        if not counts:
            return []
        import numpy as np

        if self._weights is None:
            self._weigh()
        terms = np.fromiter(counts, dtype=np.int64)
        asked = (1 + np.log(np.fromiter(counts.values(), dtype=np.float64))) * self._rarity[terms]
        scores = self._weights[:, terms] @ (asked / np.linalg.norm(asked)).astype(np.float32)
        some = min(4 * limit, len(scores))
        best = np.argpartition(scores, len(scores) - some)[len(scores) - some :]
        ordered = sorted(((float(scores[number]), int(number)) for number in best), reverse=True)
        return [Match(self.names[number], round(min(score, 1.0), 4)) for score, number in ordered[:limit] if score > 0 and score >= least]

    def _weigh(self) -> None:
        import numpy as np
        from scipy.sparse import csr_matrix

        counts = self._counts
        held_by = np.bincount(counts.indices, minlength=TERMS)
        self._rarity = np.log((1 + counts.shape[0]) / (1 + held_by)) + 1
        weights = ((1 + np.log(counts.data)) * self._rarity[counts.indices]).astype(np.float32)
        lengths = np.sqrt(np.add.reduceat(weights**2, counts.indptr[:-1]))
        weights /= np.repeat(lengths, np.diff(counts.indptr))
        self._weights = csr_matrix((weights, counts.indices, counts.indptr), shape=counts.shape).tocsc()

    def dump(self) -> bytes:
        """Everything, for a file."""
        import numpy as np

        if self._fresh:
            self._merge()
        about = json.dumps({"format": FORMAT, "names": self.names, "source": self.source, "position": self.position})
        arrays: dict[str, Any] = {"about": np.frombuffer(about.encode(), dtype=np.uint8)}
        if self._counts is not None:
            arrays |= {name: getattr(self._counts, name) for name in ("data", "indices", "indptr")}
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def load(cls, content: bytes) -> SimilarTexts:
        """What :meth:`dump` gave. Raises ``ValueError`` for anything else."""
        import zipfile

        import numpy as np

        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
                if about["format"] != FORMAT:
                    raise ValueError(f"format {about['format']!r}, {FORMAT} is read")
                found = cls([str(name) for name in about["names"]], str(about["source"]), int(about["position"]))
                found._counts = _checked(arrays, len(found.names)) if found.names else None
        except (KeyError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"no index of texts: {error}") from error
        return found


def _term(token: str) -> int:
    return zlib.crc32(token.encode("utf-8", "backslashreplace")) % TERMS


def _rows(texts: list[Counter[int]]) -> Any:
    import numpy as np
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *map(len, texts)])
    indices = np.fromiter((term for text in texts for term in text), dtype=np.int32, count=ends[-1])
    data = np.fromiter((count for text in texts for count in text.values()), dtype=np.int32, count=ends[-1])
    return csr_matrix((data, indices, ends), shape=(len(texts), TERMS))


def _checked(arrays: Any, rows: int) -> Any:
    from scipy.sparse import csr_matrix

    counts = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(rows, TERMS))
    counts.check_format(full_check=True)
    if counts.nnz and counts.data.min() < 1:
        raise ValueError("no index of texts: a word is counted less than once")
    return counts
