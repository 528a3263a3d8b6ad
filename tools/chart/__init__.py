"""The chart `charts/kaos`: what of it is made from the code, and the one-file installs that are made from the chart.

`values` says what can be set. From it come `values.yaml`, `values.schema.json` and the chart's page; from the
operator's own `rbac` and `admission` come the templates of the same names. `tools/generate.py` writes and compares
them. `dist` needs helm, and is what `nox -s dist` runs.
"""
