"""Entry point `verl.plugins`: importing this module loads the plugin.

verl calls `EntryPoint.load` and ignores what it returns (verl/__init__.py:71).
"""

from vcore_verl.cpu import launched, launched_on_cpu

if launched():
    from vcore_verl.cpu import patches

    patches.require_versions()

if launched_on_cpu():
    from vcore_verl.cpu import platform

    patches.apply()
    platform.register()
