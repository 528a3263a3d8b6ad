"""What is taken from a pod: why it does not serve, for as long as it does not."""

from kaos_operator.pods import Pod


def pod(**status):
    meta = {"name": "p", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return Pod.of({"metadata": meta, "status": {"containerStatuses": [{"name": "mcp-server", **status}]}})


ENDED = {"terminated": {"exitCode": 78, "message": "starting\nInvalidCode: line 1: invalid syntax\n"}}


def test_a_container_that_ended_tells_its_code_and_its_last_line():
    seen = pod(state=ENDED, restartCount=0)
    assert (seen.exit_code, seen.last_line) == (78, "InvalidCode: line 1: invalid syntax")


def test_the_reason_stays_through_the_pause_and_the_next_try_until_that_is_ready():
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    for state, ready in ((waiting, False), ({"running": {}}, False)):
        assert pod(state=state, lastState=ENDED, ready=ready, restartCount=3).exit_code == 78
    assert pod(state={"running": {}}, lastState=ENDED, ready=True, restartCount=3).exit_code is None


def test_a_new_container_and_one_that_is_done_have_no_trouble():
    assert not pod(state={"waiting": {"reason": "ContainerCreating"}}).troubled
    assert not pod(state={"terminated": {"exitCode": 0}}, ready=True).troubled


def test_an_image_that_cannot_be_pulled_is_told_in_the_kubelets_word():
    seen = pod(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
    assert (seen.waiting, seen.troubled) == ("ImagePullBackOff", True)
