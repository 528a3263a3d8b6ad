"""Stage 1 of the flow: YAML documents -> validated models. The CRDs are generated from these same models."""
