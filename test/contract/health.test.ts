/** Suspensions: one contract, held by memory and by a real Redis, which give the same answers to whatever happens. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryHealth } from '../../lib/health/memory-health';
import { RedisHealth } from '../../lib/health/redis-health';
import { EVERYWHERE, scopesOf, type HealthLimits, type HealthStore, type Strike, type StruckClass, type Suspension } from '../../lib/health/suspension';
import { SuspensionTable } from '../../lib/health/table';
import { rangesOf } from '../../lib/pool/pool';
import { useRealCluster, useRealRedis } from './real-redis';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 0, 1);

const LIMITS: HealthLimits = {
    coolDown: {
        'ip-reputation': { first: 10 * MINUTE, factor: 3, maximum: 24 * HOUR },
        'ip-rate': { first: 2 * MINUTE, factor: 2, maximum: HOUR },
        'ip-ptr': { first: 6 * HOUR, factor: 2, maximum: 24 * HOUR },
        network: { first: 5 * MINUTE, factor: 2, maximum: HOUR }
    },
    rangeAfter: 3
};

const redis = useRealRedis();
const cluster = useRealCluster();
let runs = 0;

const STORES: Record<string, (limits: HealthLimits) => HealthStore> = {
    memory: limits => new MemoryHealth(new SuspensionTable(), limits),
    Redis: limits => new RedisHealth(redis.client, `run${runs++}:`, limits),
    'a Redis Cluster': limits => new RedisHealth(cluster.client, `run${runs++}:`, limits)
};

function scopes(address: string): string[] {
    return scopesOf({ address, family: address.includes(':') ? 'ipv6' : 'ipv4', ranges: rangesOf(address, { subnets4: [28, 24], subnets6: [64, 48] }) });
}

let messages = 0;

/** A refusal that blames the address, of a message of its own. */
function strikeOf(address: string, now: number, more: Partial<Strike> = {}): Strike {
    const all = scopes(address);
    return { provider: 'google', class: 'ip-reputation', code: 550, note: '550 "listed"', scopes: all, base: 0, message: `m${messages++}`, accepted: all.map(() => 0), undecided: all.map(() => false), retryAfter: 0, now, ...more };
}

describe.each(Object.entries(STORES))('suspensions in %s', (_name, make) => {
    it('last for the cool-down of their class, and longer each time that a probe is refused', async () => {
        const store = make(LIMITS);
        let now = START;
        for (const minutes of [10, 30, 90]) {
            const [change] = await store.strike(strikeOf('192.0.2.1', now));
            expect(change?.suspension).toMatchObject({ scope: '192.0.2.1', class: 'ip-reputation', code: 550, struck: now, until: now + minutes * MINUTE, note: '550 "listed"' });
            now += minutes * MINUTE;
        }
        for (let n = 0; n < 5; n++) {
            now = ((await store.strike(strikeOf('192.0.2.1', now)))[0]?.suspension?.until ?? 0);
        }
        const [last] = await store.strike(strikeOf('192.0.2.1', now));
        expect((last?.suspension?.until ?? 0) - now).toBe(24 * HOUR);
    });

    it('honour what the reply asks for, up to the maximum', async () => {
        const store = make(LIMITS);
        const [asked] = await store.strike(strikeOf('192.0.2.1', START, { class: 'ip-rate', retryAfter: 20 * MINUTE }));
        expect(asked?.suspension?.until).toBe(START + 20 * MINUTE);
        const [greedy] = await store.strike(strikeOf('198.51.100.1', START, { class: 'ip-rate', retryAfter: 7 * 24 * HOUR }));
        expect(greedy?.suspension?.until).toBe(START + HOUR);
    });

    it('have another cool-down than that of their class where the evidence is weaker', async () => {
        const store = make(LIMITS);
        const [weak] = await store.strike(strikeOf('192.0.2.1', START, { class: 'ip-ptr', coolDownOf: 'ip-rate' }));
        expect(weak?.suspension).toMatchObject({ class: 'ip-ptr', until: START + 2 * MINUTE });
        const [strong] = await store.strike(strikeOf('192.0.2.1', START + 2 * MINUTE, { class: 'ip-ptr' }));
        expect(strong?.suspension).toMatchObject({ class: 'ip-ptr', strikes: 2, until: START + 2 * MINUTE + 12 * HOUR });
    });

    it('by our own checks hold at every provider, are no strike anywhere, and end at their time or when they are lifted', async () => {
        const store = make(LIMITS);
        const check: Suspension = { provider: EVERYWHERE, scope: '192.0.2.1', class: 'check', code: 0, strikes: 0, struck: START, until: START + HOUR, probing: 0, note: 'listed' };
        expect(await store.put(check)).toEqual([{ provider: EVERYWHERE, scope: '192.0.2.1', suspension: check }]);
        const place = { address: '192.0.2.1', family: 'ipv4' as const, ranges: ['192.0.2.0/28', '192.0.2.0/24'] };
        const seen = async (now: number) => {
            const table = new SuspensionTable();
            table.replace(await store.snapshot(now));
            const view = table.view('google', now);
            return [view.standing(place), view.isBlamed(place), view.struckAt(place), view.standing({ ...place, address: '192.0.2.2' })];
        };
        expect(await seen(START)).toEqual(['shut', true, START, 'open']);
        // a strike at a provider is one of its own
        const [struck] = await store.strike(strikeOf('192.0.2.1', START));
        expect(struck).toMatchObject({ provider: 'google', suspension: { class: 'ip-reputation', strikes: 1, until: START + 10 * MINUTE } });
        expect(await store.succeed({ provider: 'google', scopes: scopes('192.0.2.1'), startedAt: START + 1, now: START + 2 })).toEqual([{ provider: 'google', scope: '192.0.2.1', suspension: null }]);
        expect(await seen(START + 2)).toEqual(['shut', true, START, 'open']);
        expect(await seen(START + HOUR)).toEqual(['open', false, 0, 'open']);
        await store.put({ ...check, until: START + 2 * HOUR });
        expect(await store.lift(EVERYWHERE, '192.0.2.1')).toEqual([{ provider: EVERYWHERE, scope: '192.0.2.1', suspension: null }]);
        expect(await seen(START + 3)).toEqual(['open', false, 0, 'open']);
    });

    it('are struck once by deliveries that were under way together', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('192.0.2.1', START));
        for (const later of [0, 10, 29.9]) {
            expect(await store.strike(strikeOf('192.0.2.1', START + later * SECOND))).toEqual([]);
        }
        const [again] = await store.strike(strikeOf('192.0.2.1', START + 30 * SECOND));
        expect(again?.suspension).toMatchObject({ strikes: 2, until: START + 30 * SECOND + 30 * MINUTE });
    });

    it('for another class are no repetition: the longer one holds', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('192.0.2.1', START, { class: 'ip-rate' }));
        const [worse] = await store.strike(strikeOf('192.0.2.1', START + SECOND));
        expect(worse?.suspension).toMatchObject({ class: 'ip-reputation', until: START + SECOND + 10 * MINUTE });
        const [lesser] = await store.strike(strikeOf('192.0.2.1', START + 2 * SECOND, { class: 'ip-rate' }));
        expect(lesser?.suspension).toMatchObject({ class: 'ip-reputation', until: START + SECOND + 10 * MINUTE });
    });

    it('are of the scope that the reply blames', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('192.0.2.1', START, { base: 1 }));
        await store.strike(strikeOf('198.51.100.7', START, { base: 4, provider: 'yahoo' }));
        expect((await store.snapshot(START)).map(({ provider, scope }) => [provider, scope]).sort()).toEqual([['google', '192.0.2.0/28'], ['yahoo', 'provider']]);
    });

    it('widen to the /28 and the /24 by refusals in three different parts', async () => {
        const store = make(LIMITS);
        const struck = async (address: string) => (await store.strike(strikeOf(address, START))).map(change => change.scope);
        expect(await struck('192.0.2.1')).toEqual(['192.0.2.1']);
        expect(await struck('192.0.2.2')).toEqual(['192.0.2.2']);
        expect(await struck('192.0.2.3')).toEqual(['192.0.2.3', '192.0.2.0/28']);
        // the /28 is suspended: what was under way from there adds nothing
        expect(await struck('192.0.2.4')).toEqual([]);
        expect(await struck('192.0.2.17')).toEqual(['192.0.2.17']);
        expect(await struck('192.0.2.33')).toEqual(['192.0.2.33', '192.0.2.0/24']);
    });

    it('never widen where the address alone is struck, as one that cannot connect', async () => {
        const store = make(LIMITS);
        for (let n = 1; n <= 9; n++) {
            const changes = await store.strike(strikeOf(`192.0.2.${16 * n}`, START + n, { class: 'network', code: 0, scopes: [`192.0.2.${16 * n}`], accepted: [0] }));
            expect(changes).toMatchObject([{ scope: `192.0.2.${16 * n}`, suspension: { class: 'network', strikes: 1 } }]);
        }
    });

    it('widen from the /64 to the /48 likewise', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('2001:db8:1:1::1', START));
        await store.strike(strikeOf('2001:db8:1:2::1', START));
        expect((await store.strike(strikeOf('2001:db8:1:3::1', START))).map(change => change.scope)).toEqual(['2001:db8:1:3::1', '2001:db8:1::/48']);
    });

    it('widen to a family by suspended ranges, and to the provider by both families', async () => {
        const store = make(LIMITS);
        const struck = async (address: string, base: number) => (await store.strike(strikeOf(address, START, { base }))).map(change => change.scope);
        expect(await struck('192.0.2.1', 2)).toEqual(['192.0.2.0/24']);
        expect(await struck('198.51.100.1', 2)).toEqual(['198.51.100.0/24']);
        expect(await struck('203.0.113.1', 2)).toEqual(['203.0.113.0/24', 'ipv4']);
        expect(await struck('2001:db8:1::1', 3)).toEqual(['ipv6', 'provider']);
    });

    it('do not widen by refusals that are spread over more than ten minutes', async () => {
        const store = make(LIMITS);
        for (const n of [1, 2, 3, 4, 5]) {
            expect(await store.strike(strikeOf(`192.0.2.${n}`, START + n * 5 * MINUTE))).toHaveLength(1);
        }
    });

    it('do not widen by a single message: what it carries may be the reason', async () => {
        const store = make(LIMITS);
        for (const n of [1, 2, 3, 4, 5]) {
            expect(await store.strike(strikeOf(`192.0.2.${n}`, START, { message: 'one' }))).toHaveLength(1);
        }
    });

    it('do not widen over a range that mail is accepted from: refusals count from then on, and twice as many are needed', async () => {
        const store = make(LIMITS);
        const struck = async (n: number, seconds: number, acceptedAt: number) =>
            (await store.strike(strikeOf(`192.0.2.${n}`, START + seconds * SECOND, { accepted: [0, acceptedAt, acceptedAt, acceptedAt, acceptedAt] }))).length;
        expect(await struck(1, 0, 0)).toBe(1);
        expect(await struck(2, 1, 0)).toBe(1);
        for (const n of [3, 4, 5, 6, 7]) {
            expect(await struck(n, n, START + 2 * SECOND)).toBe(1);
        }
        expect(await struck(8, 8, 0)).toBe(2);
    });

    it('do not widen over a range of which more is under way than was refused: nor do such refusals count later', async () => {
        const store = make(LIMITS);
        const struck = async (n: number, undecided: boolean) => (await store.strike(strikeOf(`192.0.2.${n}`, START, { undecided: [0, 1, 2, 3, 4].map(() => undecided) }))).length;
        for (const n of [1, 2, 3, 4, 5]) {
            expect(await struck(n, true)).toBe(1);
        }
        expect(await struck(6, false)).toBe(1);
        expect(await struck(7, false)).toBe(1);
        expect(await struck(8, false)).toBe(2);
    });

    it('half-open give out one probe, and another one when that is lost', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('192.0.2.1', START));
        const all = scopes('192.0.2.1');
        expect(await store.claimProbe('google', all, START + 10 * MINUTE - 1)).toBeUndefined();
        const claims = await Promise.all(Array.from({ length: 10 }, () => store.claimProbe('google', all, START + 10 * MINUTE)));
        expect(claims.filter(claim => claim !== undefined)).toHaveLength(1);
        expect(await store.claimProbe('google', all, START + 12 * MINUTE - 1)).toBeUndefined();
        expect(await store.claimProbe('google', all, START + 12 * MINUTE)).toHaveLength(1);
    });

    it('give out no probe of an address while its range is still suspended', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('192.0.2.1', START));
        await store.strike(strikeOf('192.0.2.2', START + 5 * MINUTE, { base: 1 }));
        expect(await store.claimProbe('google', scopes('192.0.2.1'), START + 12 * MINUTE)).toBeUndefined();
        expect(await store.claimProbe('google', scopes('192.0.2.1'), START + 15 * MINUTE)).toHaveLength(2);
    });

    it('end with a success of a delivery that began after the strike, and their strikes go one by one', async () => {
        const store = make(LIMITS);
        const succeed = (startedAt: number, now: number) => store.succeed({ provider: 'google', scopes: scopes('192.0.2.1'), startedAt, now });
        await store.strike(strikeOf('192.0.2.1', START));
        await store.strike(strikeOf('192.0.2.1', START + 10 * MINUTE));
        expect(await succeed(START + 9 * MINUTE, START + 11 * MINUTE)).toEqual([]);
        expect(await succeed(START + 40 * MINUTE, START + 41 * MINUTE)).toEqual([{ provider: 'google', scope: '192.0.2.1', suspension: null }]);
        expect(await store.snapshot(START + 41 * MINUTE)).toEqual([]);
        // two strikes, one success: the next one is as the second was
        const [next] = await store.strike(strikeOf('192.0.2.1', START + 60 * MINUTE));
        expect(next?.suspension).toMatchObject({ strikes: 2, until: START + 90 * MINUTE });
    });

    it('are forgotten, strikes and all, when nobody has probed them for a day', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('192.0.2.1', START));
        expect(await store.snapshot(START + 10 * MINUTE + 24 * HOUR - 1)).toHaveLength(1);
        expect(await store.snapshot(START + 10 * MINUTE + 24 * HOUR)).toEqual([]);
        const [again] = await store.strike(strikeOf('192.0.2.1', START + 25 * HOUR));
        expect(again?.suspension?.strikes).toBe(1);
    });

    it('of the operator end at their time without a probe, and no success ends them before', async () => {
        const store = make(LIMITS);
        const own = { provider: 'google', scope: '192.0.2.0/24', class: 'operator' as const, code: 0, strikes: 0, struck: START, until: START + HOUR, probing: 0, note: 'sold' };
        await store.put(own);
        expect(await store.snapshot(START)).toEqual([own]);
        await store.succeed({ provider: 'google', scopes: scopes('192.0.2.1'), startedAt: START + MINUTE, now: START + 2 * MINUTE });
        expect(await store.snapshot(START + 2 * MINUTE)).toEqual([own]);
        expect(await store.snapshot(START + HOUR)).toEqual([]);
    });

    it('are lifted with their strikes', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('192.0.2.1', START));
        await store.strike(strikeOf('192.0.2.1', START + MINUTE));
        await store.lift('google', '192.0.2.1');
        expect(await store.snapshot(START + MINUTE)).toEqual([]);
        expect((await store.strike(strikeOf('192.0.2.1', START + 2 * MINUTE)))[0]?.suspension?.strikes).toBe(1);
    });

    it('keep providers apart', async () => {
        const store = make(LIMITS);
        await store.strike(strikeOf('192.0.2.1', START));
        await store.strike(strikeOf('192.0.2.2', START, { provider: 'yahoo' }));
        await store.strike(strikeOf('192.0.2.3', START));
        expect((await store.snapshot(START)).map(known => known.scope).sort()).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3']);
    });

    it('let one delivery an interval through where everything is suspended', async () => {
        const store = make(LIMITS);
        const turns = await Promise.all(Array.from({ length: 5 }, () => store.takeTurn('google', START)));
        expect(turns.filter(Boolean)).toHaveLength(1);
        expect(await store.takeTurn('yahoo', START)).toBe(true);
    });
});

type Step =
    | { kind: 'strike'; address: string; reason: StruckClass; base: number; message: string; retryAfter: number; accepted: number; undecided: boolean; wait: number }
    | { kind: 'succeed' | 'claim' | 'lift'; address: string; level: number; ago: number; wait: number };

const address = fc.constantFrom('192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.17', '192.0.2.33', '198.51.100.1', '2001:db8:1:1::1', '2001:db8:1:2::1', '2001:db8:1:3::1');
const wait = fc.constantFrom(0, 0, SECOND, 31 * SECOND, 3 * MINUTE, 11 * MINUTE, 2 * HOUR, 30 * HOUR);
const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('strike' as const), address, reason: fc.constantFrom<StruckClass>('ip-reputation', 'ip-rate', 'ip-ptr', 'network'), base: fc.constantFrom(0, 0, 0, 1, 2, 3, 4), message: fc.constantFrom('a', 'b', 'c'), retryAfter: fc.constantFrom(0, 0, 90 * MINUTE), accepted: fc.constantFrom(-1, -1, -1, 0, 5 * SECOND), undecided: fc.constantFrom(false, false, true), wait }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('succeed' as const, 'claim' as const, 'lift' as const), address, level: fc.nat(4), ago: fc.constantFrom(0, SECOND, MINUTE), wait }) }
);

async function take(store: HealthStore, todo: Step, now: number): Promise<unknown> {
    const all = scopes(todo.address);
    switch (todo.kind) {
        case 'strike':
            return store.strike(strikeOf(todo.address, now, { class: todo.reason, base: todo.base, message: todo.message, retryAfter: todo.retryAfter, accepted: all.map(() => (todo.accepted < 0 ? 0 : now - todo.accepted)), undecided: all.map(() => todo.undecided) }));
        case 'succeed':
            return store.succeed({ provider: 'google', scopes: all, startedAt: now - todo.ago, now });
        case 'claim':
            return store.claimProbe('google', all, now);
        case 'lift':
            return store.lift('google', all[todo.level] ?? '');
    }
}

describe('both stores', () => {
    it('give the same answers to any sequence of strikes, successes, probes, lifts and jumps of the clock', async () => {
        await fc.assert(
            fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async steps => {
                const [memory, shared] = [STORES['memory']?.(LIMITS), STORES['Redis']?.(LIMITS)] as [HealthStore, HealthStore];
                let now = START;
                for (const todo of steps) {
                    now += todo.wait;
                    expect(await take(shared, todo, now)).toEqual(await take(memory, todo, now));
                }
                const sorted = async (store: HealthStore) => (await store.snapshot(now)).sort((a, b) => a.scope.localeCompare(b.scope));
                expect(await sorted(shared)).toEqual(await sorted(memory));
            }),
            { numRuns: 300 }
        );
    });
});

describe('suspensions in Redis', () => {
    it('leave nothing behind that does not expire, and all keys of a provider share its hash tag', async () => {
        const store = new RedisHealth(redis.client, 'tidy:', LIMITS);
        await store.strike(strikeOf('192.0.2.1', START));
        await store.succeed({ provider: 'google', scopes: scopes('192.0.2.1'), startedAt: START + 1, now: START + 2 });
        await store.strike(strikeOf('192.0.2.2', START, { accepted: [1, 1, 1, 1, 1].map(n => START - n) }));
        await store.takeTurn('google', START);
        const keys = (await redis.client.keys('tidy:*')).sort();
        expect(keys).toEqual(['tidy:health:providers', ...['accepted', 'parts', 'strikes', 'suspensions', 'turn'].map(name => `tidy:health:{google}:${name}`)]);
        for (const key of keys.filter(name => name.includes('{'))) {
            expect(await redis.client.pttl(key), key).toBeGreaterThan(0);
        }
        // the list of providers is swept with each snapshot
        await store.snapshot(START + 100 * HOUR);
        expect(await redis.client.exists('tidy:health:providers')).toBe(0);
    });

    it('of another version, or written by hand, are not there', async () => {
        const store = new RedisHealth(redis.client, 'foreign:', LIMITS);
        await store.strike(strikeOf('192.0.2.1', START));
        await redis.client.hset('foreign:health:{google}:suspensions', { '192.0.2.2': '{"scope": 1}', '192.0.2.3': 'x' });
        expect((await store.snapshot(START)).map(known => known.scope)).toEqual(['192.0.2.1']);
    });
});
