/**
 * Attachments: pictures, audio, video and files. They are loaded by links that expire after some minutes,
 * which the function `inbox` creates for members of the workspace.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { FileText, ImageOff } from "lucide-react";
import { useState } from "react";
import { ApiError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import type { Message } from "../api/rows.ts";
import { formatBytes } from "../format.ts";
import { texts } from "../texts.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { attachmentLinkQuery } from "./queries.ts";

/** The attachment of a message. Its box has the same size before and after it has loaded. */
export function Attachment({ message, media, conversationId }: {
  message: Message;
  media: "image" | "sticker" | "audio" | "video" | "file";
  conversationId: string;
}) {
  const api = useApi();
  const [hasFailed, setHasFailed] = useState(false);
  const query = useQuery(attachmentLinkQuery(api, conversationId, message));
  const url = query.data?.url;
  const isGone = query.isError || hasFailed ||
    (query.isSuccess && url === undefined);
  const metadata = message.metadata ?? {};
  const fileName = typeof metadata.file_name === "string" ? metadata.file_name : undefined;
  const size = typeof metadata.file_size === "number" ? metadata.file_size : undefined;
  const transcript = typeof metadata.transcript === "string" ? metadata.transcript : undefined;
  const hasNone = query.error instanceof ApiError && query.error.status === 404;
  const retry = hasNone ? undefined : () => {
    setHasFailed(false);
    query.refetch();
  };

  if (media === "audio") {
    return (
      <div className="media-audio">
        {isGone ? <Unavailable name={texts.content.audio} onRetry={retry} /> : (
          <audio
            controls
            preload="none"
            src={url}
            aria-label={texts.content.audio}
            onError={() => url && setHasFailed(true)}
          />
        )}
        {transcript && (
          <p className="transcript">
            <span className="bubble-label">{texts.content.transcript}</span>
            {transcript}
          </p>
        )}
      </div>
    );
  }
  if (media === "file") {
    const body = (
      <>
        <span className="card-icon" aria-hidden>
          <FileText size={20} />
        </span>
        <span className="card-body">
          <strong>{fileName ?? texts.content.file}</strong>
          <span>
            {isGone ? texts.content.mediaUnavailable : [
              extension(fileName),
              size === undefined ? undefined : formatBytes(size),
            ]
              .filter(Boolean).join(" · ") || texts.content.file}
          </span>
        </span>
      </>
    );
    return url && !isGone
      ? (
        <a
          className="card"
          href={url}
          target="_blank"
          rel="noopener noreferrer"
        >
          {body}
        </a>
      )
      : <div className="card">{body}</div>;
  }
  const name = texts.content[media];
  return (
    <div className={`media-box media-${media}`}>
      {isGone
        ? <Unavailable name={name} onRetry={retry} />
        : url === undefined
        ? <Spinner />
        : media === "video"
        ? (
          <video
            controls
            preload="metadata"
            src={url}
            aria-label={name}
            onError={() => setHasFailed(true)}
          />
        )
        : (
          <Picture
            url={url}
            name={message.content || name}
            onError={() => setHasFailed(true)}
          />
        )}
    </div>
  );
}

function Picture(
  { url, name, onError }: { url: string; name: string; onError: () => void },
) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <>
      <button
        type="button"
        className="media-open"
        aria-label={`${texts.content.openImage}: ${name}`}
        onClick={() => setIsOpen(true)}
      >
        <img src={url} alt="" decoding="async" onError={onError} />
      </button>
      {isOpen && (
        <Dialog
          title={name}
          size="media"
          onClose={() => setIsOpen(false)}
        >
          <img className="media-full" src={url} alt={name} />
        </Dialog>
      )}
    </>
  );
}

function Unavailable(
  { name, onRetry }: { name: string; onRetry: (() => void) | undefined },
) {
  return (
    <span className="media-unavailable">
      <ImageOff size={18} aria-hidden />
      <span>{name}: {texts.content.mediaUnavailable}</span>
      {onRetry && (
        <button type="button" className="link-button" onClick={onRetry}>
          {texts.content.mediaRetry}
        </button>
      )}
    </span>
  );
}

function extension(fileName: string | undefined): string | undefined {
  return /\.([a-z0-9]{1,5})$/i.exec(fileName ?? "")?.[1]?.toUpperCase();
}
