"""E2E: what the tests in a real cluster need: images on its nodes, kubectl, helm, and ways to its Services."""
