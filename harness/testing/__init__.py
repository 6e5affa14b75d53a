"""The testing kit: fakes, a local server that plays every fault, and a suite per contract for plugin authors."""
