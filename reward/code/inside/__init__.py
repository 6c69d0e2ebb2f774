"""What runs inside the jail's processes: the fork server, the confinement, the run of one program.

Standard library and ctypes only, imported without the rest of this repository, which the jail cannot read.
"""
