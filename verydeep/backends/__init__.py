"""From a description to something that runs: one file for each framework, all under the contract in `check`."""
