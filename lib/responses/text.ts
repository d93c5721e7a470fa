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
const IPV6 = /(?<![:\w])[0-9a-f]{1,4}:(?:[0-9a-f]{0,4}:){1,7}[0-9a-f]{0,4}(?![:\w])/g;
const MAILBOX = /<[^<>\s@]{0,128}@[^<>\s@]{0,255}>/g;
const NAMED_CLIENT = /<?(?<![\w.-])(?:unknown|[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})\[<#>\]>?/g;
const NAME = /<[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}>/g;

/** What a text has that a step of the way must deal with. */
interface Look {
    /** Lines, or anything else that makes more than single spaces. */
    spacing: boolean;
    /** A digit, a dot, a digit: nothing else begins an address or a status. */
    dotted: boolean;
    /** An address of IPv6 has two at least. */
    colons: number;
    angle: boolean;
}

/** One look at all characters is cheaper than a search for each step, and most replies need few of them. */
function look(text: string): Look {
    const found: Look = { spacing: false, dotted: false, colons: 0, angle: false };
    let before = 0;
    for (let i = 0; i < text.length; i += 1) {
        const code = text.charCodeAt(i);
        if (code === 0x20) {
            found.spacing ||= before === 0x20;
        } else if (code === 0x2e) {
            found.dotted ||= before >= 0x30 && before <= 0x39;
        } else if (code === 0x3a) {
            found.colons += 1;
        } else if (code === 0x3c) {
            found.angle = true;
        } else if (code < 0x20 || code > 0x7e) {
            found.spacing = true;
        }
        before = code;
    }
    return found;
}

/** A time of day (12:34:56) is no IPv6 address: those have `::` or all eight groups. */
function isIpv6(match: string): boolean {
    return match.includes('::') || match.split(':').length === 8;
}

/** Letters whose mark Unicode takes for a part of them. */
const WITHOUT_MARK: Readonly<Record<string, string>> = { ı: 'i', ł: 'l', ø: 'o', đ: 'd' };

/** Lower case without accents, which many servers lose or mangle. (`İ` and others grow when they are lowered and decomposed.) */
export function fold(text: string): string {
    const lower = text.toLowerCase();
    if (!/[^\u0000-\u007f]/.test(lower)) {
        return lower;
    }
    return lower
        .normalize('NFKD')
        .replace(/\p{M}+/gu, '')
        .toLowerCase()
        .replace(/[ıłøđ]/g, letter => WITHOUT_MARK[letter] ?? letter);
}

/** Addresses and names as tokens. */
function withTokens(text: string, { dotted, colons, angle }: Look): string {
    let body = dotted ? text.replace(IPV4, '<#>') : text;
    if (body.includes('x.x')) {
        body = body.replace(MASKED, '<#>');
    }
    if (colons > 1) {
        body = body.replace(IPV6, match => (isIpv6(match) ? '<#>' : match));
    }
    if (body.includes('[<#>]')) {
        body = body.replace(NAMED_CLIENT, '<#>');
    }
    if (angle) {
        body = body.replace(MAILBOX, '<@>').replace(NAME, '<name>');
    }
    return body;
}

/** Takes the codes of multi-line replies out of a text, where they repeat the first one. */
function withoutRepeatedCodes(text: string, code: string, enhanced: string): string {
    return text.replace(LINE_START, (all, before: string, lineCode: string, separator: string, status?: string) => {
        const repeated = lineCode === code && (before === '\n' || separator === '-' || (status && status === enhanced));
        if (!repeated) {
            return all;
        }
        return status && status !== enhanced ? ` ${status}` : ' ';
    });
}

function beginsWithCode(text: string, code: string): boolean {
    return text.startsWith(code) && (text.length === 3 || text.charAt(3) === ' ' || text.charAt(3) === '-');
}

/** The enhanced status that a text begins with, empty when there is none. */
function statusAt(text: string): string {
    return text.charAt(1) === '.' ? (STATUS.exec(text)?.[1] ?? '') : '';
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
    while (beginsWithCode(rest, prefix)) {
        rest = rest.slice(4).trimStart();
        const status = statusAt(rest);
        enhanced ||= status;
        rest = rest.slice(status.length).trimStart();
    }
    if (!enhanced) {
        enhanced = statusAt(rest);
        rest = rest.slice(enhanced.length).trimStart();
    }
    const seen = look(rest);
    const lines = rest.includes(prefix) ? withoutRepeatedCodes(rest, prefix, enhanced) : rest;
    const tokens = withTokens(lines, seen);
    const body = seen.spacing || lines !== rest ? tokens.replace(/\s+/g, ' ').trim() : tokens;
    return { code, enhanced: enhanced || (seen.dotted ? (STATUS_ANYWHERE.exec(body)?.[1] ?? '') : ''), body };
}
