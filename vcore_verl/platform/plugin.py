"""Entry point `verl.plugins`: importing this module is what loads the plugin (verl/__init__.py:69 calls `EntryPoint.load`)."""

from vcore_verl.platform import cpu_requested

if cpu_requested():
    from vcore_verl.platform import cpu, patches

    patches.apply()
    cpu.register()
