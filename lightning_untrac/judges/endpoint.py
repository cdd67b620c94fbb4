"""An OpenAI-compatible endpoint that is asked for yes or no."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lightning_untrac.errors import UnlearningError
from lightning_untrac.redaction import SECRET

if TYPE_CHECKING:
    import requests

LONGEST: Final = 16
"""Most tokens of a reply."""

LONGEST_WAIT: Final = 60.0
"""Seconds between two tries at most."""

_VERDICT: Final = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def endpoint_problems(url: str, model: str | None, key_from: str | None) -> list[str]:
    """What is wrong with the settings of an endpoint; a key that stands where it should not is not repeated.

    Args:
        url: up to ``/v1``.
        model: what the endpoint calls it.
        key_from: name of an environment variable.

    Example:
        >>> endpoint_problems("http://localhost:8000/v1", "judge", None)
        []
        >>> endpoint_problems("ftp://localhost", "judge", None)
        ['asked: url begins with http:// or https:// and names a host, such as http://localhost:8000/v1']
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    found = []
    if parts.scheme not in ("http", "https") or not host:
        found.append("asked: url begins with http:// or https:// and names a host, such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        found.append("asked: url holds more than an address; put the key into an environment variable (key_from)")
    if not model:
        found.append("asked: an endpoint needs `model`, what it calls the model")
    if key_from is not None and not _VARIABLE.fullmatch(key_from):
        found.append("asked: key_from is no name of an environment variable; give the name, and not the key itself")
    elif key_from is not None and not os.environ.get(key_from):
        found.append("asked: the environment variable that key_from names is not set; set it to the endpoint's key")
    return found


class _FailedError(Exception):
    """A request that another try may mend.

    Attributes:
        wait: seconds that the endpoint asks to wait.
    """

    def __init__(self, said: str, wait: float = 0.0) -> None:
        super().__init__(said)
        self.wait = wait


class Endpoint:
    """Asks an endpoint, several requests at once.

    Args:
        url: up to ``/v1``.
        model: what the endpoint calls it.
        key_from: name of the environment variable that holds its key, which is read for each request.
        at_once: requests under way.
        timeout: seconds after which a request has failed.
        retries: further tries of one that failed for now.
        pause: seconds before the second try; twice as long before each further one.
    """

    def __init__(self, url: str, model: str, key_from: str | None, at_once: int, timeout: float, retries: int,
                 pause: float = 1.0) -> None:  # fmt: skip
        self.url, self.model, self.key_from = f"{url.rstrip('/')}/chat/completions", model, key_from
        self.at_once, self.timeout, self.retries, self.pause = at_once, timeout, retries, pause

    def __call__(self, prompts: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
        """The prompt, the reply, and whether that is yes, of each, as they come.

        Args:
            prompts: what is asked.

        Raises:
            UnlearningError: if one has no verdict; those that have one by then come first.
        """
        stop = Event()
        with ThreadPoolExecutor(self.at_once) as pool:
            futures = {pool.submit(self._unless, stop, prompt): prompt for prompt in prompts}
            failed: BaseException | None = None
            try:
                for future in as_completed(futures):
                    if (error := future.exception()) is not None:
                        failed = failed or error
                    elif (found := future.result()) is not None:
                        yield futures[future], *found
            finally:
                stop.set()
        if failed is not None:
            raise failed

    def _unless(self, stop: Event, prompt: str) -> tuple[str, bool] | None:
        """A verdict; None, without asking, once another request has failed for good."""
        if stop.is_set():
            return None
        try:
            return self._verdict(prompt, stop)
        except BaseException:
            stop.set()
            raise

    def _verdict(self, prompt: str, stop: Event) -> tuple[str, bool] | None:
        for attempt in range(self.retries + 1):
            try:
                reply = self._reply(prompt)
                if (found := _VERDICT.search(reply)) is None:
                    raise _FailedError(f"its reply says neither yes nor no: {reply[:80]!r}")
                return reply, found[1].lower() == "yes"
            except _FailedError as error:
                if stop.is_set():
                    return None
                if attempt == self.retries:
                    raise UnlearningError(
                        f"judge: {self.url} gave no verdict in {attempt + 1} tries: {error}; what was judged is kept, "
                        "where `kept` names a file"
                    ) from None
                stop.wait(min(max(self.pause * 2**attempt, error.wait), LONGEST_WAIT))
        raise AssertionError

    def _reply(self, prompt: str) -> str:
        import requests

        messages = [{"role": "user", "content": prompt}]
        asked: dict[str, Any] = {
            "model": self.model, "messages": messages, "temperature": 0, "max_tokens": LONGEST
        }  # fmt: skip
        try:
            got = requests.post(self.url, json=asked, timeout=self.timeout, auth=self._signed, allow_redirects=False)
        except requests.Timeout:
            raise _FailedError(f"no answer in {self.timeout:g} seconds") from None
        except requests.RequestException as error:
            raise _FailedError(self._hidden(f"no connection ({type(error).__name__}: {error})")) from None
        if got.status_code == 429 or got.status_code >= 500:
            raise _FailedError(self._status(got), _seconds(got.headers.get("Retry-After")))
        if not 200 <= got.status_code < 300:
            mend = {
                401: "; the key is the one of the environment variable that key_from names",
                404: "; url ends in /v1",
            }
            raise UnlearningError(f"judge: {self.url}: {self._status(got)}{mend.get(got.status_code, '')}")
        try:
            content: Any = got.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            content = None
        if not isinstance(content, str):
            raise _FailedError(f"it sent no choices[0].message.content: {self._hidden(got.text)[:80]!r}")
        return content

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """With the key, and with no other that a .netrc may hold."""
        if key := self._key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    @property
    def _key(self) -> str | None:
        return None if self.key_from is None else os.environ.get(self.key_from)

    def _status(self, got: requests.Response) -> str:
        said = self._hidden(" ".join(got.text.split()))[:200]
        return f"status {got.status_code}{f' ({said})' if said else ''}"

    def _hidden(self, text: str) -> str:
        """A text without the key, should the endpoint repeat it."""
        return text.replace(self._key, SECRET) if self._key else text


def _seconds(given: str | None) -> float:
    """What a Retry-After header says, where it is a number."""
    try:
        return max(0.0, float(given or 0))
    except ValueError:
        return 0.0
