/**
 * The file that goes with the message.
 *
 * @module
 */

import { FileText, X } from "lucide-react";
import { describeError } from "../api/api_error.ts";
import { formatBytes } from "../format.ts";
import { texts } from "../texts.ts";
import { IconButton } from "../ui/icon_button.tsx";
import { Spinner } from "../ui/spinner.tsx";
import type { useUpload } from "./use_upload.ts";

/** Name and size of the file, or the state of its upload, and a button that removes it. */
export function AttachedFile({ file, upload }: {
  file: File;
  upload: ReturnType<typeof useUpload>;
}) {
  return (
    <div className="composer-file" role="status">
      {upload.isPending ? <Spinner /> : <FileText size={18} aria-hidden />}
      <span className="composer-file-name">{file.name}</span>
      <span className={upload.isError ? "form-error" : "muted"}>
        {upload.isPending
          ? texts.composer.uploading
          : upload.isError
          ? describeError(upload.error)
          : formatBytes(file.size)}
      </span>
      <IconButton
        label={texts.composer.removeAttachment}
        icon={X}
        onClick={() => upload.reset()}
      />
    </div>
  );
}
