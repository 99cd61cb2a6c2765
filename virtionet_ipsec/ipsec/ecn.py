"""ECN in tunnels (RFC 6040, normal mode).

Codepoints are the two low bits of the IPv4 TOS or IPv6 Traffic Class octet.
Encapsulation copies the inner codepoint (RFC 6040 4.1); decapsulation is the
table below (RFC 6040 4.2, figure 4).
"""

from __future__ import annotations

NOT_ECT, ECT_1, ECT_0, CE = range(4)

# ON_DECAPSULATION[inner][outer]: the codepoint to forward, or None for "drop".
ON_DECAPSULATION: tuple[tuple[int | None, ...], ...] = (
    # outer:  Not-ECT  ECT(1)   ECT(0)   CE
    (NOT_ECT, NOT_ECT, NOT_ECT, None),  # inner Not-ECT
    (ECT_1, ECT_1, ECT_1, CE),  # inner ECT(1)
    (ECT_0, ECT_1, ECT_0, CE),  # inner ECT(0)
    (CE, CE, CE, CE),  # inner CE
)

# Combinations that no encapsulator of today makes: worth an alarm (RFC 6040 4.2).
UNEXPECTED: frozenset[tuple[int, int]] = frozenset(
    {(NOT_ECT, ECT_0), (NOT_ECT, ECT_1), (NOT_ECT, CE), (ECT_1, ECT_0), (CE, ECT_1)}
)
