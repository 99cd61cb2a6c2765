"""Reading what ``ip xfrm state`` prints (iproute2, ip/ipxfrm.c): text to :class:`XfrmState`.

Each SA starts with ``src A dst B`` at the beginning of a line.  The lines after
it begin with a word that says what they hold: :data:`_LINES` has them all.
With ``-s`` there are more numbers on them, with ``-o`` backslashes stand for
the line ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from ..ipsec.sa import Direction
from .model import Network, SaFileError
from .values import PROTOCOLS, address, network, octets

_HEADER = re.compile(r"src (\S+) dst (\S+)\s*")

_NOT_XFRM = "leave in the file only what `ip xfrm state` printed"


@dataclass(slots=True)
class Algorithm:
    """One ``auth``, ``auth-trunc``, ``enc``, ``aead`` or ``comp`` line; ``bits`` is the ICV's length."""

    kind: str
    name: str
    key: bytes = field(repr=False)
    bits: int | None


@dataclass(slots=True)
class Selector:
    """The ``sel`` line.  ``beyond`` names what it holds that a :class:`.model.Select` cannot."""

    src: Network
    dst: Network
    proto: int | None = None
    sport: int | None = None
    dport: int | None = None
    beyond: str | None = None


@dataclass(slots=True)
class XfrmState:
    """One SA as the kernel has it.  Sequence numbers are the last ones used; limits of 0 are none."""

    file: str
    number: int  # in the file, from 1
    line: int
    src: IPv4Address | IPv6Address
    dst: IPv4Address | IPv6Address
    proto: str = ""
    spi: int = 0
    mode: str = ""
    replay_window: int = 0
    flags: set[str] = field(default_factory=set)
    algorithms: list[Algorithm] = field(default_factory=list)
    encap: tuple[str, int, int] | None = None
    seq: int = 0
    oseq: int = 0
    limits: dict[str, int] = field(default_factory=dict)  # keys are those of Lifetime
    selector: Selector | None = None
    direction: Direction | None = None  # only newer kernels say
    lines: dict[str, int] = field(default_factory=dict)  # first word: line number, for messages

    @property
    def origin(self) -> str:
        return f"{self.file}:{self.line}"

    def error(self, key: str, what: str, mend: str) -> SaFileError:
        """An error about the line that begins with ``key``."""
        return SaFileError(f"{self.file}:{self.lines.get(key, self.line)}: SA {self.number} {key}", what, mend)


def parse(text: str, name: str) -> list[XfrmState]:
    """The SAs in ``text``; ``name`` is the file's for messages.  Raises SaFileError."""
    states: list[XfrmState] = []
    for number, whole_line in enumerate(text.splitlines(), 1):
        for line in whole_line.split("\\"):
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            if match := _HEADER.fullmatch(line):
                states.append(_start(match, name, len(states) + 1, number))
            elif not states:
                raise SaFileError(f"{name}:{number}", "an SA begins with 'src ADDRESS dst ADDRESS'", _NOT_XFRM)
            else:
                _take(states[-1], stripped, number)
    for state in states:
        if not state.proto:
            raise state.error("proto", "is missing", _NOT_XFRM)
    return states


def _start(match: re.Match[str], name: str, count: int, number: int) -> XfrmState:
    try:
        return XfrmState(name, count, number, address(match[1]), address(match[2]))
    except ValueError as error:
        mend = "give the output of `ip xfrm state`, without name resolution"
        raise SaFileError(f"{name}:{number}: SA {count} src", f"an end {error}", mend) from None


def _take(state: XfrmState, line: str, number: int) -> None:
    """Put what ``line`` says into ``state``."""
    word = line.split(maxsplit=1)[0]
    state.lines.setdefault(word, number)
    for pattern, take in _LINES.get(word, _NAMELESS):
        if match := pattern.fullmatch(line):
            if take is not None:
                take(state, match)
            return
    raise SaFileError(
        f"{state.file}:{number}: SA {state.number}", "this line is not as `ip xfrm state` prints it", _NOT_XFRM
    )


def _take_id(state: XfrmState, match: re.Match[str]) -> None:
    state.proto, state.spi, state.mode = match[1], int(match[2] or "0", 16), match[3]


def _take_replay_window(state: XfrmState, match: re.Match[str]) -> None:
    state.replay_window = int(match[1])
    # With -s, "extra_flag" follows the last flag without a space.
    state.flags.update((match[2] or "").replace("extra_flag", " ").split())


def _take_algorithm(state: XfrmState, match: re.Match[str]) -> None:
    kind, name, key, bits = match.groups()
    if key == "<<Keys hidden>>":
        raise state.error(kind, "the key is hidden", "print the state without `nokeys`")
    try:
        material = octets(key or "")
    except ValueError as error:
        raise state.error(kind, f"the key {error}", "copy the line whole") from None
    state.algorithms.append(Algorithm(kind, name, material, int(bits) if bits else None))


def _take_encap(state: XfrmState, match: re.Match[str]) -> None:
    state.encap = match[1], int(match[2]), int(match[3])


def _take_context(state: XfrmState, match: re.Match[str]) -> None:
    state.seq, state.oseq = int(match[1], 16), int(match[2], 16)


def _take_esn_context(state: XfrmState, match: re.Match[str]) -> None:
    seq_hi, seq, oseq_hi, oseq = (int(group, 16) for group in match.groups())
    state.seq, state.oseq = seq_hi << 32 | seq, oseq_hi << 32 | oseq


def _take_esn_window(state: XfrmState, match: re.Match[str]) -> None:
    # It takes the place of the old window, which is printed as 0.
    state.replay_window = int(match[1])


def _take_limit(state: XfrmState, match: re.Match[str]) -> None:
    soft, unit, hard = match.groups()
    for when, limit in (("soft", soft), ("hard", hard)):
        state.limits[f"{unit}_{when}"] = 0 if limit == "(INF)" else int(limit)


def _take_direction(state: XfrmState, match: re.Match[str]) -> None:
    state.direction = Direction.INBOUND if match[1] == "in" else Direction.OUTBOUND


def _take_selector(state: XfrmState, match: re.Match[str]) -> None:
    words = match[3].split()
    values = dict(zip(words[0::2], words[1::2], strict=True))
    try:
        selector = Selector(network(match[1]), network(match[2]))
        if "proto" in values:
            selector.proto = _protocol(values["proto"])
    except ValueError as error:
        raise state.error("sel", f"a value {error}", "print the state without name resolution") from None
    ports = [int(values.get(key, 0)) for key in ("sport", "dport")]
    if max(ports) > 0xFFFF:
        raise state.error("sel", "a port is beyond 65535", "copy the line whole")
    selector.sport, selector.dport = (port or None for port in ports)
    selector.beyond = next((key for key in ("type", "code", "key") if key in values), None)
    state.selector = selector


def _protocol(text: str) -> int:
    """An IP protocol by number, or by its name in /etc/protocols."""
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    if not text.isdecimal() or len(text) > 3 or int(text) > 0xFF:
        raise ValueError("is neither the number of a protocol nor a name that is known here")
    return int(text)


_Take = Callable[[XfrmState, re.Match[str]], None]


def _line(pattern: str, take: _Take | None = None) -> tuple[re.Pattern[str], _Take | None]:
    return re.compile(pattern), take


_HEX = "0x([0-9a-f]{1,8})"
_PORT = r"(\d{1,5})"
_LIMIT = r"(\(INF\)|\d{1,20})"
_IGNORED = [_line(".*")]
_ALGORITHM = [_line(r"(\S+) (\S+)(?: +(0x\S*|<<Keys hidden>>))?(?: +\(\d+ bits\))?(?: +(\d{1,5}))?", _take_algorithm)]

# First word of a line: what the line can look like, and what is done with it.
_LINES: dict[str, list[tuple[re.Pattern[str], _Take | None]]] = {
    "proto": [_line(r"proto (\S+) (?:spi 0x([0-9a-f]{8})(?:\(\d+\))? )?reqid \S+ mode (\S+)", _take_id)],
    "replay-window": [
        _line(r"replay-window \d+ replay \d+ failed \d+"),  # under "stats:"
        _line(r"replay-window (\d{1,10})(?: +seq \S+)?(?: +flag(.*))?", _take_replay_window),
    ],
    "mark": _IGNORED,
    "output-mark": _IGNORED,
    "auth-trunc": _ALGORITHM,
    "auth": _ALGORITHM,
    "enc": _ALGORITHM,
    "aead": _ALGORITHM,
    "comp": _ALGORITHM,
    "encap": [_line(rf"encap type (\S+) sport {_PORT} dport {_PORT} addr \S+", _take_encap)],
    "coa": _IGNORED,
    "lastused": _IGNORED,
    "anti-replay": [
        _line(rf"anti-replay context: seq {_HEX}, oseq {_HEX}, bitmap 0x[0-9a-f]{{1,8}}", _take_context),
        _line("anti-replay esn context:"),
    ],
    "seq-hi": [_line(rf"seq-hi {_HEX}, seq {_HEX}, oseq-hi {_HEX}, oseq {_HEX}", _take_esn_context)],
    "replay_window": [_line(r"replay_window (\d{1,10}), bitmap-length \d+", _take_esn_window)],
    "crypto": [
        _line(r"crypto offload parameters: .*\bdir (in|out)\b.*", _take_direction),
        _line("crypto offload parameters: .*"),
    ],
    "if_id": _IGNORED,
    "tfcpad": _IGNORED,
    "dir": [_line("dir (in|out)", _take_direction), _line(r"dir other \(\d+\)")],
    "pcpu-num": _IGNORED,
    "sel": [
        _line(
            r"sel src (\S+) dst (\S+)((?: proto \S+)?(?: sport \d{1,5})?(?: dport \d{1,5})?(?: type \d+)?(?: code \d+)?"
            r"(?: key \d+)?(?: \(dport\) \S+)?(?: dev \S+)?(?: uid \d+)?)",
            _take_selector,
        )
    ],
    "lifetime": [_line("lifetime (config|current):")],
    "limit:": [_line(rf"limit: soft {_LIMIT}\((bytes|packets)\), hard {_LIMIT}\(\2\)", _take_limit)],
    "expire": _IGNORED,
    "add": _IGNORED,
    "stats:": _IGNORED,
    "security": _IGNORED,
}

# Lines that begin with a number: the window's bitmap, the lifetime so far.
_NAMELESS = [_line("[0-9a-f]{8}(?: [0-9a-f]{8})*"), _line(r"\d+\(bytes\), \d+\(packets\)")]
