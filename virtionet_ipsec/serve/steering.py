"""The host's own flow filter rules: ESP, AH and UDP-encapsulated ESP go through IPsec (virtio 1.4, 5.1.9.6)."""

from __future__ import annotations

from collections.abc import Iterable

from ..driver import flow_rules
from ..driver.driver import Driver
from ..input_error import InputError
from ..wire.enums import Action, ResourceType, SelectorType

_KINDS = (ResourceType.FF_GROUP, ResourceType.FF_CLASSIFIER, ResourceType.FF_RULE)
_PRIORITY = 1  # of the group: what the owner's groups of a higher one match is theirs
_MOST_RULES = 255  # that have priorities of their own within a group


class Steering:
    """One group of rules through ``driver``, which has just been started; ``rules`` are their ids.

    The ids of groups, classifiers and rules are shared with the owner of the
    device: the host's own are the upper half of each range (D139).
    """

    def __init__(self, driver: Driver, udp_ports: Iterable[int]) -> None:
        self.rules: set[int] = set()
        self.udp_ports: frozenset[int] = frozenset()
        self._driver = driver
        self._classifiers: dict[tuple[tuple[SelectorType, bytes], ...], int] = {}
        for kind in _KINDS:
            driver.number_from(kind, driver.limits[kind] // 2)
        self._group = driver.create_group(_PRIORITY)
        self._add(flow_rules.ipsec_matches(()))
        self.steer(udp_ports)

    def steer(self, udp_ports: Iterable[int]) -> None:
        """Take UDP to further destination ports for ESP.  Raises :class:`InputError` when there are too many."""
        ports = tuple(sorted(set(udp_ports) - self.udp_ports))
        found = flow_rules.ipsec_matches(ports)
        self._add([matches for matches in found if matches[-1].type is SelectorType.UDP])
        self.udp_ports |= set(ports)

    def _add(self, found: list[tuple[flow_rules.Match, ...]]) -> None:
        if len(self.rules) + len(found) > _MOST_RULES:
            what = f"no more than {(_MOST_RULES - 4) // 2} different UDP ports can be steered into IPsec"
            raise InputError("inbound SAs", what, "let SAs share ports")
        for matches in found:
            shape = tuple((match.type, match.mask) for match in matches)
            if shape not in self._classifiers:
                self._classifiers[shape] = self._driver.create_classifier(matches)
            priority = len(self.rules)
            rule = self._driver.create_rule(self._group, self._classifiers[shape], priority, Action.IPSEC, matches)
            self.rules.add(rule)
