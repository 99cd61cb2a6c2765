"""Which device to judge: ``--target``.

``model`` is the device of this package; ``python:module:factory`` is anybody's
adapter: ``factory()`` gives a :class:`~virtionet_ipsec.trace.Target`, and is
called once for each check.  ``rings:`` and ``vhost-user:`` are driven through
virtqueues (:mod:`.through_rings`).  Other transports are further rows of the table.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..device import Device
from ..input_error import InputError
from ..trace import MakeTarget, Session, Target, said
from ..wire.codec import parse
from ..wire.enums import Feature
from ..wire.net import NetConfig
from ..wire.profile import Profile
from .model import Model
from .through_rings import back_end, model_behind_rings

_NEEDED = (
    "features",
    "status",
    "set_status",
    "set_driver_features",
    "read_config",
    "admin",
    "transmit",
    "receive",
    "receive_buffer_size",
)
_FORM = "give model, vhost-user:PATH, or python:MODULE:FACTORY; specs/adapter.py is an adapter to start from"


def find_target(name: str, profile: Profile) -> MakeTarget:
    """What makes the device that ``--target`` names.  Raises :class:`InputError`."""
    scheme, _, rest = name.partition(":")
    if scheme not in _SCHEMES:
        raise InputError(f"--target {name}", f"{scheme!r} is not one of: {', '.join(_SCHEMES)}", _FORM)
    return _SCHEMES[scheme](rest, profile)


def model_like(session: Session) -> Target:
    """The model as it has to be to take the place of a recorded device.  Raises :class:`InputError`."""
    config = parse(NetConfig, session.config)
    how = {"mtu": config.mtu} if session.features >> Feature.MTU & 1 else {}
    if session.features >> Feature.MQ & 1 or session.features >> Feature.RSS & 1:
        how["queue_pairs"] = config.max_virtqueue_pairs
    try:
        return Device(session.profile, features=session.features, mac=bytes(config.mac), **how)
    except ValueError as error:
        raise InputError("the trace's device", f"is none that the model can be ({error})", "give a --target") from None


def _model(rest: str, profile: Profile) -> MakeTarget:
    if rest:
        raise InputError(f"--target model:{rest}", "the model takes nothing after its name", _FORM)
    return partial(Model, profile)


def _python(rest: str, profile: Profile) -> MakeTarget:
    where = f"--target python:{rest}"
    module_name, _, factory_name = rest.partition(":")
    if not module_name or not factory_name:
        raise InputError(where, "has no module and factory", _FORM)
    if (here := str(Path.cwd())) not in sys.path:  # as python -m has it: adapters lie where people work
        sys.path.insert(0, here)
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
        made = factory()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the module is anybody's
        raise InputError(where, f"cannot be made ({said(error)})", "mend the module, or name another") from None
    missing = [each for each in _NEEDED if not hasattr(made, each)]
    if missing:
        raise InputError(where, f"the device has no {', '.join(missing)}", "specs/adapter.py shows what it needs")
    first = [made]  # what was made to look at it serves the first check: hardware may not come twice at a time
    return lambda: first.pop() if first else factory()


_SCHEMES: dict[str, Callable[[str, Profile], MakeTarget]] = {
    "model": _model,
    "rings": model_behind_rings,
    "vhost-user": back_end,
    "python": _python,
}
