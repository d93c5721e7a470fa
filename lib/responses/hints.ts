import type { Hints, RateAbout, ReplyClass } from '../delivery/types';

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

/** Seconds that the reply asks to wait, if it says so. `body` as in ReplyText. */
export function retryAfter(body: string): number | undefined {
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

/**
 * The facts in a reply's text. `about` is what the rule says a rate limit counts; the text is asked only when the rule is
 * silent, and only for the class ip-rate, where the answer changes what happens next.
 */
export function hintsOf(body: string, replyClass: ReplyClass, about: RateAbout | undefined): Hints {
    const hints: Hints = {};
    const seconds = retryAfter(body);
    if (seconds !== undefined) {
        hints.retryAfter = seconds;
    }
    if (replyClass === 'ip-rate') {
        const counted = about ?? ABOUT.find(([pattern]) => pattern.test(body))?.[1];
        if (counted) {
            hints.rateAbout = counted;
        }
    }
    return hints;
}
