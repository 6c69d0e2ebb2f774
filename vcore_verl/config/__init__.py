"""What was asked for: the recipe, typed, composed, checked and compared with its base. Imports no torch.

- `schema`      every key with its type and meaning
- `recipe`      composition from `recipes/` and overrides, checks, reading and writing
- `verl_keys`   the keys below `sft.verl` and `rl.verl`, checked against the installed verl
- `overrides`   nested settings as Hydra overrides, the form in which verl's programs take them
- `diff`        what a recipe changes against its base
- `versions`    versions of installed packages
- `errors`      mistakes that are reported in one line
"""
