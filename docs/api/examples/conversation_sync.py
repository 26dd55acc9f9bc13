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


PHONE, SUBDOMAIN = "+51999999999", "demo"

session = call("POST", "/api/v1/conversations", {"userId": PHONE, "subDomain": SUBDOMAIN})
path = "/api/v1/whatsapp/agent/conversations/" + (session["sessionId"] if session else "")
if session:
    # With the wamid as messageId it could be repeated; without, it could then be stored twice.
    call("POST", path + "/messages", {"role": "user", "content": "Quiero una pizza"})

answer = "¡Perfecto! ¿De qué tamaño?"  # Your agent's part.

if session:
    items = [{"id": "p1", "name": "Pizza", "quantity": 1, "price": 15}]
    context = {"selectedItems": items, "orderTotal": 15}
    call("PUT", path + "/sync", {"intent": "order", "step": "cart", "context": context})
    call("POST", path + "/messages", {"role": "bot", "content": answer})

tenant = call("GET", "/api/v1/whatsapp/lookup/tenant/" + PHONE.lstrip("+"))
print(f"{answer} ({tenant['subDomain'] if tenant else 'not synced'})")
