#!/usr/bin/env bash
# Finds the people with a phone number.
set -euo pipefail

curl --silent --show-error --fail-with-body --retry 8 --retry-connrefused --get \
  "$SUPABASE_URL/functions/v1/messaging-people" \
  -H "x-api-key: $MESSAGING_API_KEY" \
  -H "x-connection-id: $MESSAGING_CONNECTION_ID" \
  --data-urlencode "phone=+1 234 567 890"
