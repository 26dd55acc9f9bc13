"""Writes an answer: by an OpenAI-compatible endpoint if AI_BASE_URL is set, otherwise by a fixed text."""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.request

INSTRUCTIONS = "You answer customers of a small restaurant. Offer only what is on the menu: {menu}. One or two sentences."


def write_answer(history: list[dict], menu: str) -> str:
    """history holds {"role": "user" | "bot", "content": …}, oldest first; the last one is to be answered."""
    fallback = f"We have {menu}. What would you like?"
    base_url = os.environ.get("AI_BASE_URL")
    if not base_url:
        return fallback
    messages = [{"role": "system", "content": INSTRUCTIONS.format(menu=menu)}] + [
        {"role": "assistant" if message["role"] == "bot" else "user", "content": message["content"]}
        for message in history
    ]
    body = {"model": os.environ["AI_MODEL"], "messages": messages}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('AI_KEY', '')}"}
    request = urllib.request.Request(
        base_url.rstrip("/") + "/chat/completions", json.dumps(body).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["choices"][0]["message"]["content"]
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        print(f"AI endpoint: {type(error).__name__}", file=sys.stderr)
        return fallback
