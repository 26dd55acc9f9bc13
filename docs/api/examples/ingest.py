"""Sends conversations, and retries while that can help. Needs Python 3.9 or later, and nothing else."""

import http.client
import json
import os
import random
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone

URL = os.environ["SUPABASE_URL"] + "/functions/v1/messaging-ingest"
HEADERS = {
    "Content-Type": "application/json",
    "x-api-key": os.environ["MESSAGING_API_KEY"],
}


def post(body):
    request = urllib.request.Request(URL, data=body, headers=HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, 0, json.load(response)
    except urllib.error.HTTPError as error:
        retry_after = error.headers.get("Retry-After", "")
        seconds = int(retry_after) if retry_after.isdigit() else 0
        return error.code, seconds, error.read().decode()
    except (OSError, ValueError, http.client.HTTPException) as error:
        # No answer, or half of one. It may have been stored or not: sending it again is safe.
        return 0, 0, repr(error)


def ingest(conversations):
    """Up to 500 conversations with up to 5,000 messages together."""
    body = json.dumps(
        {
            "platform": "whatsapp",
            "connection_id": os.environ["MESSAGING_CONNECTION_ID"],
            "conversations": conversations,
        }
    ).encode()
    attempt = 0
    while True:
        status, retry_after, answer = post(body)
        if status == 200:
            return answer["results"]
        if not (status in (0, 429) or status >= 500) or attempt == 8:
            raise RuntimeError(f"{status}: {answer}")
        time.sleep(max(retry_after, random.random() * min(30, 2**attempt)))
        attempt += 1


results = ingest(
    [
        {
            "external_conversation_id": "example_python",
            "participant_identifier": "+1234567890",
            "participant_name": "John Doe",
            "messages": [
                {
                    "id": "msg_001",  # The platform's own id, never one made for the request.
                    "direction": "inbound",
                    "type": "text",
                    "content": "Can we schedule a call?",
                    "sent_at": datetime.fromtimestamp(1769941800, timezone.utc).isoformat(),
                }
            ],
        }
    ]
)
for result in results:
    # "error: …" here is about this conversation alone, and is the same for every repeat.
    print(f"{result['conversation_id']}: {result['status']}, {result['messages_added']} added")
