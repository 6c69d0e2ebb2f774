"""The recipe: typed, composed, checked and compared with its base. Imports no torch.

- `schema`      every key with its type, range and meaning; `init_schema` and `rl_schema` for the sections that depend
                on what they choose, `ranges` for types that several sections have
- `declarations` what a file registers, parsed from its source
- `objectives`  what the SFT objectives declare
- `algorithms`  what the RL algorithms declare
- `recipe`      loading a recipe with overrides, reading and writing it
- `composition` where a recipe's files are, and what Hydra composes from them
- `checks`      what types cannot express: ranges, inconsistent values, settings without effect
- `verl_keys`   checks of `sft.verl` and `rl.verl` against the installed verl and the recipe's own keys
- `overrides`   nested settings as Hydra overrides, as verl's programs take them
- `diff`        how a recipe differs from its base
- `versions`    versions of installed packages
- `errors`      input errors, reported in one line
"""
