/**
 * The media library of this project: on its database and Storage, with its settings.
 *
 * @module
 */
import type { DatabaseClient } from "../../database/clients.ts";
import type { SupabaseEnv } from "../../database/env.ts";
import { createMediaCopyStore } from "./copies_store.ts";
import { createDownload } from "./download.ts";
import { createMediaLibrary, type MediaDeps, type MediaLibrary } from "./library.ts";
import { createMediaStorage } from "./storage.ts";

/** Settings of {@linkcode projectMedia}. */
export interface ProjectMediaSettings
  extends Pick<SupabaseEnv, "supabaseUrl" | "secretKey">, Pick<MediaDeps, "kapsoFor" | "log"> {
  /** `KAPSO_API_URL`: the address of Kapso's API, whose files are allowed as well. */
  kapsoBaseUrl: string | undefined;
  /** `KAPSO_MEDIA_HOSTS`: further hosts that files may come from, separated by commas. */
  mediaHosts: string | undefined;
}

/** Creates the library of this project. */
export function projectMedia(
  client: DatabaseClient,
  settings: ProjectMediaSettings,
): MediaLibrary {
  return createMediaLibrary({
    store: createMediaCopyStore(client),
    storage: createMediaStorage(settings),
    download: createDownload({
      baseUrl: settings.kapsoBaseUrl,
      hosts: (settings.mediaHosts ?? "").split(",").map((host) => host.trim()).filter(Boolean),
    }),
    kapsoFor: settings.kapsoFor,
    log: settings.log,
  });
}
