import { isIP } from 'node:net';
import { MAX_HINT, type Hints, type RateAbout, type ReplyClass } from '../delivery/types';
import { MAX_INPUT } from './text';

/** No reply is believed that asks for more. */
const MAX_RETRY_AFTER = 7 * 24 * 3600;

const UNIT = '(s|secs?|seconds?|segundos?|sekunden?|secondes?|m|mins?|minut[a-z]{0,3}|h|hrs?|hours?|horas?|heures?|stunden?|d|days?|dias?|tagen?|jours?)';
const ASK = '(?:again|retry|resend|wait|warten|back|later|delayed|deferred|blocked|refused|rejected|gr[ae]y-?list(?:ed|ing)|reessayer|patienter)';
/** "try again in 4 hours", "wait 15 minutes", "greylisted for 300 seconds". */
const AFTER_ASK = new RegExp(`\\b${ASK}\\b([^.;0-9]{0,40})(\\d{1,6})\\s?${UNIT}\\b`);
/** "come back in 00:12:00". */
const CLOCK = new RegExp(`\\b${ASK}\\b[^.;0-9]{0,40}(\\d{2}):(\\d{2}):(\\d{2})\\b`);
/** "after 300 seconds please retry": only `after`, for `in 60 minutes` is as often the window that was counted. */
const AFTER = new RegExp(`\\b(?:after|nach|apres)\\s(\\d{1,6})\\s?${UNIT}\\b`);
/** "blocked: 500 messages in the last 60 minutes" is a count, not a request to wait. */
const WINDOW = /\b(?:last|past|per|every|within|than)\b/;

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400, t: 86400, j: 86400 };

function toSeconds(amount: string, unit: string): number | undefined {
    const factor = unit.startsWith('stund') ? 3600 : SECONDS[unit.charAt(0)];
    const seconds = Number(amount) * (factor ?? 1);
    return seconds > 0 ? Math.min(seconds, MAX_RETRY_AFTER) : undefined;
}

/** Most replies have no number with a unit in them, and this is cheaper to ask than the rest. */
const SOME_TIME = /\d ?[smhdtj]|\d:\d/;

/** Seconds that the reply asks to wait, if it says so. `body` as in ReplyText. */
export function retryAfter(body: string): number | undefined {
    if (!SOME_TIME.test(body)) {
        return undefined;
    }
    const clock = CLOCK.exec(body);
    if (clock) {
        return toSeconds(String(Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3])), 's');
    }
    const asked = AFTER_ASK.exec(body);
    if (asked && !WINDOW.test(asked[1] ?? '')) {
        return toSeconds(asked[2] ?? '', asked[3] ?? '');
    }
    const after = AFTER.exec(body);
    return after ? toSeconds(after[1] ?? '', after[2] ?? '') : undefined;
}

/** What a rate limit counts, most telling word first. */
const ABOUT: readonly (readonly [RegExp, RateAbout])[] = [
    [/\bcomplain/, 'complaints'],
    [/\burls?\b/, 'url'],
    [/\b(?:spf|dkim|sender|sending|from|your|mail from|header) domains?\b|\bdomains? (?:frequency|rate)/, 'domain'],
    [/\bip\b|<ip>|\bconnections?\b|\bsessions?\b|\b(?:client|host|server|network)\b/, 'address'],
    [/\b(?:sender|user|account|return-path|envelope from)\b/, 'sender']
];

/** The zone of a list, where the text names it. */
const ZONES: readonly RegExp[] = [
    /\b((?:[a-z0-9-]{1,40}\.){1,5}(?:spamhaus|spamcop|sorbs|uceprotect|abuseat|barracudacentral|surriel|mailspike|s5h|gbudb|abusix|proofpoint|cloudmark|spfbl|unsubscore|backscatterer|dronebl|nixspam)\.[a-z]{2,4})\b/,
    /\b(?:using|by|in|at|on|listed:|dnsbl) ((?:[a-z0-9-]{0,30}(?:bl|rbl|list|zen|drbl)[a-z0-9-]{0,30})(?:\.[a-z0-9-]{1,40}){1,4})\b/
];
/** Lists by what replies call them, and the zone that tells whether the address is on it. */
const LISTS: readonly (readonly [RegExp, string])[] = [
    [/spamhaus.{0,20}\b(?:sbl|xbl|pbl|css)\b|\b(?:shxbl|exploits block list|policy block list)\b|spamhaus/, 'zen.spamhaus.org'],
    [/spamcop/, 'bl.spamcop.net'],
    [/\bsorbs\b/, 'dnsbl.sorbs.net'],
    [/barracuda/, 'b.barracudacentral.org'],
    [/cloudmark|\bcsi-|\(csi\)/, 'csi.cloudmark.com'],
    [/proofpoint|\bpdr\b/, 'prs.proofpoint.com'],
    [/trend ?micro|\bers-/, 'trendmicro'],
    [/sender ?score/, 'senderscore.org'],
    [/\bs31[45]0\b|block list \(s3/, 'microsoft']
];

/** One look for all names above: most refusals name no list. */
const SOME_LIST = /s(?:pamhaus|hxbl|pamcop|orbs|31[45]0)|(?:exploits|policy) block list|block list \(s3|barracuda|cloudmark|csi[-)]|proofpoint|pdr|trend ?micro|ers-|sender ?score/;
/** No host name stands in a text without it. */
const DOT_IN_NAME = /[\w-]\.[a-z]/;

/** What is between the lines of a reply, and would part an address or a link from its words. */
const BETWEEN_LINES = /(?:^|\s)\d{3}-|\s\s|[^\S ]/;
const URL = /https?:\/\/[^\s<>"')\]]{4,180}/gi;
/** A page about an address, a list or an error code; the rest of the web is no help to the operator. */
const HELPFUL = /spamhaus|spamcop|sorbs|uceprotect|barracuda|cloudmark|proofpoint|talos|senderscore|trendmicro|mail-abuse|abuseat|postmaster|sender\.office|mail\.live|support\.google|senders\.yahoo|support\.apple|email-error-codes|service\.mail\.qq|help\.mail\.ru|mail\.163|mimecast|delist|unblock|remov|lookup|reset|blacklist|blocklist|block|[?&/=]<?\d+\.\d+\.\d+\.\d+/i;
const ADDRESS = /(?<![\w.:/-])(\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}(?:\/\d{1,3})?)(?![\w:]|\.\d)/gi;

/** By its zone where the text says one, else by a name in text or link. */
function listOf(words: string, links: string): string | undefined {
    const all = `${words} ${links}`;
    const zone = DOT_IN_NAME.test(words) ? ZONES.map(pattern => pattern.exec(words)?.[1]).find(found => found !== undefined) : undefined;
    return zone ?? (SOME_LIST.test(all) ? LISTS.find(([pattern]) => pattern.test(all))?.[1] : undefined);
}

/** The first address or range in a text without links. */
function addressIn(text: string): string | undefined {
    for (const [, shown = ''] of text.matchAll(ADDRESS)) {
        const [address = ''] = shown.split('/');
        if (isIP(address) !== 0) {
            return shown.toLowerCase();
        }
    }
    return undefined;
}

function delistUrl(links: readonly string[]): string | undefined {
    return links.map(url => url.replace(/[.,;:]+$/, '')).find(url => HELPFUL.test(url) && url.length <= MAX_HINT);
}

/** What is of use to someone whose address was refused. `text` is the reply as received: `body` has no addresses any more. */
function listingOf(body: string, text: string): Hints {
    const cut = text.slice(0, MAX_INPUT);
    const flat = BETWEEN_LINES.test(cut) ? cut.replace(/(?:^|\s)\d{3}-/g, ' ').replace(/\s+/g, ' ') : cut;
    const links = flat.includes('://') ? (flat.match(URL) ?? []) : [];
    const [bodyWords, bodyLinks, words] = links.length > 0 ? [body.replace(URL, ' '), (body.match(URL) ?? []).join(' '), flat.replace(URL, ' ')] : [body, '', flat];
    const list = listOf(bodyWords, bodyLinks);
    const listed = body.includes('<#>') ? addressIn(words) : undefined;
    const url = delistUrl(links);
    return { ...(list ? { list } : {}), ...(listed ? { listed } : {}), ...(url ? { delistUrl: url } : {}) };
}

/**
 * The facts in a reply's text. `about` is what the rule says a rate limit counts; the text is asked only when the rule is
 * silent, and only for the class ip-rate, where the answer changes what happens next. Lists, addresses and links are facts
 * only where the address is refused.
 */
export function hintsOf(body: string, text: string, replyClass: ReplyClass, about: RateAbout | undefined): Hints {
    const hints: Hints = replyClass === 'ip-reputation' || replyClass === 'ip-ptr' || replyClass === 'ip-rate' ? listingOf(body, text) : {};
    const seconds = retryAfter(body);
    if (seconds !== undefined) {
        hints.retryAfter = seconds;
    }
    if (replyClass === 'ip-rate') {
        const counted = about ?? ABOUT.find(([pattern]) => pattern.test(body))?.[1];
        if (counted) {
            hints.rateAbout = counted;
        }
        delete hints.list;
    }
    return hints;
}
