"""One-fault drivers, a module for each area of the catalogue; importing this makes them known."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
