"""Many regular expressions against one text in a single pass.

RE2 runs hundreds of expressions as one automaton, in time linear in the text: a rule that somebody wrote in a hurry cannot hang a
triage run. Its ``\\w``, ``\\d`` and ``\\b`` know ASCII only. The few expressions that it cannot express (look-arounds, back
references, counts above a thousand) are searched one by one with Python's ``re``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MEMORY = 256 << 20
"""Bytes that the automaton may grow to; it grows only with what the texts need."""


class RegexSet:
    """Expressions in a fixed order, case ignored."""

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        import re2

        options = re2.Options()
        options.case_sensitive, options.log_errors, options.max_mem = False, False, MEMORY
        together = re2.Set.SearchSet(options)
        self._places: list[int] = []
        self._alone: list[tuple[int, re.Pattern[str]]] = []
        for place, pattern in enumerate(patterns):
            try:
                together.Add(pattern.pattern)
            except re2.error:
                self._alone.append((place, pattern))
            else:
                self._places.append(place)
        together.Compile()
        self._together = together

    def matching(self, text: str) -> frozenset[int]:
        """Places of the expressions that occur in ``text``."""
        found = self._together.Match(text.encode("utf-8", "replace")) if self._places else None
        alone = (place for place, pattern in self._alone if pattern.search(text))
        return frozenset([*map(self._places.__getitem__, found or ()), *alone])
