/**
 * Files that are dropped on the page.
 *
 * @module
 */

import { useEffect, useRef, useState } from "react";

/**
 * Takes them wherever they are dropped: beside the field is near enough, and a browser would leave the page
 * to show the file. Dialogs have fields of their own for files, and are left alone.
 *
 * @returns whether files are being held over the page.
 */
export function useFileDrop(onDrop: (files: FileList) => void): boolean {
  const [isDragging, setIsDragging] = useState(false);
  const latest = useRef(onDrop);
  latest.current = onDrop;
  useEffect(() => {
    const hasFiles = ({ dataTransfer, target }: DragEvent) =>
      dataTransfer?.types.includes("Files") && !(target as Element).closest("dialog");
    const over = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setIsDragging(true);
    };
    const leave = (event: DragEvent) => {
      // It also leaves one element for the next.
      if (event.relatedTarget === null) setIsDragging(false);
    };
    const drop = (event: DragEvent) => {
      setIsDragging(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      latest.current(event.dataTransfer!.files);
    };
    document.addEventListener("dragover", over);
    document.addEventListener("dragleave", leave);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("dragover", over);
      document.removeEventListener("dragleave", leave);
      document.removeEventListener("drop", drop);
    };
  }, []);
  return isDragging;
}
