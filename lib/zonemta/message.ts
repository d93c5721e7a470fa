/** Reading and changing a message on its way in, as lib/mail-drop.js of ZoneMTA runs the hooks. */
import type { Envelope, Headers } from '@zone-eu/types';

/** Key of what belongs to the message rather than to one delivery. Another one than the state's: the message's values overwrite a delivery's. */
const MESSAGE = 'smartRelayMessage';

/** RFC 5322, 3.6.8. */
const FIELD_NAME = /^[!-9;-~]{1,100}$/;

export interface MessageFacts {
    /** Whose mail this is, for budgets. */
    sender: string;
    /** The sender is only the envelope's, which anybody may choose. */
    guess: boolean;
}

/** Interface name of the notices that ZoneMTA makes itself (core/email-bounce). */
export const BOUNCE_INTERFACE = 'bounce';

export function setMessageFacts(envelope: Envelope, facts: MessageFacts): void {
    envelope[MESSAGE] = { ...facts };
}

/** Facts of the message that a delivery belongs to. */
export function messageFacts(holder: Record<string, unknown> & { from?: string }): MessageFacts {
    const stored = holder[MESSAGE] as Partial<MessageFacts> | undefined;
    return typeof stored?.sender === 'string' ? { sender: stored.sender, guess: stored.guess === true } : { sender: holder.from ?? '', guess: true };
}

/** A header line that is added. `order` counts from the top (0), or from the bottom (-1); without one it goes to the bottom, as milters add. */
export interface AddedHeader {
    name: string;
    value: string;
    order?: number;
}

/** A header that is removed. `nth` counts its lines from the top (1), or from the bottom (-1); 0 is all of them. */
export interface RemovedHeader {
    name: string;
    nth: number;
}

export interface HeaderChanges {
    add: readonly AddedHeader[];
    remove: readonly RemovedHeader[];
}

/** Removes header lines, then adds some, in their order. */
export function changeHeaders(headers: Headers, { add, remove }: HeaderChanges): void {
    for (const header of remove) {
        removeHeader(headers, header);
    }
    for (const { name, value, order } of add) {
        if (!FIELD_NAME.test(name)) {
            continue;
        }
        const count = headers.getList().length;
        const at = order === undefined ? count : order < 0 ? Math.max(0, count + 1 + order) : order;
        headers.addFormatted(name, Buffer.from(`${name}: ${folded(value)}`), at);
    }
}

/**
 * A value for addFormatted, which keeps the folding (a DKIM signature may cover it) and whatever else it is given: a line end
 * that does not fold would be a header of its own, or the end of the head; with mailsplit of 3.10.3 a bare CR too.
 */
function folded(value: string): string {
    return value.trimEnd().replace(/[\r\n][\r\n \t]*/g, run => {
        const [indent] = /[ \t]*$/.exec(run) ?? [];
        return indent ? `\r\n${indent}` : ' ';
    });
}

function removeHeader(headers: Headers, { name, nth }: RemovedHeader): void {
    if (nth === 0) {
        headers.remove(name);
        return;
    }
    const list = headers.getList();
    const places = list.flatMap(({ key }, place) => (key === name.toLowerCase() ? [place] : []));
    const place = places.at(nth > 0 ? nth - 1 : nth);
    if (place !== undefined) {
        // the very list that lib/mail-drop.js stores
        list.splice(place, 1);
    }
}

/** Values of a header, the topmost first. */
export function headerValues(headers: Headers, name: string): string[] {
    return headers.getDecoded(name).map(header => header.value);
}
