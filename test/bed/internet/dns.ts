import type { AddressInfo } from 'node:net';
import type { Socket } from 'node:net';
import DNS from 'dns2';
import { canonical, dnsAddress, reverseName } from './addresses';

/** The records of one name. */
export interface Records {
    A?: readonly string[];
    AAAA?: readonly string[];
    MX?: readonly { exchange: string; priority: number }[];
    TXT?: readonly string[];
    PTR?: readonly string[];
    /** Seconds, of all records of the name. */
    ttl?: number;
}

/** Records by name, in lower case and without a final dot. */
export type Zones = Readonly<Record<string, Records>>;

type RecordType = Exclude<keyof Records, 'ttl'>;

export interface DnsOptions {
    k: number;
    port?: number;
    zones?: Zones;
}

const TTL = 1; // seconds: a test that changes a record must not wait for caches
const NOERROR = 0;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const MAX_STRING = 255; // octets of one character-string of a TXT record

/** PTR records of the given addresses, and the forward records that confirm them. */
export function reverseZones(names: ReadonlyMap<string, string>): Zones {
    const zones: Record<string, Records> = {};
    for (const [address, name] of names) {
        const forward: Records = address.includes(':') ? { AAAA: [canonical(address)] } : { A: [address] };
        zones[name.toLowerCase()] = { ...zones[name.toLowerCase()], ...forward };
        zones[reverseName(address)] = { PTR: [name] };
    }
    return zones;
}

/** The name server of a world, on UDP and TCP. It is authoritative for everything: what it does not know does not exist. */
export class DnsServer {
    readonly address: string;
    readonly #zones = new Map<string, Records>();
    /** Every known name and all names above them; asked for these, the answer is "no such record", not "no such name". */
    readonly #existing = new Set<string>();
    readonly #asked = new Map<string, number>();
    readonly #tcpClients = new Set<Socket>();
    #mode: 'answering' | 'silent' | 'failing' = 'answering';
    #udp: DNS.UDPServer | undefined;
    #tcp: DNS.TCPServer | undefined;

    private constructor(k: number, zones: Zones) {
        this.address = dnsAddress(k);
        this.add(zones);
    }

    static async start({ k, port = 5355, zones = {} }: DnsOptions): Promise<DnsServer> {
        const dns = new DnsServer(k, zones);
        await dns.#listen(port);
        return dns;
    }

    get port(): number {
        return (this.#udp?.address() as AddressInfo).port;
    }

    /** Adds names, or replaces the records of known ones. */
    add(zones: Zones): void {
        for (const [name, records] of Object.entries(zones)) {
            const key = name.toLowerCase();
            this.#zones.set(key, records);
            const labels = key.split('.');
            for (let i = 0; i < labels.length; i++) {
                this.#existing.add(labels.slice(i).join('.'));
            }
        }
    }

    /** How often a name was asked for. */
    asked(name: string, type: RecordType): number {
        return this.#asked.get(`${name.toLowerCase()} ${type}`) ?? 0;
    }

    /** From now on questions get no answer at all, or SERVFAIL. */
    pause(how: 'silent' | 'failing' = 'silent'): void {
        this.#mode = how;
    }

    resume(): void {
        this.#mode = 'answering';
    }

    async stop(): Promise<void> {
        const { udp, tcp } = { udp: this.#udp, tcp: this.#tcp };
        this.#udp = this.#tcp = undefined;
        for (const client of this.#tcpClients) {
            client.destroy();
        }
        await Promise.all([
            udp && new Promise<void>(resolve => udp.close(() => resolve())),
            tcp && new Promise<void>(resolve => tcp.close(() => resolve()))
        ]);
    }

    async #listen(port: number): Promise<void> {
        const handle: DNS.DnsHandler = (request, send) => this.#answer(request, send);
        const udp = DNS.createUDPServer(handle);
        const tcp = DNS.createTCPServer(handle);
        tcp.on('connection', (client: Socket) => {
            this.#tcpClients.add(client);
            client.once('close', () => this.#tcpClients.delete(client));
        });
        await new Promise<void>((resolve, reject) => {
            udp.once('error', reject);
            udp.bind({ port, address: this.address, exclusive: true }, () => resolve());
        });
        this.#udp = udp;
        try {
            await new Promise<void>((resolve, reject) => {
                tcp.once('error', reject);
                tcp.listen({ port: this.port, host: this.address, exclusive: true }, () => resolve());
            });
        } catch (fault) {
            await this.stop();
            throw fault;
        }
        this.#tcp = tcp;
        // A client that has gone by the time its answer is sent is no fault of the server.
        udp.on('error', () => undefined);
        tcp.on('error', () => undefined);
    }

    #answer(request: DNS.Packet, send: (response: DNS.Packet) => Promise<Buffer>): void {
        const [question] = request.questions;
        if (this.#mode === 'silent' || !question) {
            return;
        }
        const name = question.name.toLowerCase();
        const type = recordType(question.type);
        if (type) {
            this.#asked.set(`${name} ${type}`, this.asked(name, type) + 1);
        }
        const response = DNS.Packet.createResponseFromRequest(request);
        response.header.aa = 1;
        // Without "recursion available" some stub resolvers try the next server instead of believing a negative answer.
        response.header.ra = 1;
        if (this.#mode === 'failing') {
            response.header.rcode = SERVFAIL;
        } else {
            response.header.rcode = this.#existing.has(name) ? NOERROR : NXDOMAIN;
            response.answers = type ? answersFor(question, type, this.#zones.get(name) ?? {}) : [];
        }
        // dns2's TCP server returns nothing from send(), its UDP server a promise.
        Promise.resolve(send(response)).catch(() => undefined);
    }
}

function recordType(code: number): RecordType | undefined {
    const types: readonly RecordType[] = ['A', 'AAAA', 'MX', 'TXT', 'PTR'];
    return types.find(type => DNS.Packet.TYPE[type] === code);
}

function answersFor(question: DNS.Packet.Question, type: RecordType, records: Records): DNS.Packet.Resource[] {
    const answer = (data: Partial<DNS.Packet.Resource>) =>
        DNS.Packet.createResourceFromQuestion(question, { ...data, type: question.type, ttl: records.ttl ?? TTL });
    switch (type) {
        case 'A':
        case 'AAAA':
            return (records[type] ?? []).map(address => answer({ address }));
        case 'MX':
            return (records.MX ?? []).map(({ exchange, priority }) => answer({ exchange, priority }));
        case 'TXT':
            return (records.TXT ?? []).map(text => answer({ data: inStrings(text) }));
        case 'PTR':
            return (records.PTR ?? []).map(domain => answer({ domain }));
    }
}

function inStrings(text: string): string[] {
    return text.match(new RegExp(`[^]{1,${MAX_STRING}}`, 'g')) ?? [''];
}
