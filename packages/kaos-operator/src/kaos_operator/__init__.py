"""The operator: resources in a cluster -> plans -> applied objects -> truthful status."""
