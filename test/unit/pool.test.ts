/** The pool as an operator writes it, and what is drawn from it in the cases that he would look at. */
import { describe, expect, it } from 'vitest';
import { choose, chooseOther, whatIsLeft, type Choice, type Health } from '../../lib/pool/choose';
import { buildPool, rangesOf } from '../../lib/pool/pool';
import { seeded } from '../bed/internet/random';

const RANGES = { subnets4: [28, 24], subnets6: [64, 48], weights: {} };
const BOTH = { ipv4: true, ipv6: true };

function poolOf(...addresses: string[]) {
    return buildPool(addresses.map(address => ({ address })), RANGES);
}

/** How often each address is drawn in `times` draws. */
function drawn(times: number, choice: Partial<Choice> & Pick<Choice, 'pool'>): Record<string, number> {
    const random = seeded(42);
    const counts: Record<string, number> = {};
    for (let i = 0; i < times; i++) {
        const address = choose({ reachable: BOTH, share: 0.5, tried: [], ...choice, random })?.address ?? 'none';
        counts[address] = (counts[address] ?? 0) + 1;
    }
    return counts;
}

describe('the pool', () => {
    it('keeps the EHLO name, the family and the ranges of each address', () => {
        expect(buildPool([{ address: '203.0.113.20', name: 'out20.example' }, { address: '2001:DB8:0:7::1' }], RANGES)).toEqual([
            { address: '203.0.113.20', name: 'out20.example', family: 'ipv4', weight: 1, ranges: ['203.0.113.16/28', '203.0.113.0/24'] },
            { address: '2001:db8:0:7::1', name: '', family: 'ipv6', weight: 1, ranges: ['2001:db8:0:7::/64', '2001:db8::/48'] }
        ]);
    });

    it('leaves out doubles, what is no address, and weight 0', () => {
        const entries = ['192.0.2.1', '192.0.2.1', '2001:db8::1', '2001:0db8:0::1', 'out.example', '192.0.2.2'].map(address => ({ address }));
        expect(buildPool(entries, { ...RANGES, weights: { '192.0.2.2': 0 } }).map(entry => entry.address)).toEqual(['192.0.2.1', '2001:db8::1']);
    });

    it('weights a range; the most specific entry wins', () => {
        const entries = ['192.0.2.1', '192.0.2.2', '192.0.2.129', '198.51.100.1'].map(address => ({ address }));
        const weights = { '192.0.2.0/24': 5, '192.0.2.128/25': 3, '192.0.2.2': 0.5 };
        expect(buildPool(entries, { ...RANGES, weights }).map(entry => entry.weight)).toEqual([5, 0.5, 3, 1]);
    });

    it('knows the ranges of an address, the narrowest first', () => {
        expect(rangesOf('198.51.100.255', RANGES)).toEqual(['198.51.100.240/28', '198.51.100.0/24']);
        expect(rangesOf('2001:db8:1:2:3::4', RANGES)).toEqual(['2001:db8:1:2::/64', '2001:db8:1::/48']);
    });
});

describe('a first attempt', () => {
    it('draws the family first: many IPv6 addresses do not drown few IPv4 ones', () => {
        const pool = poolOf('192.0.2.1', ...Array.from({ length: 500 }, (_, n) => `2001:db8::${(n + 1).toString(16)}`));
        expect(drawn(10_000, { pool, share: 0.25 })['192.0.2.1']).toBeGreaterThan(7300);
        expect(drawn(10_000, { pool, share: 0.25 })['192.0.2.1']).toBeLessThan(7700);
    });

    it('of IPv6 draws the /64 first: a crowded one does not drown a lonely one', () => {
        const pool = poolOf('2001:db8:0:1::1', ...Array.from({ length: 99 }, (_, n) => `2001:db8:0:2::${(n + 1).toString(16)}`));
        expect(drawn(10_000, { pool })['2001:db8:0:1::1']).toBeGreaterThan(4800);
        expect(drawn(10_000, { pool })['2001:db8:0:1::1']).toBeLessThan(5200);
    });

    it('takes a family that the destination has', () => {
        const pool = poolOf('192.0.2.1', '2001:db8::1');
        expect(drawn(100, { pool, reachable: { ipv4: true, ipv6: false }, share: 1 })).toEqual({ '192.0.2.1': 100 });
        expect(drawn(100, { pool, reachable: { ipv4: false, ipv6: true }, share: 0 })).toEqual({ '2001:db8::1': 100 });
    });

    it('takes any address when DNS did not tell', () => {
        expect(Object.keys(drawn(100, { pool: poolOf('192.0.2.1', '2001:db8::1'), reachable: { ipv4: false, ipv6: false } }))).toHaveLength(2);
    });

    it('has none when no address of the pool reaches the destination', () => {
        expect(drawn(1, { pool: poolOf('192.0.2.1'), reachable: { ipv4: false, ipv6: true } })).toEqual({ none: 1 });
        expect(drawn(1, { pool: [] })).toEqual({ none: 1 });
    });

    it('follows the weights', () => {
        const pool = buildPool([{ address: '192.0.2.1' }, { address: '192.0.2.2' }], { ...RANGES, weights: { '192.0.2.2': 3 } });
        const counts = drawn(10_000, { pool });
        expect(counts['192.0.2.2']).toBeGreaterThan(7300);
        expect(counts['192.0.2.2']).toBeLessThan(7700);
    });

    it('is quick in a pool of 65,536 IPv6 addresses in one /64', () => {
        const pool = poolOf(...Array.from({ length: 65_536 }, (_, n) => `2001:db8::${(n + 1).toString(16)}`));
        const started = performance.now();
        drawn(10, { pool });
        expect((performance.now() - started) / 10).toBeLessThan(2000);
    });
});

describe('after a refusal', () => {
    const pool = poolOf('192.0.2.1', '192.0.2.2', '192.0.2.200', '198.51.100.1');

    it('another /24 comes first, then another /28, then the neighbours, then anything', () => {
        expect(Object.keys(drawn(50, { pool, tried: ['192.0.2.1'] }))).toEqual(['198.51.100.1']);
        expect(Object.keys(drawn(50, { pool, tried: ['192.0.2.1', '198.51.100.1'] }))).toEqual(['192.0.2.200']);
        expect(Object.keys(drawn(50, { pool, tried: ['192.0.2.1', '198.51.100.1', '192.0.2.200'] }))).toEqual(['192.0.2.2']);
        expect(Object.keys(drawn(500, { pool, tried: pool.map(entry => entry.address) }))).toHaveLength(4);
    });

    it('over IPv6, IPv4 is next', () => {
        const both = poolOf('192.0.2.1', '2001:db8:1::1', '2001:db8:2::1');
        expect(drawn(100, { pool: both, share: 1, tried: ['2001:db8:1::1'] })).toEqual({ '192.0.2.1': 100 });
        expect(drawn(100, { pool: both, share: 1, tried: ['2001:db8:1::1', '192.0.2.1'] })).toEqual({ '2001:db8:2::1': 100 });
    });

    it('a greylisted delivery keeps its address, tried or not', () => {
        expect(drawn(50, { pool, tried: ['192.0.2.1'], pin: { address: '192.0.2.1' } })).toEqual({ '192.0.2.1': 50 });
    });

    it('a greylisted delivery draws anew when its address has left the pool', () => {
        expect(drawn(50, { pool, pin: { address: '203.0.113.9' } })).not.toHaveProperty('203.0.113.9');
    });

    it('tells whether anything is left to try', () => {
        expect(whatIsLeft({ pool, reachable: BOTH, tried: ['192.0.2.1', '192.0.2.1', '203.0.113.9'] })).toBe('open');
        expect(whatIsLeft({ pool, reachable: BOTH, tried: pool.map(entry => entry.address) })).toBe('none');
        expect(whatIsLeft({ pool, reachable: { ipv4: false, ipv6: true }, tried: [] })).toBe('none');
    });
});

describe('the address of the other family', () => {
    const both = poolOf('192.0.2.1', '2001:db8::1');
    const choice = { pool: both, reachable: BOTH, share: 0.5, tried: [], random: seeded(1) };

    it('is there for a fall-back when the drawn family cannot connect', () => {
        expect(both.map(first => chooseOther(choice, first)?.address)).toEqual(['2001:db8::1', '192.0.2.1']);
    });

    it('is not there when the destination does not have that family', () => {
        const [first] = both;
        expect(first && chooseOther({ ...choice, reachable: { ipv4: true, ipv6: false } }, first)).toBeUndefined();
    });
});

describe('with suspended addresses', () => {
    const pool = poolOf('192.0.2.1', '192.0.2.17', '192.0.2.200', '198.51.100.1');

    /** The health of a pool in which these are suspended, half-open, or blamed. */
    function health({ shut = [], probe = [], blamed = [], struck = {} }: { shut?: string[]; probe?: string[]; blamed?: string[]; struck?: Record<string, number> }): Health {
        return {
            standing: ({ address }) => (shut.includes(address) ? 'shut' : probe.includes(address) ? 'probe' : 'open'),
            struckAt: ({ address }) => struck[address] ?? 0,
            isBlamed: ({ address }) => blamed.includes(address)
        };
    }

    it('the healthy ones share the draws alike, those half-open among them', () => {
        const counts = drawn(9000, { pool, health: health({ shut: ['192.0.2.1'], probe: ['192.0.2.17'] }) });
        expect(Object.keys(counts).sort()).toEqual(['192.0.2.17', '192.0.2.200', '198.51.100.1']);
        for (const count of Object.values(counts)) {
            expect(count).toBeGreaterThan(2800);
            expect(count).toBeLessThan(3200);
        }
    });

    it('the only healthy one of many is found', () => {
        const many = poolOf(...Array.from({ length: 1000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`));
        const shut = many.map(entry => entry.address).filter(address => address !== '10.0.1.7');
        expect(drawn(20, { pool: many, health: health({ shut }) })).toEqual({ '10.0.1.7': 20 });
    });

    it('a delivery that was refused already is no probe while a healthy one is left, and one when none is', () => {
        expect(drawn(50, { pool, tried: ['192.0.2.1'], health: health({ probe: ['198.51.100.1'] }) })).not.toHaveProperty('198.51.100.1');
        expect(drawn(50, { pool, tried: ['192.0.2.1'], health: health({ shut: ['192.0.2.17', '192.0.2.200'], probe: ['198.51.100.1'] }) })).toEqual({ '198.51.100.1': 50 });
    });

    it('a family that is suspended leaves all draws to the other', () => {
        const both = poolOf('192.0.2.1', '2001:db8::1');
        expect(drawn(50, { pool: both, share: 1, health: health({ shut: ['2001:db8::1'] }) })).toEqual({ '192.0.2.1': 50 });
    });

    it('when all are, the one that was struck the longest ago is given', () => {
        const all = pool.map(entry => entry.address);
        const struck = { '192.0.2.1': 4, '192.0.2.17': 1, '192.0.2.200': 3, '198.51.100.1': 2 };
        expect(drawn(50, { pool, health: health({ shut: all, struck }) })).toEqual({ '192.0.2.17': 50 });
        expect(drawn(50, { pool, tried: ['192.0.2.17'], health: health({ shut: all, struck }) })).toEqual({ '198.51.100.1': 50 });
    });

    it('a greylisted delivery keeps a suspended address, unless that is blamed for its reputation', () => {
        const pin = { address: '192.0.2.1' };
        expect(drawn(50, { pool, pin, health: health({ shut: ['192.0.2.1'] }) })).toEqual({ '192.0.2.1': 50 });
        expect(drawn(50, { pool, pin, health: health({ shut: ['192.0.2.1'], blamed: ['192.0.2.1'] }) })).not.toHaveProperty('192.0.2.1');
    });

    it('the other family falls back to a healthy address or to none', () => {
        const both = poolOf('192.0.2.1', '2001:db8::1');
        const [first] = both;
        const choice = { pool: both, reachable: BOTH, share: 0.5, tried: [], random: seeded(1), health: health({ shut: ['2001:db8::1'] }) };
        expect(first && chooseOther(choice, first)).toBeUndefined();
    });

    it('a /28 that has refused a delivery three times is left out for it', () => {
        const range = poolOf('192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '198.51.100.1');
        const tried = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '198.51.100.1'];
        expect(whatIsLeft({ pool: range, reachable: BOTH, tried })).toBe('none');
        expect(whatIsLeft({ pool: range, reachable: BOTH, tried: tried.slice(1) })).toBe('open');
    });

    it('are told apart from what is left to try', () => {
        const choice = { pool, reachable: BOTH, tried: ['192.0.2.1'], health: health({ shut: ['192.0.2.17'], probe: ['192.0.2.200'] }) };
        expect(whatIsLeft(choice)).toBe('open');
        expect(whatIsLeft({ ...choice, tried: ['192.0.2.1', '198.51.100.1'] })).toBe('suspended');
        expect(whatIsLeft({ ...choice, tried: pool.map(entry => entry.address) })).toBe('none');
    });
});
