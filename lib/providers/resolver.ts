/**
 * What DNS says of a recipient's domain, and for how long. Through the promises of node:dns: its name servers are those that ZoneMTA has set (lib/ip-tools.js), and
 * dnscache, which ZoneMTA puts on the callbacks, would keep everything for `dns.cacheTTL`.
 *
 * node:dns does not tell the TTL of MX records, so that is asked for here. Where the mail goes is still what node:dns says (c-ares: all name servers, retries, TCP);
 * our own question only sets a time, within the bounds of lookup.ts. So it is put once, to the first name server, and can do without an answer.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { promises as dns, type MxRecord, type RecordWithTtl } from 'node:dns';
import { isIP } from 'node:net';
import { decode, encode, RECURSION_DESIRED, type DecodedPacket } from 'dns-packet';

/** MX records, none when the domain has none, and the seconds that this holds for. */
export interface TimedMx {
    records: readonly MxRecord[];
    ttl: number;
}

/** The first three reject as node:dns does. */
export interface Resolver {
    mx: (domain: string) => Promise<MxRecord[]>;
    a: (host: string) => Promise<RecordWithTtl[]>;
    aaaa: (host: string) => Promise<RecordWithTtl[]>;
    /** Once more the MX records, for their TTL. Never rejects; undefined: nobody told. */
    timedMx: (domain: string) => Promise<TimedMx | undefined>;
}

const ANSWERED_WITHIN = 2000;
/** Octets that pass everywhere in one datagram (dnsflagday.net/2020). A longer answer is cut off, and tells us nothing. */
const MAX_DATAGRAM = 1232;
const NOERROR = 0;
const NXDOMAIN = 3;

/** Functions of the module are looked up at each call: dns.setServers replaces them. */
export const hostResolver: Resolver = {
    mx: domain => dns.resolveMx(domain),
    a: host => dns.resolve4(host, { ttl: true }),
    aaaa: host => dns.resolve6(host, { ttl: true }),
    timedMx: domain => askForMx(domain, dns.getServers()[0] ?? '127.0.0.1', ANSWERED_WITHIN)
};

/**
 * One question over UDP, with a random port and id. What is no answer to it is not listened to (RFC 5452, 9.1).
 *
 * @param server as dns.getServers() has it: "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353"
 * @param within ms
 */
export function askForMx(domain: string, server: string, within: number): Promise<TimedMx | undefined> {
    const [, host = server, port = '53'] = isIP(server) ? [] : (/^\[?(.+?)\]?:(\d+)$/.exec(server) ?? []);
    const id = randomInt(0x10000);
    const question = questionOf(domain, id);
    return new Promise(resolve => {
        const family = isIP(host) === 6 ? 6 : 4;
        // an address needs no look-up; dnscache would ask Redis for it
        const socket = createSocket({ type: `udp${family}`, lookup: (address, _options, done) => done(null, address, family) });
        const end = (told?: TimedMx) => {
            clearTimeout(timer);
            socket.close();
            resolve(told);
        };
        const timer = setTimeout(end, within);
        socket.once('error', () => end());
        socket.on('message', message => {
            const answer = readAnswer(message, id, domain);
            if (answer) {
                end(timed(answer));
            }
        });
        socket.once('connect', () => socket.send(question));
        // a connected socket hears that server only
        socket.connect(Number(port), host);
    });
}

function questionOf(domain: string, id: number): Buffer {
    return encode({
        type: 'query',
        id,
        flags: RECURSION_DESIRED,
        questions: [{ type: 'MX', name: domain }],
        additionals: [{ type: 'OPT', name: '.', udpPayloadSize: MAX_DATAGRAM, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] }]
    });
}

function readAnswer(message: Buffer, id: number, domain: string): DecodedPacket | undefined {
    if (message.length > MAX_DATAGRAM) {
        return undefined;
    }
    try {
        const packet = decode(message);
        const asked = packet.questions?.[0];
        return packet.type === 'response' && packet.id === id && asked?.type === 'MX' && asked.name.toLowerCase() === domain ? packet : undefined;
    } catch {
        return undefined;
    }
}

/** The smallest TTL of the answer, so that of an alias counts. That there is none holds as long as the SOA record says, without one not at all (RFC 2308, 5). */
function timed({ flags = 0, flag_tc, answers = [], authorities = [] }: DecodedPacket): TimedMx | undefined {
    if (flag_tc || ![NOERROR, NXDOMAIN].includes(flags & 0xf)) {
        return undefined;
    }
    const records = answers.flatMap(answer => (answer.type === 'MX' ? [{ exchange: answer.data.exchange, priority: answer.data.preference ?? 0 }] : []));
    const ttls = answers.flatMap(answer => ('ttl' in answer ? [answer.ttl ?? 0] : []));
    const absent = authorities.flatMap(authority => (authority.type === 'SOA' ? [authority.ttl ?? 0, authority.data.minimum ?? 0] : []));
    if (records.length > 0) {
        return { records, ttl: Math.min(...ttls) };
    }
    return { records, ttl: absent.length > 0 ? Math.min(...ttls, ...absent) : 0 };
}
