"""HTTP calls to one server: several at a time, paced, tried again after what may pass."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from evalkit.model import ModelUnavailableError
from model_adapters.openai_api.config import KEY_VARIABLE, ServerConfig

if TYPE_CHECKING:
    import aiohttp

# What may pass: timeouts, conflicts, too many requests, and whatever is the server's own fault.
PASSING = (408, 409, 425, 429)
# What every further request would meet as well.
REFUSING = {
    401: "refuses the key",
    402: "asks for payment",
    403: "does not allow this",
    404: "does not know this address or model",
}
SPENT = ("insufficient_quota", "billing_hard_limit_reached")
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
LONGEST_RETRY_AFTER = 600.0
MAX_BODY = 32 << 20
SHOWN = 300

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Call:
    """One POST: a JSON body, or a form with a WAV file."""

    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    wav: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call has no answer."""

    reason: str


class _PassingError(Exception):
    """An attempt that failed for a reason that may pass. wait: seconds that the server asks for."""

    def __init__(self, reason: str, *, wait: float | None = None, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.unreachable = unreachable


class _RejectedError(Exception):
    """The server will not answer this call, however often it is asked."""


class Client:
    """Calls that share a limit of concurrency, a pace and, after a 429, a pause."""

    def __init__(
        self,
        config: ServerConfig,
        key: str,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        self._config = config
        self._key = key
        self._sleep = sleep
        self._clock = clock
        self._between = 60.0 / config.requests_per_minute if config.requests_per_minute else 0.0
        self._not_before = 0.0

    def post(self, calls: Sequence[Call]) -> list[Mapping[str, Any] | Failure]:
        """The JSON object that answers each call, in order, or why there is none.

        Raises ModelUnavailableError when no further call can succeed: the server is not there, refuses the
        key, knows no such model, or asks to wait for long.
        """
        return asyncio.run(self._post(calls))

    async def _post(self, calls: Sequence[Call]) -> list[Mapping[str, Any] | Failure]:
        import aiohttp

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        gate = asyncio.Semaphore(self._config.concurrency)
        timeout = aiohttp.ClientTimeout(total=self._config.timeout)
        # A proxy named in the environment is for the world outside.
        outside = not self._config.on_loopback
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=outside) as session:

            async def gated(call: Call) -> Mapping[str, Any] | Failure:
                async with gate:
                    return await self._answer(session, call)

            tasks = [asyncio.ensure_future(gated(call)) for call in calls]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()

    async def _answer(self, session: aiohttp.ClientSession, call: Call) -> Mapping[str, Any] | Failure:
        attempts = self._config.retries + 1
        for attempt in range(attempts):
            await self._wait_for_turn()
            try:
                return await self._attempt(session, call)
            except _RejectedError as error:
                return Failure(self._shown(str(error)))
            except _PassingError as error:
                last = error
            if attempt + 1 < attempts:
                await self._back_off(attempt, last.wait)
        reason = self._shown(f"{last}, tried {attempts} times")
        if last.unreachable:
            raise ModelUnavailableError(reason)
        return Failure(reason)

    async def _wait_for_turn(self) -> None:
        while (wait := self._not_before - self._clock()) > 0:
            await self._sleep(wait)
        self._not_before = max(self._not_before, self._clock() + self._between)

    async def _back_off(self, attempt: int, asked: float | None) -> None:
        """Wait as long as the server asks, all calls together; else a random part of twice as long each time."""
        if asked is not None:
            self._not_before = max(self._not_before, self._clock() + asked)
            return
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
        await self._sleep(random.uniform(longest / 2, longest))  # noqa: S311

    async def _attempt(self, session: aiohttp.ClientSession, call: Call) -> Mapping[str, Any]:
        import aiohttp

        url = f"{self._config.base_url}{call.path}"
        sent: dict[str, Any] = {"data": _form(call)} if call.wav else {"json": call.body}
        try:
            # A redirect could carry the key elsewhere.
            async with session.post(url, allow_redirects=False, **sent) as response:
                text = await _read(response)
                self._check_status(response, text)
        except TimeoutError as error:
            raise _PassingError(f"no answer within {self._config.timeout:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise _PassingError(
                f"no server answers at {self._config.base_url} ({error.strerror or error})", unreachable=True
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _PassingError(f"the connection broke ({type(error).__name__}: {error})") from error
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _PassingError(f"the server's answer is not JSON: {_excerpt(text)}") from error
        if not isinstance(answer, dict):
            raise _RejectedError(f"the server's answer is no JSON object: {_excerpt(text)}")
        if answer.get("error"):
            raise _RejectedError(f"the server answered with an error: {_said(text)[1]}")
        return answer

    def _check_status(self, response: aiohttp.ClientResponse, text: str) -> None:
        status = response.status
        if status < 300:
            return
        code, message = _said(text)
        said = f"HTTP {status}: {message or response.reason or 'no reason given'}"
        if code in SPENT:
            raise ModelUnavailableError(self._shown(f"the account has nothing left to spend ({said})"))
        if status in REFUSING:
            key = self._config.api_key_env or KEY_VARIABLE
            raise ModelUnavailableError(
                self._shown(
                    f"the server {REFUSING[status]}: check --base-url {self._config.base_url}, the model's name "
                    f"{self._config.model!r} and {key} ({said})"
                )
            )
        if status in PASSING or status >= 500:
            raise _PassingError(said, wait=self._asked_to_wait(response.headers.get("Retry-After")))
        raise _RejectedError(said)

    def _asked_to_wait(self, header: str | None) -> float | None:
        seconds = retry_after(header)
        if seconds is not None and seconds > LONGEST_RETRY_AFTER:
            raise ModelUnavailableError(f"the server asks to wait {seconds:.0f} s; run the same command then")
        return seconds

    def _shown(self, text: str) -> str:
        """Servers quote keys in their errors; records must not."""
        return text.replace(self._key, "***") if self._key else text


def retry_after(header: str | None) -> float | None:
    """Seconds from now that a Retry-After header names, as a number or a date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _form(call: Call) -> aiohttp.FormData:
    import aiohttp

    form = aiohttp.FormData(dict(call.form))
    form.add_field("file", call.wav, filename="audio.wav", content_type="audio/wav")
    return form


async def _read(response: aiohttp.ClientResponse) -> str:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MAX_BODY:
            raise _RejectedError(f"the server's answer is longer than {MAX_BODY >> 20} MB")
    return body.decode("utf-8", errors="replace")


def _said(text: str) -> tuple[str, str]:
    """(code, message) of an error body, in OpenAI's form or another."""
    try:
        error = json.loads(text)
    except (ValueError, RecursionError):
        return "", _excerpt(text)
    if isinstance(error, dict):
        error = error.get("error", error.get("detail", error))
    if isinstance(error, dict):
        return str(error.get("code") or error.get("type") or ""), _excerpt(str(error.get("message", error)))
    return "", _excerpt(str(error))


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."
