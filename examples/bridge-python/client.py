"""A client of messaging-ingest and messaging-people, with safe retries. Standard library only."""

from __future__ import annotations

import http.client
import json
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Iterator

REQUEST_TIMEOUT_S = 120
MAX_WAIT_S = 30
PAGE = 500


class Refused(Exception):
    """A request that fails again if it is repeated: fix the key, the connection or the request."""

    def __init__(self, status: int, answer: dict):
        reason = answer.get("error") or answer.get("message") or "no reason given"
        super().__init__(f"{status} {answer.get('code', '')}: {reason}")
        self.status = status
        self.code = answer.get("code")


class MessagingClient:
    """The API as one connection uses it."""

    def __init__(self, url: str, key: str, platform: str, connection_id: str):
        self._url = url
        self._platform = platform
        self._connection_id = connection_id
        self._headers = {
            "Content-Type": "application/json",
            "x-api-key": key,
            "x-connection-id": connection_id,
        }

    def ingest(self, conversations: list[dict]) -> list[dict]:
        """Stores conversations, up to 500 with up to 5,000 messages together; returns one result for each.

        Retries until the API answers 200. A repeat stores nothing twice, because messages are compared by id.
        Raises Refused for 4xx, except 429.
        """
        body = {
            "platform": self._platform,
            "connection_id": self._connection_id,
            "conversations": conversations,
        }
        try:
            return self._request("messaging-ingest", json.dumps(body).encode())["results"]
        except Refused as error:
            is_too_large = error.status == 413 or error.code == "batch_too_slow"
            if not is_too_large or len(conversations) == 1:
                raise
        half = (len(conversations) + 1) // 2
        return self.ingest(conversations[:half]) + self.ingest(conversations[half:])

    def people(self, since: str = "1970-01-01T00:00:00Z") -> Iterator[dict]:
        """Yields the contacts of the workspace that changed since a time (ISO 8601), some of them twice."""
        offset = 0
        while True:
            query = urllib.parse.urlencode({"limit": PAGE, "offset": offset, "updated_since": since})
            page = self._request(f"messaging-people?{query}")["people"]
            yield from page
            if len(page) < PAGE:
                return
            # Continue from the last change: a contact that changes meanwhile moves to the end.
            last = page[-1]["updated_at"]
            offset = offset + len(page) if last == since else 0
            since = last

    def _request(self, path: str, body: bytes | None = None) -> dict:
        attempt = 0
        while True:
            status, retry_after, answer = self._attempt(path, body)
            if status == 200:
                return answer
            if not (status in (0, 429) or status >= 500):
                raise Refused(status, answer)
            # A random wait keeps bridges from returning all at once.
            wait = max(retry_after, random.random() * min(MAX_WAIT_S, 2**attempt))
            print(f"{status or 'no answer'}: retry in {wait:.1f} s", file=sys.stderr, flush=True)
            time.sleep(wait)
            attempt = min(attempt + 1, 10)

    def _attempt(self, path: str, body: bytes | None) -> tuple[int, float, dict]:
        request = urllib.request.Request(
            f"{self._url}/functions/v1/{path}", data=body, headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:
                return response.status, 0, json.load(response)
        except urllib.error.HTTPError as error:
            retry_after = error.headers.get("Retry-After", "")
            return error.code, int(retry_after) if retry_after.isdigit() else 0, read_error(error)
        except (OSError, ValueError, http.client.HTTPException):
            # No answer, or half of one. The messages may be stored or not; a repeat is safe.
            return 0, 0, {}


def read_error(error: urllib.error.HTTPError) -> dict:
    """Returns the body of an error, or {} where something in front of the API answered with a page of HTML."""
    try:
        answer = json.load(error)
        return answer if isinstance(answer, dict) else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}
