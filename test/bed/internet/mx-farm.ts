import type { SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import { canonical, mxAddress4, mxAddress6 } from './addresses';
import type { Behaviour, Refusal } from './behaviours';
import type { Records, Zones } from './dns';
import { Ledger, type LedgerEntry, type Stage, type Visit } from './ledger';
import { asError, headOf, messageIdOf, readMessage, replyText, SmtpListener } from './smtp';

/** A domain that mail is sent to. */
export interface Destination {
    domain: string;
    behaviour: Behaviour;
    /** Its MX hosts have an IPv6 address too, when the farm may use them. */
    ipv6?: boolean;
    /** Number of MX hosts, each less preferred than the one before; 1 by default. */
    mxHosts?: number;
}

/** One MX host and where it listens. */
export interface MxHost {
    domain: string;
    name: string;
    priority: number;
    address4: string;
    address6?: string;
}

export interface FarmOptions {
    k: number;
    destinations: readonly Destination[];
    /** 2525 by default: no root is needed for it. */
    port?: number;
    /** Whether the IPv6 addresses of `planMxHosts` are on `lo`. */
    ipv6?: boolean;
    keepRaw?: boolean;
    /** With a key and certificate the hosts offer STARTTLS. */
    tls?: { key: string; cert: string };
    now?: () => number;
}

const MAX_HOSTS = 254;

/** The MX hosts of the destinations, numbered in their order. Known before the start, so that the caller can set up `lo`. */
export function planMxHosts(k: number, destinations: readonly Destination[], ipv6 = true): readonly MxHost[] {
    let n = 0;
    const hosts = destinations.flatMap(({ domain, mxHosts = 1, ipv6: wanted = false }) =>
        Array.from({ length: mxHosts }, (_, i): MxHost => {
            n += 1;
            const host = { domain, name: `mx${i + 1}.${domain}`, priority: 10 * (i + 1), address4: mxAddress4(k, n) };
            return ipv6 && wanted ? { ...host, address6: mxAddress6(k, n) } : host;
        })
    );
    if (n > MAX_HOSTS) {
        throw new Error(`${n} MX hosts do not fit into 127.${k}.1.0/24`);
    }
    return hosts;
}

/** All the servers that the operator's mail goes to, with one ledger. */
export class MxFarm {
    readonly ledger = new Ledger();
    readonly hosts: readonly MxHost[];
    readonly port: number;
    readonly #options: FarmOptions;
    readonly #behaviours: Map<string, Behaviour>;
    readonly #listeners = new Map<MxHost, SmtpListener[]>();

    private constructor(options: FarmOptions) {
        this.#options = options;
        this.port = options.port ?? 2525;
        this.hosts = planMxHosts(options.k, options.destinations, options.ipv6 ?? false);
        this.#behaviours = new Map(options.destinations.map(({ domain, behaviour }) => [domain, behaviour]));
    }

    static async start(options: FarmOptions): Promise<MxFarm> {
        const farm = new MxFarm(options);
        try {
            await Promise.all(farm.hosts.map(host => farm.#openOrClose(host)));
        } catch (fault) {
            await farm.stop();
            throw fault;
        }
        return farm;
    }

    /** MX, A and AAAA records of all destinations. */
    zones(): Zones {
        const zones: Record<string, Records> = {};
        for (const { domain, name, priority, address4, address6 } of this.hosts) {
            zones[domain] = { MX: [...(zones[domain]?.MX ?? []), { exchange: name, priority }] };
            zones[name] = address6 ? { A: [address4], AAAA: [address6] } : { A: [address4] };
        }
        return zones;
    }

    /** From the next command on the destination behaves like this; it starts or stops listening as the behaviour says. */
    async setBehaviour(domain: string, behaviour: Behaviour): Promise<void> {
        if (!this.#behaviours.has(domain)) {
            throw new Error(`no destination ${domain}`);
        }
        this.#behaviours.set(domain, behaviour);
        await Promise.all(this.hosts.filter(host => host.domain === domain).map(host => this.#openOrClose(host)));
    }

    async stop(): Promise<void> {
        await Promise.all(this.hosts.map(host => this.#close(host)));
    }

    #behaviour(host: MxHost): Behaviour {
        return this.#behaviours.get(host.domain) as Behaviour;
    }

    async #openOrClose(host: MxHost): Promise<void> {
        if (this.#behaviour(host).listens === 'closed') {
            await this.#close(host);
        } else if (!this.#listeners.has(host)) {
            const listeners: SmtpListener[] = [];
            this.#listeners.set(host, listeners);
            for (const address of [host.address4, ...(host.address6 ? [host.address6] : [])]) {
                listeners.push(await SmtpListener.open(this.#smtpOptions(host), address, this.port));
            }
        }
    }

    async #close(host: MxHost): Promise<void> {
        const listeners = this.#listeners.get(host) ?? [];
        this.#listeners.delete(host);
        await Promise.all(listeners.map(listener => listener.close()));
    }

    #smtpOptions(host: MxHost): SMTPServerOptions {
        const tls = this.#options.tls;
        return {
            ...tls,
            name: host.name,
            disabledCommands: tls ? ['AUTH'] : ['AUTH', 'STARTTLS'],
            onConnect: (session, callback) => {
                const visit = this.#visit(host, session);
                if (this.#behaviour(host).drops?.(visit.client)) {
                    this.#record(visit, 'greeting', { code: 0, reply: '' });
                    this.#listeners.get(host)?.forEach(listener => listener.reset(session.id));
                    return;
                }
                if (this.#behaviour(host).listens === 'silent') {
                    // No callback, no greeting: the client waits until it gives up.
                    this.#record(visit, 'greeting', { code: 0, reply: '' });
                    this.#hangUpLater(host, session.id);
                    return;
                }
                callback(this.#judge(host, visit, 'greeting'));
            },
            onMailFrom: ({ address: from }, session, callback) => {
                callback(this.#judge(host, { ...this.#visit(host, session), from }, 'mail'));
            },
            onRcptTo: ({ address: to }, session, callback) => {
                callback(this.#judge(host, { ...this.#visit(host, session), to }, 'rcpt'));
            },
            onData: (stream, session, callback) => {
                const visit = this.#visit(host, session);
                const recipients = session.envelope.rcptTo.map(({ address }) => address);
                readMessage(stream).then(
                    raw => callback(this.#take(host, visit, recipients, raw)),
                    () => {
                        for (const to of recipients) {
                            this.#record({ ...visit, to }, 'data', { code: 0, reply: '' });
                        }
                    }
                );
            }
        };
    }

    #hangUpLater(host: MxHost, id: string): void {
        const { hangUpMs } = this.#behaviour(host);
        if (hangUpMs !== undefined) {
            setTimeout(() => this.#listeners.get(host)?.forEach(listener => listener.hangUp(id)), hangUpMs).unref();
        }
    }

    /** The refusal of this stage, if any, on record. */
    #judge(host: MxHost, visit: Visit, stage: 'greeting' | 'mail' | 'rcpt'): Error | null {
        const reply = this.#behaviour(host)[stage]?.(visit);
        if (!reply) {
            return null;
        }
        this.#record(visit, stage, refusal(reply));
        return asError(reply);
    }

    /** The end of data. There is one reply for all recipients, as in SMTP; the first stands for them when it is chosen. */
    #take(host: MxHost, visit: Visit, recipients: readonly string[], raw: Buffer): Error | null {
        const reply = this.#behaviour(host).data?.({ ...visit, to: recipients[0] ?? '' });
        const headers = headOf(raw);
        const messageId = messageIdOf(headers);
        for (const to of recipients) {
            this.#record(
                { ...visit, to },
                'data',
                reply
                    ? { ...refusal(reply), messageId }
                    : {
                          code: 250,
                          reply: '250 OK: message queued',
                          messageId,
                          accepted: true,
                          headers,
                          ...(this.#options.keepRaw ? { raw } : {})
                      }
            );
        }
        return reply ? asError(reply) : null;
    }

    #visit(host: MxHost, session: SMTPServerSession): Visit {
        return {
            at: (this.#options.now ?? Date.now)(),
            domain: host.domain,
            mx: host.name,
            client: canonical(session.remoteAddress),
            connection: session.id,
            helo: session.hostNameAppearsAs || '',
            secure: session.secure,
            from: (session.envelope.mailFrom && session.envelope.mailFrom.address) || '',
            to: ''
        };
    }

    #record(visit: Visit, stage: Stage, seen: Pick<LedgerEntry, 'code' | 'reply'> & Partial<LedgerEntry>): void {
        const accepted = seen.accepted ?? false;
        const by = accepted ? '' : (this.#behaviours.get(visit.domain)?.name ?? '');
        this.ledger.record({ ...visit, messageId: '', stage, by, accepted, ...seen });
    }
}

function refusal(reply: Refusal): Pick<LedgerEntry, 'code' | 'reply'> & Partial<LedgerEntry> {
    return { code: reply.code, reply: replyText(reply), ...(reply.by ? { by: reply.by } : {}) };
}
