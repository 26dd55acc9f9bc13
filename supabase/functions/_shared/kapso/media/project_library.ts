/**
 * The files of messages in this project: its database, its Storage, and its settings.
 *
 * @module
 */
import type { DatabaseClient } from "../../database/clients.ts";
import type { SupabaseEnv } from "../../database/env.ts";
import {
  createDownload,
  createMediaLibrary,
  createMediaStorage,
  type MediaDeps,
  type MediaLibrary,
  supabaseMediaStore,
} from "./library.ts";

/** Settings of {@linkcode projectMedia}. */
export interface ProjectMediaSettings
  extends Pick<SupabaseEnv, "supabaseUrl" | "serviceRoleKey">, Pick<MediaDeps, "kapsoFor" | "log"> {
  /** `KAPSO_API_URL`: where Kapso's API answers, whose files are trusted as well. */
  kapsoBaseUrl: string | undefined;
  /** `KAPSO_MEDIA_HOSTS`: further hosts that files may come from, with commas between them. */
  mediaHosts: string | undefined;
}

/** The library of this project. */
export function projectMedia(
  client: DatabaseClient,
  settings: ProjectMediaSettings,
): MediaLibrary {
  return createMediaLibrary({
    store: supabaseMediaStore(client),
    storage: createMediaStorage(settings),
    download: createDownload({
      baseUrl: settings.kapsoBaseUrl,
      hosts: (settings.mediaHosts ?? "").split(",").map((host) => host.trim()).filter(Boolean),
    }),
    kapsoFor: settings.kapsoFor,
    log: settings.log,
  });
}
