"""The same with the requests package, which retries by itself."""

import os

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

session = requests.Session()
retry = Retry(
    total=8,
    backoff_factor=0.5,
    status_forcelist=[429, 500, 502, 503, 504],
    allowed_methods=["POST"],
)
session.mount("https://", HTTPAdapter(max_retries=retry))
session.mount("http://", HTTPAdapter(max_retries=retry))

response = session.post(
    os.environ["SUPABASE_URL"] + "/functions/v1/messaging-ingest",
    headers={"x-api-key": os.environ["MESSAGING_API_KEY"]},
    json={
        "platform": "whatsapp",
        "connection_id": os.environ["MESSAGING_CONNECTION_ID"],
        "conversations": [
            {
                "external_conversation_id": "example_requests",
                "participant_identifier": "+1987654321",
                "participant_name": "Alice Smith",
                "messages": [
                    {
                        "id": "msg_001",
                        "direction": "inbound",
                        "type": "text",
                        "content": "Can we schedule a call?",
                        "sent_at": "2026-02-01T10:30:00Z",
                    }
                ],
            }
        ],
    },
    timeout=120,
)
response.raise_for_status()
for result in response.json()["results"]:
    print(f"{result['conversation_id']}: {result['status']}, {result['messages_added']} added")
