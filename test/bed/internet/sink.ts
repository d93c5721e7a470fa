import type { SMTPServerOptions } from 'smtp-server';
import { canonical, sinkAddress } from './addresses';
import type { Records, Zones } from './dns';
import { Journal } from './journal';
import { readLetter, type Letter } from './reports';
import { asError, readMessage, SmtpListener } from './smtp';

/** A letter in the senders' mailbox. */
export interface SinkMail extends Letter {
    at: number;
    client: string;
    from: string;
    to: readonly string[];
    raw: Buffer;
}

export interface SinkOptions {
    k: number;
    /** The senders' domains. */
    domains: readonly string[];
    /** 2525 by default. */
    port?: number;
    now?: () => number;
}

/** The server with the senders' mailboxes: whatever the relay has to say to them ends here. */
export class Sink {
    readonly address: string;
    readonly port: number;
    readonly mails = new Journal<SinkMail>();
    readonly #options: SinkOptions;
    #listener: SmtpListener | undefined;

    private constructor(options: SinkOptions) {
        this.#options = options;
        this.address = sinkAddress(options.k);
        this.port = options.port ?? 2525;
    }

    static async start(options: SinkOptions): Promise<Sink> {
        const sink = new Sink(options);
        sink.#listener = await SmtpListener.open(sink.#smtpOptions(), sink.address, sink.port);
        return sink;
    }

    /** MX records of the senders' domains. */
    zones(): Zones {
        const zones: Record<string, Records> = {};
        for (const domain of this.#options.domains) {
            zones[domain] = { MX: [{ exchange: `mail.${domain}`, priority: 10 }] };
            zones[`mail.${domain}`] = { A: [this.address] };
        }
        return zones;
    }

    /** The first letter, past or to come, that satisfies. */
    waitFor(satisfies: (mail: SinkMail) => boolean, deadlineMs: number, what = 'a letter'): Promise<SinkMail> {
        return this.mails.waitFor(satisfies, deadlineMs, what);
    }

    async stop(): Promise<void> {
        await this.#listener?.close();
        this.#listener = undefined;
    }

    #smtpOptions(): SMTPServerOptions {
        const ours = new Set(this.#options.domains.map(domain => domain.toLowerCase()));
        return {
            name: `mail.${this.#options.domains[0] ?? 'invalid'}`,
            disabledCommands: ['AUTH', 'STARTTLS'],
            onRcptTo: ({ address }, _session, callback) => {
                const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
                const refused = { code: 554, lines: [`5.7.1 <${address}>: Relay access denied`] };
                callback(ours.has(domain) ? null : asError(refused));
            },
            onData: (stream, session, callback) => {
                const { mailFrom, rcptTo } = session.envelope;
                const envelope = { from: mailFrom ? mailFrom.address : '', to: rcptTo.map(({ address }) => address) };
                readMessage(stream)
                    .then(async raw => {
                        const letter = await readLetter(raw);
                        const at = (this.#options.now ?? Date.now)();
                        this.mails.record({ ...letter, ...envelope, at, client: canonical(session.remoteAddress), raw });
                        callback();
                    })
                    // Not taken, so it comes again: a client that went away, or a letter that no parser can read.
                    .catch(() => callback(asError({ code: 451, lines: ['4.3.0 Error: queue file write error'] })));
            }
        };
    }
}
