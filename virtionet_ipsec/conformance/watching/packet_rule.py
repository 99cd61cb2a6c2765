"""Rules on transmitted packets, which they get taken apart."""

from __future__ import annotations

from collections.abc import Callable

from ...device.exchanges import Transmitted
from .rule import Finding, add
from .sent_packet import SentPacket
from .view import View

Judge = Callable[[View, SentPacket], Finding]


def add_packet_rule(rule_id: str, sentence: str, judge: Judge) -> None:
    """Enter a rule on packets: it sees those that hold a header, from DRIVER_OK on."""

    def on_sent(view: View, sent: Transmitted) -> Finding:
        packet = view.packet(sent)
        return None if packet is None else judge(view, packet)

    add(rule_id, sentence, (Transmitted,), on_sent)


def packet_rules(area: str) -> Callable[[Judge], Judge]:
    """A decorator that enters packet rules of this area by their functions' names, wherever those stand."""

    def enter(judge: Judge) -> Judge:
        add_packet_rule(f"driver.{area}.{judge.__name__.replace('_', '-')}", judge.__doc__ or "", judge)
        return judge

    return enter
