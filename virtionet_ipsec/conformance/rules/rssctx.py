"""RSS contexts, virtio 1.4, 5.1.9.5.8."""

from __future__ import annotations

from ...wire.enums import Feature
from ..watching.control_command import ControlCommand
from ..watching.control_rule import needs, on_control
from ..watching.control_state import RSS_CTX_ADD, RSS_CTX_CAP_GET, RSS_CTX_DEL, RSS_CTX_MOD, VQ_PAIRS_SET
from ..watching.rule import Finding
from ..watching.view import View


@on_control("rssctx", RSS_CTX_CAP_GET, RSS_CTX_ADD, RSS_CTX_MOD, RSS_CTX_DEL)
def negotiated(view: View, command: ControlCommand) -> Finding:
    """Commands of the RSS_CTX class are sent with VIRTIO_NET_F_RSS_CONTEXT only."""
    return needs(Feature.RSS_CONTEXT)(view, command)


@on_control("rssctx", RSS_CTX_ADD, RSS_CTX_MOD, RSS_CTX_DEL)
def id_range(view: View, command: ControlCommand) -> Finding:
    """rss_ctx_id is from 1 to max_rss_contexts, as far as the driver has asked for that."""
    number, most = command.number(0, 2), view.controls.most_contexts
    if not number:
        return ["rss_ctx_id is 0"]
    return [f"rss_ctx_id is {number}, and max_rss_contexts {most}"] if most is not None and number > most else []


@on_control("rssctx", VQ_PAIRS_SET)
def no_pairs(view: View, command: ControlCommand) -> Finding:
    """With VIRTIO_NET_F_RSS_CONTEXT, VQ_PAIRS_SET is sent while there is no RSS context."""
    if not view.has(Feature.RSS_CONTEXT):
        return None
    return ["VQ_PAIRS_SET while there are RSS contexts"] if view.controls.contexts else []
