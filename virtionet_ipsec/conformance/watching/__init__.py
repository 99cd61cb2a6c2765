"""How a driver is watched: the monitor, the session as an observer knows it, rules, and what many rules share."""
