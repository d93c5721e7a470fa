/** From where a delivery may go now: health, pace, warm-up and bursts at work together. */
import type { SenderDelivery } from '@zone-eu/types';
import { describe, expect, it } from 'vitest';
import * as v from 'valibot';
import { MemoryHealth } from '../../lib/health/memory-health';
import { MemoryPace } from '../../lib/health/memory-pace';
import type { Pace } from '../../lib/health/pace';
import { PoolHealth } from '../../lib/health/pool-health';
import { PoolPace } from '../../lib/health/pool-pace';
import { scopesOf } from '../../lib/health/suspension';
import { SuspensionTable } from '../../lib/health/table';
import { Bursts } from '../../lib/pool/bursts';
import { buildPool, type PoolAddress } from '../../lib/pool/pool';
import { admit, type Admission, type HealthyChoice } from '../../lib/process/admission';
import type { Services } from '../../lib/process/services';
import { randomIpSchema } from '../../lib/settings/random-ip';
import { reputationSchema } from '../../lib/settings/reputation';
import type { Turn } from '../../lib/zonemta/delivery';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 2, 31);
const RANGES = { subnets4: [28, 24], subnets6: [64, 48], weights: {} };

interface Options {
    addresses?: readonly string[];
    pace?: Pace;
    randomIp?: Record<string, unknown>;
}

function relay({ addresses = ['192.0.2.1', '198.51.100.1', '203.0.113.1'], pace = {}, randomIp = {} }: Options) {
    let time = START;
    let deliveries = 0;
    const now = () => time;
    const settings = v.parse(randomIpSchema, randomIp);
    const table = new SuspensionTable();
    const health = new PoolHealth({ table, own: new MemoryHealth(table, v.parse(reputationSchema, {})), shared: undefined, now, mark: () => 'mark', warn: () => undefined });
    const pool = buildPool(addresses.map(address => ({ address })), { ...RANGES, since: settings.warmUp.since });
    const services = {
        health,
        pace: new PoolPace(undefined, new MemoryPace(), now, () => undefined),
        paceOf: () => pace,
        bursts: new Bursts(settings.burst),
        settings: { shared: {}, randomIp: settings },
        now
    } as unknown as Services;
    const seed = { n: 1 };
    // a small generator of its own: draws are the same in every run
    const random = () => (seed.n = (seed.n * 48_271) % 2_147_483_647) / 2_147_483_647;
    return {
        pool,
        health,
        wait: (ms: number) => (time += ms),
        admit: (more: Partial<HealthyChoice> = {}, turn?: Turn) =>
            admit(services, {
                provider: 'google',
                delivery: { id: 'm', seq: `${deliveries++}`, smartRelayTurn: turn } as unknown as SenderDelivery,
                choice: { pool, reachable: { ipv4: true, ipv6: false }, share: 0, tried: [], health: health.view('google'), random, ...more }
            }),
        strike: (entry: PoolAddress | undefined, base = 0, reason: 'ip-reputation' | 'ip-rate' = 'ip-reputation') =>
            health.strike('other.001', { provider: 'google', class: reason, code: 550, note: 'listed', scopes: entry ? scopesOf(entry) : [], base, message: `${deliveries++}`, retryAfter: 0 })
    };
}

const from = (admission: Admission) => (admission.kind === 'go' ? admission.address?.address : admission.kind);

async function many(count: number, call: () => Promise<Admission>): Promise<(string | undefined)[]> {
    const all = [];
    for (let n = 0; n < count; n++) {
        all.push(from(await call()));
    }
    return all;
}

describe('a delivery', () => {
    it('whose drawn address is over its pace leaves from another one, and waits when all are', async () => {
        const { admit, wait } = relay({ pace: { address: { messages: 11 } } });
        const sent = await many(7, admit);
        expect(sent.slice(0, 6).sort()).toEqual(['192.0.2.1', '192.0.2.1', '198.51.100.1', '198.51.100.1', '203.0.113.1', '203.0.113.1']);
        expect(sent[6]).toBe('wait');
        wait(6 * SECOND);
        expect(from(await admit({}, { at: START + 6 * SECOND, address: '198.51.100.1' }))).toBe('198.51.100.1');
    });

    it('over the pace of the pool waits its turn, those with a turn before newcomers', async () => {
        const { admit, wait } = relay({ pace: { pool: { messages: 11 } } });
        expect(await many(4, admit)).toEqual([expect.stringMatching(/^\d/), expect.stringMatching(/^\d/), 'wait', 'wait']);
        wait(7 * SECOND);
        expect(from(await admit())).toBe('wait');
        expect(from(await admit({}, { at: START + 6 * SECOND, address: '' }))).toMatch(/^\d/);
    });

    it('finds the one address that has a slot among two hundred and fifty that are full', async () => {
        const addresses = Array.from({ length: 250 }, (_, n) => `192.0.2.${n}`);
        const { admit } = relay({ addresses, pace: { address: { messages: 1 } } });
        const sent = await many(250, admit);
        expect(new Set(sent).size).toBe(250);
        expect(sent).not.toContain('wait');
        expect(from(await admit())).toBe('wait');
    });

    it('of two thousand that come at once gets its turn at an address, and goes when that has come', async () => {
        const addresses = Array.from({ length: 40 }, (_, n) => `192.0.2.${n}`);
        const { admit, wait } = relay({ addresses, pace: { address: { messages: 11 } } });
        let time = START;
        let asked = 0;
        const waiting: { at: number; turn?: Turn }[] = Array.from({ length: 2000 }, () => ({ at: START }));
        while (waiting.length > 0) {
            waiting.sort((one, other) => one.at - other.at);
            const next = waiting.shift() ?? { at: time };
            wait(next.at - time);
            time = next.at;
            asked++;
            const admission = await admit({}, next.turn);
            if (admission.kind === 'wait') {
                waiting.push({ at: admission.turn.at + (asked % 3) * 300, turn: admission.turn });
            }
        }
        expect(asked).toBeLessThan(2 * 2000);
        // 440 a minute, less a tenth
        expect(time - START).toBeLessThan((2000 / 440) * 1.25 * MINUTE);
    });

    it('is held, and takes nothing from the pace, when all is suspended', async () => {
        const { admit, strike, pool } = relay({ pace: { pool: { messages: 11 } } });
        await strike(pool[0], 4);
        // the one delivery an interval
        expect(from(await admit())).toMatch(/^\d/);
        expect(await many(3, admit)).toEqual(['held', 'held', 'held']);
        expect(await admit()).toMatchObject({ kind: 'held', by: { scope: 'provider', class: 'ip-reputation' } });
    });

    it('claims a probe only when there is a slot for it', async () => {
        const { admit, strike, pool, wait, health } = relay({ addresses: ['192.0.2.1'], pace: { pool: { messages: 11 } } });
        await many(2, admit);
        await strike(pool[0], 0, 'ip-rate');
        wait(2 * MINUTE);
        expect(health.list()[0]?.probing).toBe(0);
        expect(from(await admit())).toBe('192.0.2.1');
        expect(health.list()[0]?.probing).toBeGreaterThan(0);
    });

    it('that is greylisted keeps its address and waits for that, whatever is free', async () => {
        const { admit } = relay({ pace: { address: { messages: 11 } } });
        const pin = { address: '192.0.2.1' };
        expect(await many(3, () => admit({ pin }))).toEqual(['192.0.2.1', '192.0.2.1', 'wait']);
        expect(from(await admit())).toMatch(/^(198|203)/);
    });

    it('that was refused from an address waits rather than to leave from that one again', async () => {
        const { admit } = relay({ addresses: ['192.0.2.1', '198.51.100.1'], pace: { address: { messages: 11 } } });
        await many(2, () => admit({ tried: ['192.0.2.1'] }));
        expect(await admit({ tried: ['192.0.2.1'] })).toMatchObject({ kind: 'wait' });
        expect(from(await admit())).toBe('192.0.2.1');
    });
});

describe('an address in warm-up', () => {
    const since = { '203.0.113.0/24': '2026-03-31' };
    const day = async (send: () => Promise<Admission>, wait: (ms: number) => void) => {
        const counts: Record<string, number> = {};
        for (let n = 0; n < 24 * 60; n++) {
            const address = from(await send()) ?? '';
            counts[address] = (counts[address] ?? 0) + 1;
            wait(MINUTE);
        }
        return counts;
    };

    it('sends no more than its allowance on a day, and the rest of the pool what it may not', async () => {
        const { admit, wait } = relay({ randomIp: { warmUp: { since, perDay: 20, doubleEvery: '90d' } } });
        const counts = await day(admit, wait);
        expect(counts['wait']).toBeUndefined();
        expect(counts['203.0.113.1']).toBeLessThanOrEqual(20);
        expect(counts['203.0.113.1']).toBeGreaterThanOrEqual(17);
        expect((counts['192.0.2.1'] ?? 0) / (counts['198.51.100.1'] ?? 1)).toBeCloseTo(1, 0);
    });

    it('sends twice as much after the time that is set, and its full share in the end', async () => {
        const { admit, wait } = relay({ randomIp: { warmUp: { since, perDay: 20, doubleEvery: '1d', fullAt: 100 } } });
        wait(24 * HOUR);
        const second = (await day(admit, wait))['203.0.113.1'] ?? 0;
        expect(second).toBeGreaterThan(40);
        expect(second).toBeLessThanOrEqual(80);
        wait(24 * HOUR);
        expect((await day(admit, wait))['203.0.113.1']).toBeGreaterThan(400);
    });

    it('is never why a delivery waits: one old address among two hundred new ones is found', async () => {
        const addresses = ['192.0.2.1', ...Array.from({ length: 200 }, (_, n) => `203.0.113.${n}`)];
        const { admit } = relay({ addresses, randomIp: { warmUp: { since, perDay: 1 } } });
        const sent = await many(1000, admit);
        expect(sent).not.toContain('wait');
        expect(sent.filter(address => address === '192.0.2.1').length).toBeGreaterThanOrEqual(800);
    });

    it('is what a delivery waits for only where there is no old one, and then not for the last in line', async () => {
        const { admit } = relay({ addresses: ['192.0.2.1', '203.0.113.1'], pace: { address: { messages: 11 } }, randomIp: { warmUp: { since, perDay: 1 } } });
        await many(3, admit);
        expect(await admit()).toEqual({ kind: 'wait', turn: { at: START + 6 * SECOND, address: '192.0.2.1' } });
    });
});

describe('a burst', () => {
    it('keeps one address for so many first attempts, then draws again', async () => {
        const addresses = Array.from({ length: 100 }, (_, n) => `192.0.2.${n}`);
        const { admit } = relay({ addresses, randomIp: { burst: 5 } });
        const sent = await many(500, admit);
        for (let n = 0; n < 500; n += 5) {
            expect(new Set(sent.slice(n, n + 5)).size).toBe(1);
        }
        expect(new Set(sent).size).toBeGreaterThan(40);
    });

    it('is not for reroutes and greylisted deliveries', async () => {
        const { admit } = relay({ randomIp: { burst: 10 } });
        const kept = from(await admit()) ?? '';
        expect(from(await admit({ tried: [kept] }))).not.toBe(kept);
        expect(from(await admit({ pin: { address: '192.0.2.1' } }))).toBe('192.0.2.1');
        expect(await many(9, admit)).toEqual(Array(9).fill(kept));
    });

    it('ends when its address is struck, and with the slots of its address', async () => {
        const struck = relay({ randomIp: { burst: 10 } });
        const kept = from(await struck.admit());
        await struck.strike(struck.pool.find(({ address }) => address === kept));
        expect(await many(9, struck.admit)).not.toContain(kept);
        const paced = relay({ pace: { address: { messages: 11 } }, randomIp: { burst: 10 } });
        expect(new Set(await many(6, paced.admit)).size).toBe(3);
    });
});
