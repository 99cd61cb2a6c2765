"""The specification as something that judges: catalogue, checks of a device, rules for a driver, verdicts.

    catalogue (specs/*.toml) -> entry -> its checks -> a rig that drives the device -> verdict
                                      -> its rules  -> a monitor that watches the driver -> verdict

How to read and extend it: specs/README.md.
"""
