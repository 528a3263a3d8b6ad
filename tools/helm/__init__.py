"""helm: the program, from PATH, or built once from the pin in `go.mod` beside this file."""
