import type { SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import { canonical, relayAddress } from './addresses';
import type { Authority, KeyPair } from './certificates';
import type { Zones } from './dns';
import { Ledger, type LedgerEntry, type Stage } from './ledger';
import { asError, headOf, messageIdOf, readMessage, replyText, SmtpListener, type Reply } from './smtp';

export interface RelayOptions {
    k: number;
    authority: Authority;
    user: string;
    password: string;
    /** Host name, `relay.example` by default; certificate and A record are for it. */
    name?: string;
    /** Which relay of the world it is, from 1: gives its address. */
    n?: number;
    /** Submission with STARTTLS, and with TLS from the start. */
    ports?: { starttls: number; tls: number };
    /** The reply that refuses a recipient, or nothing for those that are taken. */
    refuses?: (to: string, from: string) => Reply | undefined;
    keepRaw?: boolean;
    now?: () => number;
}

const WRONG_NAME = 'wrong-name.invalid';
const BAD_LOGIN: Reply = { code: 535, lines: ['5.7.8 Error: authentication failed: authentication failure'] };

/** The contracted provider: takes mail over TLS from those who can log in, and answers for what it refuses. */
export class RelayServer {
    readonly ledger = new Ledger();
    readonly name: string;
    readonly address: string;
    readonly ports: { starttls: number; tls: number };
    /** Turns away every login with 535. */
    refuseLogin = false;
    /** May be replaced while running. */
    refuses: (to: string, from: string) => Reply | undefined;
    /** Passwords that came over a connection without TLS. A client that lets that happen has failed. */
    loginsInClear = 0;
    readonly #options: RelayOptions;
    readonly #right: KeyPair;
    readonly #wrong: KeyPair;
    #certificate: KeyPair;
    #offersStarttls = true;
    #listeners: SmtpListener[] = [];

    private constructor(options: RelayOptions, name: string, right: KeyPair, wrong: KeyPair) {
        this.#options = options;
        this.name = name;
        this.address = relayAddress(options.k, options.n);
        this.ports = options.ports ?? { starttls: 587, tls: 465 };
        this.refuses = options.refuses ?? (() => undefined);
        this.#right = this.#certificate = right;
        this.#wrong = wrong;
    }

    static async start(options: RelayOptions): Promise<RelayServer> {
        const name = options.name ?? 'relay.example';
        const right = await options.authority.issue(name);
        const wrong = await options.authority.issue(WRONG_NAME);
        const relay = new RelayServer(options, name, right, wrong);
        await relay.back();
        return relay;
    }

    /** A record of the host name. */
    zones(): Zones {
        return { [this.name]: { A: [this.address] } };
    }

    /** Stops listening and drops all connections. */
    async away(): Promise<void> {
        const listeners = this.#listeners;
        this.#listeners = [];
        await Promise.all(listeners.map(listener => listener.close()));
    }

    /** Listens again. */
    async back(): Promise<void> {
        if (this.#listeners.length > 0) {
            return;
        }
        try {
            for (const [secure, port] of [[false, this.ports.starttls], [true, this.ports.tls]] as const) {
                this.#listeners.push(await SmtpListener.open(this.#smtpOptions(secure), this.address, port));
            }
        } catch (fault) {
            await this.away();
            throw fault;
        }
    }

    /** Shows the certificate for its name, or one for another name by the same authority. */
    showCertificate(which: 'right' | 'wrong'): void {
        this.#certificate = which === 'right' ? this.#right : this.#wrong;
        for (const { server } of this.#listeners) {
            server.updateSecureContext(this.#certificate);
        }
    }

    /** Whether STARTTLS is offered; without it the server takes logins in clear, as behind an attacker who strips it. */
    offerStarttls(offered: boolean): void {
        this.#offersStarttls = offered;
        for (const { server } of this.#listeners) {
            server.options.disabledCommands = offered ? [] : ['STARTTLS'];
        }
    }

    async stop(): Promise<void> {
        await this.away();
    }

    #smtpOptions(secure: boolean): SMTPServerOptions {
        return {
            ...this.#certificate,
            secure,
            name: this.name,
            authMethods: ['PLAIN', 'LOGIN'],
            disabledCommands: this.#offersStarttls ? [] : ['STARTTLS'],
            onAuth: ({ username, password }, session, callback) => {
                this.loginsInClear += session.secure ? 0 : 1;
                const { user, password: right } = this.#options;
                if (this.refuseLogin || username !== user || password !== right) {
                    this.#record(session, 'auth', '', BAD_LOGIN);
                    callback(asError(BAD_LOGIN));
                    return;
                }
                callback(null, { user });
            },
            onRcptTo: ({ address: to }, session, callback) => {
                const reply = this.refuses(to, sender(session));
                if (reply) {
                    this.#record(session, 'rcpt', to, reply);
                }
                callback(reply ? asError(reply) : null);
            },
            onData: (stream, session, callback) => {
                const recipients = session.envelope.rcptTo.map(({ address }) => address);
                readMessage(stream).then(
                    raw => {
                        const headers = headOf(raw);
                        const kept = { messageId: messageIdOf(headers), accepted: true, headers, ...(this.#options.keepRaw ? { raw } : {}) };
                        for (const to of recipients) {
                            this.#record(session, 'data', to, { code: 250, lines: ['2.0.0 Ok: queued'] }, kept);
                        }
                        callback();
                    },
                    () => {
                        for (const to of recipients) {
                            this.#record(session, 'data', to, undefined);
                        }
                    }
                );
            }
        };
    }

    #record(session: SMTPServerSession, stage: Stage, to: string, reply: Reply | undefined, kept: Partial<LedgerEntry> = {}): void {
        this.ledger.record({
            at: (this.#options.now ?? Date.now)(),
            domain: this.name,
            mx: this.name,
            client: canonical(session.remoteAddress),
            helo: session.hostNameAppearsAs || '',
            from: sender(session),
            to,
            messageId: '',
            stage,
            code: reply?.code ?? 0,
            reply: reply ? replyText(reply) : '',
            by: kept.accepted ? '' : this.name,
            accepted: false,
            ...kept
        });
    }
}

function sender(session: SMTPServerSession): string {
    return (session.envelope.mailFrom && session.envelope.mailFrom.address) || '';
}
