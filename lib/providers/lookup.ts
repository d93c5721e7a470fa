/** Recipient domain → MX hosts with their addresses, and the provider key. Through the process's own resolver: the name servers of ZoneMTA. */
import { domainToASCII } from 'node:url';
import type { Family } from '../delivery/types';
import { providerKey, type Provider } from './patterns';

/** The callback resolver of node:dns, promisified; ZoneMTA sets its name servers, and dnscache patches it. */
export interface Resolver {
    mx(domain: string): Promise<{ exchange: string; priority: number }[]>;
    a(host: string): Promise<string[]>;
    aaaa(host: string): Promise<string[]>;
}

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

const CACHE_MS = 5 * 60_000;
const CACHE_FAILED_MS = 10_000;
const CACHE_ENTRIES = 10_000;
/** As many MX hosts as ZoneMTA's mx-connect would try. */
const MAX_HOSTS = 20;

export class Destinations {
    private readonly cache = new Map<string, { until: number; destination: Promise<Destination> }>();

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
        const destination = this.resolve(domain).catch(() => {
            this.keep(domain, unknown(domain), CACHE_FAILED_MS);
            return unknown(domain);
        });
        this.keep(domain, destination, CACHE_MS);
        return destination;
    }

    private keep(domain: string, destination: Destination | Promise<Destination>, ms: number): void {
        this.cache.delete(domain);
        this.cache.set(domain, { until: this.now() + ms, destination: Promise.resolve(destination) });
        for (const oldest of this.cache.keys()) {
            if (this.cache.size <= CACHE_ENTRIES) {
                break;
            }
            this.cache.delete(oldest);
        }
    }

    private async resolve(domain: string): Promise<Destination> {
        const records = await absentAsEmpty(this.resolver.mx(domain));
        const sorted = records
            .map(({ exchange, priority }) => ({ exchange: exchange.toLowerCase().replace(/\.$/, ''), priority }))
            .sort((a, b) => a.priority - b.priority)
            .slice(0, MAX_HOSTS);
        // without an MX the domain's own address counts (RFC 5321, 5.1); a null MX (RFC 7505) is ZoneMTA's to report
        const named = sorted.length > 0 ? sorted : [{ exchange: domain, priority: 0 }];
        const hosts = await Promise.all(
            named.map(async ({ exchange, priority }) => {
                const [A, AAAA] = exchange === '' ? [[], []] : await Promise.all([absentAsEmpty(this.resolver.a(exchange)), absentAsEmpty(this.resolver.aaaa(exchange))]);
                return { exchange, priority, A, AAAA };
            })
        );
        const provider = providerKey(domain, sorted.map(host => host.exchange).filter(Boolean), this.providers);
        return { provider, hosts, reachable: { ipv4: hosts.some(host => host.A.length > 0), ipv6: hosts.some(host => host.AAAA.length > 0) } };
    }
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
