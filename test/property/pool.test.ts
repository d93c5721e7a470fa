/** The choice of addresses: uniform, and true to its order of preference, whatever the pool. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { choose, whatIsLeft, type Choice } from '../../lib/pool/choose';
import { offersOf } from '../../lib/pool/offers';
import { buildPool, rangesOf, type PoolAddress } from '../../lib/pool/pool';
import { seeded } from '../bed/internet/random';
import { chiSquared, limitAt0001 } from '../chi-squared';

const RANGES = { subnets4: [28, 24], subnets6: [64, 48], weights: {} };
const BOTH = { ipv4: true, ipv6: true };
const wholeNet = buildPool(Array.from({ length: 256 }, (_, n) => ({ address: `203.0.113.${n}` })), RANGES);

/** Draws `times` addresses and counts them. */
function draws(times: number, choice: Omit<Choice, 'random'>, seed: number): Map<string, number> {
    const random = seeded(seed);
    const counts = new Map<string, number>();
    for (let i = 0; i < times; i++) {
        const address = choose({ ...choice, random })?.address ?? 'none';
        counts.set(address, (counts.get(address) ?? 0) + 1);
    }
    return counts;
}

describe('a million draws', () => {
    it('from a /24 are uniform: chi-squared with p > 0.001', () => {
        const counts = draws(1_000_000, { pool: wholeNet, reachable: BOTH, share: 0.5, tried: [] }, 20_260_115);
        expect(counts.size).toBe(256);
        expect(chiSquared([...counts.values()])).toBeLessThan(limitAt0001(255));
    }, 30_000);

    it('the limit is that of the tables', () => {
        expect(limitAt0001(255)).toBeCloseTo(330.5, 0);
        expect(limitAt0001(15)).toBeCloseTo(37.7, 0);
    });
});

describe('after a refusal', () => {
    it('all other /24 are drawn alike, and the struck one not at all', () => {
        const nets = buildPool(['192.0.2', '198.51.100', '203.0.113'].flatMap(net => Array.from({ length: 16 }, (_, n) => ({ address: `${net}.${16 * n}` }))), RANGES);
        const counts = draws(64_000, { pool: nets, reachable: BOTH, share: 0.5, tried: ['192.0.2.16'] }, 7);
        expect(counts.size).toBe(32);
        expect([...counts.keys()].filter(address => address.startsWith('192.0.2.'))).toEqual([]);
        expect(chiSquared([...counts.values()])).toBeLessThan(limitAt0001(31));
    });

    it('in a pool of one /24 another /28 is drawn', () => {
        const counts = draws(50_000, { pool: wholeNet, reachable: BOTH, share: 0.5, tried: ['203.0.113.20'] }, 8);
        expect(counts.size).toBe(240);
        expect([...counts.keys()].some(address => rangesOf(address, RANGES)[0] === '203.0.113.16/28')).toBe(false);
        expect(chiSquared([...counts.values()])).toBeLessThan(limitAt0001(239));
    });
});

const address = fc.oneof(
    fc.tuple(fc.constantFrom('192.0.2', '198.51.100', '203.0.113'), fc.nat(255)).map(([net, n]) => `${net}.${n}`),
    fc.tuple(fc.constantFrom('2001:db8:1:', '2001:db8:1:2:', '2001:db8:2:'), fc.integer({ min: 1, max: 9999 })).map(([net, n]) => `${net}:${n}`)
);

const anyChoice = fc.record({ entries: fc.array(address, { maxLength: 40, size: 'max' }), reachable: fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }), share: fc.double({ min: 0, max: 1, noNaN: true }), seed: fc.nat(), struck: fc.array(fc.nat(39), { maxLength: 45, size: 'max' }) }).map(
    ({ entries, reachable, share, seed, struck }) => {
        const pool = buildPool(entries.map(entry => ({ address: entry })), RANGES);
        const tried = struck.flatMap(index => pool[index]?.address ?? []);
        return { pool, reachable, share, tried, random: seeded(seed) };
    }
);

describe('whatever the pool and the past', () => {
    const canReach = ({ reachable }: Pick<Choice, 'reachable'>, entry: PoolAddress) => (!reachable.ipv4 && !reachable.ipv6) || reachable[entry.family];

    it('an address is drawn when there is one that reaches the destination, and only such a one', () => {
        fc.assert(
            fc.property(anyChoice, choice => {
                const usable = choice.pool.filter(entry => canReach(choice, entry));
                const drawn = choose(choice);
                expect(usable.length === 0 ? drawn === undefined : usable.includes(drawn as PoolAddress)).toBe(true);
            }),
            { numRuns: 5000 }
        );
    });

    it('a tried one is drawn only when nothing else is left', () => {
        fc.assert(
            fc.property(anyChoice, choice => {
                const drawn = choose(choice);
                expect(drawn !== undefined && choice.tried.includes(drawn.address) && whatIsLeft(choice) === 'open').toBe(false);
            }),
            { numRuns: 5000 }
        );
    });

    it('no range of a tried address is drawn from while an untried address of the family has another', () => {
        fc.assert(
            fc.property(anyChoice, choice => {
                const drawn = choose(choice);
                if (!drawn || whatIsLeft(choice) !== 'open') {
                    return;
                }
                const struck = choice.pool.filter(entry => choice.tried.includes(entry.address));
                const near = (entry: PoolAddress, width: number) => struck.some(other => other.ranges[width] === entry.ranges[width]);
                const rivals = choice.pool.filter(entry => entry.family === drawn.family && !choice.tried.includes(entry.address) && canReach(choice, entry));
                for (const width of [1, 0]) {
                    if (rivals.some(entry => !near(entry, width))) {
                        expect(near(drawn, width)).toBe(false);
                        return;
                    }
                }
            }),
            { numRuns: 5000 }
        );
    });
});

describe('the addresses that are offered to the pace', () => {
    const members = Array.from({ length: 24 }, (_, n) => `192.0.2.${n}`);
    const some = fc.uniqueArray(fc.constantFrom(...members), { maxLength: 24 });

    it('are healthy, each once, none that is full or was tried while others are left; and no old one with a slot is passed over for the new ones', () => {
        fc.assert(
            fc.property(some, some, some, fc.uniqueArray(fc.constantFrom(...members), { maxLength: 3 }), fc.option(fc.constantFrom(...members, '198.51.100.1'), { nil: undefined }), fc.integer(), (shut, full, fresh, tried, kept, seed) => {
                const pool = buildPool(members.map(address => ({ address })), RANGES);
                const health = { standing: ({ address }: PoolAddress) => (shut.includes(address) ? ('shut' as const) : ('open' as const)), struckAt: () => 0, isBlamed: () => false };
                const choice = { pool, reachable: BOTH, share: 0, tried, health, random: seeded(seed) };
                const drawn = choose(choice);
                if (!drawn || shut.includes(drawn.address)) {
                    return;
                }
                const offers = [...offersOf(choice, drawn, { kept, isFull: ({ address }) => full.includes(address), isNew: ({ address }) => fresh.includes(address) })];
                const asked = offers.slice(0, -1).flatMap(({ addresses }) => addresses.map(({ address }) => address));
                const last = offers.at(-1);
                expect(offers.map(({ more }) => more)).toEqual([...offers.slice(1).map(() => true), false]);
                expect(last?.addresses.length).toBeGreaterThan(0);
                expect(new Set(asked).size).toBe(asked.length);
                expect(asked.filter(address => shut.includes(address) || full.includes(address))).toEqual([]);
                expect([...asked, ...(last?.addresses ?? []).map(({ address }) => address)].filter(address => shut.includes(address))).toEqual([]);
                const isLeft = (address: string) => !shut.includes(address) && !full.includes(address);
                if (!tried.includes(drawn.address)) {
                    expect(asked.filter(address => tried.includes(address) && address !== kept)).toEqual([]);
                }
                if (tried.length === 0) {
                    // before the last list all have been asked, so nobody waits while one is free
                    expect(asked.sort()).toEqual(members.filter(isLeft).sort());
                    const firstOffer = (offers[0]?.more ? offers[0].addresses : []).map(({ address }) => address);
                    expect(firstOffer.some(address => !fresh.includes(address))).toBe(members.some(address => isLeft(address) && !fresh.includes(address)));
                }
            }),
            { numRuns: 500 }
        );
    });
});
