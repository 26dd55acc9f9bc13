#!/usr/bin/env bash
# Sends one conversation. The second time, nothing in it is new.
set -euo pipefail

curl --silent --show-error --fail-with-body --retry 8 --retry-connrefused \
  -X POST "$SUPABASE_URL/functions/v1/messaging-ingest" \
  -H "Content-Type: application/json" \
  -H "x-api-key: $MESSAGING_API_KEY" \
  --data-binary @- <<JSON
{
  "platform": "whatsapp",
  "connection_id": "$MESSAGING_CONNECTION_ID",
  "conversations": [
    {
      "external_conversation_id": "example_curl",
      "participant_identifier": "+1234567890",
      "participant_name": "John Doe",
      "messages": [
        {
          "id": "msg_001",
          "direction": "inbound",
          "type": "text",
          "content": "Hi, I am interested in your product",
          "sent_at": "2026-02-01T10:30:00Z"
        },
        {
          "id": "msg_002",
          "direction": "outbound",
          "type": "image",
          "content": "Our catalogue",
          "media_url": "https://example.com/images/product.jpg",
          "sent_at": "2026-02-01T17:32:00+07:00"
        }
      ]
    }
  ]
}
JSON
