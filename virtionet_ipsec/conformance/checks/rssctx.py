"""RSS contexts, virtio 1.4, 5.1.9.5.8."""

from __future__ import annotations

from ...wire.codec import build
from ...wire.control import RssConfig
from ...wire.enums import CtrlClass, Feature
from ..check import check
from ..driving import controls, hashing
from ..driving.rig import Rig

_CAP_GET, _ADD, _MOD, _DEL = range(4)
_MOST = 16  # contexts that a check adds


def _start(rig: Rig) -> None:
    controls.start(rig, Feature.RSS_CONTEXT, Feature.RSS)


def _most(rig: Rig) -> int:
    """max_rss_contexts."""
    result = controls.accepted(rig, "VIRTNET_RSS_CTX_CTRL_CAP_GET", CtrlClass.RSS_CTX, _CAP_GET, room=2)
    rig.equal("octets of virtnet_rss_ctx_cap", 2, len(result))
    return int.from_bytes(result, "little")


def _context(rig: Rig, number: int) -> bytes:
    rss = build(
        RssConfig,
        hash_types=hashing.supported_types(rig),
        indirection_table=[0],
        max_tx_vq=1,
        hash_key_data=hashing.KEY,
    )
    return number.to_bytes(8, "little") + rss  # rss_ctx_id and 6 reserved octets


@check
def at_least_one(rig: Rig) -> None:
    """VIRTNET_RSS_CTX_CTRL_CAP_GET gives a max_rss_contexts of 1 or more."""
    _start(rig)
    rig.expect(_most(rig) >= 1, "max_rss_contexts", "1 or more", "0")


@check
def cleared_on_reset(rig: Rig) -> None:
    """After a reset no context is there to be modified or deleted, and all of them can be added again."""
    _start(rig)
    numbers = range(1, min(_most(rig), _MOST) + 1)
    for number in numbers:
        controls.accepted(rig, f"ADD of context {number}", CtrlClass.RSS_CTX, _ADD, _context(rig, number))
    _start(rig)
    for number in numbers:
        what = f"context {number} after a reset"
        controls.refused(rig, f"MOD of {what}", CtrlClass.RSS_CTX, _MOD, _context(rig, number))
        controls.refused(rig, f"DEL of {what}", CtrlClass.RSS_CTX, _DEL, number.to_bytes(2, "little"))
    for number in numbers:
        controls.accepted(rig, f"ADD of context {number}", CtrlClass.RSS_CTX, _ADD, _context(rig, number))
