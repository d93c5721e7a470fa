/** Reading and changing a message on its way in, as lib/mail-drop.js of ZoneMTA runs the hooks. */
import type { Readable, Writable } from 'node:stream';
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

/**
 * The body of a message as it passes through an analyzer hook: up to `maxSize` bytes are kept until the message is decided.
 */
export class Collector {
    private readonly bodies = new WeakMap<object, { chunks: Buffer[]; size: number; complete: boolean }>();

    constructor(private readonly maxSize: () => number) {}

    /** The analyzer hook: passes the message on and keeps a copy. */
    collect(envelope: Envelope, source: Readable, destination: Writable): void {
        if (envelope.interface === BOUNCE_INTERFACE) {
            source.pipe(destination);
            return;
        }
        const body = { chunks: [] as Buffer[], size: 0, complete: false };
        this.bodies.set(envelope, body);
        const limit = this.maxSize();
        source.on('data', (chunk: Buffer) => {
            body.size += chunk.length;
            if (body.size <= limit) {
                body.chunks.push(chunk);
            } else {
                body.chunks.length = 0;
            }
        });
        source.once('end', () => (body.complete = true));
        source.pipe(destination);
    }

    /** Takes the body out. `undefined`: never seen whole; `'oversize'`: over the limit. */
    take(envelope: Envelope): Buffer | 'oversize' | undefined {
        const body = this.bodies.get(envelope);
        this.bodies.delete(envelope);
        if (!body?.complete) {
            return undefined;
        }
        if (body.size > this.maxSize()) {
            return 'oversize';
        }
        // the limit may have been a lower one when the body passed: it is 0 until the settings are known
        const whole = Buffer.concat(body.chunks);
        return whole.length === body.size ? whole : undefined;
    }
}

/** Adds and removes header lines. Positions are rspamd's: 0 and undefined are the top, negative ones count from the bottom. */
export function changeHeaders(headers: Headers, changes: { add: readonly { name: string; value: string; order?: number }[]; remove: readonly string[] }): void {
    for (const name of changes.remove) {
        headers.remove(name);
    }
    for (const { name, value, order } of changes.add) {
        if (!FIELD_NAME.test(name)) {
            continue;
        }
        const count = headers.getList().length;
        const at = order === undefined ? 0 : order < 0 ? Math.max(0, count + 1 + order) : order;
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

/** Values of a header, the topmost first. */
export function headerValues(headers: Headers, name: string): string[] {
    return headers.getDecoded(name).map(header => header.value);
}
