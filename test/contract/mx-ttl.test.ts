/** A domain moves to another provider: the key follows when the TTL of its old records is over, on a real name server, as a sender process of ZoneMTA has it. */
import dns from 'node:dns';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Destinations } from '../../lib/providers/lookup';
import { loadProviders } from '../../lib/providers/patterns';
import { hostResolver } from '../../lib/providers/resolver';
import { DnsServer, type Zones } from '../bed/internet';
import { claimLoopback, type Loopback } from '../bed/services/loopback';
import { installation } from '../bed/zonemta';

const GOOGLE = { MX: [{ exchange: 'aspmx.l.google.com', priority: 10 }] };
const MICROSOFT = { MX: [{ exchange: 'example-org.mail.protection.outlook.com', priority: 0 }] };
const HOSTS: Zones = {
    'aspmx.l.google.com': { A: ['192.0.2.1'], AAAA: ['2001:db8::1'], ttl: 3000 },
    'example-org.mail.protection.outlook.com': { A: ['192.0.2.2'], ttl: 3000 },
    'mx.short.example': { A: ['192.0.2.3'], ttl: 120 }
};

const { patterns } = loadProviders([join(__dirname, '../../config/providers.toml')]);
const before = dns.getServers();
let claim: Loopback;
let server: DnsServer;

beforeAll(async () => {
    claim = await claimLoopback();
    server = await DnsServer.start({ k: claim.k, zones: HOSTS });
    dns.setServers([`${server.address}:${server.port}`]);
});
afterAll(async () => {
    dns.setServers(before);
    await server.stop();
    await claim.release();
});

/** A sender's look-ups, all begun and their TTLs told. */
function sender() {
    const clock = { now: 0 };
    const told = vi.fn(hostResolver.timedMx);
    const destinations = new Destinations({ ...hostResolver, timedMx: told }, patterns, () => clock.now);
    const providerOf = async (domain: string) => {
        const { provider } = await destinations.lookup(domain);
        await Promise.all(told.mock.results.map(({ value }) => value as Promise<unknown>));
        return provider;
    };
    /** From now on it stays for so many ms, and is another one then. */
    const changes = async (domain: string, ms: number, [old, next]: readonly [string, string]) => {
        clock.now += ms - 1;
        expect(await providerOf(domain)).toBe(old);
        clock.now += 1;
        expect(await providerOf(domain)).toBe(next);
    };
    return { changes, providerOf };
}

async function moves(): Promise<void> {
    server.add({ 'example.org': { ...GOOGLE, ttl: 90 } });
    const { changes, providerOf } = sender();
    expect(await providerOf('example.org')).toBe('google');
    server.add({ 'example.org': { ...MICROSOFT, ttl: 1800 } });
    await changes('example.org', 90_000, ['google', 'microsoft-365']);
    server.add({ 'example.org': GOOGLE });
    await changes('example.org', 1_800_000, ['microsoft-365', 'google']);
}

describe('the provider key', () => {
    it('changes when the TTL of the MX records is over, not before', moves);

    // dns.caching is ZoneMTA's default, for 10 minutes (config/default.js)
    it('likewise where ZoneMTA has put dnscache on node:dns', async () => {
        const dnscache = createRequire(join(installation('3.10.3').folder, 'node_modules', '/'))('dnscache') as (options: object) => unknown;
        dnscache({ enable: true, ttl: 600, cachesize: 1000 });
        try {
            await moves();
        } finally {
            dnscache({ enable: false });
        }
    });

    it('is looked up again when the address of an MX host is over', async () => {
        server.add({ 'short.example': { MX: [{ exchange: 'mx.short.example', priority: 10 }], ttl: 1800 } });
        const { changes, providerOf } = sender();
        expect(await providerOf('short.example')).toBe('short.example');
        server.add({ 'short.example': GOOGLE });
        await changes('short.example', 120_000, ['short.example', 'google']);
    });
});
