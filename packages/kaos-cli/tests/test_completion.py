"""What the shell offers when a user presses Tab: asked as bash asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Kaos


def offered(kaos: Kaos, line: str, **env: str) -> list[str]:
    """`line` ends where the cursor is."""
    words = line.split(" ")
    asked = {"_KAOS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), **env}
    done = kaos(env=asked)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture
def calculator(kaos: Kaos) -> Kaos:
    kaos.file("calculator.yaml", kaos.calculator)
    assert kaos("up", "-d", "calculator.yaml").returncode == 0
    return kaos


def test_servers_and_their_tools_are_offered(calculator: Kaos) -> None:
    kaos = calculator
    for command in ("get", "logs", "delete", "tools", "invoke"):
        assert offered(kaos, f"kaos mcp {command} --local ") == ["calculator"]
        assert offered(kaos, f"kaos mcp {command} c", KAOS_TARGET="local") == ["calculator"]
        assert offered(kaos, f"kaos mcp {command} --local x") == []
    assert offered(kaos, "kaos mcp invoke --local calculator ") == ["add", "divide"]
    assert offered(kaos, "kaos mcp invoke --local calculator d") == ["divide"]
    assert offered(kaos, "kaos mcp invoke --local calculator add a") == []
    assert offered(kaos, "kaos mcp invoke --local nosuch ") == []
    assert offered(kaos, "kaos mcp get --local -n elsewhere ") == []
    (kaos.folder / "sub").mkdir()
    assert offered(kaos, "kaos down ") == ["calculator", "calculator.yaml", "sub/"]


def test_without_a_store_nothing_is_offered_made_or_said(kaos: Kaos) -> None:
    for line in ("kaos mcp get --local ", "kaos mcp invoke --local calculator ", "kaos down calc"):
        assert offered(kaos, line) == []
    assert kaos.is_untouched()


def test_what_goes_wrong_offers_nothing(calculator: Kaos) -> None:
    status = calculator.store / "default" / "MCPServer" / "calculator" / "status.json"
    status.write_text("{")
    assert offered(calculator, "kaos mcp invoke --local calculator ") == []
    assert offered(calculator, "kaos mcp get ", KAOS_TARGET="nosuch") == []
    assert offered(calculator, "kaos down nosuch/") == []
