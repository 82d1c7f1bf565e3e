"""A chat with a language model behind any OpenAI-compatible endpoint: POST {base URL}/chat/completions."""

import os
import time
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vestige.errors import VestigeError

if TYPE_CHECKING:
    import httpx

_BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_WAIT = 60.0
_SHOWN = 200


class RefusedRequest(Exception):
    """The endpoint answers, but not to this request; the message is the reason, fit for a table."""


class Endpoint:
    """An open connection; may be used by several threads at once.

    Args:
        model: the model, as the endpoint names it.
        url: base URL, with its version; the variable OPENAI_BASE_URL when empty.
        key_variable: the environment variable with the key, which is kept nowhere else; none is sent if it is not set.
        timeout: seconds to wait for an answer.
        retries: how often to ask again an endpoint that is busy (429, 5xx), silent or unreachable.
        pause: seconds before the first of them; doubles each time, or is what the endpoint says (Retry-After).

    Raises:
        VestigeError: no model or no URL is named, or the URL is none.
    """

    def __init__(self, model: str, url: str, key_variable: str, timeout: float, retries: int, pause: float) -> None:
        self.url = (url or os.environ.get("OPENAI_BASE_URL", "")).rstrip("/")
        _check_url(self.url)
        if not model:
            raise VestigeError("rewrite: name the model with --rewrite.model")
        if retries < 0 or timeout <= 0 or pause < 0:
            raise VestigeError("rewrite: retries and pause are at least 0, the timeout is above 0")
        self._model, self._timeout, self._retries, self._pause = model, timeout, retries, pause
        key = os.environ.get(key_variable, "").strip()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._httpx = _library()
        self._client: httpx.Client = self._httpx.Client(timeout=timeout, headers=headers)

    def close(self) -> None:
        self._client.close()

    def answer(self, request: Mapping[str, Any]) -> str:
        """The text a model answers to the body of a request.

        Raises:
            RefusedRequest: the endpoint refuses this request, or what it sends is no chat completion.
            VestigeError: it refuses every request (401, 403, 404), stays busy, or cannot be reached.
        """
        reason, pause = "", self._pause
        for trial in range(self._retries + 1):
            if trial:
                time.sleep(min(pause, _LONGEST_WAIT))
                pause = self._pause * 2**trial
            try:
                response = self._client.post(f"{self.url}/chat/completions", json=dict(request))
            except self._httpx.TimeoutException:
                reason = f"no answer within {self._timeout:g} s"
                continue
            except self._httpx.RequestError as error:
                reason = f"{type(error).__name__}: {_short(str(error))}"
                continue
            if response.status_code in _BUSY:
                reason = f"HTTP {response.status_code}: {_short(response.text)}"
                pause = _asked_pause(response.headers.get("Retry-After", ""), pause)
                continue
            if response.status_code in {401, 403, 404} or response.is_redirect:
                raise self._unusable(f"answers HTTP {response.status_code}: {_short(response.text)}")
            if response.status_code != 200:
                raise RefusedRequest(f"the endpoint answers HTTP {response.status_code}: {_short(response.text)}")
            return _text(response)
        raise self._unusable(
            f"did not answer in {self._retries + 1} trials ({reason}); what was answered is kept: give the same"
            " command again to go on"
        )

    def _unusable(self, what: str) -> VestigeError:
        return VestigeError(f"rewrite: {self.url} (model {self._model}) {what}")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        secret = bool(parts.username or parts.password or parts.query)
    except ValueError:
        usable = secret = False
    if secret:
        # It would be kept with the captions.
        raise VestigeError("rewrite: the base URL holds credentials or a query: give the key by OPENAI_API_KEY")
    if not usable:
        raise VestigeError(
            f"rewrite: the endpoint's base URL is {url!r}: set OPENAI_BASE_URL or --rewrite.url, for example"
            " http://localhost:8000/v1"
        )


def _library() -> ModuleType:
    try:
        import httpx
    except ImportError as error:
        raise VestigeError("captions from a language model need httpx: pip install 'vestige[captions]'") from error
    return httpx


def _asked_pause(header: str, otherwise: float) -> float:
    try:
        return max(float(header), 0.0)
    except ValueError:
        # A date, or nothing: our own pause does.
        return otherwise


def _text(response: "httpx.Response") -> str:
    try:
        content = response.json()["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise RefusedRequest(f"the endpoint sent no chat completion: {_short(response.text)}") from error
    if not isinstance(content, str):
        raise RefusedRequest(f"the endpoint sent no text: {_short(response.text)}")
    return content


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + " ..."
