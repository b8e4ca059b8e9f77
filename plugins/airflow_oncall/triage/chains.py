"""Exceptions in log lines: Python tracebacks, Java stacks, and exceptions quoted inside one another's messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airflow_oncall.triage.lines import Line

MESSAGE_LINES = 20
_NAMES = (
    r"(?:Error|Exception|Failure|Fault|Interrupt|Exit|Timeout|TimedOut|Abort|Violation|NotFound|Denied|Refused|Conflict|Forbidden|"
    r"Unauthorized|Unavailable|Exceeded|Exhausted|Expired|Failed|Mismatch|Throttling|Skipped|Disconnected|Reset|Closed|Lost|Down|OOM)"
)
_WHOLE = r"(?<!\w )(?:Exception|Error|(?:Undefined|Invalid|Duplicate|Unable|Missing)[A-Z]\w*)"
_MENTION = re.compile(
    r"(?:^|(?<=[:(\s\"'<]))(?<!::)((?:[A-Za-z_]\w*[.$])*"
    rf"(?:_?[A-Z]\w*{_NAMES}\d*(?:_\d)?|{_WHOLE}|(?<=[.$])gaierror|(?<=ftplib\.)error_\w+|(?<=[.$])timeout|(?<=errors\.)[A-Z]\w+|"
    rf"(?<=exceptions\.)[A-Z]\w+|(?<=error\.)[A-Z]\w+)|(?<![^\n])[a-z_]\w*(?:\.[a-z_]\w*){{1,9}}\.[A-Z]\w+)"
    r"(?=:\s|:$|\(|\)|\s*$)"
)
_BARE = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?=: |:$|$)")
"""Any class name: believed only right after a traceback's frames."""
_HEAD = re.compile(r"(?P<cause>\s*Caused by: ?)|Exception in thread \"[^\"]{0,120}\" |(?P<inner>: )|E   |Traceback: ")
_FRAME = re.compile(r"\s+at [\w$.<>/ ]+\(|\s*File \"|\s+\.\.\. \d+ (?:more|common)|\s+[|+~^-]|\tat ")
_INDENTED = re.compile(r"\s{4,}\S")
"""A frame's source line, where frames are; elsewhere a program's own way of writing."""
_STATEMENT = re.compile(r"\s*\[(?:SQL|parameters): .*")
"""What SQLAlchemy adds behind the driver's message: names of tables and columns, no cause."""
_RAISE = re.compile(r"\s+raise (?P<name>(?:\w+\.)*[A-Z]\w+)\((?P<message>.*)")
_TRACEBACK = "Traceback (most recent call last)"
_HANDLING = "During handling of the above exception"
_DIRECT = "The above exception was the direct cause"
_END = re.compile(
    r"\[SQL: |\[parameters: |\(Background on this error|HINT: |Traceback |The above exception|During handling|Driver stacktrace|== |::"
)
_LOOKUPS = frozenset(
    {
        "KeyError",
        "ValueError",
        "TypeError",
        "AttributeError",
        "IndexError",
        "StopIteration",
        "LookupError",
        "ModuleNotFoundError",
        "ImportError",
        "Empty",
        "BlockingIOError",
    }
)


@dataclass
class Raised:
    """One exception as the text shows it."""

    name: str
    """Qualified class name as written."""
    message: str
    line: int
    handled: bool = False
    """Another exception was raised while this one was being handled, and this one looks like a mere lookup."""
    level: str = ""
    source: str = ""
    environment: bool = False
    """Raised by a look-up in ``os.environ``."""

    @property
    def short(self) -> str:
        """Class name without its module."""
        return re.split(r"[.$]", self.name)[-1]

    @property
    def text(self) -> str:
        """Class and message as one line."""
        return f"{self.name}: {self.message}" if self.message else self.name


@dataclass
class _Reader:
    lines: Sequence[Line]
    chains: list[list[Raised]] = field(default_factory=list)
    """Each outermost first, as Airflow and Java print them."""
    used: set[int] = field(default_factory=set)
    link: str = ""
    in_traceback: bool = False
    environment: bool = False
    """The innermost frame looked something up in ``os.environ``."""

    def read(self) -> None:
        for number, line in enumerate(self.lines):
            if number in self.used or line.is_companion:
                continue
            self._step(number, line)

    def _step(self, number: int, line: Line) -> None:
        text = line.text
        if text.startswith((_HANDLING, _DIRECT)):
            self.link = "handling" if text.startswith(_HANDLING) else "direct"
        elif text.startswith(_TRACEBACK):
            self.in_traceback = True
        elif _FRAME.match(text) or (_INDENTED.match(text) and (self.in_traceback or number - 1 in self.used)):
            self.used.add(number)
            # A frame's own source line tells as much as the frame.
            self.environment = _looks_up_environment(text) or (self.environment and not text.lstrip().startswith("File "))
        elif found := self._exceptions(number, line):
            self._join(found, text)
            self.link = "inner" if _TRACEBACK in text else ""
            self.in_traceback = _TRACEBACK in text
            self.environment = False
        elif text.strip():
            self.in_traceback = self.in_traceback and not line.starts

    def _exceptions(self, number: int, line: Line) -> list[Raised]:
        head = _HEAD.match(line.text)
        rest = line.text[head.end() :] if head else line.text
        mentions = [m for m in _MENTION.finditer(rest) if not rest.startswith("occurred (", max(0, m.start() - 10))]
        named = self.in_traceback or bool(head and head["cause"])
        bare = _BARE.match(rest) if named and rest[:1].strip() else None
        if bare and (not mentions or mentions[0].start() > 0):
            spans = [bare.span(), *(m.span(1) for m in mentions if m.start() >= bare.end())]
        else:
            spans = [m.span(1) for m in mentions]
        if not spans or (spans[0][0] > 0 and line.level in {"INFO", "LOG", "DEBUG"} and not head):
            return []
        message = self._message(number, rest)
        return [
            Raised(
                rest[start:end].replace("$", "."),
                _clean(message[end:]),
                number,
                False,
                line.level,
                line.source,
                environment=self.environment,
            )
            for start, end in spans[:6]
        ]

    def _message(self, number: int, rest: str) -> str:
        """The message with the lines it goes on over."""
        self.used.add(number)
        parts = [rest]
        for ahead in range(number + 1, min(number + MESSAGE_LINES, len(self.lines))):
            line = self.lines[ahead]
            if line.starts or not line.text.strip() or _END.match(line.text) or _HEAD.match(line.text) or _MENTION.match(line.text):
                break
            if re.match(r"\s+at |\s*File \"|\tat ", line.text):
                break
            self.used.add(ahead)
            parts.append(line.text.strip())
        return " ".join(parts)

    def _join(self, found: list[Raised], text: str) -> None:
        head = _HEAD.match(text)
        inward = self.link == "inner" or bool(head and (head["cause"] or head["inner"]))
        if not self.chains or not (inward or self.link):
            self.chains.append(found)
        elif inward:
            self.chains[-1].extend(found)
        else:
            if self.link == "handling":
                for earlier in self.chains[-1]:
                    earlier.handled = earlier.handled or earlier.short in _LOOKUPS
            self.chains[-1][:0] = found


def _looks_up_environment(frame: str) -> bool:
    return "os.environ[" in frame or ("__getitem__" in frame and ("<frozen os>" in frame or "/os.py" in frame))


def _clean(message: str) -> str:
    message = _STATEMENT.sub("", message.lstrip("): ")).rstrip()
    return message if len(message) <= 1_200 else f"{message[:800]} ... {message[-390:]}"


def read_chains(lines: Sequence[Line]) -> tuple[list[list[Raised]], frozenset[int]]:
    """Exception chains in order of appearance, each outermost first, and the numbers of the lines they took up."""
    reader = _Reader(lines)
    reader.read()
    chains = reader.chains or list(_cut_off(lines))
    return chains, frozenset(reader.used)


def _cut_off(lines: Sequence[Line]) -> Iterator[list[Raised]]:
    """The exception of a traceback that ends at its ``raise``: a log was cut there, or its last line went elsewhere."""
    for number in reversed(range(len(lines))):
        if found := _RAISE.match(lines[number].text):
            yield [Raised(found["name"], _clean(found["message"]), number, level=lines[number].level, source=lines[number].source)]
            return
