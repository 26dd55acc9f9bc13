"""An agent that takes orders, remembers the conversation, and hands over to a person. See README.md."""

from __future__ import annotations

import os
import sys
from typing import TypedDict
from uuid import uuid4

from langgraph.graph import END, START, StateGraph

from conversation_sync import ConversationSync
from model import write_answer

MENU = {"pizza": 15.5, "salad": 8.0, "lemonade": 3.0}
MENU_TEXT = ", ".join(f"{name} ({price:g})" for name, price in MENU.items())
HAND_OVER = "hand_over"
PERSON_WORDS = ("person", "human", "complaint", "manager")
YES_WORDS = ("yes", "confirm", "order it")

sync = ConversationSync(os.environ["SUPABASE_URL"], os.environ["CONVERSATION_API_KEY"])


class State(TypedDict, total=False):
    """What one turn knows. Only phone, text and message_id are given."""

    phone: str
    text: str
    message_id: str
    session_id: str | None
    sub_domain: str
    history: list[dict]
    intent: str
    step: str
    cart: list[dict]
    answer: str | None


def find_business(phone: str) -> str | None:
    """Returns the business a customer talks to: that of the active session, or that of the WhatsApp number."""
    tenant = sync.lookup_tenant(phone) or sync.lookup_business(os.environ["WHATSAPP_PHONE_NUMBER_ID"])
    return tenant["subDomain"] if tenant else None


def open_session(state: State) -> State:
    """Finds the business and the session, and files the customer's message."""
    sub_domain = find_business(state["phone"])
    metadata = {"phoneNumberId": os.environ["WHATSAPP_PHONE_NUMBER_ID"]}
    session = sync.open_session(state["phone"], sub_domain, metadata) if sub_domain else None
    if session:
        session = sync.add_message(session["sessionId"], "user", state["text"], state["message_id"]) or session
    # Without the API the agent answers all the same, only without memory.
    session = session or {"sessionId": None, "context": {}}
    context = session["context"]
    return {
        "session_id": session["sessionId"],
        "sub_domain": sub_domain or "",
        "history": context.get("previousMessages") or [{"role": "user", "content": state["text"]}],
        "intent": session.get("currentIntent") or "idle",
        "step": session.get("currentStep") or "initial",
        "cart": context.get("selectedItems") or [],
        "answer": None,
    }


def choose(state: State) -> str:
    """Names the node that handles the message."""
    text = state["text"].lower()
    if state["intent"] == HAND_OVER:
        return "stay_silent"
    if any(word in text for word in PERSON_WORDS):
        return "hand_over"
    if any(name in text for name in MENU):
        return "add_to_cart"
    if state["step"] == "cart" and any(word in text for word in YES_WORDS):
        return "place_order"
    return "talk"


def stay_silent(state: State) -> State:
    """A person has taken over: the message is filed, and the agent does not answer."""
    return {}


def hand_over(state: State) -> State:
    """Leaves the conversation to a person, who sees it in the inbox."""
    return {"intent": HAND_OVER, "step": "waiting_for_person", "answer": "I'll get a colleague. One moment, please."}


def add_to_cart(state: State) -> State:
    """Adds the dishes that the message names."""
    named = [name for name in MENU if name in state["text"].lower()]
    new = [{"id": name, "name": name, "quantity": 1, "price": MENU[name]} for name in named]
    cart = state["cart"] + new
    answer = f"Added {' and '.join(named)}. That makes {total(cart):g} so far. Shall I order it?"
    return {"intent": "order", "step": "cart", "cart": cart, "answer": answer}


def place_order(state: State) -> State:
    """Places the order and links it to the session."""
    # The same message always makes the same order, however often it is delivered.
    order_id = f"order_{state['message_id']}"
    if state["session_id"]:
        sync.link_order(state["session_id"], state["sub_domain"], order_id)
    answer = f"Ordered for {total(state['cart']):g}. Thank you!"
    return {"intent": "order", "step": "ordered", "cart": [], "answer": answer}


def talk(state: State) -> State:
    """Answers anything else with the model, which knows the newest messages."""
    return {"answer": write_answer(state["history"], MENU_TEXT)}


def save_turn(state: State) -> State:
    """Stores what was decided and said."""
    if state["session_id"] and state["answer"] is not None:
        context = {"selectedItems": state["cart"], "orderTotal": total(state["cart"])}
        sync.sync(state["session_id"], state["intent"], state["step"], context)
        # Give the id that WhatsApp returned when you sent the answer, and it appears in the thread at once.
        sync.add_message(state["session_id"], "bot", state["answer"])
    return {}


def total(cart: list[dict]) -> float:
    return sum(item["price"] * item["quantity"] for item in cart)


def build_graph():
    graph = StateGraph(State)
    handlers = [stay_silent, hand_over, add_to_cart, place_order, talk]
    for node in [open_session, *handlers, save_turn]:
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "open_session")
    graph.add_conditional_edges("open_session", choose, [node.__name__ for node in handlers])
    for node in handlers:
        graph.add_edge(node.__name__, "save_turn")
    graph.add_edge("save_turn", END)
    return graph.compile()


def resume(phone: str) -> bool:
    """Gives a conversation back to the agent."""
    tenant = sync.lookup_tenant(phone)
    return bool(tenant and sync.reset(tenant["sessionId"], tenant["subDomain"]))


def main(arguments: list[str]) -> int:
    if len(arguments) == 2 and arguments[0] == "--resume":
        is_done = resume(arguments[1])
        print("The agent answers again." if is_done else "This customer has no active session.")
        return 0 if is_done else 1
    if len(arguments) not in (2, 3):
        print("usage: agent.py PHONE TEXT [MESSAGE_ID] | agent.py --resume PHONE", file=sys.stderr)
        return 2
    phone, text = arguments[:2]
    # The webhook gives the wamid. A made-up id is fine at the terminal only.
    message_id = arguments[2] if len(arguments) == 3 else f"try_{uuid4()}"
    state = build_graph().invoke({"phone": phone, "text": text, "message_id": message_id})
    print(state["answer"] if state["answer"] is not None else "(a person has taken over)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
