/** Which provider a recipient's domain belongs to, and by which addresses it can be reached. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Destinations } from '../../lib/providers/lookup';
import { loadProviders, providerKey, type Provider } from '../../lib/providers/patterns';
import type { Resolver, TimedMx } from '../../lib/providers/resolver';

const { patterns: SHIPPED, paceOf: shippedPace } = loadProviders([join(__dirname, '../../config/providers.toml')]);

describe('the provider key', () => {
    it.each([
        ['Gmail', 'gmail.com', 'gmail-smtp-in.l.google.com', 'google'],
        ['Outlook.com', 'hotmail.com', 'hotmail-com.olc.protection.outlook.com', 'microsoft-olc'],
        ['Microsoft 365', 'contoso.example', 'contoso-example.mail.protection.outlook.com', 'microsoft-365'],
        ['an unlisted host: its registrable domain', 'example.org', 'mx1.mail.hoster.co.uk', 'hoster.co.uk'],
        ['an unlisted host below a private suffix', 'example.org', 'mx.customer.github.io', 'customer.github.io'],
        ['a host that is no public name', 'example.org', 'localhost', 'example.org']
    ])('%s', (_name, domain, exchange, key) => {
        expect(providerKey(domain, [exchange], SHIPPED)).toBe(key);
    });

    it('at a gateway with many customers is one of the customer', () => {
        const gateway: Provider = { key: 'gateway', tenants: true, suffixes: ['.gateway.example'], hosts: [] };
        expect(providerKey('customer.example', ['mx1.gateway.example'], [gateway])).toBe('gateway:customer.example');
    });

    it('is that of the best MX', () => {
        expect(providerKey('example.org', ['aspmx.l.google.com', 'mx.backup.example'], SHIPPED)).toBe('google');
    });

    it('without an MX is the domain', () => {
        expect(providerKey('example.org', [], SHIPPED)).toBe('example.org');
    });

    it('is not taken by a name that only looks like the pattern', () => {
        expect(providerKey('example.org', ['mx.notgoogle.com'], SHIPPED)).toBe('notgoogle.com');
        expect(providerKey('example.org', ['google.com.evil.example'], SHIPPED)).not.toBe('google');
    });
});

describe('the provider table', () => {
    let folder: string;

    beforeAll(() => {
        folder = mkdtempSync(join(tmpdir(), 'providers-'));
    });

    afterAll(() => {
        rmSync(folder, { recursive: true });
    });

    function file(name: string, text: string): string {
        writeFileSync(join(folder, name), text);
        return join(folder, name);
    }

    it("of the operator comes before the package's", () => {
        const own = file('own.toml', '[[provider]]\nkey = "ours"\nmx = ["aspmx.l.google.com"]\n');
        const shipped = file('shipped.toml', '[[provider]]\nkey = "google"\nmx = ["*.google.com"]\n');
        const { patterns } = loadProviders([own, shipped]);
        expect(providerKey('a.example', ['aspmx.l.google.com'], patterns)).toBe('ours');
        expect(providerKey('a.example', ['alt1.aspmx.l.google.com'], patterns)).toBe('google');
    });

    it("of the operator changes a pace of the package's, and leaves the others and the patterns", () => {
        const own = file('pace.toml', '[[provider]]\nkey = "google"\npace.pool = { messages = 30 }\n');
        const shipped = file(
            'paces.toml',
            '[default]\naddress = { messages = 7 }\n[[provider]]\nkey = "google"\nmx = ["*.google.com"]\npace.pool = { messages = 900, connections = 5 }\npace.source = "page"\n' +
                '[[provider]]\nkey = "gateway"\nmx = ["*.gateway.example"]\ntenants = true\npace.address = { messages = 2, connections = 1 }\n'
        );
        const { patterns, paceOf } = loadProviders([own, shipped]);
        expect(paceOf('google')).toEqual({ pool: { messages: 30 } });
        expect(paceOf('gateway:customer.example')).toEqual({ address: { messages: 2, connections: 1 } });
        expect(paceOf('unlisted.example')).toEqual({ address: { messages: 7 } });
        expect(providerKey('a.example', ['aspmx.google.com'], patterns)).toBe('google');
        expect(loadProviders([own]).paceOf('unlisted.example')).toEqual({});
    });

    it('of the package has a source for each pace, and asks no more of an address than of the pool', () => {
        const paced = SHIPPED.map(({ key }) => shippedPace(key)).filter(pace => pace !== shippedPace('unlisted.example'));
        expect(paced.length).toBeGreaterThan(10);
        for (const { source, address, pool } of [...paced, shippedPace('unlisted.example')]) {
            expect(source).toMatch(/^https?:/);
            expect(address?.messages).toBeLessThan(pool?.messages ?? Infinity);
        }
    });

    it.each([
        ['a key with capitals', '[[provider]]\nkey = "Ours"\nmx = ["a.example"]\n', 'a key has lower-case letters'],
        ['no pattern at all', '[[provider]]\nkey = "ours"\nmx = []\n', 'provider.0.mx'],
        ['a pattern with a star inside', '[[provider]]\nkey = "ours"\nmx = ["a.*.example"]\n', 'a pattern is a host name'],
        ['an unknown option', '[[provider]]\nkey = "ours"\nmx = ["a.example"]\nweight = 3\n', 'provider.0.weight'],
        ['no pattern and no pace', '[[provider]]\nkey = "ours"\n', 'provider.0: mx is missing: without it an entry has a pace to change'],
        ['a pace that is none', '[[provider]]\nkey = "ours"\npace.pool = { messages = 0 }\n', 'provider.0.pace.pool.messages: a whole number from 1 to 1000000'],
        ['connections without messages', '[[provider]]\nkey = "ours"\npace.address = { connections = 3 }\n', 'provider.0.pace.address.messages'],
        ['a pace by the hour', '[default]\naddress = { messages = 3, hours = 1 }\n', 'default.address.hours'],
        ['a file that is no TOML', '[[provider', 'broken']
    ])('with %s names the file and the place', (name, text, message) => {
        const path = file('broken.toml', text);
        expect(() => loadProviders([path]), name).toThrow(path);
        expect(() => loadProviders([path]), name).toThrow(message);
    });
});

const ABSENT = Object.assign(new Error('no such record'), { code: 'ENODATA' });
const AWAY = Object.assign(new Error('no answer'), { code: 'ETIMEOUT' });

/** A resolver that knows some names, with TTLs of five minutes where nothing else is said; `away`: it answers nothing. */
class Names implements Resolver {
    asked: string[] = [];
    away = false;
    /** What is told beside the MX records of a domain. */
    told: Record<string, Promise<TimedMx | undefined>> = {};

    constructor(readonly records: Record<string, { MX?: [number, string][]; A?: string[]; AAAA?: string[]; ttl?: number }>) {}

    mx = (domain: string) => this.find(domain, 'MX').then(found => found.map(([priority, exchange]) => ({ priority, exchange })));
    a = (host: string) => this.find(host, 'A').then(found => found.map(address => ({ address, ttl: this.records[host]?.ttl ?? 300 })));
    aaaa = (host: string) => this.find(host, 'AAAA').then(found => found.map(address => ({ address, ttl: this.records[host]?.ttl ?? 300 })));
    timedMx = (domain: string) => this.told[domain] ?? Promise.resolve(undefined);

    private async find<Type extends 'MX' | 'A' | 'AAAA'>(name: string, type: Type) {
        this.asked.push(`${type} ${name}`);
        if (this.away) {
            throw AWAY;
        }
        const found = this.records[name]?.[type];
        if (!found) {
            throw ABSENT;
        }
        return found as NonNullable<typeof found>;
    }
}

function world(records: ConstructorParameters<typeof Names>[0]) {
    const names = new Names(records);
    const clock = { now: 0 };
    return { names, clock, destinations: new Destinations(names, SHIPPED, () => clock.now) };
}

describe('a destination', () => {
    it('has its MX hosts in the order of preference, with their addresses', async () => {
        const { destinations } = world({
            'example.org': { MX: [[20, 'MX2.Hoster.Example.'], [10, 'mx1.hoster.example']] },
            'mx1.hoster.example': { A: ['192.0.2.1'] },
            'mx2.hoster.example': { A: ['192.0.2.2'], AAAA: ['2001:db8::2'] }
        });
        expect(await destinations.lookup('example.org')).toEqual({
            provider: 'hoster.example',
            hosts: [
                { exchange: 'mx1.hoster.example', priority: 10, A: ['192.0.2.1'], AAAA: [] },
                { exchange: 'mx2.hoster.example', priority: 20, A: ['192.0.2.2'], AAAA: ['2001:db8::2'] }
            ],
            reachable: { ipv4: true, ipv6: true }
        });
    });

    it("without an MX is the domain's own address", async () => {
        const { destinations } = world({ 'example.org': { AAAA: ['2001:db8::1'] } });
        expect(await destinations.lookup('example.org')).toMatchObject({ provider: 'example.org', hosts: [{ exchange: 'example.org' }], reachable: { ipv4: false, ipv6: true } });
    });

    it("with a null MX has no address: that is ZoneMTA's to report", async () => {
        const { destinations, names } = world({ 'example.org': { MX: [[0, '']], A: ['192.0.2.1'] } });
        expect(await destinations.lookup('example.org')).toMatchObject({ provider: 'example.org', reachable: { ipv4: false, ipv6: false } });
        expect(names.asked).toEqual(['MX example.org']);
    });

    it('of an international domain is looked up in ASCII', async () => {
        const { destinations, names } = world({ 'xn--bcher-kva.example': { A: ['192.0.2.1'] } });
        expect(await destinations.lookup(' Bücher.EXAMPLE. ')).toMatchObject({ provider: 'xn--bcher-kva.example', reachable: { ipv4: true } });
        expect(names.asked).toContain('MX xn--bcher-kva.example');
    });

    it('is looked up once while it is known, by whoever asks', async () => {
        const { destinations, names } = world({ 'example.org': { A: ['192.0.2.1'] } });
        await Promise.all([destinations.lookup('example.org'), destinations.lookup('EXAMPLE.org')]);
        expect(names.asked.filter(query => query === 'MX example.org')).toHaveLength(1);
    });

    const MX: [number, string][] = [[10, 'mx1.hoster.example'], [20, 'mx2.hoster.example']];
    const told = (ttl: number, records = MX) => ({ records: records.map(([priority, exchange]) => ({ priority, exchange })), ttl });

    it.each([
        ['as long as its MX records hold', told(1200), [3000, 3000], 1200],
        ['where they come in another order and in capitals, likewise', told(1200, [[20, 'MX2.Hoster.Example.'], [10, 'mx1.hoster.example.']]), [3000, 3000], 1200],
        ['as long as each address of its hosts holds', told(1200), [3000, 60], 60],
        ['not less than 30 s', told(0), [3000, 3000], 30],
        ['not less than 30 s because of an address', told(1200), [10, 3000], 30],
        ['not more than an hour', told(604_800), [604_800, 604_800], 3600],
        ['five minutes when nobody tells the TTL', undefined, [3000, 3000], 300],
        ['not longer than an address, when nobody tells the TTL', undefined, [120, 3000], 120],
        ['30 s when meanwhile its MX records are others', told(1200, [[10, 'aspmx.l.google.com']]), [3000, 3000], 30],
        ['30 s when meanwhile it has one more', told(1200, [...MX, [30, 'mx3.hoster.example']]), [3000, 3000], 30],
        ['30 s when meanwhile another one comes first', told(1200, [[20, 'mx1.hoster.example'], [10, 'mx2.hoster.example']]), [3000, 3000], 30],
        ['30 s when meanwhile it has none', told(1200, []), [3000, 3000], 30]
    ])('is kept %s', async (_name, timed, [first, second], seconds) => {
        const { destinations, names, clock } = world({
            'example.org': { MX },
            'mx1.hoster.example': { A: ['192.0.2.1'], ...(first === undefined ? {} : { ttl: first }) },
            'mx2.hoster.example': { AAAA: ['2001:db8::2'], ...(second === undefined ? {} : { ttl: second }) }
        });
        names.told['example.org'] = Promise.resolve(timed);
        expect(await destinations.lookup('example.org')).toMatchObject({ provider: 'hoster.example' });
        names.records['example.org'] = { MX: [[10, 'aspmx.l.google.com']] };
        clock.now += seconds * 1000 - 1;
        expect(await destinations.lookup('example.org')).toMatchObject({ provider: 'hoster.example' });
        clock.now += 1;
        expect(await destinations.lookup('example.org')).toMatchObject({ provider: 'google' });
    });

    it('is kept 30 s when none of its hosts has an address', async () => {
        const { destinations, names, clock } = world({ 'example.org': { MX } });
        names.told['example.org'] = Promise.resolve(told(1200));
        await destinations.lookup('example.org');
        clock.now += 30_000;
        names.records['mx1.hoster.example'] = { A: ['192.0.2.1'] };
        expect(await destinations.lookup('example.org')).toMatchObject({ reachable: { ipv4: true } });
    });

    it('waits for no TTL, which counts when it comes, from when was asked', async () => {
        const { destinations, names, clock } = world({ 'example.org': { A: ['192.0.2.1'] } });
        let tell: (told: TimedMx) => void = () => undefined;
        const promise = new Promise<TimedMx>(resolve => (tell = resolve));
        names.told['example.org'] = promise;
        await destinations.lookup('example.org');
        clock.now += 2000;
        tell({ records: [], ttl: 60 });
        await promise;
        clock.now += 57_999;
        await destinations.lookup('example.org');
        expect(names.asked).toHaveLength(3);
        clock.now += 1;
        await destinations.lookup('example.org');
        expect(names.asked).toHaveLength(6);
    });

    it('while DNS is away is known by its domain alone, and is asked for again soon', async () => {
        const { destinations, names, clock } = world({ 'example.org': { MX: [[10, 'aspmx.l.google.com']] }, 'aspmx.l.google.com': { A: ['192.0.2.1'] } });
        names.away = true;
        expect(await destinations.lookup('example.org')).toEqual({ provider: 'example.org', hosts: [], reachable: { ipv4: false, ipv6: false } });
        names.away = false;
        clock.now += 9999;
        expect(await destinations.lookup('example.org')).toMatchObject({ provider: 'example.org' });
        clock.now += 1;
        expect(await destinations.lookup('example.org')).toMatchObject({ provider: 'google' });
    });

    it('of a domain with very many MX records, and hosts with very many addresses, is bounded', async () => {
        const { destinations } = world({
            'example.org': { MX: Array.from({ length: 5000 }, (_, n) => [n, 'mx.hoster.example']) },
            'mx.hoster.example': { A: Array.from({ length: 10_000 }, () => '192.0.2.1'), AAAA: Array.from({ length: 10_000 }, () => '2001:db8::1') }
        });
        const { hosts } = await destinations.lookup('example.org');
        expect(hosts.map(({ A, AAAA }) => [A.length, AAAA.length])).toEqual(Array.from({ length: 20 }, () => [50, 50]));
    });
});
