/**
 * Translates one event of Baileys, a WhatsApp web client, to a message of the ingest API.
 * This is the file to replace for another platform.
 */

const MEDIA = {
  imageMessage: "image",
  videoMessage: "video",
  audioMessage: "audio",
  documentMessage: "file",
};

/**
 * Returns the conversation and the message of an event, or undefined for events that carry no message.
 *
 * @param names Names from the contact list, by digits of the phone number.
 */
export function readEvent({ key, pushName, message, messageTimestamp }, names) {
  const jid = key?.remoteJid;
  const kind = Object.keys(MEDIA).find((name) => message?.[name]);
  const text = message?.conversation ?? message?.extendedTextMessage?.text;
  if (!jid || !key.id || (text === undefined && kind === undefined)) return undefined;
  const isGroup = jid.endsWith("@g.us");
  const [digits] = jid.split("@");
  return {
    conversation: {
      external_conversation_id: jid,
      participant_identifier: jid,
      // In a group, pushName is the name of one member.
      participant_name: names.get(digits) ?? (isGroup || key.fromMe ? undefined : pushName),
    },
    message: {
      // In a group, the id is unique for its sender only. Never make up an id: it is what a repeat is known by.
      id: isGroup && key.participant ? `${key.participant}:${key.id}` : key.id,
      direction: key.fromMe ? "outbound" : "inbound",
      type: kind ? MEDIA[kind] : "text",
      content: text ?? message[kind].caption ?? "",
      sent_at: new Date(Number(messageTimestamp) * 1000).toISOString(),
      ...(isGroup && !key.fromMe && pushName ? { sender_name: pushName } : {}),
    },
  };
}
