/** DNS as the checks ask it: bounded in time and size, and "there is none" kept apart from "nobody answered". */
import { promises as dns } from 'node:dns';
import ipaddr from 'ipaddr.js';
import { absentAsEmpty } from '../providers/lookup';

export interface CheckResolver {
    a(name: string): Promise<string[]>;
    aaaa(name: string): Promise<string[]>;
    ptr(name: string): Promise<string[]>;
}

/** The records, none when there are none; undefined: no answer (server failure, time-out), which says nothing about an address of ours. */
export type Answer = readonly string[] | undefined;

const DEADLINE = 5000;
const MAX_RECORDS = 50;
const MAX_NAME = 253;

/** ZoneMTA's main process leaves node:dns as the system has it, and its senders may have a cache there: the checks have a resolver of their own. */
export function resolverFor(nameservers: readonly string[]): CheckResolver {
    const resolver = new dns.Resolver({ timeout: 2000, tries: 2 });
    if (nameservers.length > 0) {
        resolver.setServers(nameservers);
    }
    return { a: name => resolver.resolve4(name), aaaa: name => resolver.resolve6(name), ptr: name => resolver.resolvePtr(name) };
}

/** The look-ups of one round: each name is asked for once. None rejects. */
export class Lookups {
    private readonly asked = new Map<string, Promise<Answer>>();

    constructor(
        private readonly resolver: CheckResolver,
        private readonly deadline = DEADLINE
    ) {}

    /** Addresses of a name in one family. */
    addresses(name: string, family: 'ipv4' | 'ipv6'): Promise<Answer> {
        return this.ask(family === 'ipv4' ? 'a' : 'aaaa', name);
    }

    /** Names of an address. */
    names(address: string): Promise<Answer> {
        return this.ask('ptr', `${reversed(address)}.${address.includes(':') ? 'ip6' : 'in-addr'}.arpa`);
    }

    private ask(type: keyof CheckResolver, name: string): Promise<Answer> {
        const key = `${type} ${name.toLowerCase()}`;
        const known = this.asked.get(key) ?? within(this.deadline, this.resolved(type, name));
        this.asked.set(key, known);
        return known;
    }

    private async resolved(type: keyof CheckResolver, name: string): Promise<Answer> {
        try {
            const records: unknown = await absentAsEmpty(this.resolver[type](name));
            return Array.isArray(records) ? records.filter(record => typeof record === 'string' && record.length <= MAX_NAME).slice(0, MAX_RECORDS) : undefined;
        } catch {
            return undefined;
        }
    }
}

/** An address as names in DNS have it: octets, or nibbles, the last first (RFC 5782, 2.1 and 2.4; RFC 3596, 2.5). */
export function reversed(address: string): string {
    const ip = ipaddr.parse(address);
    const bytes = ip.toByteArray();
    const labels = ip.kind() === 'ipv4' ? bytes.map(String) : bytes.flatMap(byte => [...byte.toString(16).padStart(2, '0')]);
    return labels.reverse().join('.');
}

function within(ms: number, answer: Promise<Answer>): Promise<Answer> {
    return new Promise(resolve => {
        const timer = setTimeout(() => resolve(undefined), ms);
        void answer.then(records => {
            clearTimeout(timer);
            resolve(records);
        });
    });
}
