"""One turn of an AI agent, with its state kept. Needs Python 3.9 or later, and nothing else."""

import http.client
import json
import os
import sys
import urllib.error
import urllib.request

BASE = os.environ["SUPABASE_URL"] + "/functions/v1/conversation-sync"
HEADERS = {
    "Authorization": "Bearer " + os.environ["CONVERSATION_API_KEY"],
    "Content-Type": "application/json",
}


def call(method, path, body=None):
    """The data of the answer, or None: a failure of the sync must never stop the agent."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data, HEADERS, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["data"]
    except urllib.error.HTTPError as error:
        if error.code != 404 or method != "GET":  # A look-up that answers 404 found nothing.
            print(f"conversation sync error: {method} {error.code}", file=sys.stderr)
    except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
        print(f"conversation sync error: {method} {type(error).__name__}", file=sys.stderr)
    return None


PHONE, BUSINESS = "+51999999999", {"subDomain": "demo"}

session = call("POST", "/api/v1/conversations", {"userId": PHONE, **BUSINESS})
agent_path = f"/api/v1/whatsapp/agent/conversations/{(session or {}).get('sessionId')}"
if session:
    # Without a messageId, do not repeat it: it could be stored twice.
    call("POST", agent_path + "/messages", {"role": "user", "content": "Quiero una pizza"})

answer = "¡Perfecto! ¿De qué tamaño?"  # Your agent's part.

if session:
    context = {"selectedItems": [{"id": "p1", "name": "Pizza", "quantity": 1, "price": 15}], "orderTotal": 15}
    call("PUT", agent_path + "/sync", {"intent": "order", "step": "cart", "context": context})
    call("POST", agent_path + "/messages", {"role": "bot", "content": answer})

tenant = call("GET", f"/api/v1/whatsapp/lookup/tenant/{PHONE.lstrip('+')}")
print(f"{answer} ({tenant['subDomain'] if tenant else 'not synced'})")
