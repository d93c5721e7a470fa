/** The first reply of an SMTP server, found in what it has sent so far. */

/** A reply that is longer is none: no server greets with more, and it bounds what is kept. */
export const MAX_REPLY = 16 * 1024;

/** A whole reply with all its lines (RFC 5321, 4.2.1); one that may still come; or input that no reply can begin with. */
export type FirstReply = { text: string } | 'unfinished' | 'none';

const WHOLE = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r?\n/;
const BEGUN = /^(?:\d{3}-[^\n]*\n)*[^\n]*$/;

/** Looks at the beginning of the input, one character a byte. */
export function firstReply(input: string): FirstReply {
    const begin = input.slice(0, MAX_REPLY);
    const text = WHOLE.exec(begin)?.[0];
    if (text !== undefined) {
        return { text };
    }
    return input.length < MAX_REPLY && BEGUN.test(begin) ? 'unfinished' : 'none';
}
