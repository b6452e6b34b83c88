"""HTTP calls to a server: their number, their pace, and what becomes of every kind of fault."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from fault_server import Reply, Seen, Server, chat, problem, serving

from evalkit.model import ModelUnavailableError
from model_adapters.openai_api.client import Call, Client, Failure, retry_after
from model_adapters.openai_api.config import ServerConfig

KEY = "sk-secret-0123456789"


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds

    def clock(self) -> float:
        return self.now


def client(server: Server, key: str = "", **config: Any) -> tuple[Client, Time]:
    time = Time()
    given = ServerConfig(model="listener", base_url=server.url, **config)
    return Client(given, key, time.sleep, time.clock), time


def in_turn(*replies: Reply) -> Callable[[Seen], Reply]:
    """The replies one after the other, the last of them for ever."""
    waiting = list(replies)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


@pytest.mark.fault
def test_a_server_that_says_too_many_is_given_the_time_it_asks_for() -> None:
    replies = in_turn(problem(429, Retry_After="7"), problem(503, Retry_After="2"), chat("x"))
    with serving(replies) as server:
        asking, time = client(server)
        (answer,) = asking.post([Call("/chat/completions", {"a": 1})])
    assert isinstance(answer, dict)
    assert time.slept == [7.0, 2.0]
    assert [seen.json for seen in server.seen] == [{"a": 1}] * 3


@pytest.mark.fault
@pytest.mark.parametrize(
    "fault",
    [
        problem(500),
        problem(429),
        Reply(status=502, body=b"<html>Bad gateway</html>"),
        Reply(body=b'{"choices": [{"mess'),
        Reply(body=chat("x").body, cut=9),
        Reply(cut=0),
    ],
    ids=["500", "429", "502", "torn JSON", "cut in the body", "cut before the answer"],
)
def test_a_passing_fault_is_tried_again_after_longer_and_longer_waits(fault: Reply) -> None:
    with serving(in_turn(fault, fault, fault, chat("x"))) as server:
        asking, time = client(server)
        (answer,) = asking.post([Call("/chat/completions", {})])
    assert isinstance(answer, dict)
    assert len(time.slept) == 3
    assert all(low <= slept <= 2 * low for slept, low in zip(time.slept, (0.25, 0.5, 1.0), strict=True))


@pytest.mark.fault
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (problem(500, "it broke"), "HTTP 500: it broke, tried 3 times"),
        (Reply(body=b"not JSON"), "the server's answer is not JSON: not JSON, tried 3 times"),
        (Reply(body=chat("x").body, seconds=1.0), "no answer within 0.1 s, tried 3 times"),
        (Reply(body=chat("x").body, cut=3), "the connection broke .*tried 3 times"),
        (problem(400, "audio too long"), "HTTP 400: audio too long$"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}), "HTTP 302: Found$"),
    ],
    ids=["500", "bad JSON", "slow", "cut", "400", "redirect"],
)
def test_a_fault_that_stays_costs_one_sample(fault: Reply, reason: str) -> None:
    with serving(lambda seen: fault if seen.json["bad"] else chat("x")) as server:
        asking, _ = client(server, retries=2, timeout=0.1 if fault.seconds else 10.0)
        calls = [Call("/chat/completions", {"bad": bad}) for bad in (False, True, False)]
        first, second, third = asking.post(calls)
    assert isinstance(first, dict)
    assert isinstance(third, dict)
    assert isinstance(second, Failure)
    assert re.match(reason, second.reason)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (problem(401, f"Incorrect API key provided: {KEY}"), r"refuses the key.*provided: \*\*\*"),
        (problem(404, "no model 'listener'"), "does not know this address or model.*no model 'listener'"),
        (problem(429, "pay", "insufficient_quota"), "nothing left to spend"),
        (problem(429, Retry_After="3600"), "asks to wait 3600 s; run the same command then"),
    ],
    ids=["401", "404", "quota", "an hour"],
)
def test_a_server_that_will_answer_nobody_ends_the_run(fault: Reply, reason: str) -> None:
    with serving(lambda _: fault) as server:
        asking, _ = client(server, KEY)
        with pytest.raises(ModelUnavailableError, match=reason) as told:
            asking.post([Call("/chat/completions", {})])
    assert KEY not in str(told.value)
    assert len(server.seen) == 1


@pytest.mark.fault
def test_a_server_that_is_not_there_ends_the_run() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = Server(f"http://127.0.0.1:{free.getsockname()[1]}")
        asking, time = client(gone, retries=2)
        with pytest.raises(ModelUnavailableError, match=r"no server answers at http://127.0.0.1:\d+/v1"):
            asking.post([Call("/chat/completions", {})])
    assert len(time.slept) == 2


def test_no_more_calls_are_open_at_once_than_allowed() -> None:
    three = threading.Barrier(3)

    def meet(_: Seen) -> Reply:
        three.wait(timeout=30)
        return chat("x")

    with serving(meet) as server:
        asking, _ = client(server, concurrency=3)
        found = asking.post([Call("/chat/completions", {})] * 9)
    assert len(found) == 9
    assert server.peak == 3


def test_calls_keep_the_pace_that_was_set() -> None:
    with serving(lambda _: chat("x")) as server:
        asking, time = client(server, requests_per_minute=30.0, concurrency=1)
        asking.post([Call("/chat/completions", {})] * 3)
    assert time.slept == [2.0, 2.0]


def test_answers_come_in_the_order_of_the_calls() -> None:
    numbers = count()

    def later_ones_first(seen: Seen) -> Reply:
        return replace(chat(str(seen.json["n"])), seconds=0.1 / (1 + next(numbers)))

    with serving(later_ones_first) as server:
        asking, _ = client(server)
        found = asking.post([Call("/chat/completions", {"n": n}) for n in range(5)])
    texts = [answer["choices"][0]["message"]["content"] for answer in found if isinstance(answer, dict)]
    assert texts == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("3", 3.0), ("-1", 0.0), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds
