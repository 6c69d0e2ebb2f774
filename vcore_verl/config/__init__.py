"""What was asked for: the recipe, typed, composed, checked and compared with its base. Imports no torch.

- `schema`      every key with its type, range and meaning
- `objectives`  what the SFT objectives declare, read from their source
- `recipe`      a recipe with its overrides, reading and writing
- `composition` where its files are, and what Hydra composes from them
- `checks`      what types cannot say: ranges, numbers that do not fit together, settings without effect
- `verl_keys`   the keys below `sft.verl` and `rl.verl`, checked against the installed verl and the recipe's own keys
- `overrides`   nested settings as Hydra overrides, the form in which verl's programs take them
- `diff`        what a recipe changes against its base
- `versions`    versions of installed packages
- `errors`      mistakes that are reported in one line
"""
