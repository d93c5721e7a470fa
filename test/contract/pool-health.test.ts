/** The pool's memory in several processes on a real Redis: what one learns all know at once, and a Redis that goes away or comes back empty. */
import { describe, expect, it, vi } from 'vitest';
import { scopesOf } from '../../lib/health/suspension';
import { isShut, placeOf, strike, useProcesses } from './health-process';
import { useRealRedis } from './real-redis';

const redis = useRealRedis();
const processOf = useProcesses(redis);

describe('what one process learns', () => {
    it('the others know within a second: 200 strikes, the slowest of them', async () => {
        const [one, other, third] = [await processOf(), await processOf(), await processOf()];
        const times: number[] = [];
        for (let n = 0; n < 200; n++) {
            const began = performance.now();
            await strike(one, 1, `p${n}`);
            await vi.waitUntil(() => [other, third].every(process => isShut(process, 1, `p${n}`)), { timeout: 3000, interval: 1 });
            times.push(performance.now() - began);
        }
        const sorted = times.sort((a, b) => a - b);
        console.log(`a strike is known to two other processes: p50 ${sorted[99]?.toFixed(1)} ms, p99 ${sorted[197]?.toFixed(1)} ms`);
        expect(sorted[197]).toBeLessThan(1000);
    });

    it('one that starts later knows too, and what is lifted is lifted everywhere', async () => {
        const one = await processOf();
        await strike(one, 1);
        const later = await processOf();
        expect(isShut(later, 1)).toBe(true);
        await later.health.lift('google', '192.0.2.1');
        await vi.waitUntil(() => !isShut(one, 1), { timeout: 1000 });
    });

    it('an accepted delivery clears what covers its address, and is no round trip otherwise', async () => {
        const one = await processOf();
        const { health, client } = one;
        await strike(one, 1);
        const sent = vi.spyOn(client, 'eval');
        await health.succeed({ provider: 'google', scopes: scopesOf(placeOf(2)), startedAt: Date.now() });
        expect(sent).not.toHaveBeenCalled();
        await new Promise(resolve => setTimeout(resolve, 5));
        await health.succeed({ provider: 'google', scopes: scopesOf(placeOf(1)), startedAt: Date.now() });
        expect(sent).toHaveBeenCalledOnce();
        expect(isShut(one, 1)).toBe(false);
    });
});

describe('when Redis goes away', () => {
    it('each process goes on with what it knows and learns; a Redis that comes back empty is told all of it', async () => {
        const [one, other] = [await processOf(), await processOf()];
        await strike(one, 1);
        await one.health.put({ provider: '*', scope: '192.0.2.3', class: 'check', code: 0, strikes: 0, struck: Date.now(), until: Date.now() + 60_000, probing: 0, note: 'listed' });
        await vi.waitUntil(() => isShut(other, 1) && isShut(other, 3), { timeout: 1000 });
        const closed = Promise.all([one, other].map(({ client }) => new Promise(resolve => client.once('close', resolve))));
        await redis.server.stop();
        await closed;
        try {
            expect((await strike(one, 2)).map(change => change.scope)).toEqual(['192.0.2.2']);
            expect([1, 2, 3].map(n => isShut(one, n))).toEqual([true, true, true]);
            expect([1, 2, 3].map(n => isShut(other, n))).toEqual([true, false, true]);
            expect(await other.health.takeTurn('google')).toBe(true);
            expect(await other.health.takeTurn('google')).toBe(false);
            await expect(other.health.lift('google', '192.0.2.1')).rejects.toThrow();
            expect(isShut(other, 1)).toBe(true);
            expect(one.warnings.length).toBeGreaterThan(0);
        } finally {
            await redis.startAgain();
        }
        await vi.waitUntil(() => [1, 2, 3].every(n => isShut(other, n) && isShut(one, n)), { timeout: 20_000 });
        const later = await processOf();
        expect([1, 2, 3].map(n => isShut(later, n))).toEqual([true, true, true]);
        expect(later.health.checkedOut().map(({ scope }) => scope)).toEqual(['192.0.2.3']);
        await later.health.lift('*', '192.0.2.3');
        await vi.waitUntil(() => !isShut(one, 3) && !isShut(other, 3), { timeout: 1000 });
    });

    it('frozen, a strike is in force within a second, and told when it wakes', async () => {
        const [one, other] = [await processOf(), await processOf()];
        redis.server.kill('SIGSTOP');
        try {
            const began = performance.now();
            await strike(one, 1);
            expect(performance.now() - began).toBeLessThan(1000);
            expect(isShut(one, 1)).toBe(true);
        } finally {
            redis.server.kill('SIGCONT');
        }
        await one.health.sync();
        await vi.waitUntil(() => isShut(other, 1), { timeout: 3000 });
    });
});
