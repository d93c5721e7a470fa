/** The rounds of checks in main, and what a sender looks up after a refusal: what they suspend, for how long, and what is told. */
import { describe, expect, it } from 'vitest';
import type { CheckResolver } from '../../lib/checks/dns';
import { MemoryHealth } from '../../lib/health/memory-health';
import { PoolHealth } from '../../lib/health/pool-health';
import { SuspensionTable } from '../../lib/health/table';
import { buildPool } from '../../lib/pool/pool';
import { Evidence, globalListNamed } from '../../lib/process/evidence';
import { EventLog, type LogCode, type LogFields } from '../../lib/process/log';
import { SelfChecks } from '../../lib/process/self-checks';
import type { Settings } from '../../lib/settings/parse';
import type { PluginApp } from '../../lib/zonemta/app';

const HOUR = 3_600_000;
const COOL_DOWN = { first: 1, factor: 1, maximum: 1 };
const RANGES = { subnets4: [28, 24], subnets6: [64, 48], weights: {} };
// addresses that can be bound anywhere
const POOL = buildPool([1, 2, 3, 4, 5].map(n => ({ address: `127.77.5.${n}`, name: `out${n}.example` })), RANGES);

/** A world of DNS whose lists a test may change, on the clock of the test. */
function world({ dnsbl = ['dnsbl.example'], leaveOut = ['route', 'dnsbl'], shadow = false }: { dnsbl?: string[]; leaveOut?: string[]; shadow?: boolean } = {}) {
    const clock = { now: Date.UTC(2026, 0, 1) };
    const now = () => clock.now;
    const dead = new Set<string>();
    const listed = new Set(['2.0.0.127.dnsbl.example', '2.0.0.127.zen.spamhaus.org']);
    const nameless = new Set<string>();
    const away = { dns: false, redis: false };
    const answer = async (records: string[]) => {
        if (away.dns || records.length === 0) {
            throw Object.assign(new Error('x'), { code: away.dns ? 'ESERVFAIL' : 'ENOTFOUND' });
        }
        return records;
    };
    const resolver: CheckResolver = {
        a: name => answer(dead.has(name.split('.').slice(-2).join('.')) ? [] : listed.has(name) ? ['127.0.0.2'] : /^out\d\.example$/.test(name) ? [`127.77.5.${name.charAt(3)}`] : []),
        aaaa: () => answer([]),
        ptr: name => answer(nameless.has(name) ? [] : [`out${name.charAt(0)}.example`])
    };
    const table = new SuspensionTable();
    const limits = { coolDown: { 'ip-reputation': COOL_DOWN, 'ip-rate': COOL_DOWN, 'ip-ptr': COOL_DOWN, network: COOL_DOWN }, rangeAfter: 3 };
    const health = new PoolHealth({ table, own: new MemoryHealth(table, limits), shared: undefined, now, mark: () => '', warn: () => undefined });
    const puts: string[] = [];
    const put = health.put.bind(health);
    health.put = async suspension => {
        if (away.redis) {
            throw new Error('Connection is closed.');
        }
        puts.push(suspension.scope);
        await put(suspension);
    };
    const told: string[] = [];
    class Told extends EventLog {
        override event(code: LogCode, fields: LogFields): void {
            told.push(`${code} ${fields['address'] ?? fields['scope'] ?? ''} ${fields['check'] ?? fields['reason'] ?? ''}`.trim());
        }
    }
    const log = new Told({} as PluginApp, now);
    const settings = { shared: { zones: ['default'], dnsbl, leaveOut, shadow }, randomIp: {}, reputation: { globalLists: ['zen.spamhaus.org'] } } as unknown as Settings;
    const faults: Error[] = [];
    const main = () => new SelfChecks({ settings, pools: () => new Map([['default', POOL]]), resolver, health, log, fault: err => faults.push(err), now });
    const checks = main();
    const evidence = new Evidence({ resolver, health, log, now });
    const out = () => health.checkedOut().map(({ scope }) => scope).sort();
    const list = (n: number, zone = 'dnsbl.example') => listed.add(`${n}.5.77.127.${zone}`);
    const delist = (n: number, zone = 'dnsbl.example') => listed.delete(`${n}.5.77.127.${zone}`);
    const round = async () => {
        told.length = 0;
        await checks.round();
        expect(faults).toEqual([]);
        return [...told];
    };
    return { clock, away, dead, nameless, listed, health, checks, main, evidence, puts, told, out, list, delist, round };
}

describe('a round of checks', () => {
    it('leaves a listed address out at every provider, tells it once, and takes it back when it is delisted', async () => {
        const { list, delist, round, out, health, checks } = world();
        expect(await round()).toEqual([]);
        list(2);
        expect(await round()).toEqual(['CHECK_FAILED 127.77.5.2 dnsbl']);
        expect(out()).toEqual(['127.77.5.2']);
        expect(POOL.map(entry => health.view('google').standing(entry))).toEqual(['open', 'shut', 'open', 'open', 'open']);
        expect(health.list()).toMatchObject([{ provider: '*', class: 'check', note: 'listed at dnsbl.example (127.0.0.2)' }]);
        expect(checks.status()).toMatchObject({ count: 1, failing: [{ address: '127.77.5.2', check: 'dnsbl', leftOut: true }], doubted: [], silentLists: [] });
        expect(await round()).toEqual([]);
        delist(2);
        expect(await round()).toEqual(['CHECK_PASSED 127.77.5.2 dnsbl', 'RESUMED 127.77.5.2 check']);
        expect(out()).toEqual([]);
        expect(checks.status()).toMatchObject({ count: 0, failing: [] });
    });

    it('only warns of what leaveOut does not name', async () => {
        const { list, nameless, round, out, checks } = world({ leaveOut: ['ptr'] });
        list(2);
        nameless.add('3.5.77.127.in-addr.arpa');
        expect(await round()).toEqual(['CHECK_FAILED 127.77.5.2 dnsbl', 'CHECK_FAILED 127.77.5.3 ptr']);
        expect(out()).toEqual(['127.77.5.3']);
        expect(checks.status().failing).toMatchObject([{ check: 'dnsbl', leftOut: false }, { check: 'ptr', leftOut: true }]);
    });

    it('believes of no list that it has more than half of the pool: none is left out, those from before are back, and it is told', async () => {
        const { list, delist, round, out, checks } = world();
        [1, 2].forEach(n => list(n));
        await round();
        expect(out()).toHaveLength(2);
        list(3);
        expect(await round()).toEqual(['CHECK_FAILED 127.77.5.3 dnsbl', 'CHECK_DOUBTED  dnsbl', 'RESUMED 127.77.5.1 check', 'RESUMED 127.77.5.2 check']);
        expect(out()).toEqual([]);
        expect(checks.status().doubted).toEqual([{ check: 'dnsbl', zone: 'default', failing: 3, of: 5 }]);
        expect(await round()).toEqual([]);
        delist(3);
        await round();
        expect(out()).toEqual(['127.77.5.1', '127.77.5.2']);
    });

    it('while DNS is away, or the list is dead, keeps what was known, for a day', async () => {
        const { list, round, out, clock, away, dead, checks } = world();
        list(2);
        await round();
        away.dns = true;
        expect(await round()).toEqual([]);
        expect(out()).toEqual(['127.77.5.2']);
        away.dns = false;
        dead.add('dnsbl.example');
        clock.now += 23 * HOUR;
        expect(await round()).toEqual([]);
        expect([out(), checks.status().silentLists]).toEqual([['127.77.5.2'], ['dnsbl.example']]);
        clock.now += HOUR;
        await round();
        expect(out()).toEqual([]);
    });

    it('renews what it confirms, and no more often than it must', async () => {
        const { list, round, out, clock, puts } = world();
        list(2);
        await round();
        clock.now += 11 * HOUR;
        await round();
        expect(puts).toHaveLength(1);
        clock.now += 2 * HOUR;
        await round();
        expect(puts).toHaveLength(2);
        clock.now += 23 * HOUR;
        expect(out()).toEqual(['127.77.5.2']);
    });

    it('of a main that has just started, with DNS away, keeps what the one before has left out', async () => {
        const { list, round, out, away, main } = world();
        list(2);
        await round();
        away.dns = true;
        await main().round();
        expect(out()).toEqual(['127.77.5.2']);
    });

    it('does not end what came while it was under way', async () => {
        const { evidence, list, out, checks, round } = world({ dnsbl: [] });
        list(2, 'zen.spamhaus.org');
        const underWay = checks.round();
        await evidence.confirmListing({ zone: 'default', pool: POOL, address: '127.77.5.2', list: 'zen.spamhaus.org' });
        await underWay;
        expect(out()).toEqual(['127.77.5.2']);
        await round();
        expect(out()).toEqual(['127.77.5.2']);
    });

    it('that Redis does not take is tried again in the next one', async () => {
        const { list, round, out, away, clock } = world();
        list(2);
        away.redis = true;
        expect(await round()).toContain('REDIS_AWAY');
        away.redis = false;
        clock.now += 1;
        await round();
        expect(out()).toEqual(['127.77.5.2']);
    });

    it('in shadow only tells', async () => {
        const { list, round, out } = world({ shadow: true });
        list(2);
        expect(await round()).toEqual(['CHECK_FAILED 127.77.5.2 dnsbl']);
        expect(out()).toEqual([]);
    });

    it('leaves the operator\'s own suspensions alone', async () => {
        const { round, health, clock } = world();
        await health.put({ provider: 'google', scope: '127.77.5.1', class: 'operator', code: 0, strikes: 0, struck: clock.now, until: clock.now + HOUR, probing: 0, note: '' });
        await round();
        expect(health.list()).toHaveLength(1);
    });
});

describe('a list that a provider names', () => {
    const claim = (n: number) => ({ zone: 'default', pool: POOL, address: `127.77.5.${n}`, list: 'zen.spamhaus.org' });

    it('suspends everywhere when it really has the address, until a round finds it delisted', async () => {
        const { evidence, list, delist, out, round, told } = world({ dnsbl: [] });
        list(2, 'zen.spamhaus.org');
        await evidence.confirmListing(claim(2));
        expect([out(), told]).toEqual([['127.77.5.2'], ['SUSPENDED 127.77.5.2']]);
        await round();
        expect(out()).toEqual(['127.77.5.2']);
        delist(2, 'zen.spamhaus.org');
        expect(await round()).toContain('RESUMED 127.77.5.2 check');
        expect(out()).toEqual([]);
    });

    it('does nothing when it has it not, does not answer, or is dead', async () => {
        const { evidence, out, away, dead, list, clock } = world();
        await evidence.confirmListing(claim(2));
        list(2, 'zen.spamhaus.org');
        for (const trouble of [() => (away.dns = true), () => ((away.dns = false), dead.add('spamhaus.org'))]) {
            trouble();
            clock.now += HOUR;
            await evidence.confirmListing(claim(2));
        }
        expect(out()).toEqual([]);
    });

    it('is asked for an address once a minute at most', async () => {
        const { evidence, out, list, clock } = world();
        await evidence.confirmListing(claim(2));
        list(2, 'zen.spamhaus.org');
        await evidence.confirmListing(claim(2));
        expect(out()).toEqual([]);
        clock.now += 60_000;
        await evidence.confirmListing(claim(2));
        expect(out()).toEqual(['127.77.5.2']);
    });

    it('does not empty the pool, whatever it has', async () => {
        const { evidence, out, list, told } = world();
        for (const n of [1, 2, 3, 4, 5]) {
            list(n, 'zen.spamhaus.org');
            await evidence.confirmListing(claim(n));
        }
        expect(out()).toEqual(['127.77.5.1', '127.77.5.2']);
        expect(told).toContain('CHECK_DOUBTED  global-list');
    });

    it('ended by hand stays ended: the rounds look up only what is suspended', async () => {
        const { evidence, out, list, health, round } = world({ dnsbl: [] });
        list(2, 'zen.spamhaus.org');
        await evidence.confirmListing(claim(2));
        await round();
        await health.lift('*', '127.77.5.2');
        await round();
        expect(out()).toEqual([]);
    });

    it.each([
        ['zen.spamhaus.org', 'zen.spamhaus.org'],
        ['sbl-xbl.spamhaus.org', 'zen.spamhaus.org'],
        ['spamhaus.org', 'zen.spamhaus.org'],
        ['spamhaus.org.evil.example', undefined],
        ['bl.spamcop.net', undefined],
        ['trendmicro', undefined],
        [undefined, undefined]
    ])('is one of globalLists by its zone or its owner: %s', (named, list) => {
        expect(globalListNamed(named, ['zen.spamhaus.org'])).toBe(list);
    });
});

describe('a refusal for the PTR record', () => {
    it('is right only when our own look-up finds none, or one that leads elsewhere', async () => {
        const { evidence, nameless, away } = world();
        expect(await evidence.lacksPtr('127.77.5.3')).toBe(false);
        nameless.add('3.5.77.127.in-addr.arpa');
        expect(await evidence.lacksPtr('127.77.5.3')).toBe(true);
        away.dns = true;
        expect(await evidence.lacksPtr('127.77.5.3')).toBe(false);
    });
});
