"""The commands of `kaos`: every module and package here is one, by its own name.

Each has `app`, a `typer.Typer`; the first line of its help is its line in the listing. A new file here is a new
command; no list names it.
"""
