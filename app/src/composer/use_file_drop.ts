/**
 * Files that are dropped on the page.
 *
 * @module
 */

import { useEffect, useEffectEvent, useState } from "react";

/**
 * Takes files wherever they are dropped: beside the field is near enough, and a browser would leave the page
 * to show the file. Dialogs have file fields of their own.
 *
 * @returns whether files are being dragged over the page.
 */
export function useFileDrop(onDrop: (files: FileList) => void): boolean {
  const [isDragging, setIsDragging] = useState(false);
  const handleDrop = useEffectEvent(onDrop);
  useEffect(() => {
    const hasFiles = ({ dataTransfer, target }: DragEvent) =>
      dataTransfer?.types.includes("Files") && !(target as Element).closest("[role=dialog]");
    const over = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setIsDragging(true);
    };
    const leave = (event: DragEvent) => {
      // The event also fires between two elements of the page.
      if (event.relatedTarget === null) setIsDragging(false);
    };
    const drop = (event: DragEvent) => {
      setIsDragging(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      handleDrop(event.dataTransfer!.files);
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
