"""Copies of one response or tool call in the main thread and on a sidechain, and late endings."""

import pytest

from lines import assistant, counted, result, tool, usage, user


@pytest.mark.parametrize("first", ["main", "side"])
def test_the_main_threads_copy_of_a_tool_call_wins_and_keeps_the_error(first: str) -> None:
    main = assistant("msg_1", content=[tool("Bash")], cwd="/home/a/p")
    side = assistant("msg_1", content=[tool("Bash")], isSidechain=True)
    both = (main, side) if first == "main" else (side, main)
    (event,) = counted(both[0], user([result(error=True)]), both[1]).events
    assert (event["is_sidechain"], event["cwd"], event["is_error"]) == (False, "/home/a/p", True)


def test_a_sidechains_end_does_not_make_the_main_threads_output_final() -> None:
    main = assistant("msg_1", usage(1, 2), stop=None)
    side = assistant("msg_1", usage(1, 2), isSidechain=True)
    (message,) = counted(main, side).messages
    assert message["output_partial"]


def test_an_advisors_call_ends_with_its_response() -> None:
    advisor = {"type": "advisor_message", "model": "advisor-1", "output_tokens": 5}
    counts = usage(10, 20) | {"iterations": [advisor]}
    streaming, last = (assistant("msg_1", counts, stop=stop) for stop in (None, "end_turn"))
    assert [m["output_partial"] for m in counted(streaming, last).messages] == [False, False]
    assert [m["output_partial"] for m in counted(streaming).messages] == [True, True]
