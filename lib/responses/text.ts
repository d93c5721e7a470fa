import type { Reply } from '../delivery/types';

/** Longer replies are cut before anything looks at them: no server says more, and it bounds the work per reply. */
export const MAX_INPUT = 2000;

/** A reply as the rules see it. */
export interface ReplyText {
    /** SMTP code, 0 when neither the reply nor its text has one. */
    code: number;
    /** Enhanced status such as `5.7.1`, empty when there is none. */
    enhanced: string;
    /**
     * One line, lower case, without accents, without the codes. An IP address, with the host name before it if there is
     * one, stands as `<#>`, a mail address in angle brackets as `<@>` and a host name in angle brackets as `<name>`, so that
     * no rule depends on (or is fooled by) what is written in them.
     */
    body: string;
}

const STATUS = /^([245]\.\d{1,3}\.\d{1,3})(?![.\d])/;
const STATUS_ANYWHERE = /(?<![.\w])([245]\.\d{1,3}\.\d{1,3})(?![.\w])/;
/** Where the code may stand when a bounce or a log line is quoted: `host mx said: 550 ...`, `smtp; 550 ...`. */
const CODE = /(?:^|said: ?|smtp; ?)([245]\d\d)(?=[ -]|$)/;
/** A code that starts a line of a multi-line reply; senders often join the lines by a space and keep the codes. */
const LINE_START = /(\n|\s)(\d{3})([ -])\s*(?:([245]\.\d{1,3}\.\d{1,3})(?=\s|$))?/g;
const IPV4 = /(?<![.\d])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![.\d])/g;
/** Documentation and shared logs write `x.xx.x.xx`: it is an address all the same. */
const MASKED = /(?<![.\w])x{1,3}\.x{1,3}\.x{1,3}\.x{1,3}(?![.\w])/g;
const IPV6 = /(?<![:\w])[0-9a-f]{1,4}:(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![:\w])/g;
const MAILBOX = /<[^<>\s@]{0,128}@[^<>\s@]{0,255}>/g;
const NAMED_CLIENT = /<?(?<![\w.-])(?:unknown|[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})\[<#>\]>?/g;
const NAME = /<[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}>/g;

/** A time of day (12:34:56) is no IPv6 address: those have `::` or all eight groups. */
function isIpv6(match: string): boolean {
    return match.includes('::') || match.split(':').length === 8;
}

/** Lower case without accents, which many servers lose or mangle. (`İ` and others grow when they are lowered and decomposed.) */
export function fold(text: string): string {
    const lower = text.toLowerCase();
    return /[^\u0000-\u007f]/.test(lower) ? lower.normalize('NFKD').replace(/\p{M}+/gu, '').toLowerCase() : lower;
}

/** Addresses and names as tokens. Most replies have few of them, and to ask for a character is cheaper than to search. */
function withTokens(text: string): string {
    let body = text.replace(IPV4, '<#>');
    if (body.includes('x.x')) {
        body = body.replace(MASKED, '<#>');
    }
    if (body.includes(':')) {
        body = body.replace(IPV6, match => (isIpv6(match) ? '<#>' : match));
    }
    if (body.includes('[<#>]')) {
        body = body.replace(NAMED_CLIENT, '<#>');
    }
    if (body.includes('<')) {
        body = body.replace(MAILBOX, '<@>').replace(NAME, '<name>');
    }
    return body;
}

/**
 * Brings a reply into the form that rules are written for. Idempotent on case and on the way lines are split; never
 * throws.
 */
export function readReply(reply: Reply): ReplyText {
    const text = fold(reply.text.slice(0, MAX_INPUT)).trim();
    const found = CODE.exec(text);
    const code = reply.code || (found ? Number(found[1]) : 0);
    const prefix = String(code);

    // What comes before a quoted reply is the words of our side: `host mx[192.0.2.1] said: `.
    let rest = found && !reply.code ? text.slice(found.index + found[0].length - 3) : text;
    let enhanced = '';
    while (rest.startsWith(prefix) && /^[ -]|^$/.test(rest.slice(3, 4))) {
        rest = rest.slice(4).trimStart();
        const status = STATUS.exec(rest)?.[1];
        if (status) {
            enhanced ||= status;
            rest = rest.slice(status.length).trimStart();
        }
    }
    if (!enhanced) {
        const status = STATUS.exec(rest)?.[1];
        if (status) {
            enhanced = status;
            rest = rest.slice(status.length).trimStart();
        }
    }
    const lines = rest.replace(LINE_START, (all, before: string, lineCode: string, separator: string, status?: string) => {
        const repeated = lineCode === prefix && (before === '\n' || separator === '-' || (status && status === enhanced));
        if (!repeated) {
            return all;
        }
        return status && status !== enhanced ? ` ${status}` : ' ';
    });
    const body = withTokens(lines).replace(/\s+/g, ' ').trim();
    return { code, enhanced: enhanced || (STATUS_ANYWHERE.exec(body)?.[1] ?? ''), body };
}
