"""The core of KAOS: pure data in, pure data out.

The flow is `resource -> resolve -> plan -> apply -> observe -> status`; `plan.py` is the page to read first.
This package imports nothing here, so that `import kaos_core.<module>` costs only that module.
"""
