/**
 * How a web address is shown: as it was written, unless that could pass for another one. Then the host is shown in
 * its ASCII form, which looks like nothing else: `https://xn--80ak6aa92e.com` for `https://аррӏе.com` in Cyrillic.
 *
 * @module
 */

/** Scripts in which names of hosts are written today. A name in another one is shown in ASCII. */
const SCRIPTS = [
  "Latin",
  "Arabic",
  "Armenian",
  "Bengali",
  "Bopomofo",
  "Cyrillic",
  "Devanagari",
  "Ethiopic",
  "Georgian",
  "Greek",
  "Gujarati",
  "Gurmukhi",
  "Han",
  "Hangul",
  "Hebrew",
  "Hiragana",
  "Kannada",
  "Katakana",
  "Khmer",
  "Lao",
  "Malayalam",
  "Myanmar",
  "Oriya",
  "Sinhala",
  "Tamil",
  "Telugu",
  "Thaana",
  "Thai",
  "Tibetan",
].map((name): [name: string, letters: RegExp] => [name, new RegExp(`\\p{Script=${name}}`, "u")]);
/** Scripts that one name may mix: those of Japanese, Chinese and Korean, with Latin. */
const MIXTURES = [
  ["Latin", "Han", "Hiragana", "Katakana"],
  ["Latin", "Han", "Bopomofo"],
  ["Latin", "Han", "Hangul"],
];
/** Names of nothing but letters that look like Latin ones, by script; the letters are those that browsers take for look-alikes. */
const LOOK_ALIKES: Readonly<Record<string, RegExp>> = {
  Cyrillic: /^[асԁеһіјӏорԛѕԝхуъьҽпгѵѡ\d-]+$/u,
  Greek: /^[αγεηικνορτυωϲϳόίάέύήώϊϋ\d-]+$/u,
  Armenian: /^[ագզէլհյոսւօքֆցղռձ\d-]+$/u,
  Georgian: /^[იოყჿხძ\d-]+$/u,
  Hebrew: /^[דוחיןסנװײ\d-]+$/u,
};
/** Latin letters of phonetic alphabets: small capitals, turned letters, hooks. No language writes names with them. */
const PHONETIC = /[\u0250-\u02af\u1d00-\u1dbf\ua720-\ua7ff]/u;

/**
 * An address as a reader should see it.
 *
 * @param written As it stands in the text.
 * @param url The same, parsed.
 */
export function shownAddress(written: string, url: URL): string {
  const [, scheme = "", user = "", host = ""] =
    /^([a-z]+:\/\/)([^/?#]*@)?([^/?#:]*)/iu.exec(written) ?? [];
  // "https://bank.example@evil.example" leads to evil.example.
  const isDeceptive = user !== "" || canPassForAnother(host);
  return isDeceptive
    ? `${url.protocol}//${url.host}${
      written.slice((scheme + user + host).length).replace(/^:\d*/u, "")
    }`
    : written;
}

function canPassForAnother(host: string): boolean {
  // As browsers read it: full-width letters and ligatures are the ordinary ones.
  const labels = host.normalize("NFKC").toLowerCase().split(/[.。]/u);
  const topScripts = scriptsOf(labels.findLast((label) => label !== "") ?? "");
  return labels.some((label) => {
    // deno-lint-ignore no-control-regex -- ASCII alone.
    if (/^[\x00-\x7f]*$/.test(label)) return false;
    const scripts = scriptsOf(label);
    if (scripts === undefined || PHONETIC.test(label)) return true;
    const [only] = scripts;
    if (only !== undefined && scripts.length === 1) {
      // Under a domain of its own script, such as .рф, it is what it looks like.
      return LOOK_ALIKES[only]?.test(label) === true && topScripts?.[0] !== only;
    }
    return !MIXTURES.some((mixture) => scripts.every((script) => mixture.includes(script)));
  });
}

/** The scripts of a label; undefined where one of its letters is of none that names are written in. */
function scriptsOf(label: string): string[] | undefined {
  const found = new Set<string>();
  for (const character of label) {
    // Digits, hyphens and what scripts share, such as the long vowel mark of Japanese.
    if (/[\p{Nd}-]|\p{Script=Common}/u.test(character)) continue;
    const script = SCRIPTS.find(([, letters]) => letters.test(character));
    if (script === undefined) return undefined;
    found.add(script[0]);
  }
  return [...found];
}
