"""A client of the conversation-sync API. Standard library only, Python 3.9 or later.

No method raises when the API fails: it reports the failure on stderr and returns None, so that an outage
never keeps the agent from answering.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import quote

TIMEOUT_S = 10
RETRIES = 2


class ConversationSync:
    """The API as one agent key sees it."""

    def __init__(self, url: str, key: str):
        """url is that of the Supabase project, key an agent key (agt_…)."""
        self._base = url.rstrip("/") + "/functions/v1/conversation-sync"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def lookup_tenant(self, phone: str) -> dict | None:
        """Returns the customer's newest active session: subDomain, sessionId, botId, isActive."""
        return self._call("GET", f"/api/v1/whatsapp/lookup/tenant/{quote(phone, safe='')}")

    def lookup_business(self, phone_number_id: str) -> dict | None:
        """Returns the business that a WhatsApp number belongs to: subDomain, connectionId, isActive."""
        return self._call("GET", f"/api/v1/whatsapp/lookup/business/{quote(phone_number_id, safe='')}")

    def open_session(self, phone: str, sub_domain: str, metadata: dict) -> dict | None:
        """Returns the customer's active session with a business, or a new one."""
        body = {"userId": phone, "subDomain": sub_domain, "metadata": metadata}
        return self._call("POST", "/api/v1/conversations", body)

    def add_message(self, session_id: str, role: str, content: str, message_id: str | None = None) -> dict | None:
        """Adds a message of the customer (role "user") or the agent ("bot") and returns the session.

        message_id is the platform's own id. With it the message is stored once, also in the thread that the
        inbox shows. Without it, a repeat could store the message twice, so a failure is not retried.
        """
        body = {"role": role, "content": content, "messageId": message_id}
        path = f"/api/v1/whatsapp/agent/conversations/{quote(session_id, safe='')}/messages"
        return self._call("POST", path, body, can_repeat=message_id is not None)

    def sync(self, session_id: str, intent: str, step: str, context: dict) -> dict | None:
        """Stores intent, step and context (merged key by key) and returns the session."""
        path = f"/api/v1/whatsapp/agent/conversations/{quote(session_id, safe='')}/sync"
        return self._call("PUT", path, {"intent": intent, "step": step, "context": context})

    def link_order(self, session_id: str, sub_domain: str, order_id: str) -> dict | None:
        """Links an order; a repeat changes nothing."""
        path = f"/api/v1/conversations/{quote(session_id, safe='')}/orders"
        return self._call("POST", path, {"subDomain": sub_domain, "orderId": order_id})

    def reset(self, session_id: str, sub_domain: str) -> dict | None:
        """Sets the intent to idle and empties the context; messages and orders stay."""
        path = f"/api/v1/conversations/{quote(session_id, safe='')}/reset"
        body = {"subDomain": sub_domain, "keepHistory": True}
        return self._call("POST", path, body, can_repeat=False)

    def _call(self, method: str, path: str, body: dict | None = None, can_repeat: bool = True) -> dict | None:
        deadline = time.monotonic() + TIMEOUT_S
        for attempt in range(RETRIES + 1):
            failure, retry_after, answer = self._attempt(method, path, body, deadline - time.monotonic())
            if failure is None:
                return answer
            # 4xx, except 429, is the same for every repeat.
            is_final = failure.startswith("4") and failure != "429"
            wait = max(retry_after, 0.25 * 2**attempt)
            if not can_repeat or is_final or attempt == RETRIES or time.monotonic() + wait >= deadline:
                break
            time.sleep(wait)
        # Neither the path nor the body: both hold the customer's number or words.
        print(f"conversation sync error: {method} {failure}", file=sys.stderr)
        return None

    def _attempt(
        self, method: str, path: str, body: dict | None, timeout: float
    ) -> tuple[str | None, float, dict | None]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, self._headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=max(timeout, 0.001)) as response:
                return None, 0, json.load(response)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 404 and method == "GET":
                return None, 0, None  # The look-up found nothing.
            retry_after = error.headers.get("Retry-After", "")
            return str(error.code), float(retry_after) if retry_after.isdigit() else 0, None
        except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
            return type(error).__name__, 0, None
