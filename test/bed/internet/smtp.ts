import type { Readable } from 'node:stream';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** A reply as it goes over the wire: several lines make a multi-line reply. */
export interface Reply {
    code: number;
    /** Text of each line, enhanced status code included, the reply code not. */
    lines: readonly string[];
}

/** How much of a message's head is kept. */
export const MAX_HEADERS = 16_384;

/** The reply as one string, code included, lines joined by newlines. */
export function replyText(reply: Reply): string {
    const last = reply.lines.length - 1;
    return reply.lines.map((line, i) => `${reply.code}${i < last ? '-' : ' '}${line}`).join('\n');
}

/** The reply as smtp-server wants it from a handler. */
export function asError(reply: Reply): Error {
    const error = Object.assign(new Error(reply.lines.join(' ')), { responseCode: reply.code });
    // smtp-server makes a multi-line reply of an array, and `message` is the only way to hand it one.
    return reply.lines.length > 1 ? Object.assign(error, { message: reply.lines }) : error;
}

/** What all fakes share: they log nothing, ask no DNS, and let an idle client stay as long as a test may run. */
export const COMMON_OPTIONS = {
    logger: false,
    disableReverseLookup: true,
    socketTimeout: 15 * 60_000,
    closeTimeout: 1_000
} satisfies SMTPServerOptions;

/** A listening smtp-server that closes at once when told to. */
export class SmtpListener {
    readonly server: SMTPServer;

    private constructor(options: SMTPServerOptions) {
        this.server = new SMTPServer({ ...COMMON_OPTIONS, ...options });
    }

    static async open(options: SMTPServerOptions, address: string, port: number): Promise<SmtpListener> {
        const listener = new SmtpListener(options);
        const { server } = listener;
        await new Promise<void>((resolve, reject) => {
            server.once('error', reject);
            server.listen(port, address, () => {
                server.off('error', reject);
                resolve();
            });
        });
        // From here on errors are those of single clients (a reset, a failed handshake); their attempts are in the ledger.
        server.on('error', () => undefined);
        return listener;
    }

    /** Drops the connection of a session, without a word. */
    hangUp(id: string): void {
        [...this.server.connections].find(({ session }) => session.id === id)?._socket.destroy();
    }

    /** Resets the connection of a session. */
    reset(id: string): void {
        [...this.server.connections].find(({ session }) => session.id === id)?._socket.resetAndDestroy();
    }

    async close(): Promise<void> {
        const open = [...this.server.connections];
        const closed = new Promise<void>(resolve => this.server.close(() => resolve()));
        for (const connection of open) {
            // A socket below a TLS handshake must not be destroyed; smtp-server ends such a connection itself after closeTimeout.
            if (!connection._upgrading) {
                connection._socket.destroy();
            }
        }
        await closed;
    }
}

/** The whole message from a DATA stream. Fails when the client goes away before the final dot. */
export async function readMessage(stream: Readable): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) {
        chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks);
}

/** The head of a message, without the empty line, bounded. */
export function headOf(raw: Buffer): string {
    const text = raw.subarray(0, MAX_HEADERS).toString('latin1');
    const end = text.search(/\r?\n\r?\n/);
    return end < 0 ? text : text.slice(0, end);
}

/** First value of a header, unfolded; empty when it is not there. */
export function headerOf(head: string, name: string): string {
    const value = new RegExp(`^${name}:(.*(?:\\r?\\n[ \\t].*)*)`, 'im').exec(head)?.[1] ?? '';
    return value.replace(/\r?\n[ \t]+/g, ' ').trim();
}

/** What ties a message to its ledger entries: our own header, which no hop rewrites, else the Message-ID. */
export function messageIdOf(head: string): string {
    return headerOf(head, 'X-Test-Id') || headerOf(head, 'Message-ID');
}
