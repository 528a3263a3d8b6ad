"""Nothing is written but what has to be, counted by the API server."""


def wrote(world, mark):
    return sorted((request.verb, request.resource, request.subresource) for request in world.writes(mark))


def test_creating_takes_three_writes_of_ours_and_an_edit_two(world):
    before = looks(world)
    mark = world.plane.mark()
    world.create(world.server("counted"))
    world.until_programmed("counted")
    world.quiet()
    created = [("patch", "deployments", ""), ("patch", "mcpservers", "status"), ("patch", "services", "")]
    assert wrote(world, mark) == created

    mark = world.plane.mark()
    world.edit("MCPServer", "counted", params="def mul(a: int, b: int) -> int:\n    return a * b\n")
    world.until_programmed("counted")
    world.quiet()
    assert wrote(world, mark) == [("patch", "deployments", ""), ("patch", "mcpservers", "status")]
    # What the watches tell of our own writes is no reason to look again.
    assert looks(world) == before + 2


def looks(world):
    """How often a server has been looked at."""
    return world.operator.metrics().get('kaos_reconciles_total{kind="MCPServer",result="done"}', 0)


def test_a_restart_and_a_label_write_nothing(world):
    world.create(world.server("still"))
    world.until_programmed("still")
    world.quiet()
    mark = world.plane.mark()

    assert world.operator.stop() == 0
    world.operator.start()
    world.merge("MCPServer", "still", {"metadata": {"labels": {"touched": "yes"}}})
    world.quiet()

    assert world.writes(mark) == []
