"""Reads Telegram updates, one JSON object a line, and sends them in batches. README.md says how to run it."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from typing import Iterator, TextIO

from client import MessagingClient, Refused
from update import read_update

BATCH_MESSAGES = 200
BATCH_WAIT_S = 0.5
# Reading waits for sending: this many updates at most are kept in memory.
QUEUE_SIZE = 1_000
END = object()


def read_updates(source: TextIO) -> Iterator[dict]:
    """Yields the updates of a file. A line that is no JSON is reported and skipped."""
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except ValueError:
            print(f"line {number} is not JSON: skipped", file=sys.stderr)


def in_batches(updates: Iterator[dict]) -> Iterator[list[dict]]:
    """Collects updates until there are enough, or the first one has waited long enough."""
    waiting: queue.Queue = queue.Queue(QUEUE_SIZE)

    def read() -> None:
        try:
            for update in updates:
                waiting.put(update)
        finally:
            waiting.put(END)

    threading.Thread(target=read, daemon=True).start()
    item = waiting.get()
    while item is not END:
        batch, deadline = [item], time.monotonic() + BATCH_WAIT_S
        item = None
        while len(batch) < BATCH_MESSAGES:
            try:
                item = waiting.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if item is END:
                break
            batch.append(item)
        yield batch
        if item is not END:
            item = waiting.get()


def group_by_conversation(updates: list[dict]) -> list[dict]:
    """Puts the messages of a batch together by conversation, in their order."""
    conversations: dict[str, dict] = {}
    for update in updates:
        try:
            read = read_update(update)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            # One update that cannot be read must not keep the others from being sent.
            print(f"an update was skipped: {type(error).__name__}", file=sys.stderr)
            continue
        if read is None:
            continue
        conversation, message = read
        found = conversations.setdefault(
            conversation["external_conversation_id"], {**conversation, "messages": []}
        )
        found["messages"].append(message)
    return list(conversations.values())


def send(client: MessagingClient, source: TextIO) -> None:
    for updates in in_batches(read_updates(source)):
        conversations = group_by_conversation(updates)
        if not conversations:
            continue
        results = client.ingest(conversations)
        added = sum(result["messages_added"] for result in results)
        print(f"{len(results)} conversations, {added} messages added", flush=True)
        for result in results:
            # Only this conversation or message was refused, and it would be again. Report it and continue.
            name = result["conversation_id"]
            if result["status"].startswith("error"):
                print(f"{name}: {result['status']}", file=sys.stderr)
            for rejected in result.get("rejected", []):
                print(f"{name}, message {rejected['id']}: {rejected['message']}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    try:
        client = MessagingClient(
            os.environ["SUPABASE_URL"],
            os.environ["MESSAGING_API_KEY"],
            "telegram",
            os.environ["MESSAGING_CONNECTION_ID"],
        )
    except KeyError as error:
        print(f"Set {error.args[0]}.", file=sys.stderr)
        return 2
    try:
        if arguments[:1] == ["people"]:
            for person in client.people(*arguments[1:2]):
                print(json.dumps(person, ensure_ascii=False))
        elif arguments:
            with open(arguments[0], encoding="utf-8", errors="replace") as source:
                send(client, source)
        else:
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
            send(client, sys.stdin)
    except Refused as error:
        # A repeat would fail again: fix the key or the connection, then start the bridge with the same updates.
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
