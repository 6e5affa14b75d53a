"""One model in several child processes: `replicas` and `devices`, which every local provider takes.

Each replica opens the same model with the same settings as one process would, on the devices that are its own. Requests
go to the replica with the least to do. A replica that dies costs its own samples a second try and nothing else.
"""
