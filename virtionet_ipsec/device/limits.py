"""What a device can do: the contents of its capabilities, as parameters of the model.

The dataclasses carry the field names of the structures.  The same ones hold
what the driver set (:mod:`.capabilities`), which is never more than this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from ..ipsec.sa import MAX_REPLAY_WINDOW
from ..wire.enums import SELECTOR_LENGTH, Action, IpsecMode, IpsecOption, SelectorFlag, SelectorType
from ..wire.sa import KEY_SIZE
from .algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES, algorithm_mask
from .header_fields import partly_masked

U8_MAX, U32_MAX = 0xFF, 0xFFFFFFFF

_NO_OPTION = IpsecOption(0)


@dataclass(frozen=True, slots=True)
class LimitNumbers:
    """A capability that is limit numbers alone; all zero is "disabled"."""


@dataclass(frozen=True, slots=True)
class FfResourceLimits(LimitNumbers):
    """struct virtio_net_ff_cap_data (virtio 1.4, 5.1.9.6 Flow filter)."""

    groups_limit: int = 0
    classifiers_limit: int = 0
    rules_limit: int = 0
    rules_per_group_limit: int = 0
    last_rule_priority: int = 0
    selectors_per_classifier_limit: int = 0


@dataclass(frozen=True, slots=True)
class IpsecResourceLimits(LimitNumbers):
    """struct virtio_crypto_ipsec_resource_cap (virtio 1.4, 5.9.9.9 IPSEC Service Operation)."""

    inb_sa_limit: int = 0
    outb_sa_limit: int = 0


@dataclass(frozen=True, slots=True)
class SelectorCap:
    """struct virtio_net_ff_selector in a capability: which bits of one header can be matched.

    ``mask`` is as long as the header.  With PARTIAL_MASK in ``flags`` a
    classifier may take fields in part.
    """

    type: SelectorType
    mask: bytes
    flags: SelectorFlag = SelectorFlag.PARTIAL_MASK

    def __post_init__(self) -> None:
        length = SELECTOR_LENGTH[self.type]
        if len(self.mask) != length:
            raise ValueError(f"the mask of {self.type.name} has {length} octets, not {len(self.mask)}")
        partly = "" if self.flags & SelectorFlag.PARTIAL_MASK else partly_masked(self.type, self.mask)
        if partly:
            raise ValueError(f"without PARTIAL_MASK, {self.type.name} cannot cover a part of {partly}")


@dataclass(frozen=True, slots=True)
class SaModeCap:
    """struct virtio_crypto_ipsec_mode_cap (virtio 1.4, 5.9.9.9 IPSEC Service Operation): what one mode can do.

    ``cipher_algo``, ``hmac_algo`` and ``aead_algo`` have bit n for the
    algorithm with the id n; key lengths are in octets.
    """

    mode: IpsecMode
    max_replay_win_sz: int = MAX_REPLAY_WINDOW
    options: IpsecOption = _NO_OPTION
    cipher_algo: int = 0
    hmac_algo: int = algorithm_mask(MAC_NAMES)
    aead_algo: int = 0
    max_cipher_key_len: int = 0
    max_auth_key_len: int = KEY_SIZE

    def __post_init__(self) -> None:
        if not 0 <= self.max_replay_win_sz <= MAX_REPLAY_WINDOW:
            raise ValueError(f"max_replay_win_sz {self.max_replay_win_sz} is not in 0 to {MAX_REPLAY_WINDOW}")
        for name in ("max_cipher_key_len", "max_auth_key_len"):
            if not 0 <= getattr(self, name) <= KEY_SIZE:
                raise ValueError(f"{name} {getattr(self, name)} is not in 0 to {KEY_SIZE}, the room in the SA object")
        for name, known in (("cipher_algo", CIPHER_NAMES), ("hmac_algo", MAC_NAMES), ("aead_algo", AEAD_NAMES)):
            if getattr(self, name) & ~algorithm_mask(known):
                raise ValueError(f"{name} {getattr(self, name):#x} has algorithms that the model does not have")


_EVERY_MODE = IpsecOption.ESN | IpsecOption.SA_LIFETIME
_TUNNEL_ONLY = IpsecOption.COPY_DSCP | IpsecOption.DEC_TTL | IpsecOption.COPY_DF | IpsecOption.ECN


def _esp(mode: IpsecMode, options: IpsecOption) -> SaModeCap:
    return SaModeCap(
        mode,
        options=options | IpsecOption.UDP_ENCAP,
        cipher_algo=algorithm_mask(CIPHER_NAMES),
        aead_algo=algorithm_mask(AEAD_NAMES),
        max_cipher_key_len=KEY_SIZE,
    )


ALL_SELECTORS: tuple[SelectorCap, ...] = tuple(SelectorCap(t, bytes([0xFF]) * n) for t, n in SELECTOR_LENGTH.items())
"""Every selector type, every bit."""

ALL_SA_MODES: tuple[SaModeCap, ...] = (
    _esp(IpsecMode.ESP_TUNNEL, _EVERY_MODE | _TUNNEL_ONLY),
    _esp(IpsecMode.ESP_TRANSPORT, _EVERY_MODE),
    SaModeCap(IpsecMode.AH_TUNNEL, options=_EVERY_MODE | _TUNNEL_ONLY),
    SaModeCap(IpsecMode.AH_TRANSPORT, options=_EVERY_MODE),
)
"""Every mode with all that the engine does in it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The device's limits; each number is that of the capability field it names.

    ``groups`` to ``selectors_per_classifier`` go into FF_RESOURCE_CAP,
    ``selectors`` into FF_SELECTOR_CAP, ``actions`` into FF_ACTION_CAP,
    ``inb_sa`` and ``outb_sa`` into IPSEC_RESOURCE_CAP, ``sa_modes`` into
    IPSEC_SA_CAP.  Raises ValueError for what a capability cannot say or the
    model cannot do.
    """

    groups: int = 1 << 16
    classifiers: int = 1 << 16
    rules: int = 1 << 20
    rules_per_group: int = 1 << 20
    last_rule_priority: int = U8_MAX
    selectors_per_classifier: int = 3
    selectors: tuple[SelectorCap, ...] = ALL_SELECTORS
    actions: frozenset[Action] = field(default_factory=lambda: frozenset(Action))
    inb_sa: int = 1 << 20
    outb_sa: int = 1 << 20
    sa_modes: tuple[SaModeCap, ...] = ALL_SA_MODES

    def __post_init__(self) -> None:
        widths = {"last_rule_priority": U8_MAX, "selectors_per_classifier": U8_MAX}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int) and not 0 <= value <= widths.get(each.name, U32_MAX):
                raise ValueError(f"{each.name} {value} is not in 0 to {widths.get(each.name, U32_MAX)}")
        types = [selector.type for selector in self.selectors]
        if types != sorted(set(types)):
            raise ValueError("selectors have to be in the order of their types, each once")
        modes = [cap.mode for cap in self.sa_modes]
        if len(modes) != len(set(modes)):
            raise ValueError("sa_modes has a mode twice")

    @property
    def ff_resource(self) -> FfResourceLimits:
        """The contents of FF_RESOURCE_CAP."""
        return FfResourceLimits(
            self.groups,
            self.classifiers,
            self.rules,
            self.rules_per_group,
            self.last_rule_priority,
            self.selectors_per_classifier,
        )

    @property
    def ipsec_resource(self) -> IpsecResourceLimits:
        """The contents of IPSEC_RESOURCE_CAP."""
        return IpsecResourceLimits(self.inb_sa, self.outb_sa)

    @property
    def selector_caps(self) -> Mapping[SelectorType, SelectorCap]:
        """The contents of FF_SELECTOR_CAP, by type."""
        return {selector.type: selector for selector in self.selectors}

    @property
    def sa_mode_caps(self) -> Mapping[IpsecMode, SaModeCap]:
        """The contents of IPSEC_SA_CAP, by mode."""
        return {cap.mode: cap for cap in self.sa_modes}
