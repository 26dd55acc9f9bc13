/**
 * Lets invited people in. `@supabase/lite` knows no links of the type `invite`; it keeps their tokens like those of a
 * sign-up, and treats them alike.
 *
 * @module
 */

/** Passes a request on to Auth; one that accepts an invitation as one that confirms a sign-up. */
export async function verifyInvitation(
  request: Request,
  passOn: (request: Request) => Promise<Response>,
): Promise<Response> {
  const url = new URL(request.url);
  if (url.pathname !== "/auth/v1/verify") return await passOn(request);
  if (request.method === "GET") {
    if (url.searchParams.get("type") !== "invite") return await passOn(request);
    url.searchParams.set("type", "signup");
    const answer = await passOn(new Request(url, request));
    const location = answer.headers.get("location");
    if (location === null) return answer;
    const headers = new Headers(answer.headers);
    headers.set("location", location.replace(/([#&])type=signup$/, "$1type=invite"));
    return new Response(answer.body, { status: answer.status, headers });
  }
  if (request.method !== "POST") return await passOn(request);
  const text = await request.text();
  return await passOn(
    new Request(url, { method: "POST", headers: request.headers, body: asSignUp(text) }),
  );
}

function asSignUp(text: string): string {
  try {
    const body = JSON.parse(text);
    return body?.type === "invite" ? JSON.stringify({ ...body, type: "signup" }) : text;
  } catch {
    // Auth says what is wrong with it.
    return text;
  }
}
