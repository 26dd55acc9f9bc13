"""Translates one update of Telegram's Bot API to a message of the ingest API.

This is the file to replace for another platform.
"""

from __future__ import annotations

from datetime import datetime, timezone

MEDIA = {"photo": "image", "video": "video", "voice": "audio", "audio": "audio", "document": "file"}


def read_update(update: dict) -> tuple[dict, dict] | None:
    """Returns the conversation and the message of an update, or None for updates without a message."""
    post = update.get("message") or update.get("channel_post")
    if not post:
        return None
    kind = next((name for name in MEDIA if name in post), None)
    if kind is None and "text" not in post:
        return None
    chat, sender = post["chat"], post.get("from", {})
    is_private = chat["type"] == "private"
    username = chat.get("username")
    conversation = {
        "external_conversation_id": str(chat["id"]),
        "participant_identifier": f"@{username}" if username else str(chat["id"]),
        "participant_name": chat.get("title") or full_name(chat),
    }
    message = {
        # The id is unique inside a chat, and that is enough. Never make one up: a repeat is known by it.
        "id": str(post["message_id"]),
        "direction": "outbound" if sender.get("is_bot") else "inbound",
        "type": MEDIA[kind] if kind else "text",
        "content": post.get("text", post.get("caption", "")),
        "sent_at": datetime.fromtimestamp(post["date"], timezone.utc).isoformat(),
    }
    if "reply_to_message" in post:
        message["reply_to"] = str(post["reply_to_message"]["message_id"])
    if not is_private and sender:
        message["sender_name"] = full_name(sender)
    return conversation, message


def full_name(person: dict) -> str:
    return " ".join(filter(None, (person.get("first_name"), person.get("last_name"))))
