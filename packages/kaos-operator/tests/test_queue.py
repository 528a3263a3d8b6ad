"""The work queue: no key twice at once, none lost, fresh edits first."""

import asyncio

from kaos_operator.queue import WorkQueue


def in_loop(coroutine):
    async def bounded():
        async with asyncio.timeout(30):
            return await coroutine

    return asyncio.run(bounded())


def test_a_key_added_many_times_is_taken_once():
    async def run():
        queue = WorkQueue()
        for _ in range(1000):
            queue.add("a")
        assert await queue.take() == "a"
        assert len(queue) == 0

    in_loop(run())


def test_a_key_that_is_added_while_it_is_in_work_comes_again_and_only_afterwards():
    async def run():
        queue = WorkQueue()
        queue.add("a")
        await queue.take()
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await queue.take() == "a"
        queue.done("a")
        assert queue.idle

    in_loop(run())


def test_fresh_edits_come_before_the_backlog_of_a_start():
    async def run():
        queue = WorkQueue()
        for number in range(100):
            queue.add(f"old-{number}", fresh=False)
        queue.add("edited")
        queue.add("old-99")
        assert [await queue.take() for _ in range(3)] == ["edited", "old-99", "old-0"]

    in_loop(run())


def test_what_somebody_saw_of_our_own_writes_is_no_reason_to_look_again():
    async def run():
        queue = WorkQueue()
        queue.add("a", cause=3)
        await queue.take()
        queue.add("a", cause=4)
        queue.add("a", cause=5)
        queue.done("a", own={4, 5})
        assert queue.idle
        for causes in ([4, 6], [4, None]):
            queue.add("a")
            await queue.take()
            for cause in causes:
                queue.add("a", cause=cause)
            queue.done("a", own={4, 5})
            assert await queue.take() == "a"
            queue.done("a")
        assert queue.idle

    in_loop(run())


def test_a_failed_key_comes_back_later_and_an_edit_does_not_wait_for_that():
    async def run():
        queue = WorkQueue(first=0.01, limit=300)
        queue.add("a")
        await queue.take()
        queue.failed("a")
        queue.done("a")
        assert await queue.take() == "a"
        for _ in range(20):
            pause = queue.failed("a")
        assert pause > 60
        queue.done("a")
        queue.add("a")
        assert await queue.take() == "a"

    in_loop(run())


def test_the_pause_grows_to_its_limit_and_starts_again_after_a_success():
    async def run():
        queue = WorkQueue(first=1, limit=8)
        pauses = [queue.failed("a") for _ in range(6)]
        assert all(0.75 * due <= pause <= 1.25 * due for pause, due in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True))
        queue.succeeded("a")
        assert queue.failed("a") <= 1.25
        assert queue.failed("b", at_least=7) >= 7
        queue.add("a"), queue.add("b")

    in_loop(run())


def test_a_worker_that_waits_gets_the_next_key():
    async def run():
        queue = WorkQueue()
        waiting = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        queue.add("a")
        assert await waiting == "a"

    in_loop(run())
