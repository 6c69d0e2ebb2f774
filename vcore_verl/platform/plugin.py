"""Entry point `verl.plugins`: importing this module is what loads the plugin.

verl calls `EntryPoint.load` and nothing of what it returns (verl/__init__.py:71).
"""

from vcore_verl.platform import cpu_requested

if cpu_requested():
    from vcore_verl.platform import cpu, patches

    patches.apply()
    cpu.register()
