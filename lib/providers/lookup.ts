/** Recipient domain → MX hosts with their addresses, and the provider key; kept as long as DNS says. */
import type { MxRecord, RecordWithTtl } from 'node:dns';
import { domainToASCII } from 'node:url';
import type { Family } from '../delivery/types';
import { providerKey, type Provider } from './patterns';
import type { Resolver, TimedMx } from './resolver';

export interface MxHost {
    exchange: string;
    priority: number;
    A: string[];
    AAAA: string[];
}

export interface Destination {
    provider: string;
    /** In the order of preference. Empty: DNS did not tell, and ZoneMTA's own look-up shall decide. */
    hosts: readonly MxHost[];
    reachable: Readonly<Record<Family, boolean>>;
}

/** Bounds of what DNS says, in seconds: a busy domain is not asked for with every delivery, and a move is seen within the hour. */
const SHORTEST = 30;
const LONGEST = 3600;
const UNTOLD = 300;
const FAILED_MS = 10_000;
const CACHE_ENTRIES = 10_000;
/** As many MX hosts as ZoneMTA's mx-connect would try. */
const MAX_HOSTS = 20;
/** Of one host, in each family. */
const MAX_ADDRESSES = 50;

interface Entry {
    until: number;
    destination: Promise<Destination>;
}

export class Destinations {
    private readonly cache = new Map<string, Entry>();

    constructor(
        private readonly resolver: Resolver,
        private readonly providers: readonly Provider[],
        private readonly now: () => number
    ) {}

    /** Never rejects: when DNS is away the recipient's domain is the provider, and the hosts are ZoneMTA's to find. */
    lookup(recipientDomain: string): Promise<Destination> {
        const domain = domainToASCII(recipientDomain.trim().toLowerCase().replace(/\.$/, '')) || recipientDomain.toLowerCase();
        const cached = this.cache.get(domain);
        if (cached && cached.until > this.now()) {
            return cached.destination;
        }
        const asked = this.now();
        const keep = (seconds: number) => (entry.until = asked + seconds * 1000);
        const destination = this.resolve(domain, keep).catch(() => {
            entry.until = this.now() + FAILED_MS;
            return unknown(domain);
        });
        const entry = { until: asked + UNTOLD * 1000, destination };
        this.remember(domain, entry);
        return destination;
    }

    private remember(domain: string, entry: Entry): void {
        this.cache.delete(domain);
        this.cache.set(domain, entry);
        for (const oldest of this.cache.keys()) {
            if (this.cache.size <= CACHE_ENTRIES) {
                break;
            }
            this.cache.delete(oldest);
        }
    }

    /** @param keep is told how many seconds the answer holds for, perhaps after it is given: no delivery waits for that */
    private async resolve(domain: string, keep: (seconds: number) => void): Promise<Destination> {
        const records = tidy(await absentAsEmpty(this.resolver.mx(domain)));
        const timed = this.resolver.timedMx(domain);
        const sorted = [...records].sort((a, b) => a.priority - b.priority).slice(0, MAX_HOSTS);
        // without an MX the domain's own address counts (RFC 5321, 5.1); a null MX (RFC 7505) is ZoneMTA's to report
        const named = sorted.length > 0 ? sorted : [{ exchange: domain, priority: 0 }];
        const found = await Promise.all(
            named.map(async ({ exchange, priority }) => {
                const [a, aaaa] = exchange === '' ? [[], []] : await Promise.all([some(this.resolver.a(exchange)), some(this.resolver.aaaa(exchange))]);
                return { exchange, priority, a, aaaa };
            })
        );
        const addresses = found.flatMap(({ a, aaaa }) => [...a, ...aaaa]);
        void timed.then(told => keep(holds(records, told, addresses)));
        const hosts = found.map(({ exchange, priority, a, aaaa }) => ({ exchange, priority, A: plain(a), AAAA: plain(aaaa) }));
        const provider = providerKey(domain, sorted.map(host => host.exchange).filter(Boolean), this.providers);
        return { provider, hosts, reachable: { ipv4: hosts.some(host => host.A.length > 0), ipv6: hosts.some(host => host.AAAA.length > 0) } };
    }
}

function tidy(records: readonly MxRecord[]): MxRecord[] {
    return records.map(({ exchange, priority }) => ({ exchange: exchange.toLowerCase().replace(/\.$/, ''), priority }));
}

async function some(answer: Promise<RecordWithTtl[]>): Promise<RecordWithTtl[]> {
    return (await absentAsEmpty(answer)).slice(0, MAX_ADDRESSES);
}

function plain(records: readonly RecordWithTtl[]): string[] {
    return records.map(({ address }) => address);
}

/**
 * Seconds that a destination is kept for: the smallest TTL of all that it is made of. The TTL of other MX records than ours says nothing of ours, but that they
 * are changing. Without any address something is amiss there, which may soon be mended.
 */
function holds(records: readonly MxRecord[], told: TimedMx | undefined, addresses: readonly RecordWithTtl[]): number {
    const mx = told === undefined ? UNTOLD : isSame(records, tidy(told.records)) ? told.ttl : 0;
    const ttl = addresses.length > 0 ? Math.min(mx, ...addresses.map(address => address.ttl)) : 0;
    return Math.min(Math.max(ttl, SHORTEST), LONGEST);
}

function isSame(ours: readonly MxRecord[], others: readonly MxRecord[]): boolean {
    const [a, b] = [ours, others].map(records => records.map(({ exchange, priority }) => `${priority} ${exchange}`).sort().join());
    return a === b;
}

function unknown(domain: string): Destination {
    return { provider: domain, hosts: [], reachable: { ipv4: false, ipv6: false } };
}

/** "There is no such record" is an answer; anything else is DNS being away. */
export async function absentAsEmpty<T>(answer: Promise<T[]>): Promise<T[]> {
    try {
        return await answer;
    } catch (err) {
        if (['ENODATA', 'ENOTFOUND'].includes((err as NodeJS.ErrnoException).code ?? '')) {
            return [];
        }
        throw err;
    }
}
