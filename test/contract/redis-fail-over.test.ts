/** Redis fails, as a whole or a part of it: one node of a cluster, or the master behind Sentinel. Mail goes on, and what was learnt meanwhile is known to all in the end. */
import { describe, expect, it, vi } from 'vitest';
import type { RedisPlace } from '../../lib/health/redis';
import { startRedis, startRedisSentinel, type RedisSentinel, type RedisServer } from '../bed/services/redis';
import { isShut, strike, useProcesses, type HealthProcess } from './health-process';
import { clientOf, useLoopback, useRealCluster } from './real-redis';

/** Enough of them that each node of three has some. */
const PROVIDERS = Array.from({ length: 12 }, (_, n) => `provider${n}`);

/** Strikes at all providers, each within a second, whatever Redis does. */
async function strikeAll(process: HealthProcess, n: number): Promise<void> {
    for (const provider of PROVIDERS) {
        const began = performance.now();
        await strike(process, n, provider);
        expect(performance.now() - began).toBeLessThan(1000);
        expect(isShut(process, n, provider)).toBe(true);
    }
}

const allKnow = (processes: readonly HealthProcess[], n: number) => processes.every(process => PROVIDERS.every(provider => isShut(process, n, provider)));

describe('a Redis that keeps its data on disk', () => {
    const redis = {} as { server: RedisServer; start: () => Promise<RedisServer>; place: RedisPlace };
    useLoopback(async (host, dir) => {
        const start = () => startRedis({ host, dir }, 'all');
        const server = await start();
        const client = clientOf({ host, port: server.port });
        Object.assign(redis, { server, start, place: { host: client, nodes: [] } });
        return async () => {
            client.disconnect();
            await redis.server.stop();
        };
    });
    const processOf = useProcesses(redis);

    it('is killed: what it knew is there again, for who starts later too, and what was learnt meanwhile is told to it', async () => {
        const one = await processOf();
        await strikeAll(one, 1);
        redis.server.kill('SIGKILL');
        await strikeAll(one, 2);
        redis.server = await redis.start();
        const fresh = await processOf();
        expect(allKnow([fresh], 1)).toBe(true);
        await vi.waitUntil(() => allKnow([fresh], 2), { timeout: 30_000 });
    });
});

describe('a Redis Cluster of three', () => {
    const cluster = useRealCluster();
    const processOf = useProcesses(cluster);

    it('what one process learns the others know within a second', async () => {
        const [one, other, third] = [await processOf(), await processOf(), await processOf()];
        const times: number[] = [];
        for (let n = 1; n <= 200; n++) {
            const began = performance.now();
            await strike(one, 1, `p${n}`);
            await vi.waitUntil(() => [other, third].every(process => isShut(process, 1, `p${n}`)), { timeout: 3000, interval: 1 });
            times.push(performance.now() - began);
        }
        const sorted = times.sort((a, b) => a - b);
        console.log(`over the cluster a strike is known to two other processes: p50 ${sorted[99]?.toFixed(1)} ms, p99 ${sorted[197]?.toFixed(1)} ms`);
        expect(sorted[197]).toBeLessThan(1000);
    });

    it.each([0, 1, 2])('node %i is killed and comes back empty: each process goes on, and in the end all is known again', async index => {
        const [one, other] = [await processOf(), await processOf()];
        await strikeAll(one, 1);
        await vi.waitUntil(() => allKnow([other], 1), { timeout: 1000 });
        cluster.servers.nodes[index]?.kill('SIGKILL');
        try {
            await strikeAll(one, 2);
            expect(allKnow([one, other], 1)).toBe(true);
        } finally {
            await cluster.servers.startAgain(index);
        }
        await vi.waitUntil(() => allKnow([one, other], 2), { timeout: 45_000 });
        const later = await processOf();
        expect([1, 2].map(n => allKnow([later], n))).toEqual([true, true]);
    });
});

describe('a master and a replica behind Sentinel', () => {
    const redis = {} as { sentinel: RedisSentinel; place: RedisPlace };
    useLoopback(async (host, dir) => {
        const sentinel = await startRedisSentinel({ host, dir });
        const client = clientOf({ sentinels: [...sentinel.sentinels], name: sentinel.master });
        Object.assign(redis, { sentinel, place: { host: client, nodes: [] } });
        return async () => {
            client.disconnect();
            await sentinel.stop();
        };
    });
    const processOf = useProcesses(redis);

    it('the master is killed: what was known holds, what is learnt meanwhile is told to the new one', async () => {
        const [one, other] = [await processOf(), await processOf()];
        await strikeAll(one, 1);
        await vi.waitUntil(() => allKnow([other], 1), { timeout: 1000 });
        redis.sentinel.servers[0]?.kill('SIGKILL');
        await strikeAll(one, 2);
        expect(allKnow([one, other], 1)).toBe(true);
        await vi.waitUntil(() => allKnow([one, other], 2), { timeout: 30_000 });
        const later = await processOf();
        expect([1, 2].map(n => allKnow([later], n))).toEqual([true, true]);
    });
});
