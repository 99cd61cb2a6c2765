"""IPSEC_SA_CAP: what SAs of each mode can have (virtio 1.4, 5.9.9.9 IPSEC Service Operation)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..wire.capabilities import ipsec_sa_cap
from ..wire.codec import build, parse
from ..wire.enums import CapId, IpsecMode, IpsecOption
from ..wire.profile import Profile
from .capability import Capability
from .limits import SaModeCap
from .refusal import invalid_field

_NUMBERS = ("max_replay_win_sz", "max_cipher_key_len", "max_auth_key_len")
_BITMAPS = ("options", "cipher_algo", "hmac_algo", "aead_algo")

_ADDED_IN_1_4 = IpsecOption.ECN | IpsecOption.SA_LIFETIME


class IpsecSaCapability(Capability[Mapping[IpsecMode, SaModeCap]]):
    """IPSEC_SA_CAP.  The text orders the entries in no way; a mode comes at most once."""

    def __init__(self, device: Mapping[IpsecMode, SaModeCap], profile: Profile) -> None:
        super().__init__(CapId.IPSEC_SA_CAP, {})
        self._structure = ipsec_sa_cap(profile)
        absent = _ADDED_IN_1_4 if profile is Profile.RFC_V1 else IpsecOption(0)
        self._device = {mode: {**asdict(cap), "options": cap.options & ~absent} for mode, cap in device.items()}

    def device_data(self) -> bytes:
        return build(self._structure, cap_mode=list(self._device.values()))

    def check(self, data: bytes) -> Mapping[IpsecMode, SaModeCap]:
        modes: dict[IpsecMode, SaModeCap] = {}
        for entry in parse(self._structure, data).cap_mode:
            checked = self._check_mode(entry)
            if checked.mode in modes:
                raise invalid_field(f"mode {checked.mode.name} comes twice")
            modes[checked.mode] = checked
        return modes

    def _check_mode(self, entry: Any) -> SaModeCap:
        have = self._device.get(entry.mode)
        if have is None:
            raise invalid_field(f"mode {entry.mode} is not in the device's IPSEC_SA_CAP")
        mode = IpsecMode(entry.mode)
        for name in _NUMBERS:
            if entry[name] > have[name]:
                raise invalid_field(f"mode {mode.name}: {name} {entry[name]} is more than the device's {have[name]}")
        for name in _BITMAPS:
            if extra := entry[name] & ~int(have[name]):
                raise invalid_field(f"mode {mode.name}: {name} has bits {extra:#x} that the device does not have")
        values = {name: entry[name] for name in _NUMBERS + _BITMAPS}
        return SaModeCap(mode, **{**values, "options": IpsecOption(entry.options)})
