/** What a process saw of its mail from each range: the evidence for and against giving up a range. */
import { describe, expect, it } from 'vitest';
import { MemoryHealth } from '../../lib/health/memory-health';
import { Outcomes } from '../../lib/health/outcomes';
import { PoolHealth } from '../../lib/health/pool-health';
import { scopesOf } from '../../lib/health/suspension';
import { SuspensionTable } from '../../lib/health/table';

const NOW = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;

/** Of the /24 of 192.0.2.0, whose /28 is 192.0.2.0/28 for all that is asked here. */
const scopes = (n: number) => scopesOf({ address: `192.0.2.${n}`, ranges: ['192.0.2.0/28', '192.0.2.0/24'], family: 'ipv4' });
const RANGE = 2;

function process() {
    const outcomes = new Outcomes();
    const begin = (n: number, since = NOW) => outcomes.begin(`m${n}.001`, { provider: 'google', scopes: scopes(n), since });
    const isUndecided = (n: number, now = NOW) => outcomes.undecided('google', scopes(n), `m${n}.001`, now)[RANGE];
    return { outcomes, begin, isUndecided };
}

describe('a refusal says nothing of a range', () => {
    it('while more is under way from there than was refused', () => {
        const { outcomes, begin, isUndecided } = process();
        [1, 2, 3, 4].forEach(n => begin(n));
        outcomes.refuse('google', scopes(1));
        expect(isUndecided(1)).toBe(true);
        outcomes.end('m1.001');
        outcomes.refuse('google', scopes(2));
        // two refused, two to come
        expect(isUndecided(2)).toBe(false);
    });

    it('when what was refused is older than the last acceptance', () => {
        const { outcomes, begin, isUndecided } = process();
        outcomes.refuse('google', scopes(1));
        outcomes.refuse('google', scopes(2));
        outcomes.accept('google', scopes(3), NOW);
        expect(outcomes.accepted('google', scopes(4))).toEqual([0, NOW, NOW, NOW, NOW]);
        [4, 5, 6].forEach(n => begin(n));
        outcomes.refuse('google', scopes(4));
        expect(isUndecided(4)).toBe(true);
    });
});

it('mail for other providers, from other ranges, and what never ended, is not waited for', () => {
    const { outcomes, begin, isUndecided } = process();
    outcomes.begin('a.001', { provider: 'yahoo', scopes: scopes(1), since: NOW });
    outcomes.begin('b.001', { provider: 'google', scopes: scopesOf({ address: '2001:db8::1', ranges: ['2001:db8::/64', '2001:db8::/48'], family: 'ipv6' }), since: NOW });
    [1, 2, 3].forEach(n => begin(n));
    outcomes.refuse('google', scopes(1));
    expect(isUndecided(1)).toBe(true);
    expect(isUndecided(1, NOW + 10 * MINUTE)).toBe(false);
});

it('a delivery that goes on from another address is under way from there alone', () => {
    const { outcomes, begin, isUndecided } = process();
    [1, 2, 3].forEach(n => begin(n));
    [2, 3].forEach(n => outcomes.begin(`m${n}.001`, { provider: 'google', scopes: ['198.51.100.1', '198.51.100.0/28', '198.51.100.0/24', 'ipv4', 'provider'], since: NOW }));
    outcomes.refuse('google', scopes(1));
    expect(isUndecided(1)).toBe(false);
});

describe('of fifty deliveries that are under way at once, from all of a /24', () => {
    const LIMIT = { first: 10 * MINUTE, factor: 3, maximum: 24 * 60 * MINUTE };
    const place = (n: number) => scopesOf({ address: `192.0.2.${5 * n}`, ranges: [`192.0.2.${16 * Math.floor((5 * n) / 16)}/28`, '192.0.2.0/24'], family: 'ipv4' });
    const all = Array.from({ length: 50 }, (_, n) => n);

    /** Scopes that are suspended when every so many of them are refused, before any is accepted. */
    async function suspended(isRefused: (n: number) => boolean): Promise<string[]> {
        const table = new SuspensionTable();
        const coolDown = { 'ip-reputation': LIMIT, 'ip-rate': LIMIT, 'ip-ptr': LIMIT, network: LIMIT };
        const health = new PoolHealth({ table, own: new MemoryHealth(table, { coolDown, rangeAfter: 3 }), shared: undefined, now: () => NOW, mark: () => '', warn: () => undefined });
        all.forEach(n => health.begin(`m${n}.001`, 'google', place(n)));
        for (const n of all.filter(isRefused)) {
            health.end(`m${n}.001`);
            await health.strike(`m${n}.001`, { provider: 'google', class: 'ip-reputation', code: 554, note: '', scopes: place(n), base: 0, message: `m${n}`, retryAfter: 0 });
        }
        return health.list().map(({ scope }) => scope);
    }

    it('a fifth is refused in the greeting: the range is not given up', async () => {
        const scopes = await suspended(n => n % 5 === 0);
        expect(scopes).toHaveLength(10);
        expect(scopes.filter(scope => scope.includes('/'))).toEqual([]);
    });

    it('all are refused: it is', async () => {
        expect(await suspended(() => true)).toContain('192.0.2.0/24');
    });
});
