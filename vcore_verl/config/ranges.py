"""Types of settings that several sections have."""

from typing import Annotated

from vcore_verl.setting import Setting

Count = Annotated[int, Setting(low=1)]
Positive = Annotated[float, Setting(above=0)]
NotNegative = Annotated[float, Setting(low=0)]
Share = Annotated[float, Setting(low=0, high=1)]
Schedule = Annotated[str, Setting(choices=("cosine", "constant"))]
